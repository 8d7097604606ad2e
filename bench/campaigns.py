"""Campaigns for the bench: made at a real gate by the product's own code, and events of users who apply."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from firstcome import bootstrap
from firstcome.model import Campaign
from local.errors import LocalStackError
from local.processes import ROOT

LONG_AGO = 1_577_836_800_000
"""2020, in milliseconds since the epoch."""

FAR_AHEAD = 4_070_908_800_000
"""2099."""

LAYER = ROOT / "layers" / "firstcome" / "python"


def make(campaign_id: str, capacity: int, closes_at: int = FAR_AHEAD) -> None:
    """Make a campaign at the gate that the environment names."""
    gate = bootstrap.gate()
    gate.remember([campaign_id])
    gate.create(Campaign(campaign_id, "Bench", capacity, LONG_AGO, closes_at))


def make_elsewhere(variables: Mapping[str, str], campaign_id: str, capacity: int) -> None:
    """Make a campaign in a process of its own, so that this one keeps no connection and no setting of it."""
    command = [sys.executable, "-m", "bench.campaigns", campaign_id, str(capacity)]
    done = subprocess.run(command, cwd=ROOT, env=dict(variables), capture_output=True, text=True, check=False)
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


if __name__ == "__main__":
    make(sys.argv[1], int(sys.argv[2]))
