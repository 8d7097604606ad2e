"""Makes one campaign at the gate that the environment names: `python -m bench.harness.make_campaign JSON`."""

from __future__ import annotations

import json
import sys

from bench.harness.campaigns import LONG_AGO, BenchCampaign
from firstcome import bootstrap
from firstcome.domain.campaign import Campaign


def main(text: str) -> None:
    """Make the campaign, and note that it has a gate."""
    wanted = BenchCampaign(**json.loads(text))
    gate = bootstrap.gate()
    gate.register([wanted.campaign_id])
    gate.create(Campaign(wanted.campaign_id, "Bench", wanted.capacity, LONG_AGO, wanted.closes_at))


if __name__ == "__main__":
    main(sys.argv[1])
