"""The audit trail: which operator did what to a campaign. Never with the user id of a customer."""

from collections.abc import Mapping
from typing import Any

from firstcome.domain.campaign import Campaign, CampaignEvent
from firstcome.domain.times import to_rfc3339
from firstcome.service.ports import Ledger


def change(ledger: Ledger, actor: str, action: str, before: Campaign | None, after: Campaign) -> CampaignEvent:
    """Return the event of a change; `before` is None when there was no campaign. Raises `LedgerUnavailableError`."""
    fields_before = _fields(before) if before else None
    return CampaignEvent(after.campaign_id, ledger.now(), actor, action, fields_before, _fields(after))


def record(ledger: Ledger, actor: str, action: str, campaign_id: str, outcome: Mapping[str, Any]) -> None:
    """Record what was done with a campaign besides a change of its fields. Raises `LedgerUnavailableError`."""
    ledger.record(CampaignEvent(campaign_id, ledger.now(), actor, action, None, outcome))


def _fields(campaign: Campaign) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "capacity": campaign.capacity,
        "opens_at": to_rfc3339(campaign.opens_at),
        "closes_at": to_rfc3339(campaign.closes_at),
        "state": "paused" if campaign.paused else "active",
        "version": campaign.version,
    }
