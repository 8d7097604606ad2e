"""The deployment: the real `sam build` and `sam deploy`, onto the local endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.ministack import REGION, client, tool_settings
from local.services.processes import ROOT, Processes, Program
from local.services.programs import find_program

STACK_NAME = "firstcome-local"


def start_build(processes: Processes, workspace: Workspace) -> str:
    """Start `sam build`, which builds only what has changed; returns the name to `finish` it by."""
    arguments = [
        "--cached",
        "--cache-dir",
        str(workspace.folder / "build-cache"),
        "--build-dir",
        str(_built(workspace)),
    ]
    program = _sam("build", arguments, workspace, {})
    processes.start(program)
    return program.name


def deploy(
    processes: Processes,
    workspace: Workspace,
    endpoint_url: str,
    parameters: Mapping[str, str],
    stack_name: str = STACK_NAME,
) -> None:
    """Deploy what `sam build` made, with these template parameters."""
    overrides = [f"{name}={value}" for name, value in parameters.items()]
    arguments = ["--template-file", str(_built(workspace) / "template.yaml"), "--stack-name", stack_name]
    arguments += ["--parameter-overrides", *overrides]
    processes.run(_sam("deploy", arguments, workspace, tool_settings(workspace, endpoint_url)))


def store_mysql_secret(address: MysqlAddress, endpoint_url: str, stack_name: str = STACK_NAME) -> str:
    """Store the ledger's credentials for the functions; returns the secret's ARN."""
    secret = {"username": address.user, "password": address.password}
    created = client("secretsmanager", endpoint_url).create_secret(
        Name=f"{stack_name}-mysql", SecretString=json.dumps(secret)
    )
    return str(created["ARN"])


def _sam(action: str, arguments: list[str], workspace: Workspace, settings: Mapping[str, str]) -> Program:
    environment = {**sam_environment(workspace), **settings}
    # Named in full: beside a template in another folder it would be looked for in that folder.
    options = ["--config-file", str(ROOT / "samconfig.toml"), "--config-env", "local"]
    name = f"sam-{action}"
    return Program(name, [find_program("sam"), action, *options, *arguments], environment, ROOT, workspace.log(name))


def sam_environment(workspace: Workspace) -> dict[str, str]:
    """The environment in which SAM connects to its endpoint only, and writes nothing outside the clone."""
    return {
        **workspace.tool_environment(),
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.2",
        "__SAM_CLI_APP_DIR": str(_without_update_check(workspace)),
    }


def _without_update_check(workspace: Workspace) -> Path:
    # Once a week SAM looks for a newer version of itself on the internet.
    folder = workspace.folder / "sam"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time()}), encoding="utf-8")
    return folder


def _built(workspace: Workspace) -> Path:
    return workspace.folder / "build"
