"""Ready-made values for tests; every call gives names of its own, so that tests do not meet each other's data."""

import itertools
import uuid
from dataclasses import replace
from typing import Any

from firstcome.domain.campaign import Campaign
from firstcome.domain.claim import Claim, new_coupon_code
from firstcome.domain.gate import ConfigureResult
from firstcome.domain.times import from_rfc3339
from firstcome.service.ports import Gate, Ledger

LONG_AGO = from_rfc3339("2020-01-01T00:00:00Z")
FAR_AHEAD = from_rfc3339("2099-01-01T00:00:00Z")

_numbers = itertools.count(1)


def a_campaign_id() -> str:
    """Return an id no other test has."""
    return f"c-{uuid.uuid4().hex[:12]}"


def a_user_id() -> str:
    """Return a user no other test has."""
    return f"user-{next(_numbers)}-{uuid.uuid4().hex[:8]}"


def a_campaign(campaign_id: str = "", *, capacity: int = 10, **changes: Any) -> Campaign:
    """Return an open campaign, with the changes given."""
    campaign = Campaign(campaign_id or a_campaign_id(), "Spring sale", capacity, LONG_AGO, FAR_AHEAD)
    return replace(campaign, **changes)


def open_campaign(ledger: Ledger, gate: Gate, campaign: Campaign) -> Campaign:
    """Create a campaign in full, in the ledger and at the gate; returns it with its version."""
    ledger.create(campaign)
    record = ledger.update(campaign, 0)
    assert record
    gate.register([campaign.campaign_id])
    assert gate.create(record.campaign) is ConfigureResult.DONE
    return record.campaign


def a_claim(campaign_id: str, sequence: int, user_id: str = "", coupon_code: str = "") -> Claim:
    """Return a claim of a user of its own."""
    accepted_at = from_rfc3339("2026-11-23T09:00:00.123Z") + sequence
    return Claim(campaign_id, user_id or a_user_id(), sequence, coupon_code or new_coupon_code(), accepted_at)
