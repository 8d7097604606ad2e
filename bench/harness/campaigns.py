"""Campaigns for the bench, and the events of users who apply."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.ministack import tool_settings
from local.services.ports import HOST
from local.services.processes import ROOT

QUEUE_PATH = "/000000000000/claims"
LAYER = ROOT / "layers" / "firstcome" / "python"

LONG_AGO = 1_577_836_800_000
"""2020, in milliseconds since the epoch."""

FAR_AHEAD = 4_070_908_800_000
"""2099."""


@dataclass(frozen=True)
class BenchCampaign:
    """A campaign to make; open since long ago, and for long, unless it says otherwise."""

    campaign_id: str
    capacity: int
    closes_at: int = FAR_AHEAD


def make(variables: Mapping[str, str], campaign: BenchCampaign) -> None:
    """Make a campaign at the gate that `variables` name, by the product's own code in a process of its own.

    So this process keeps no connection and no setting of it.
    """
    environment = {**variables, "PYTHONPATH": str(LAYER)}
    command = [sys.executable, "-m", "bench.harness.make_campaign", json.dumps(asdict(campaign))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalStackError(f"The campaign of the bench could not be made: {done.stderr.strip()}")


def applications(campaign_id: str) -> Callable[[str], dict[str, Any]]:
    """A way to make the event, as API Gateway sends it, of a user who applies for a coupon of this campaign."""
    template = json.loads((ROOT / "events" / "apply.json").read_text(encoding="utf-8").replace("demo", campaign_id))

    def of(user: str) -> dict[str, Any]:
        event: dict[str, Any] = copy.deepcopy(template)
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = user
        return event

    return of


def function_variables(workspace: Workspace, redis_port: int, endpoint: str) -> dict[str, str]:
    """The apply function's variables in template.yaml, with credentials that nobody checks."""
    return {
        **tool_settings(workspace, endpoint),
        "POWERTOOLS_SERVICE_NAME": "firstcome",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "REDIS_HOST": HOST,
        "REDIS_PORT": str(redis_port),
        "REDIS_TLS": "false",
        "GATE_REPLICA_ACKS": "0",
        "CLAIM_QUEUE_URL": endpoint + QUEUE_PATH,
    }
