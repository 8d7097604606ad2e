"""ApplyFunction: a user applies, asks for their coupon, or looks at a campaign."""

from http import HTTPStatus
from typing import Any

from firstcome import bootstrap, http_api
from firstcome.adapters.metrics import Metric
from firstcome.domain.claim import Admission
from firstcome.domain.refusal import Refusal, Refused
from firstcome.http_api import Answer, Event, Request
from firstcome.service.apply import NoCoupon


def lambda_handler(event: Event, context: Any) -> Answer:  # noqa: ARG001 - Lambda's signature
    """Answer one request of the HTTP API."""
    answer = http_api.route(event, _ROUTES)
    metrics = bootstrap.metrics()
    if answer["statusCode"] == HTTPStatus.SERVICE_UNAVAILABLE:
        _count_unavailable(event)
    metrics.write_if_due()
    return answer


def _count_unavailable(event: Event) -> None:
    metrics = bootstrap.metrics()
    campaign_id = str((event.get("pathParameters") or {}).get("campaign_id"))
    # By campaign only where this environment has had answers about it: while nobody answers, no name is proven.
    if metrics.knows(campaign_id):
        metrics.count(Metric.UNAVAILABLE, campaign_id=campaign_id)
    else:
        metrics.count(Metric.UNAVAILABLE)


def _apply(request: Request) -> Answer:
    answer = bootstrap.applications().apply(request.campaign_id, request.user_id)
    _count(request.campaign_id, answer)
    return http_api.refused(answer) if isinstance(answer, Refused) else http_api.admitted(answer)


def _count(campaign_id: str, answer: Admission | Refused) -> None:
    if isinstance(answer, Admission):
        bootstrap.metrics().count(Metric.ACCEPTED if answer.is_new else Metric.REPLAYED, campaign_id=campaign_id)
    elif answer.refusal is not Refusal.CAMPAIGN_NOT_FOUND:
        # Not for names that anybody may invent: each would be a metric, and paid for.
        bootstrap.metrics().count(Metric.REFUSED, campaign_id=campaign_id, code=answer.refusal)


def _my_coupon(request: Request) -> Answer:
    answer = bootstrap.applications().my_coupon(request.campaign_id, request.user_id)
    if isinstance(answer, NoCoupon):
        return http_api.problem(HTTPStatus.NOT_FOUND, "no_coupon", "you have no coupon of this campaign")
    return http_api.refused(answer) if isinstance(answer, Refused) else http_api.admitted(answer)


def _show_campaign(request: Request) -> Answer:
    answer = bootstrap.applications().show(request.campaign_id)
    if isinstance(answer, Refused):
        return http_api.refused(answer)
    return http_api.ok(http_api.campaign_body(answer), headers={"Cache-Control": "public, max-age=1"})


_ROUTES = {
    "POST /campaigns/{campaign_id}/coupons": _apply,
    "GET /campaigns/{campaign_id}/coupons/mine": _my_coupon,
    "GET /campaigns/{campaign_id}": _show_campaign,
}

bootstrap.import_ahead()
