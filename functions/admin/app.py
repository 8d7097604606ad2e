"""AdminFunction: the operator's routes, and the migration of the ledger by direct invocation."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from firstcome import bootstrap, http_api, settings
from firstcome.domain.campaign import CAPACITY_MAX
from firstcome.domain.campaign_input import InvalidCampaign, parse_campaign
from firstcome.domain.claim import IssuedCoupon
from firstcome.domain.gate import GateState, GateView
from firstcome.domain.refusal import Refused
from firstcome.domain.times import to_rfc3339
from firstcome.http_api import Answer, Event, Request, for_operators
from firstcome.service.campaigns import CapacityBelowAccepted, Listed
from firstcome.service.rebuild import StillUnderWay

_PAGE_DEFAULT = 100
_PAGE_MAX = 1000
_CAMPAIGNS_DEFAULT = 20
_CAMPAIGNS_MAX = 100

_PATIENCE_MS = 6_000
"""How long a rebuild waits itself for the end of the gate's quiet time; before, it answers that it is too early."""


_WORK_SECONDS = 10
"""How long an operator's call works on a large campaign. The same call again goes on where it stopped."""


def lambda_handler(event: Event, context: Any) -> Any:  # noqa: ARG001 - Lambda's signature
    """Answer one request of the HTTP API, or run the action of a direct invocation.

    A direct invocation asks for IAM rights on this function; nothing that comes through the API has an `action`.
    """
    try:
        if event.get("action") == "migrate":
            owner = bootstrap.ledger_owner()
            if owner:
                owner.migrate()
            else:
                bootstrap.campaigns().migrate()
            return {"migrated": True}
        return http_api.route(event, _ROUTES)
    finally:
        # Operators ask now and then; MySQL's connections belong to the drain.
        bootstrap.ledger().close()


def _put(request: Request) -> Answer:
    campaign = parse_campaign(request.campaign_id, request.body)
    if isinstance(campaign, InvalidCampaign):
        errors = [{"field": violation.field, "rule": violation.rule} for violation in campaign.violations]
        detail = "; ".join(f"{error['field']} {error['rule']}" for error in errors)
        return http_api.problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_campaign", detail, errors=errors)
    outcome = bootstrap.campaigns().put(campaign)
    if isinstance(outcome, CapacityBelowAccepted):
        detail = "more coupons than this capacity have been accepted already"
        return http_api.problem(HTTPStatus.CONFLICT, "capacity_below_accepted", detail)
    return http_api.ok(http_api.campaign_body(outcome.view), HTTPStatus.CREATED if outcome.is_new else HTTPStatus.OK)


def _list(request: Request) -> Answer:
    limit = request.whole_number("limit", _CAMPAIGNS_DEFAULT, 1, _CAMPAIGNS_MAX)
    page = bootstrap.campaigns().page(request.optional_campaign_id("after"), limit)
    next_after = page[-1].record.campaign.campaign_id if len(page) == limit else None
    return http_api.ok({"campaigns": [_listed_body(listed) for listed in page], "next_after": next_after})


def _pause(request: Request) -> Answer:
    return _campaign_answer(bootstrap.campaigns().set_paused(request.campaign_id, paused=True))


def _resume(request: Request) -> Answer:
    return _campaign_answer(bootstrap.campaigns().set_paused(request.campaign_id, paused=False))


def _stats(request: Request) -> Answer:
    stats = bootstrap.campaigns().stats(request.campaign_id)
    if isinstance(stats, Refused):
        return http_api.refused(stats)
    return http_api.ok(
        {
            "capacity": stats.capacity,
            "accepted": stats.accepted,
            "outbox": stats.outbox,
            "queued": stats.queued,
            "issued": stats.issued,
            "overflow": stats.overflow,
            "dead_letters": stats.dead_letters,
            "oldest_outbox_seconds": stats.oldest_outbox_seconds,
        }
    )


def _coupons(request: Request) -> Answer:
    after = request.whole_number("after", 0, 0, CAPACITY_MAX)
    limit = request.whole_number("limit", _PAGE_DEFAULT, 1, _PAGE_MAX)
    coupons = bootstrap.campaigns().coupons(request.campaign_id, after, limit)
    if isinstance(coupons, Refused):
        return http_api.refused(coupons)
    next_after = coupons[-1].claim.sequence if len(coupons) == limit else None
    return http_api.ok({"coupons": [_coupon_body(coupon) for coupon in coupons], "next_after": next_after})


def _rebuild(request: Request) -> Answer:
    rebuild = bootstrap.rebuild(settings.whole_seconds("REBUILD_QUIET_SECONDS"))
    outcome = rebuild.run(request.campaign_id, _time_limit(), patience_ms=_PATIENCE_MS)
    if isinstance(outcome, Refused):
        return http_api.refused(outcome)
    if isinstance(outcome, StillUnderWay):
        detail = "accepted claims are still on their way to the ledger; the gate stays closed until they have arrived"
        headers = {"Retry-After": str(http_api.RETRY_AFTER_SECONDS)}
        return http_api.problem(HTTPStatus.CONFLICT, "queue_not_empty", detail, headers)
    return http_api.ok(
        {
            "campaign_id": request.campaign_id,
            "rebuilt": outcome.found is not GateState.WHOLE,
            "gate_was": outcome.found.value,
            "issued": outcome.issued,
            "overflow": outcome.overflow,
            "resent": outcome.resent,
            "free_sequences": outcome.free,
            "highest_sequence": outcome.highest,
        }
    )


def _time_limit() -> Callable[[], bool]:
    ends_at = time.monotonic() + _WORK_SECONDS
    return lambda: time.monotonic() < ends_at


def _campaign_answer(outcome: GateView | Refused) -> Answer:
    return http_api.refused(outcome) if isinstance(outcome, Refused) else http_api.ok(http_api.campaign_body(outcome))


def _listed_body(listed: Listed) -> dict[str, Any]:
    campaign = listed.record.campaign
    seen = http_api.campaign_body(listed.view) if listed.view else {"state": "unavailable", "remaining": None}
    return {
        "campaign_id": campaign.campaign_id,
        "name": campaign.name,
        "state": seen["state"],
        "capacity": campaign.capacity,
        "remaining": seen["remaining"],
        "opens_at": to_rfc3339(campaign.opens_at),
        "closes_at": to_rfc3339(campaign.closes_at),
        "created_at": to_rfc3339(listed.record.created_at),
        "updated_at": to_rfc3339(listed.record.updated_at),
    }


def _coupon_body(coupon: IssuedCoupon) -> dict[str, Any]:
    claim = coupon.claim
    return {
        "sequence": claim.sequence,
        "user_id": claim.user_id,
        "coupon_code": claim.coupon_code,
        "accepted_at": to_rfc3339(claim.accepted_at),
        "issued_at": to_rfc3339(coupon.issued_at),
    }


_ROUTES = {
    route: for_operators(handler)
    for route, handler in {
        "PUT /campaigns/{campaign_id}": _put,
        "GET /campaigns": _list,
        "POST /campaigns/{campaign_id}/pause": _pause,
        "POST /campaigns/{campaign_id}/resume": _resume,
        "GET /campaigns/{campaign_id}/stats": _stats,
        "GET /campaigns/{campaign_id}/coupons": _coupons,
        "POST /campaigns/{campaign_id}/rebuild": _rebuild,
    }.items()
}
