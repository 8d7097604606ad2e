"""The SQL statements, and what is common to values that go in and rows that come out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from firstcome.domain.campaign import Campaign, CampaignRecord, CampaignState
from firstcome.domain.claim import Claim
from firstcome.domain.times import Millis, from_datetime, to_utc_datetime


@cache
def statement(name: str) -> str:
    """Read a statement from the folder `sql`, without its comments."""
    lines = files("firstcome.adapters.mysql").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()


def to_column(instant: Millis) -> str:
    """Write an instant for a DATETIME(3)."""
    return to_utc_datetime(instant).isoformat(" ", "milliseconds")


def to_millis(column: datetime) -> Millis:
    """Read a DATETIME(3)."""
    return from_datetime(column.replace(tzinfo=UTC))


def to_claim(row: Sequence[Any]) -> Claim:
    """Read campaign_id, user_id, sequence, coupon_code and accepted_at."""
    return Claim(row[0], row[1], row[2], row[3], to_millis(row[4]))


def to_record(row: Sequence[Any]) -> CampaignRecord:
    """Read a row of find_campaign.sql, and of the lists of campaigns."""
    campaign_id, name, capacity, opens_at, closes_at, state, version, created_at, updated_at = row
    state = CampaignState(state)
    is_paused = state is CampaignState.PAUSED
    campaign = Campaign(campaign_id, name, capacity, to_millis(opens_at), to_millis(closes_at), is_paused, version)
    return CampaignRecord(campaign, state, to_millis(created_at), to_millis(updated_at))
