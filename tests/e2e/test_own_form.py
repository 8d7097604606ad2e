"""The form in which the stack makes everything itself: the endpoint takes it as far as a change set.

It does not know all of the resources in `infra`, so it cannot make them.
"""

import os
import subprocess

import pytest

from local.deployment.deploy import sam_environment
from local.deployment.workspace import Workspace
from local.services.ministack import client, tool_settings
from local.services.processes import ROOT
from local.services.programs import find_program
from tests.e2e.conftest import Service


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_change_set_can_be_made_of_it(service: Service, environment: str) -> None:
    workspace = Workspace(service.folder)
    stack = f"own-{environment}"
    command = [find_program("sam"), "deploy", "--no-execute-changeset", "--stack-name", stack]
    command += ["--config-file", str(ROOT / "samconfig.toml"), "--config-env", "local"]
    command += ["--template-file", str(service.folder / "build" / "template.yaml")]
    command += ["--parameter-overrides", f"Environment={environment}"]
    settings = {**os.environ, **sam_environment(workspace), **tool_settings(workspace, service.stack.aws_endpoint_url)}

    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = client("cloudformation", service.stack.aws_endpoint_url).list_change_sets(StackName=stack)["Summaries"]
    assert made["Status"] == "CREATE_COMPLETE"
