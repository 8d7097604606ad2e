"""AdminFunction: archive a campaign, erase a user, look a claim up, read the audit trail."""

import json
from typing import Any

import pytest

from firstcome.domain.claim import Admission, Claim
from firstcome.domain.errors import GateUnavailableError
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.campaigns import Precondition
from functions.admin.app import lambda_handler
from tests.factories import a_campaign, a_claim
from tests.unit.api_events import an_operators_event, body_of, code_of
from tests.unit.conftest import World

_PATHS = {
    "archive": "DELETE /campaigns/{campaign_id}",
    "lookup": "GET /campaigns/{campaign_id}/coupons/lookup",
    "events": "GET /campaigns/{campaign_id}/events",
}


def _call(action: str, **parts: Any) -> dict[str, Any]:
    route = _PATHS.get(action, f"POST /campaigns/{{campaign_id}}/{action}")
    answer: dict[str, Any] = lambda_handler(an_operators_event(route, **parts), None)
    return answer


def _erase(user_id: object = "alice") -> dict[str, Any]:
    return _call("erase", body=json.dumps({"user_id": user_id}))


def _claim(world: World, user_id: str = "alice") -> Claim:
    """Have a user accepted and queued."""
    answer = world.gate.apply("demo", user_id, user_id[0].upper() * 16)
    assert isinstance(answer, Admission)
    world.gate.remove_from_outbox([answer.claim])
    return answer.claim


def _issue(world: World, user_id: str = "alice") -> Claim:
    claim = _claim(world, user_id)
    world.ledger.issue([claim])
    world.gate.mark_issued([claim])
    return claim


def _go_down(*_: object) -> None:
    raise GateUnavailableError("down")


class TestArchive:
    def test_its_gate_goes_and_its_rows_stay(self, world: World) -> None:
        world.open()
        _issue(world)
        _call("pause")
        for _ in range(2):
            answer = _call("archive")
            assert (answer["statusCode"], body_of(answer)) == (200, {"campaign_id": "demo", "state": "archived"})
        assert world.gate.apply("demo", "bob", "B" * 16) == Refused(Refusal.ARCHIVED)
        assert world.gate.campaign_ids() == []
        assert len(world.ledger.coupons("demo", 0, 10)) == 1
        assert [code_of(_call(action)) for action in ("pause", "resume", "rebuild", "reconcile")] == ["archived"] * 4

    def test_an_open_campaign_stays(self, world: World) -> None:
        world.open()
        answer = _call("archive")
        assert (answer["statusCode"], code_of(answer)) == (409, "campaign_open")
        assert isinstance(world.gate.apply("demo", "alice", "A" * 16), Admission)

    @pytest.mark.parametrize("is_sent", [True, False])
    def test_while_claims_are_under_way_it_stays(self, world: World, is_sent: bool) -> None:  # noqa: FBT001
        world.open()
        claim = _claim(world)
        if not is_sent:
            world.gate.add_to_outbox([claim])
        _call("pause")
        answer = _call("archive")
        assert (answer["statusCode"], code_of(answer)) == (409, "queue_not_empty")
        assert isinstance(world.gate.find("demo", "alice"), Admission)

    def test_one_that_has_not_opened_can_not_open_meanwhile(self, world: World) -> None:
        world.open(opens_at=world.clock.now() + 1_000)
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(world.gate, "archive", _go_down)
            assert code_of(_call("archive")) == "unavailable"
        world.clock.sleep(1_000)
        assert not isinstance(world.gate.apply("demo", "alice", "A" * 16), Admission)
        assert _call("archive")["statusCode"] == 200

    def test_a_gate_that_may_have_claims_of_its_own_must_be_rebuilt_first(self, world: World) -> None:
        world.open(paused=True)
        world.gate.fence("demo")
        assert code_of(_call("archive")) == "unavailable"


class TestErase:
    def test_the_id_is_gone_everywhere_and_the_seat_stays_taken(self, world: World) -> None:
        world.open(capacity=1)
        claim = _issue(world)
        answer = _erase()
        assert (answer["statusCode"], body_of(answer)) == (200, {"campaign_id": "demo", "erased": True})
        (coupon,) = world.ledger.coupons("demo", 0, 10)
        assert (coupon.claim.sequence, coupon.claim.coupon_code) == (1, claim.coupon_code)
        at_gate = world.gate.find("demo", coupon.claim.user_id)
        assert isinstance(at_gate, Admission)
        assert at_gate.claim == coupon.claim
        assert world.gate.find("demo", "alice") is None
        assert world.gate.apply("demo", "bob", "B" * 16) == Refused(Refusal.SOLD_OUT)
        assert "alice" not in body_of(_call("events"))["events"].__repr__()
        assert code_of(_erase()) == "no_coupon"

    def test_a_claim_in_overflow_is_erased_too(self, world: World) -> None:
        world.open(capacity=1)
        claim = _claim(world)
        world.ledger.issue([a_claim("demo", 1, "bob")])
        world.ledger.issue([claim])
        assert _erase()["statusCode"] == 200
        assert [kept.user_id[:7] for kept in world.ledger.overflow_claims("demo")] == ["erased-"]
        assert world.gate.find("demo", "alice") is None

    @pytest.mark.parametrize("is_sent", [True, False])
    def test_while_the_claim_is_under_way_nothing_is_erased(self, world: World, is_sent: bool) -> None:  # noqa: FBT001
        world.open()
        claim = _claim(world)
        if not is_sent:
            world.gate.add_to_outbox([claim])
        answer = _erase()
        assert (answer["statusCode"], code_of(answer)) == (409, "queue_not_empty")
        assert isinstance(world.gate.find("demo", "alice"), Admission)

    def test_without_a_claim_it_is_404(self, world: World) -> None:
        world.open()
        assert code_of(_erase()) == "no_coupon"

    def test_the_same_request_again_completes_it_under_the_same_pseudonym(self, world: World) -> None:
        world.open()
        _issue(world)
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(world.gate, "erase", _go_down)
            assert code_of(_erase()) == "unavailable"
        assert _erase()["statusCode"] == 200
        (coupon,) = world.ledger.coupons("demo", 0, 10)
        assert isinstance(world.gate.find("demo", coupon.claim.user_id), Admission)

    def test_an_archived_campaign_has_rows_to_erase(self, world: World) -> None:
        world.open()
        _issue(world)
        _call("pause")
        _call("archive")
        assert _erase()["statusCode"] == 200
        assert world.ledger.find_by_user("demo", "alice").coupon is None

    @pytest.mark.parametrize("body", [None, "", "[]", "{}", '{"user_id":""}', '{"user_id":1}', '{"user_id":"a","x":1}'])
    def test_a_body_that_names_no_user_is_400(self, world: World, body: str | None) -> None:
        world.open()
        answer = _call("erase", body=body)
        assert (answer["statusCode"], code_of(answer)) == (400, "invalid_parameter")


class TestLookup:
    @pytest.mark.parametrize("query", [{"user_id": "alice"}, {"coupon_code": "A" * 16}])
    def test_gate_and_ledger_each_say_what_they_have(self, world: World, query: dict[str, str]) -> None:
        world.open()
        _issue(world)
        body = body_of(_call("lookup", query=query))
        assert body["gate"]["status"] == body["ledger"]["status"] == "issued"
        assert body["gate"]["coupon_code"] == body["ledger"]["coupon_code"] == "A" * 16
        assert body["ledger"]["issued_at"].endswith("Z")
        assert body["overflow"] is None

    def test_a_claim_under_way_is_at_the_gate_alone(self, world: World) -> None:
        world.open()
        _claim(world)
        body = body_of(_call("lookup", query={"user_id": "alice"}))
        assert (body["gate"]["status"], body["ledger"], body["overflow"]) == ("accepted", None, None)

    def test_overflow_says_why(self, world: World) -> None:
        world.open(capacity=1)
        world.ledger.issue([a_claim("demo", 1, "bob"), a_claim("demo", 1, "carol")])
        found = body_of(_call("lookup", query={"user_id": world.ledger.overflow_claims("demo")[0].user_id}))
        assert (found["overflow"]["status"], found["overflow"]["reason"]) == ("overflow", "no_seat")

    def test_nobody_knows_them(self, world: World) -> None:
        world.open()
        for query in ({"user_id": "nobody"}, {"coupon_code": "N" * 16}):
            assert set(body_of(_call("lookup", query=query)).values()) == {None}

    def test_what_the_ledger_has_is_read_while_the_gate_is_lost_or_gone(self, world: World) -> None:
        world.open()
        _issue(world)
        world.gate.lose()
        assert body_of(_call("lookup", query={"user_id": "alice"}))["ledger"]["sequence"] == 1
        world.ledger.archive("demo")
        assert body_of(_call("lookup", query={"user_id": "alice"}))["ledger"]["sequence"] == 1

    @pytest.mark.parametrize(
        "query",
        [None, {}, {"user_id": ""}, {"coupon_code": "alice"}, {"user_id": "alice", "coupon_code": "A" * 16}],
    )
    def test_one_of_both_must_be_given(self, world: World, query: dict[str, str] | None) -> None:
        world.open()
        answer = _call("lookup", query=query)
        assert (answer["statusCode"], code_of(answer)) == (400, "invalid_parameter")


class TestEvents:
    def test_who_changed_what_the_newest_first(self, world: World) -> None:
        world.campaigns.put(a_campaign("demo"), "olga", Precondition())
        _call("pause", sub="oscar")
        _call("pause", sub="oscar")
        _call("archive", sub="otto")
        events = body_of(_call("events"))["events"]
        assert [(event["actor"], event["action"]) for event in events] == [
            ("otto", "archive"),
            ("oscar", "pause"),
            ("olga", "create"),
        ]
        assert events[1]["before"] | {"state": "paused", "version": 2} == events[1]["after"]
        assert (events[2]["before"], events[2]["after"]["version"]) == (None, 1)

    def test_pages_follow_each_other_until_the_end(self, world: World) -> None:
        world.campaigns.put(a_campaign("demo"), "olga", Precondition())
        _call("pause")
        _call("resume")
        seen: list[str] = []
        query: dict[str, str] = {"limit": "2"}
        while True:
            page = body_of(_call("events", query=query))
            seen += [event["action"] for event in page["events"]]
            if page["next_after"] is None:
                break
            query["after"] = str(page["next_after"])
        assert seen == ["resume", "pause", "create"]

    @pytest.mark.parametrize("query", [{"after": "0"}, {"after": "x"}, {"limit": "0"}, {"limit": "101"}])
    def test_a_wrong_parameter_is_400(self, world: World, query: dict[str, str]) -> None:
        world.open()
        assert code_of(_call("events", query=query)) == "invalid_parameter"
