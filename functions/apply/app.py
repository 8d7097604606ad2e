"""ApplyFunction: a user applies, asks for their coupon, or looks at a campaign."""

from http import HTTPStatus
from typing import Any

from firstcome import bootstrap, http_api
from firstcome.adapters.metrics import Metric
from firstcome.domain.claim import Admission
from firstcome.domain.refusal import Refusal, Refused
from firstcome.http_api import Answer, Event, Request
from firstcome.representation import campaign_body, etag_of
from firstcome.service.answers import UNAVAILABLE


def lambda_handler(event: Event, context: Any) -> Answer:  # noqa: ARG001 - Lambda's signature
    """Answer one request of the HTTP API."""
    answer = http_api.route(event, _ROUTES)
    if answer["statusCode"] == HTTPStatus.SERVICE_UNAVAILABLE:
        _count_unavailable(event)
    else:
        # Not while the gate does not answer: it would be waited for once more.
        bootstrap.answer_counts().add_if_due()
    bootstrap.metrics().write_if_due()
    return answer


def _count_unavailable(event: Event) -> None:
    metrics = bootstrap.metrics()
    campaign_id = str((event.get("pathParameters") or {}).get("campaign_id"))
    # By campaign only where this environment has had answers about it: while nobody answers, no name is proven.
    if metrics.knows(campaign_id):
        metrics.count(Metric.UNAVAILABLE, campaign_id=campaign_id)
        bootstrap.answer_counts().count(campaign_id, UNAVAILABLE)
    else:
        metrics.count(Metric.UNAVAILABLE)


def _apply(request: Request) -> Answer | Refused:
    answer = bootstrap.applications().apply(request.campaign_id, request.user_id)
    _count(request.campaign_id, answer)
    return answer if isinstance(answer, Refused) else http_api.admitted(answer)


def _count(campaign_id: str, answer: Admission | Refused) -> None:
    if isinstance(answer, Admission):
        bootstrap.metrics().count(Metric.ACCEPTED if answer.is_new else Metric.REPLAYED, campaign_id=campaign_id)
    elif answer.refusal is not Refusal.CAMPAIGN_NOT_FOUND:
        # Not for names that anybody may invent: each would be a metric, and paid for.
        bootstrap.metrics().count(Metric.REFUSED, campaign_id=campaign_id, code=answer.refusal)
        bootstrap.answer_counts().count(campaign_id, answer.refusal)


def _my_coupon(request: Request) -> Answer | Refused:
    answer = bootstrap.applications().my_coupon(request.campaign_id, request.user_id)
    return answer if isinstance(answer, Refused) else http_api.admitted(answer)


def _show_campaign(request: Request) -> Answer | Refused:
    view = bootstrap.applications().show(request.campaign_id)
    if isinstance(view, Refused):
        return view
    body = campaign_body(request.campaign_id, view.campaign, view)
    headers = {"Cache-Control": "public, max-age=1", "ETag": etag_of(body)}
    if headers["ETag"] in request.etags("if-none-match"):
        return {"statusCode": int(HTTPStatus.NOT_MODIFIED), "headers": headers}
    return http_api.ok(body, headers=headers)


_ROUTES = {
    "POST /campaigns/{campaign_id}/coupons": _apply,
    "GET /campaigns/{campaign_id}/coupons/mine": _my_coupon,
    "GET /campaigns/{campaign_id}": _show_campaign,
}

bootstrap.import_ahead()
