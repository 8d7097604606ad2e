"""Requests made up from docs/openapi.yaml, right and wrong ones, are answered by the deployed stack as it says.

`make schemathesis` tries more of them. EXAMPLES: requests per operation at most; a SEED stands for the same requests.
"""

import os
import subprocess
from pathlib import Path

import pytest

from local.deployment.workspace import search_path
from local.services.processes import ROOT
from tests.e2e.conftest import OPERATOR, Service, campaign_body

_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
_ROLES = {"user": "", "operator": OPERATOR}
_STATES: dict[str, dict[str, object]] = {
    "open": {"capacity": 1_000},
    "sold-out": {"capacity": 1},
    "not-open": {"opens_at": "2098-01-01T00:00:00Z"},
    "closed": {"closes_at": "2020-01-02T00:00:00Z"},
    "paused": {},
}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("role", _ROLES)
def test_schemathesis_finds_nothing(service: Service, role: str, tmp_path: Path) -> None:
    environment = {
        "PATH": search_path(),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/firstcome/python'}",
        "API_URL": service.stack.api_url,
        "TOKEN": service.token(f"schemathesis-{role}", scope=_ROLES[role] or None),
    }
    configuration = tmp_path / "schemathesis.toml"
    settings = _CONFIGURATION.read_text(encoding="utf-8").replace("${CAMPAIGN}", _campaigns(service, role))
    configuration.write_text(settings, encoding="utf-8")
    options = ["--max-examples", os.environ.get("EXAMPLES") or "5", "--seed", os.environ.get("SEED") or "20261123"]
    done = subprocess.run(
        ["st", "--no-color", "--config-file", configuration, "run", ROOT / "docs" / "openapi.yaml", *options],
        # It leaves files where it works.
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Tested: 18" in done.stdout, done.stdout


def _campaigns(service: Service, role: str) -> str:
    """Make a campaign in each state; returns what their names begin with."""
    # Not a name of chance: a seed stands for the same requests each time.
    prefix = f"schemathesis-{role}"
    for state, changes in _STATES.items():
        service.as_operator("PUT", f"/campaigns/{prefix}-{state}", campaign_body(**changes))
    service.apply(f"{prefix}-sold-out", "somebody-else")
    service.as_operator("POST", f"/campaigns/{prefix}-paused/pause")
    return prefix
