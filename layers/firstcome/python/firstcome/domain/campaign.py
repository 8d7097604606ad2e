"""Campaigns: N coupons, open between two instants."""

import re
from dataclasses import dataclass
from enum import StrEnum

from firstcome.domain.times import Millis

CAPACITY_MAX = 10_000_000
"""Coupons a campaign may have at most."""

_CAMPAIGN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_campaign_id(text: object) -> bool:
    """Whether the text may name a campaign: 1 to 63 of a-z, 0-9 and -, not starting with -."""
    return isinstance(text, str) and _CAMPAIGN_ID.fullmatch(text) is not None


class Phase(StrEnum):
    """What an application to a campaign meets, as of one instant."""

    OPEN = "open"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    PAUSED = "paused"
    SOLD_OUT = "sold_out"


@dataclass(frozen=True, slots=True)
class Campaign:
    """N coupons, open between two instants.

    Attributes:
        capacity: N, from 1 to `CAPACITY_MAX`.
        opens_at: the first instant at which an application is admitted.
        closes_at: the first instant at which none is admitted any more.
    """

    campaign_id: str
    name: str
    capacity: int
    opens_at: Millis
    closes_at: Millis
    paused: bool = False


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """A campaign as the ledger has it."""

    campaign: Campaign
    created_at: Millis
    updated_at: Millis
