"""Campaigns: N coupons, open between two instants."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from firstcome.domain.text import is_text
from firstcome.domain.times import Millis

CAPACITY_MAX = 10_000_000
"""Coupons a campaign may have at most."""

NAME_MAX = 200
"""Code points a campaign's name may have at most."""

_CAMPAIGN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_campaign_id(text: object) -> bool:
    """Whether the text may name a campaign: 1 to 63 of a-z, 0-9 and -, not starting with -."""
    return isinstance(text, str) and _CAMPAIGN_ID.fullmatch(text) is not None


def is_campaign_name(text: object) -> bool:
    """Whether the text may be a campaign's name: 1 to 200 code points, see `text`."""
    return is_text(text, NAME_MAX)


class Phase(StrEnum):
    """What an application to a campaign meets, as of one instant."""

    OPEN = "open"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    PAUSED = "paused"
    SOLD_OUT = "sold_out"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Campaign:
    """N coupons, open between two instants.

    Attributes:
        capacity: N, from 1 to `CAPACITY_MAX`.
        opens_at: the first instant at which an application is admitted.
        closes_at: the first instant at which none is admitted any more.
        version: the ledger's: 0 until the campaign has been created in full, then 1, and 1 more with every change.
    """

    campaign_id: str
    name: str
    capacity: int
    opens_at: Millis
    closes_at: Millis
    paused: bool = False
    version: int = 0


class CampaignState(StrEnum):
    """What the ledger says of a campaign."""

    CREATING = "creating"
    """Its row is written; its gate has not been confirmed, and never admitted anybody."""
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class CampaignSort(StrEnum):
    """The order of a list of campaigns."""

    CREATED = "created"
    """The newest first."""
    OPENS_AT = "opens_at"
    """The next opening first; those that have opened come last, the latest first."""


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """A campaign as the ledger has it."""

    campaign: Campaign
    state: CampaignState
    created_at: Millis
    updated_at: Millis


@dataclass(frozen=True, slots=True)
class CampaignEvent:
    """An entry of the audit trail.

    Attributes:
        actor: the operator's user id.
        before: the fields of the campaign before, None when there was no campaign.
        after: likewise after.
        number: its place in the trail of its campaign, from 1; 0 until the ledger has it.
    """

    campaign_id: str
    at: Millis
    actor: str
    action: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    number: int = 0
