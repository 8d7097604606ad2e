"""AdminFunction: the operator's routes; the migration of the ledger, for CloudFormation; and a check of the stores."""

import time
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from firstcome import bootstrap, http_api, settings
from firstcome.adapters import cloudformation
from firstcome.csv_export import coupons_as_csv
from firstcome.domain.campaign import (
    CAPACITY_MAX,
    NAME_MAX,
    CampaignSort,
    CampaignState,
    is_campaign_id,
    is_campaign_name,
)
from firstcome.domain.campaign_input import InvalidCampaign, json_object, parse_campaign
from firstcome.domain.claim import USER_ID_MAX, is_coupon_code, is_user_id
from firstcome.domain.errors import FirstcomeError, LedgerSchemaError
from firstcome.domain.refusal import Refusal, Refused
from firstcome.domain.text import RULE
from firstcome.http_api import Answer, Event, ProblemError, Request, for_operators
from firstcome.representation import (
    coupon_body,
    etag_of,
    event_body,
    found_body,
    listed_body,
    rebuilt_body,
    seen_body,
)
from firstcome.service import audit
from firstcome.service.campaigns import Precondition, Saved, VersionConflict
from firstcome.service.rebuild import StillUnderWay

_COUPONS_DEFAULT, _COUPONS_MAX = 100, 1000
_PAGE_DEFAULT, _PAGE_MAX = 20, 100
_EVENT_MAX = 2**31 - 1
_FILTERS = {CampaignState.ACTIVE, CampaignState.PAUSED, CampaignState.ARCHIVED}

_USER_ID_RULE = f"must be 1 to {USER_ID_MAX} {RULE}"

_WORK_SECONDS = 12
"""How long a rebuild or a comparison works before it answers that the same request must go on."""

_PATIENCE_MS = 6_000
"""How long a rebuild waits itself for the end of the gate's quiet time; before, it answers that it is too early."""


def lambda_handler(event: Event, context: Any) -> Any:  # noqa: ARG001 - Lambda's signature
    """Answer one request of the HTTP API, or run the action of a direct invocation.

    A direct invocation asks for IAM rights on this function; nothing that comes through the API has an `action`.
    """
    try:
        if event.get("action") == "migrate":
            _migrate()
            return {"migrated": True}
        if event.get("action") == "check":
            return _check()
        if cloudformation.is_question(event):
            return cloudformation.answer(event, _migrate)
        return http_api.route(event, _ROUTES)
    finally:
        # Operators ask now and then; MySQL's connections belong to the drain.
        bootstrap.ledger().close()


def _migrate() -> None:
    (bootstrap.ledger_owner() or bootstrap.ledger()).migrate()
    bootstrap.campaigns().register_all()


def _check() -> dict[str, str]:
    """Ask each store something that changes nothing; returns `ok`, or what is wrong with it."""
    return {
        # Connecting refuses a server that evicts, and one that is too old.
        "redis": _state(lambda: bootstrap.gate().now()),
        "claim_queue": _state(lambda: bootstrap.claim_queue().count()),
        "mysql": _state(lambda: bootstrap.ledger().now()),
        "migrations": _state(_require_migrations),
    }


def _state(ask: Callable[[], object]) -> str:
    try:
        ask()
    except FirstcomeError as exc:
        return f"{type(exc).__name__}: {exc}"
    return "ok"


def _require_migrations() -> None:
    missing = bootstrap.pending_migrations()
    if missing:
        raise LedgerSchemaError(f"not applied: {', '.join(missing)}")


def _put(request: Request) -> Answer | Refused:
    campaign = parse_campaign(request.campaign_id, request.body)
    if isinstance(campaign, InvalidCampaign):
        errors = [asdict(violation) for violation in campaign.violations]
        detail = "; ".join(f"{error['field']} {error['rule']}" for error in errors)
        return http_api.problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_campaign", detail, errors=errors)
    outcome = bootstrap.campaigns().put(campaign, request.user_id, _precondition(request))
    if isinstance(outcome, VersionConflict):
        detail = "the campaign is not as the request expects it"
        current = outcome.current and seen_body(outcome.current)
        return http_api.problem(HTTPStatus.PRECONDITION_FAILED, "version_conflict", detail, current=current)
    return _saved(outcome)


def _precondition(request: Request) -> Precondition:
    if request.header("if-none-match").strip() == "*":
        return Precondition(must_be_new=True)
    etags = request.etags("if-match")
    if etags == [""]:
        return Precondition()
    if "*" in etags:
        return Precondition(must_exist=True)
    versions = (etag.strip('"').partition("-")[0] for etag in etags)
    return Precondition(frozenset(int(version) for version in versions if version.isascii() and version.isdecimal()))


def _saved(outcome: Saved | Refused) -> Answer | Refused:
    if isinstance(outcome, Refused):
        return outcome
    body = seen_body(outcome.seen)
    status = HTTPStatus.CREATED if outcome.is_new else HTTPStatus.OK
    return http_api.ok(body, status, {"ETag": etag_of(body)})


def _archive(request: Request) -> Answer | Refused:
    outcome = bootstrap.lifecycle().archive(request.campaign_id, request.user_id)
    body = {"campaign_id": request.campaign_id, "state": CampaignState.ARCHIVED}
    return outcome if isinstance(outcome, Refused) else http_api.ok(body)


def _erase(request: Request) -> Answer | Refused:
    fields = json_object(request.body)
    if fields is None or fields.keys() != {"user_id"} or not is_user_id(fields["user_id"]):
        detail = f"the body must be a JSON object with the one field user_id, which {_USER_ID_RULE}"
        return http_api.problem(HTTPStatus.BAD_REQUEST, "invalid_parameter", detail)
    outcome = bootstrap.lifecycle().erase(request.campaign_id, fields["user_id"], request.user_id)
    body = {"campaign_id": request.campaign_id, "erased": True}
    return outcome if isinstance(outcome, Refused) else http_api.ok(body)


def _list(request: Request) -> Answer | Refused:
    limit = request.whole_number("limit", _PAGE_DEFAULT, 1, _PAGE_MAX)
    state = request.parameter("state", lambda text: text in _FILTERS, "must be active, paused or archived")
    q = request.parameter("q", is_campaign_name, f"must be 1 to {NAME_MAX} {RULE}")
    sort = request.parameter("sort", lambda text: text in CampaignSort, "must be created or opens_at")
    page = bootstrap.lookup().page(
        request.parameter("after", is_campaign_id, "must be a campaign_id"),
        limit,
        CampaignState(state) if state else None,
        q or "",
        CampaignSort(sort or "created"),
    )
    next_after = page[-1].record.campaign.campaign_id if len(page) == limit else None
    return http_api.ok({"campaigns": [listed_body(seen) for seen in page], "next_after": next_after})


def _stats(request: Request) -> Answer | Refused:
    stats = bootstrap.lookup().stats(request.campaign_id)
    return stats if isinstance(stats, Refused) else http_api.ok(asdict(stats))


def _coupons(request: Request) -> Answer | Refused:
    after = request.whole_number("after", 0, 0, CAPACITY_MAX)
    limit = request.whole_number("limit", _COUPONS_DEFAULT, 1, _COUPONS_MAX)
    coupons = bootstrap.lookup().coupons(request.campaign_id, after, limit)
    if isinstance(coupons, Refused):
        return coupons
    next_after = coupons[-1].claim.sequence if len(coupons) == limit else None
    if not request.accepts("text/csv"):
        return http_api.ok({"coupons": [coupon_body(coupon) for coupon in coupons], "next_after": next_after})
    headers = {"Content-Type": "text/csv; charset=utf-8", "Cache-Control": "no-store"}
    if next_after:
        # Relative to this request's own address, whatever stands before its path.
        headers["Link"] = f'<?after={next_after}&limit={limit}>; rel="next"'
    return {"statusCode": int(HTTPStatus.OK), "headers": headers, "body": coupons_as_csv(coupons)}


def _lookup(request: Request) -> Answer | Refused:
    user_id = request.parameter("user_id", is_user_id, _USER_ID_RULE)
    code = request.parameter("coupon_code", is_coupon_code, "must be a coupon code")
    if (user_id is None) == (code is None):
        raise ProblemError(http_api.invalid_parameter("user_id or coupon_code, one of them,", "must be given"))
    lookup = bootstrap.lookup()
    found = lookup.user(request.campaign_id, user_id) if user_id else lookup.code(request.campaign_id, str(code))
    return found if isinstance(found, Refused) else http_api.ok(found_body(found))


def _events(request: Request) -> Answer | Refused:
    after = request.whole_number("after", 0, 1, _EVENT_MAX)
    limit = request.whole_number("limit", _PAGE_DEFAULT, 1, _PAGE_MAX)
    events = bootstrap.lookup().events(request.campaign_id, after or None, limit)
    if isinstance(events, Refused):
        return events
    next_after = events[-1].number if len(events) == limit else None
    return http_api.ok({"events": [event_body(event) for event in events], "next_after": next_after})


def _rebuild(request: Request) -> Answer | Refused:
    rebuild = bootstrap.rebuild(settings.whole_seconds("REBUILD_QUIET_SECONDS"))
    outcome = rebuild.run(request.campaign_id, _time_limit(), _PATIENCE_MS)
    if isinstance(outcome, Refused):
        return outcome
    if isinstance(outcome, StillUnderWay):
        return Refused(Refusal.QUEUE_NOT_EMPTY)
    did = rebuilt_body(request.campaign_id, outcome)
    audit.record(bootstrap.ledger(), request.user_id, "rebuild", request.campaign_id, did)
    return http_api.ok(did)


def _reconcile(request: Request) -> Answer | Refused:
    reconcile = bootstrap.reconcile(settings.whole_seconds("REBUILD_QUIET_SECONDS"))
    outcome = reconcile.run(request.campaign_id, _time_limit())
    if isinstance(outcome, Refused):
        return outcome
    audit.record(bootstrap.ledger(), request.user_id, "reconcile", request.campaign_id, asdict(outcome))
    return http_api.ok(asdict(outcome))


def _time_limit() -> Callable[[], bool]:
    """Return whether there is time for another round of a long work."""
    began = time.monotonic()
    return lambda: time.monotonic() - began < _WORK_SECONDS


_ROUTES = {
    route: for_operators(handler)
    for route, handler in {
        "GET /campaigns": _list,
        "PUT /campaigns/{campaign_id}": _put,
        "DELETE /campaigns/{campaign_id}": _archive,
        "POST /campaigns/{campaign_id}/pause": lambda request: _saved(
            bootstrap.campaigns().pause(request.campaign_id, request.user_id)
        ),
        "POST /campaigns/{campaign_id}/resume": lambda request: _saved(
            bootstrap.campaigns().resume(request.campaign_id, request.user_id)
        ),
        "GET /campaigns/{campaign_id}/stats": _stats,
        "GET /campaigns/{campaign_id}/coupons": _coupons,
        "GET /campaigns/{campaign_id}/coupons/lookup": _lookup,
        "GET /campaigns/{campaign_id}/events": _events,
        "POST /campaigns/{campaign_id}/rebuild": _rebuild,
        "POST /campaigns/{campaign_id}/reconcile": _reconcile,
        "POST /campaigns/{campaign_id}/erase": _erase,
    }.items()
}
