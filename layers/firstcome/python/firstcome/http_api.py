"""The edge: API Gateway's HTTP API events (payload 2.0) to plain values, and outcomes to answers.

Errors are `application/problem+json` (RFC 9457) with a stable `code`; the table of codes is docs/openapi.yaml.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from http import HTTPStatus
from typing import Any

from firstcome import settings
from firstcome.adapters.logs import logger
from firstcome.domain.campaign import is_campaign_id
from firstcome.domain.claim import USER_ID_MAX, Admission, is_user_id
from firstcome.domain.errors import FirstcomeError, SettingsError
from firstcome.domain.refusal import Refusal, Refused
from firstcome.domain.text import RULE
from firstcome.domain.times import to_rfc3339
from firstcome.representation import admission_body

type Event = Mapping[str, Any]
type Answer = dict[str, Any]

BODY_BYTES_MAX = 10_000
"""Bytes a request's body may have at most; more is refused before it is parsed."""

EDGE_HEADER = "x-firstcome-edge"
"""Carries the token by which the edge (infra/edge.yaml) proves itself; a function knows its digest only."""

RETRY_AFTER_SECONDS = 2
"""When to ask again after a 503."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ProblemError(Exception):
    """A request that is refused at the edge: carries its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer["statusCode"])
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the handlers need it; every property raises `ProblemError` on what is not acceptable."""

    event: Event

    @property
    def route(self) -> str:
        """The route's key in template.yaml, such as `GET /campaigns`."""
        return str(self.event["routeKey"])

    @property
    def campaign_id(self) -> str:
        """The campaign named in the path."""
        campaign_id = (self.event.get("pathParameters") or {}).get("campaign_id")
        if not is_campaign_id(campaign_id):
            detail = "campaign_id must be 1 to 63 of a-z, 0-9 and -, and not start with -"
            raise ProblemError(problem(HTTPStatus.BAD_REQUEST, "invalid_campaign_id", detail))
        return str(campaign_id)

    @property
    def user_id(self) -> str:
        """The token's subject. API Gateway has verified the token."""
        claims = self.event["requestContext"].get("authorizer", {}).get("jwt", {}).get("claims") or {}
        subject = claims.get("sub")
        if not is_user_id(subject):
            detail = f"the token's sub must be 1 to {USER_ID_MAX} {RULE}"
            raise ProblemError(problem(HTTPStatus.FORBIDDEN, "invalid_subject", detail))
        return str(subject)

    @property
    def body(self) -> str:
        """The body as text, empty when it is none.

        What is not declared as JSON or text comes as base64, and so does what curl sends by default.
        """
        body = str(self.event.get("body") or "")
        if not self.event.get("isBase64Encoded"):
            return body
        try:
            return base64.b64decode(body).decode()
        except ValueError:
            return ""

    def header(self, name: str) -> str:
        """Read a header by its name in small letters, as API Gateway writes it; empty when it is not there."""
        return str((self.event.get("headers") or {}).get(name, ""))

    def etags(self, name: str) -> list[str]:
        """Read the ETags in a header. A cache on the way may have marked them as weak."""
        return [etag.strip().removeprefix("W/") for etag in self.header(name).split(",")]

    def accepts(self, media_type: str) -> bool:
        """Whether the Accept header names the media type."""
        return media_type in [choice.partition(";")[0].strip().lower() for choice in self.header("accept").split(",")]

    def parameter(self, name: str, is_valid: Callable[[str], bool], rule: str) -> str | None:
        """Read a query parameter; None when it is not given."""
        text = (self.event.get("queryStringParameters") or {}).get(name)
        if text is not None and not is_valid(text):
            raise ProblemError(invalid_parameter(name, rule))
        return text

    def whole_number(self, name: str, default: int, least: int, most: int) -> int:
        """Read a query parameter that is a whole number."""

        def is_valid(text: str) -> bool:
            # isdecimal alone would take other alphabets' digits, and int() thousands of them.
            return text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most

        return int(self.parameter(name, is_valid, f"must be a whole number from {least} to {most}") or default)

    def refuse_past_the_edge(self) -> None:
        """Refuse a request of the gateway without the edge's token, where there is an edge.

        A direct invocation has no domain name, and comes from whoever has the right to invoke.
        """
        digests = settings.edge_digests()
        if not digests or "domainName" not in self.event["requestContext"]:
            return
        if hashlib.sha256(self.header(EDGE_HEADER).encode()).hexdigest() not in digests:
            detail = "this address is for the service's edge only"
            raise ProblemError(problem(HTTPStatus.FORBIDDEN, "edge_only", detail))

    def refuse_large_body(self) -> None:
        """Refuse a body over `BODY_BYTES_MAX`, without parsing it."""
        body = self.event.get("body") or ""
        size = len(body.encode("utf-8", "surrogatepass"))
        if self.event.get("isBase64Encoded"):
            size = size * 3 // 4 - body[-2:].count("=")
        if size > BODY_BYTES_MAX:
            detail = f"a body may have {BODY_BYTES_MAX} bytes at most"
            raise ProblemError(problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", detail))


type Handler = Callable[[Request], Answer | Refused]


def route(event: Event, handlers: Mapping[str, Handler]) -> Answer:
    """Answer a request by the handler of its route. Errors of Firstcome become 503."""
    request = Request(event)
    try:
        request.refuse_past_the_edge()
        request.refuse_large_body()
        answer = handlers[request.route](request)
        return refused(answer) if isinstance(answer, Refused) else answer
    except ProblemError as exc:
        return exc.answer
    except SettingsError as exc:
        # Its message names the variable and the rule, never the value.
        logger().error("misconfigured", extra={"reason": str(exc), "route": request.route})
        return unavailable()
    except FirstcomeError as exc:
        # Only the kind: a driver's message may name hosts, keys or queries.
        logger().warning("unavailable", extra={"kind": type(exc).__name__, "route": request.route})
        return unavailable()


def for_operators(handler: Handler) -> Handler:
    """Ask for the operator's scope once more behind API Gateway, so that a wrong route setting opens no door."""

    @wraps(handler)
    def guarded(request: Request) -> Answer | Refused:
        jwt = request.event["requestContext"].get("authorizer", {}).get("jwt", {})
        claims = jwt.get("claims") or {}
        # Like API Gateway: either claim grants. A list reaches us as "[one two]".
        granted = [str(claims.get(name, "")).strip("[]").split() for name in ("scope", "scp")]
        if not any(OPERATOR_SCOPE in scopes for scopes in granted):
            detail = f"the token must have the scope {OPERATOR_SCOPE}"
            raise ProblemError(problem(HTTPStatus.FORBIDDEN, "missing_scope", detail))
        # Nobody in particular operates nothing: every token says who it is for.
        _ = request.user_id
        return handler(request)

    return guarded


OPERATOR_SCOPE = "firstcome/operator"


def ok(body: Mapping[str, Any], status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a JSON body; coupons and figures are not to be stored unless a header says otherwise."""
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
        "body": _encode(body),
    }


def problem(
    status: HTTPStatus, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: object
) -> Answer:
    """Answer with a problem (RFC 9457): `code` is stable, `detail` is for a person."""
    body = {
        "type": f"urn:firstcome:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        **members,
    }
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **(headers or {})},
        # In ASCII: it may quote a field name with half a surrogate pair, which no UTF-8 answer can carry.
        "body": json.dumps(body, separators=(",", ":")),
    }


def unavailable() -> Answer:
    """Answer that nothing could be settled now, and that asking again is safe."""
    detail = "the service cannot answer right now; asking again is safe and never gives a second coupon"
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, headers)


def invalid_parameter(name: str, rule: str) -> Answer:
    """Answer that a query parameter breaks a rule."""
    return problem(HTTPStatus.BAD_REQUEST, "invalid_parameter", f"{name} {rule}")


def admitted(admission: Admission) -> Answer:
    """Answer with the user's coupon: 202 when this very request claimed it, else 200."""
    return ok(admission_body(admission), HTTPStatus.ACCEPTED if admission.is_new else HTTPStatus.OK)


def refused(answer: Refused) -> Answer:
    """Answer with a refusal."""
    if answer.refusal is not Refusal.NOT_OPEN:
        return _always_the_same(answer.refusal)
    status, detail = _REFUSALS[Refusal.NOT_OPEN]
    # Rounded up, so that who waits this long is not early again.
    seconds = -(-(answer.opens_at - answer.now) // 1000)
    headers = {"Retry-After": str(seconds)}
    return problem(status, answer.refusal, detail, headers, opens_at=to_rfc3339(answer.opens_at))


@cache
def _always_the_same(refusal: Refusal) -> Answer:
    """Write a refusal once: the rush is made of them, and nobody changes an answer."""
    status, detail = _REFUSALS[refusal]
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if refusal is Refusal.QUEUE_NOT_EMPTY else None
    return problem(status, refusal, detail, headers)


_REFUSALS = {
    Refusal.SOLD_OUT: (HTTPStatus.CONFLICT, "all coupons of the campaign have been claimed"),
    Refusal.NOT_OPEN: (HTTPStatus.CONFLICT, "the campaign has not opened yet"),
    Refusal.CLOSED: (HTTPStatus.CONFLICT, "the campaign has closed"),
    Refusal.PAUSED: (HTTPStatus.CONFLICT, "the campaign is paused"),
    Refusal.CAMPAIGN_NOT_FOUND: (HTTPStatus.NOT_FOUND, "there is no such campaign"),
    Refusal.ARCHIVED: (HTTPStatus.GONE, "the campaign is archived"),
    Refusal.NO_COUPON: (HTTPStatus.NOT_FOUND, "the user has no coupon of this campaign"),
    Refusal.CAMPAIGN_OPEN: (HTTPStatus.CONFLICT, "the campaign is open; pause it, or wait until it has closed"),
    Refusal.CAPACITY_BELOW_ACCEPTED: (
        HTTPStatus.CONFLICT,
        "more coupons than this capacity have been accepted already",
    ),
    Refusal.QUEUE_NOT_EMPTY: (
        HTTPStatus.CONFLICT,
        "accepted claims are still on their way to the ledger; ask again once they have arrived",
    ),
}
