"""How campaigns, claims and events are written for the API's clients; docs/openapi.yaml has the schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firstcome.domain.campaign import CampaignState, Phase
from firstcome.domain.gate import GateState
from firstcome.domain.times import to_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from firstcome.domain.campaign import Campaign, CampaignEvent
    from firstcome.domain.claim import Admission, Claim, IssuedCoupon
    from firstcome.domain.gate import GateView
    from firstcome.service.campaigns import Seen
    from firstcome.service.lookup import Found
    from firstcome.service.rebuild import Rebuilt


def campaign_body(campaign_id: str, campaign: Campaign | None, view: GateView | None) -> dict[str, Any]:
    """Write a campaign as an application would meet it; null is what is not known."""
    return {
        "campaign_id": campaign_id,
        "name": campaign and campaign.name,
        "state": view.phase if view else Phase.UNAVAILABLE,
        "capacity": campaign and campaign.capacity,
        "remaining": view and view.remaining,
        "opens_at": campaign and to_rfc3339(campaign.opens_at),
        "closes_at": campaign and to_rfc3339(campaign.closes_at),
        "version": campaign and campaign.version,
    }


def etag_of(body: Mapping[str, Any]) -> str:
    """Return the ETag of a campaign as `campaign_body` writes it."""
    parts = [body["version"], body["state"], body["remaining"]]
    return '"{}"'.format("-".join("" if part is None else str(part) for part in parts))


def seen_body(seen: Seen) -> dict[str, Any]:
    """Write a campaign as ledger and gate have it."""
    campaign = seen.record.campaign
    body = campaign_body(campaign.campaign_id, campaign, seen.view)
    return body | {"state": "archived"} if seen.record.state is CampaignState.ARCHIVED else body


def listed_body(seen: Seen) -> dict[str, Any]:
    """Write a campaign in a list."""
    record = seen.record
    instants = {"created_at": to_rfc3339(record.created_at), "updated_at": to_rfc3339(record.updated_at)}
    return seen_body(seen) | instants


def admission_body(admission: Admission) -> dict[str, Any]:
    """Write a user's own coupon."""
    claim = admission.claim
    return {
        "status": _status(admission),
        "campaign_id": claim.campaign_id,
        "sequence": claim.sequence,
        "coupon_code": claim.coupon_code,
        "accepted_at": to_rfc3339(claim.accepted_at),
    }


def coupon_body(coupon: IssuedCoupon) -> dict[str, Any]:
    """Write an issued coupon."""
    return _claim_body(coupon.claim) | {"issued_at": to_rfc3339(coupon.issued_at)}


def found_body(found: Found) -> dict[str, Any]:
    """Write what gate and ledger each have of a claim."""
    gate, coupon, overflow = found.gate, found.ledger.coupon, found.ledger.overflow
    return {
        "gate": gate and _claim_body(gate.claim) | {"status": _status(gate)},
        "ledger": coupon and coupon_body(coupon) | {"status": "issued"},
        "overflow": overflow and _claim_body(overflow.claim) | {"status": "overflow", "reason": overflow.reason},
    }


def event_body(event: CampaignEvent) -> dict[str, Any]:
    """Write an entry of the audit trail."""
    return {
        "at": to_rfc3339(event.at),
        "actor": event.actor,
        "action": event.action,
        "before": event.before,
        "after": event.after,
    }


def rebuilt_body(campaign_id: str, rebuilt: Rebuilt) -> dict[str, Any]:
    """Write what a rebuild did."""
    return {
        "campaign_id": campaign_id,
        "rebuilt": rebuilt.found is not GateState.WHOLE,
        "gate_was": rebuilt.found,
        "issued": rebuilt.issued,
        "overflow": rebuilt.overflow,
        "resent": rebuilt.resent,
        "free_sequences": rebuilt.free,
        "highest_sequence": rebuilt.highest,
    }


def _status(admission: Admission) -> str:
    return "issued" if admission.is_issued else "accepted"


def _claim_body(claim: Claim) -> dict[str, Any]:
    return {
        "sequence": claim.sequence,
        "user_id": claim.user_id,
        "coupon_code": claim.coupon_code,
        "accepted_at": to_rfc3339(claim.accepted_at),
    }
