"""The edge: what is refused before any use case runs, and the form of every answer."""

import base64
import hashlib
import json
from http import HTTPStatus
from typing import Any

import pytest

from firstcome import http_api
from firstcome.domain.campaign import Campaign, is_campaign_id
from firstcome.domain.claim import Admission, Claim
from firstcome.domain.errors import (
    FirstcomeError,
    GateLostError,
    GateUnavailableError,
    LedgerUnavailableError,
    QueueUnavailableError,
    SettingsError,
)
from firstcome.domain.gate import GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.domain.times import from_rfc3339
from firstcome.http_api import Answer, ProblemError, Request
from firstcome.representation import campaign_body, etag_of
from tests.unit.api_events import an_event, an_operators_event, body_of, code_of, without_token
from tests.unit.conftest import Log

_ROUTE = "PUT /campaigns/{campaign_id}"
_OPENS_AT = from_rfc3339("2026-11-23T09:00:00Z")
_CAMPAIGN = Campaign("demo", "Demo", 10, _OPENS_AT, _OPENS_AT + 1, version=2)
_LIMIT = 10_000


def _echo(request: Request) -> Answer:
    return http_api.ok({"body": request.body})


def _route(event: http_api.Event) -> Answer:
    return http_api.route(event, {_ROUTE: _echo})


def _sent(body: str | bytes) -> dict[str, Any]:
    """Make an event with this body, in base64 when given as bytes, as API Gateway does with what is no text."""
    if isinstance(body, str):
        return an_event(_ROUTE, body=body)
    return an_event(_ROUTE, body=base64.b64encode(body).decode()) | {"isBase64Encoded": True}


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            "x" * _LIMIT,
            "é" * (_LIMIT // 2),
            "🎟" * (_LIMIT // 4),
            b"x" * _LIMIT,
            b"x" * (_LIMIT - 1),
            b"x" * (_LIMIT - 2),
        ],
        ids=["ascii", "two bytes", "four bytes", "base64 of 10000", "base64 of 9999", "base64 of 9998"],
    )
    def test_a_body_of_just_10_000_bytes_is_taken(self, body: str | bytes) -> None:
        answer = _route(_sent(body))
        assert answer["statusCode"] == 200
        assert body_of(answer)["body"] == (body if isinstance(body, str) else body.decode())

    @pytest.mark.parametrize(
        "body",
        [
            "x" * (_LIMIT + 1),
            "é" * (_LIMIT // 2) + "x",
            "🎟" * (_LIMIT // 4) + "x",
            b"x" * (_LIMIT + 1),
            b"x" * (_LIMIT + 2),
            b"x" * (_LIMIT + 3),
            "x" * 10_000_000,
            "\ud800" * _LIMIT,
        ],
        ids=["ascii", "two bytes", "four bytes", "base64 +1", "base64 +2", "base64 +3", "10 MB", "surrogates"],
    )
    def test_a_body_with_one_byte_more_is_refused_before_any_handler_sees_it(self, body: str | bytes) -> None:
        def explode(_: Request) -> Answer:
            raise AssertionError("the handler was called")

        answer = http_api.route(_sent(body), {_ROUTE: explode})
        assert (answer["statusCode"], code_of(answer)) == (413, "body_too_large")

    def test_a_body_that_is_not_declared_as_text_is_read_all_the_same(self) -> None:
        """Curl declares a form unless told otherwise, and API Gateway hands forms over as base64."""
        assert body_of(_route(_sent('{"name":"Zoë"}'.encode())))["body"] == '{"name":"Zoë"}'

    @pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"\xed\xa0\x80"], ids=["binary", "a surrogate"])
    def test_bytes_that_are_no_utf_8_are_an_empty_body(self, body: bytes) -> None:
        assert body_of(_route(_sent(body)))["body"] == ""

    @pytest.mark.parametrize("body", ["A", "====", "=", "\x00", "é"])
    def test_what_is_no_base64_is_an_empty_body(self, body: str) -> None:
        event = an_event(_ROUTE, body=body) | {"isBase64Encoded": True}
        assert body_of(_route(event))["body"] == ""

    @pytest.mark.parametrize("missing", [{}, {"body": None}, {"body": ""}])
    @pytest.mark.parametrize("is_base64", [{}, {"isBase64Encoded": False}, {"isBase64Encoded": True}])
    def test_no_body_is_an_empty_one(self, missing: dict[str, Any], is_base64: dict[str, bool]) -> None:
        event = {name: part for name, part in an_event(_ROUTE).items() if name != "isBase64Encoded"}
        assert body_of(_route(event | missing | is_base64))["body"] == ""


class TestCampaignId:
    @pytest.mark.parametrize(
        "campaign_id", [None, "", "de mo", "de%20mo", "Demo", "a" * 64, "a" * 100_000, "demo\x00", "\ud800"]
    )
    def test_an_invalid_one_is_400(self, campaign_id: str | None) -> None:
        with pytest.raises(ProblemError) as caught:
            _ = Request(an_event(_ROUTE, campaign_id=campaign_id)).campaign_id
        assert (caught.value.answer["statusCode"], code_of(caught.value.answer)) == (400, "invalid_campaign_id")

    def test_path_parameters_of_null_are_400_too(self) -> None:
        with pytest.raises(ProblemError):
            _ = Request(an_event(_ROUTE) | {"pathParameters": None}).campaign_id


class TestUser:
    @pytest.mark.parametrize(
        "sub",
        [None, "", 7, True, ["alice"], {"id": "alice"}, "a\x00", "a\nb", "\ud800", "u" * 129, "u" * 1_000_000],
        ids=lambda sub: repr(sub)[:16],
    )
    def test_a_subject_that_is_no_user_id_is_403(self, sub: object) -> None:
        with pytest.raises(ProblemError) as caught:
            _ = Request(an_event(_ROUTE, sub=sub)).user_id
        assert (caught.value.answer["statusCode"], code_of(caught.value.answer)) == (403, "invalid_subject")
        assert "alice" not in caught.value.answer["body"]

    @pytest.mark.parametrize(
        "authorizer",
        [{}, {"jwt": {}}, {"jwt": {"claims": None}}, {"jwt": {"claims": {}}}, {"iam": {"userId": "alice"}}],
    )
    def test_a_token_without_claims_is_403(self, authorizer: dict[str, Any]) -> None:
        event = an_event(_ROUTE)
        event["requestContext"]["authorizer"] = authorizer
        with pytest.raises(ProblemError) as caught:
            _ = Request(event).user_id
        assert code_of(caught.value.answer) == "invalid_subject"

    def test_no_authorizer_at_all_is_403(self) -> None:
        with pytest.raises(ProblemError) as caught:
            _ = Request(without_token(an_event(_ROUTE))).user_id
        assert code_of(caught.value.answer) == "invalid_subject"

    def test_only_the_token_says_who_the_user_is(self) -> None:
        event = an_event(_ROUTE, sub="alice", body='{"sub":"bob","user_id":"bob"}', query={"sub": "bob"})
        event["headers"] |= {"x-user-id": "bob"}
        assert Request(event).user_id == "alice"


class TestOperator:
    @pytest.mark.parametrize("scope", ["firstcome/operator", "openid firstcome/operator profile"])
    def test_the_scope_opens_the_door(self, scope: str) -> None:
        answer = http_api.route(an_event(_ROUTE, scope=scope), {_ROUTE: http_api.for_operators(_echo)})
        assert answer["statusCode"] == 200

    @pytest.mark.parametrize("scope", [None, "openid"])
    @pytest.mark.parametrize("scp", ["firstcome/operator", "[openid firstcome/operator]"])
    def test_an_issuer_may_call_the_scope_scp(self, scope: str | None, scp: str) -> None:
        event = an_event(_ROUTE, scope=scope)
        event["requestContext"]["authorizer"]["jwt"]["claims"]["scp"] = scp
        assert http_api.route(event, {_ROUTE: http_api.for_operators(_echo)})["statusCode"] == 200

    @pytest.mark.parametrize(
        "scope",
        [
            None,
            "",
            "openid",
            "firstcome",
            "operator",
            "firstcome/operators",
            "xfirstcome/operator",
            "FIRSTCOME/OPERATOR",
            "a,firstcome/operator",
        ],
    )
    def test_any_other_scope_does_not(self, scope: str | None) -> None:
        answer = http_api.route(an_event(_ROUTE, scope=scope), {_ROUTE: http_api.for_operators(_echo)})
        assert (answer["statusCode"], code_of(answer)) == (403, "missing_scope")

    @pytest.mark.parametrize("sub", [None, "", "olga\n", "o" * 129, ["olga"]], ids=repr)
    def test_a_token_of_nobody_in_particular_does_not_either(self, sub: object) -> None:
        answer = http_api.route(an_operators_event(_ROUTE, sub=sub), {_ROUTE: http_api.for_operators(_echo)})
        assert (answer["statusCode"], code_of(answer)) == (403, "invalid_subject")

    def test_a_public_route_by_mistake_opens_nothing(self) -> None:
        answer = http_api.route(without_token(an_operators_event(_ROUTE)), {_ROUTE: http_api.for_operators(_echo)})
        assert code_of(answer) == "missing_scope"


class TestQuery:
    @pytest.mark.parametrize(("text", "number"), [("1", 1), ("100", 100), ("007", 7)])
    def test_a_whole_number_in_range_is_read(self, text: str, number: int) -> None:
        assert Request(an_event(_ROUTE, query={"limit": text})).whole_number("limit", 20, 1, 100) == number

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "0",
            "101",
            "-1",
            "+1",
            "1.0",
            "1e1",
            " 1",
            "1_0",
            "0x1",
            "1,2",
            "abc",
            "null",
            "NaN",
            "²",
            "١",
            "𝟙",
            "9" * 5_000,
            "0001",
            "1\x00",
        ],
    )
    def test_anything_else_is_400_and_named(self, text: str) -> None:
        with pytest.raises(ProblemError) as caught:
            Request(an_event(_ROUTE, query={"limit": text})).whole_number("limit", 20, 1, 100)
        assert (caught.value.answer["statusCode"], code_of(caught.value.answer)) == (400, "invalid_parameter")
        assert "limit must be a whole number from 1 to 100" in body_of(caught.value.answer)["detail"]

    @pytest.mark.parametrize("query", [None, {}, {"Limit": "7"}, {"after": "7"}])
    def test_one_that_is_not_given_has_its_default(self, query: dict[str, str] | None) -> None:
        assert Request(an_event(_ROUTE, query=query)).whole_number("limit", 20, 1, 100) == 20
        assert Request(an_event(_ROUTE, query={})).parameter("after", is_campaign_id, "") is None

    @pytest.mark.parametrize("text", ["", "De Mo", "a" * 64, "demo,x", "\x00"])
    def test_a_text_that_breaks_its_rule_is_400_and_named(self, text: str) -> None:
        with pytest.raises(ProblemError) as caught:
            Request(an_event(_ROUTE, query={"after": text})).parameter("after", is_campaign_id, "must be a campaign_id")
        assert code_of(caught.value.answer) == "invalid_parameter"
        assert "after must be a campaign_id" in body_of(caught.value.answer)["detail"]

    def test_a_text_within_its_rule_is_read(self) -> None:
        assert Request(an_event(_ROUTE, query={"after": "demo"})).parameter("after", is_campaign_id, "") == "demo"


class TestHeaders:
    @pytest.mark.parametrize(("text", "etags"), [("", [""]), ('"1"', ['"1"']), ('W/"1-a", "2-b"', ['"1-a"', '"2-b"'])])
    def test_etags_are_read_weak_ones_too(self, text: str, etags: list[str]) -> None:
        assert Request(an_event(_ROUTE, headers={"if-match": text})).etags("if-match") == etags

    @pytest.mark.parametrize(
        ("accept", "is_named"),
        [("text/csv", True), ("text/html;q=0.1, TEXT/CSV; header=present", True), ("*/*", False), ("text/csvx", False)],
    )
    def test_a_media_type_is_accepted_where_it_is_named(self, accept: str, is_named: bool) -> None:  # noqa: FBT001
        assert Request(an_event(_ROUTE, headers={"accept": accept})).accepts("text/csv") == is_named

    def test_a_header_that_is_not_there_is_empty(self) -> None:
        assert Request(an_event(_ROUTE) | {"headers": None}).header("accept") == ""


class TestUnavailable:
    @pytest.mark.parametrize(
        "error",
        [
            GateUnavailableError("redis-7.internal:6379 refused alice"),
            GateLostError("demo of alice"),
            QueueUnavailableError("https://sqs/alice"),
            LedgerUnavailableError("INSERT alice"),
            FirstcomeError("alice"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_every_error_of_firstcome_is_503_and_logged_by_its_kind_alone(
        self, error: FirstcomeError, log: Log
    ) -> None:
        def fail(_: Request) -> Answer:
            raise error

        answer = http_api.route(an_event(_ROUTE), {_ROUTE: fail})
        assert (answer["statusCode"], code_of(answer)) == (503, "unavailable")
        assert int(answer["headers"]["Retry-After"]) >= 1
        assert [(entry["kind"], entry["route"]) for entry in log.of("unavailable")] == [(type(error).__name__, _ROUTE)]
        assert "alice" not in log.text + answer["body"]

    def test_a_wrong_setting_is_503_and_the_log_names_it(self, log: Log) -> None:
        def fail(_: Request) -> Answer:
            raise SettingsError("REDIS_HOST must be set")

        answer = http_api.route(an_event(_ROUTE), {_ROUTE: fail})
        assert (answer["statusCode"], code_of(answer)) == (503, "unavailable")
        assert [entry["reason"] for entry in log.of("misconfigured")] == ["REDIS_HOST must be set"]
        assert "REDIS_HOST" not in answer["body"]

    def test_an_error_of_the_program_is_not_hidden(self) -> None:
        def fail(_: Request) -> Answer:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            http_api.route(an_event(_ROUTE), {_ROUTE: fail})


class TestAnswers:
    @pytest.mark.parametrize(
        ("wait_ms", "seconds"), [(1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_999, 60), (86_400_000, 86_400)]
    )
    def test_retry_after_is_rounded_up_so_that_nobody_is_early_twice(self, wait_ms: int, seconds: int) -> None:
        answer = http_api.refused(Refused(Refusal.NOT_OPEN, opens_at=_OPENS_AT, now=_OPENS_AT - wait_ms))
        assert answer["headers"]["Retry-After"] == str(seconds)
        assert (answer["statusCode"], code_of(answer)) == (409, "not_open")
        assert body_of(answer)["opens_at"] == "2026-11-23T09:00:00.000Z"

    @pytest.mark.parametrize(
        ("refusal", "status"),
        [
            (Refusal.SOLD_OUT, 409),
            (Refusal.CLOSED, 409),
            (Refusal.PAUSED, 409),
            (Refusal.CAMPAIGN_NOT_FOUND, 404),
            (Refusal.ARCHIVED, 410),
        ],
    )
    def test_every_other_refusal_has_its_status_and_no_time_to_come_again(self, refusal: Refusal, status: int) -> None:
        answer = http_api.refused(Refused(refusal))
        assert (answer["statusCode"], code_of(answer)) == (status, refusal.value)
        assert "Retry-After" not in answer["headers"]
        assert body_of(answer).keys() == {"type", "title", "status", "code", "detail"}

    @pytest.mark.parametrize(
        ("is_new", "is_issued", "status_code", "status"),
        [(True, False, 202, "accepted"), (False, False, 200, "accepted"), (False, True, 200, "issued")],
    )
    def test_an_admission_is_202_once_and_200_after(
        self,
        is_new: bool,  # noqa: FBT001 - a table of flags
        is_issued: bool,  # noqa: FBT001
        status_code: int,
        status: str,
    ) -> None:
        claim = Claim("demo", "alice", 7, "0123456789ABCDEF", _OPENS_AT)
        answer = http_api.admitted(Admission(claim, is_new, is_in_outbox=False, is_issued=is_issued))
        assert answer["statusCode"] == status_code
        assert answer["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
        assert body_of(answer) == {
            "status": status,
            "campaign_id": "demo",
            "sequence": 7,
            "coupon_code": "0123456789ABCDEF",
            "accepted_at": "2026-11-23T09:00:00.000Z",
        }

    @pytest.mark.parametrize(
        ("view", "etag"),
        [
            (GateView(_CAMPAIGN, accepted=3, now=_OPENS_AT), '"2-open-7"'),
            (GateView(_CAMPAIGN, accepted=3, now=_OPENS_AT, is_available=False), '"2-unavailable-"'),
            (GateView(None, accepted=0, now=_OPENS_AT, is_available=False), '"-unavailable-"'),
        ],
    )
    def test_an_etag_is_version_state_and_remaining_as_far_as_they_are_known(self, view: GateView, etag: str) -> None:
        body = campaign_body("demo", view.campaign, view)
        assert etag_of(body) == etag
        assert (body["name"] is None) == (view.campaign is None)

    def test_a_header_that_is_given_goes_before_the_usual_one(self) -> None:
        assert http_api.ok({}, headers={"Cache-Control": "public"})["headers"]["Cache-Control"] == "public"

    @pytest.mark.parametrize("text", ["Zoë", "日本語", "🎟", '"\\/', "\x00\n", "\ud800"])
    def test_a_problem_may_quote_any_text_and_can_still_be_sent(self, text: str) -> None:
        answer = http_api.problem(HTTPStatus.BAD_REQUEST, "x", text)
        assert body_of(answer)["detail"] == text

    def test_a_status_is_a_plain_number_for_lambda(self) -> None:
        answers = [http_api.ok({}, HTTPStatus.CREATED), http_api.unavailable()]
        assert [type(answer["statusCode"]) for answer in answers] == [int, int]
        assert json.dumps(answers[0]["statusCode"]) == "201"


class TestEdge:
    """Where there is an edge, the gateway's own address is for it alone."""

    _TOKEN = "a-random-token-of-thirty-two-letters"
    _DIGEST = hashlib.sha256(_TOKEN.encode()).hexdigest()

    def _ask(self, headers: dict[str, str]) -> tuple[int, str]:
        event = an_event("GET /campaigns/{campaign_id}") | {"headers": headers}
        event["requestContext"]["domainName"] = "api.example.com"
        answer = http_api.route(event, {"GET /campaigns/{campaign_id}": lambda _: http_api.ok({})})
        return answer["statusCode"], json.loads(answer["body"]).get("code", "")

    def test_without_an_edge_nobody_is_asked_for_a_token(self) -> None:
        assert self._ask({}) == (200, "")

    @pytest.mark.parametrize("headers", [{}, {"x-firstcome-edge": "guessed"}])
    def test_past_the_edge_everybody_is_refused(self, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGE_DIGESTS", self._DIGEST)
        assert self._ask(headers) == (403, "edge_only")

    def test_the_edge_is_let_in_while_its_token_is_changed_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGE_DIGESTS", f"{'0' * 64},{self._DIGEST}")
        assert self._ask({"x-firstcome-edge": self._TOKEN}) == (200, "")

    def test_a_direct_invocation_needs_no_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGE_DIGESTS", self._DIGEST)
        event = an_event("GET /campaigns/{campaign_id}")
        event["requestContext"].pop("domainName", None)
        answer = http_api.route(event, {"GET /campaigns/{campaign_id}": lambda _: http_api.ok({})})
        assert answer["statusCode"] == 200
