"""ApplyFunction: every answer of its three routes, and what it leaves behind at the gate and in the queue."""

from dataclasses import replace
from typing import Any

import pytest

from firstcome.domain.claim import Claim
from firstcome.domain.errors import GateUnavailableError
from functions.apply.app import lambda_handler
from tests.unit.api_events import an_event, body_of, code_of, without_token
from tests.unit.conftest import Log, World

pytestmark = pytest.mark.usefixtures("world")

_APPLY = "POST /campaigns/{campaign_id}/coupons"
_MINE = "GET /campaigns/{campaign_id}/coupons/mine"
_SHOW = "GET /campaigns/{campaign_id}"

_HOUR_MS = 3_600_000


def _apply(sub: object = "alice", campaign_id: str = "demo") -> dict[str, Any]:
    return lambda_handler(an_event(_APPLY, sub=sub, campaign_id=campaign_id), None)


def _mine(sub: object = "alice", campaign_id: str = "demo") -> dict[str, Any]:
    return lambda_handler(an_event(_MINE, sub=sub, campaign_id=campaign_id), None)


def _show(campaign_id: str = "demo") -> dict[str, Any]:
    return lambda_handler(without_token(an_event(_SHOW, campaign_id=campaign_id)), None)


class TestApply:
    def test_the_first_application_is_202_with_the_coupon(self, world: World) -> None:
        world.open()
        answer = _apply()
        assert answer["statusCode"] == 202
        assert answer["headers"]["Cache-Control"] == "no-store"
        body = body_of(answer)
        assert body.keys() == {"status", "campaign_id", "sequence", "coupon_code", "accepted_at"}
        assert (body["status"], body["campaign_id"], body["sequence"]) == ("accepted", "demo", 1)

    def test_it_is_queued_as_answered_and_no_longer_outbox(self, world: World) -> None:
        world.open()
        body = body_of(_apply())
        assert world.queue.sent == [Claim("demo", "alice", 1, body["coupon_code"], world.clock.now())]
        assert len(world.gate.states["demo"].outbox) == 0

    def test_the_same_user_again_is_200_with_the_same_coupon_and_queues_nothing(self, world: World) -> None:
        world.open()
        first = body_of(_apply())
        world.clock.sleep(_HOUR_MS)
        again = _apply()
        assert again["statusCode"] == 200
        assert body_of(again) == first
        assert len(world.queue.sent) == 1

    def test_once_it_is_in_the_ledger_the_status_is_issued(self, world: World) -> None:
        world.open()
        first = body_of(_apply())
        world.gate.mark_issued(world.queue.sent)
        assert body_of(_apply()) == first | {"status": "issued"}

    def test_users_get_the_sequences_in_turn_and_codes_of_their_own(self, world: World) -> None:
        world.open(capacity=3)
        bodies = [body_of(_apply(sub)) for sub in ("a", "b", "c")]
        assert [body["sequence"] for body in bodies] == [1, 2, 3]
        assert len({body["coupon_code"] for body in bodies}) == 3

    def test_one_user_may_have_a_coupon_of_each_campaign(self, world: World) -> None:
        world.open("one")
        world.open("two")
        assert [_apply(campaign_id=name)["statusCode"] for name in ("one", "two")] == [202, 202]

    def test_sold_out_is_409_and_the_holders_still_get_theirs(self, world: World) -> None:
        world.open(capacity=1)
        first = body_of(_apply("alice"))
        answer = _apply("bob")
        assert (answer["statusCode"], code_of(answer)) == (409, "sold_out")
        assert body_of(_apply("alice")) == first
        assert len(world.queue.sent) == 1

    def test_before_it_opens_409_says_when_to_come_again(self, world: World) -> None:
        world.open(opens_at=world.clock.now() + 90_500)
        answer = _apply()
        assert (answer["statusCode"], code_of(answer)) == (409, "not_open")
        assert answer["headers"]["Retry-After"] == "91"
        assert body_of(answer)["opens_at"].endswith("Z")

    def test_after_it_closed_409(self, world: World) -> None:
        world.open(closes_at=world.clock.now())
        answer = _apply()
        assert (answer["statusCode"], code_of(answer)) == (409, "closed")

    def test_while_it_is_paused_409_but_a_holder_still_gets_theirs(self, world: World) -> None:
        campaign = world.open()
        first = body_of(_apply("alice"))
        world.gate.change(replace(campaign, version=2, paused=True))
        answer = _apply("bob")
        assert (answer["statusCode"], code_of(answer)) == (409, "paused")
        assert body_of(_apply("alice")) == first

    def test_an_unknown_campaign_is_404(self) -> None:
        answer = _apply(campaign_id="nobody-made-this")
        assert (answer["statusCode"], code_of(answer)) == (404, "campaign_not_found")

    @pytest.mark.parametrize("campaign_id", ["de mo", "Demo", "-demo", "d" * 64, "demo\x00", "\ud800"])
    def test_an_invalid_campaign_is_400(self, campaign_id: str) -> None:
        answer = _apply(campaign_id=campaign_id)
        assert (answer["statusCode"], code_of(answer)) == (400, "invalid_campaign_id")

    @pytest.mark.parametrize(
        "sub", [None, "", "a\x00b", "u" * 129, "u" * 1_000_000, ["alice"]], ids=lambda sub: repr(sub)[:12]
    )
    def test_an_invalid_subject_is_403_and_takes_no_coupon(self, world: World, sub: object) -> None:
        world.open()
        answer = _apply(sub)
        assert (answer["statusCode"], code_of(answer)) == (403, "invalid_subject")
        assert world.gate.states["demo"].accepted == 0

    def test_a_large_body_is_413_and_takes_no_coupon(self, world: World) -> None:
        world.open()
        answer = lambda_handler(an_event(_APPLY, body="x" * 10_001), None)
        assert (answer["statusCode"], code_of(answer)) == (413, "body_too_large")
        assert world.gate.states["demo"].accepted == 0

    def test_what_the_body_says_does_not_matter(self, world: World) -> None:
        world.open()
        answer = lambda_handler(an_event(_APPLY, body='{"user_id":"bob","sequence":9}'), None)
        assert body_of(answer)["sequence"] == 1
        assert [claim.user_id for claim in world.queue.sent] == ["alice"]


class TestApplyWhenSomethingIsDown:
    def test_without_the_gate_503_and_nothing_is_queued(self, world: World) -> None:
        world.open()
        world.gate.is_down = True
        answer = _apply()
        assert (answer["statusCode"], code_of(answer)) == (503, "unavailable")
        assert answer["headers"]["Retry-After"] == "2"
        assert world.queue.sent == []

    def test_a_lost_gate_is_503_and_never_starts_again_at_1(self, world: World) -> None:
        world.open()
        _apply()
        world.gate.lose()
        assert [code_of(_apply(sub)) for sub in ("alice", "bob")] == ["unavailable", "unavailable"]
        assert len(world.queue.sent) == 1

    def test_without_the_queue_503_and_the_claim_is_kept_for_the_next_time(self, world: World) -> None:
        """GIVEN a queue that is down, WHEN a user applies, THEN 503; and once it is up, 200 with that same claim."""
        world.open()
        world.queue.is_down = True
        assert code_of(_apply()) == "unavailable"
        assert len(world.gate.states["demo"].outbox) == 1
        world.queue.is_down = False
        world.clock.sleep(_HOUR_MS)
        answer = _apply()
        assert answer["statusCode"] == 200
        assert [claim.coupon_code for claim in world.queue.sent] == [body_of(answer)["coupon_code"]]
        assert world.gate.states["demo"].accepted == 1
        assert len(world.gate.states["demo"].outbox) == 0

    def test_as_long_as_the_queue_is_down_no_answer_shows_the_coupon(self, world: World) -> None:
        world.open()
        world.queue.is_down = True
        assert [code_of(_apply()), code_of(_apply()), code_of(_mine())] == ["unavailable"] * 3

    def test_a_gate_that_fails_after_the_sending_changes_nothing_for_the_user(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.open()

        def fail(_: object) -> None:
            raise GateUnavailableError("gone")

        monkeypatch.setattr(world.gate, "remove_from_outbox", fail)
        assert _apply()["statusCode"] == 202
        assert len(world.queue.sent) == 1
        # Still noted as outbox: the relay sends it once more, and the ledger takes it once.
        assert len(world.gate.states["demo"].outbox) == 1


class TestMine:
    def test_it_is_the_answer_of_the_application(self, world: World) -> None:
        world.open()
        applied = body_of(_apply())
        answer = _mine()
        assert (answer["statusCode"], body_of(answer)) == (200, applied)
        world.gate.mark_issued(world.queue.sent)
        assert body_of(_mine()) == applied | {"status": "issued"}

    def test_nobody_sees_the_coupon_of_another(self, world: World) -> None:
        world.open()
        _apply("alice")
        assert [code_of(_mine(sub)) for sub in ("bob", "Alice", "alice ")] == ["no_coupon"] * 3

    def test_no_coupon_is_404_and_claims_none(self, world: World) -> None:
        world.open()
        answer = _mine()
        assert (answer["statusCode"], code_of(answer)) == (404, "no_coupon")
        assert world.gate.states["demo"].accepted == 0

    def test_an_unknown_campaign_is_404_of_another_code(self) -> None:
        answer = _mine()
        assert (answer["statusCode"], code_of(answer)) == (404, "campaign_not_found")

    def test_an_unsent_claim_is_sent_before_it_is_shown(self, world: World) -> None:
        world.open()
        world.queue.is_down = True
        _apply()
        world.queue.is_down = False
        answer = _mine()
        assert answer["statusCode"] == 200
        assert [claim.user_id for claim in world.queue.sent] == ["alice"]
        assert len(world.gate.states["demo"].outbox) == 0

    @pytest.mark.parametrize("sub", [None, "", "\x00", "u" * 129])
    def test_an_invalid_subject_is_403(self, world: World, sub: object) -> None:
        world.open()
        assert code_of(_mine(sub)) == "invalid_subject"

    def test_an_invalid_campaign_is_400(self) -> None:
        assert code_of(_mine(campaign_id="De Mo")) == "invalid_campaign_id"

    def test_without_the_gate_503(self, world: World) -> None:
        world.open()
        world.gate.is_down = True
        assert code_of(_mine()) == "unavailable"

    def test_a_lost_gate_is_503_not_404(self, world: World) -> None:
        world.open()
        world.gate.lose()
        assert code_of(_mine()) == "unavailable"


class TestShow:
    def test_anyone_sees_the_campaign_and_may_keep_it_for_a_second(self, world: World) -> None:
        world.open(capacity=3)
        _apply()
        answer = _show()
        assert answer["statusCode"] == 200
        assert answer["headers"]["Cache-Control"] == "public, max-age=1"
        assert body_of(answer) == {
            "campaign_id": "demo",
            "name": "Spring sale",
            "state": "open",
            "capacity": 3,
            "remaining": 2,
            "opens_at": "2020-01-01T00:00:00.000Z",
            "closes_at": "2099-01-01T00:00:00.000Z",
            "version": 1,
        }
        assert answer["headers"]["ETag"] == '"1-open-2"'

    def test_who_has_it_already_is_told_so(self, world: World) -> None:
        world.open(capacity=3)
        event = without_token(an_event(_SHOW, headers={"if-none-match": '"x", W/"1-open-3"'}))
        assert lambda_handler(event, None)["statusCode"] == 304
        _apply()
        assert lambda_handler(event, None)["statusCode"] == 200

    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({"paused": True}, "paused"),
            ({"opens_at": 4_000_000_000_000, "closes_at": 4_000_000_000_001}, "not_open"),
            ({"closes_at": 1_600_000_000_000}, "closed"),
        ],
    )
    def test_its_state_is_what_an_application_would_meet(
        self, world: World, changes: dict[str, Any], state: str
    ) -> None:
        world.open(**changes)
        assert body_of(_show())["state"] == state == code_of(_apply())

    def test_sold_out_shows_none_remaining(self, world: World) -> None:
        world.open(capacity=1)
        _apply()
        body = body_of(_show())
        assert (body["state"], body["remaining"]) == ("sold_out", 0)

    def test_a_refusal_is_not_to_be_kept(self) -> None:
        answer = _show()
        assert (answer["statusCode"], code_of(answer)) == (404, "campaign_not_found")

    def test_an_invalid_campaign_is_400(self) -> None:
        assert code_of(_show("De Mo")) == "invalid_campaign_id"

    def test_without_the_gate_503(self, world: World) -> None:
        world.open()
        world.gate.is_down = True
        assert code_of(_show()) == "unavailable"

    def test_a_gate_that_would_refuse_everybody_says_so_and_null_is_what_it_does_not_know(self, world: World) -> None:
        world.open()
        world.gate.fence("demo")
        fenced = body_of(_show())
        assert (fenced["state"], fenced["name"], fenced["remaining"]) == ("unavailable", "Spring sale", None)
        world.gate.lose()
        lost = body_of(_show())
        assert {name for name, value in lost.items() if value is None} == lost.keys() - {"campaign_id", "state"}
        assert [code_of(_apply()), lost["state"]] == ["unavailable", "unavailable"]

    def test_an_archived_campaign_is_gone(self, world: World) -> None:
        world.open()
        world.gate.archive("demo")
        for answer in (_apply(), _mine(), _show()):
            assert (answer["statusCode"], code_of(answer)) == (410, "archived")


class TestAnswerCounts:
    def test_refusals_and_failures_reach_the_gate_a_second_later(self, world: World) -> None:
        world.open(capacity=1)
        for user in ("alice", "bob", "carol"):
            _apply(user)
        world.gate.is_down = True
        _apply()
        world.gate.is_down = False
        assert world.gate.answers("demo") == {}
        world.clock.sleep(1_000)
        _apply()
        assert world.gate.answers("demo") == {"sold_out": 2, "unavailable": 1}

    def test_what_was_invented_is_not_counted(self, world: World) -> None:
        _apply(campaign_id="invented")
        world.clock.sleep(1_000)
        _apply(campaign_id="invented")
        world.open("invented")
        assert world.gate.answers("invented") == {}


def test_no_log_line_names_a_user_or_a_coupon(world: World, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN every kind of answer and failure, WHEN they are logged, THEN nothing personal is in the log."""
    sub = "alice-7f3a"
    world.open()
    _apply(sub)
    world.gate.is_down = True
    for call in (_apply, _mine):
        call(sub)
    world.gate.is_down = False
    world.gate.states["demo"].outbox.add(sub)
    world.queue.is_down = True
    for call in (_apply, _mine):
        call(sub)
    _apply("a\x00" + sub)
    assert [entry["kind"] for entry in log.of("unavailable")] == ["GateUnavailableError"] * 2 + [
        "QueueUnavailableError"
    ] * 2
    written = log.text + "".join(capsys.readouterr())
    assert sub not in written
    assert world.queue.sent[0].coupon_code not in written
    assert "Bearer" not in written
