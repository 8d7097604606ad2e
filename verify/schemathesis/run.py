"""`make schemathesis`: requests made up from docs/openapi.yaml, right and wrong ones, to a stack of its own.

Reads EXAMPLES (requests an operation at most) and SEED from the environment.
"""

import os
import subprocess
import sys
from pathlib import Path

from local.deployment.stack import running_stack
from local.deployment.workspace import search_path
from local.errors import run_command
from local.progress import Progress
from local.services.processes import ROOT
from tests.e2e.conftest import OPERATOR, Service, campaign_body

_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
_FOLDER = ROOT / ".local" / "schemathesis"
ROLES = {"user": "", "operator": OPERATOR}
"""Who asks, with the scope of their token."""


def main() -> None:
    """Try the API as a user and as an operator; leave with 1 if anything was found."""
    examples, seed = int(os.environ.get("EXAMPLES") or 200), int(os.environ.get("SEED") or 1)
    with running_stack(_FOLDER, Progress()) as stack:
        service = Service(stack, _FOLDER)
        found = [run(service, role, examples, seed) for role in ROLES]
    for output, _ in found:
        sys.stdout.write(output)
    sys.exit(any(status for _, status in found))


def run(service: Service, role: str, examples: int, seed: int) -> tuple[str, int]:
    """Run schemathesis in this role; returns what it printed, and its status: 0 when it found nothing."""
    environment = {
        "PATH": search_path(),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/firstcome/python'}",
        "API_URL": service.stack.api_url,
        "TOKEN": service.token(f"schemathesis-{role}", scope=ROLES[role] or None),
    }
    # A folder of its own: it would leave files where it works.
    folder = service.folder / "tmp" / f"schemathesis-{role}"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "schemathesis.toml"
    settings = _CONFIGURATION.read_text(encoding="utf-8").replace("${CAMPAIGN}", _campaigns(service, role))
    configuration.write_text(settings, encoding="utf-8")
    command = ["st", "--no-color", "--config-file", str(configuration), "run", str(ROOT / "docs" / "openapi.yaml")]
    done = subprocess.run(
        [*command, "--max-examples", str(examples), "--seed", str(seed)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout, done.returncode


def _campaigns(service: Service, role: str) -> str:
    """Make a campaign in each state; returns what their names begin with."""
    # Not a name of chance: a seed stands for the same requests each time.
    prefix = f"schemathesis-{role}"
    states: dict[str, dict[str, object]] = {
        "open": {"capacity": 1_000},
        "sold-out": {"capacity": 1},
        "not-open": {"opens_at": "2098-01-01T00:00:00Z"},
        "closed": {"closes_at": "2020-01-02T00:00:00Z"},
        "paused": {},
    }
    for state, changes in states.items():
        service.as_operator("PUT", f"/campaigns/{prefix}-{state}", campaign_body(**changes))
    service.apply(f"{prefix}-sold-out", "somebody-else")
    service.as_operator("POST", f"/campaigns/{prefix}-paused/pause")
    return prefix


if __name__ == "__main__":
    run_command(main)
