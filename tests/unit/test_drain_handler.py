"""DrainFunction: what is written, what is delivered again, what is dead-lettered, and when it raises."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from firstcome.domain.claim import Admission, Claim
from firstcome.domain.errors import LedgerUnavailableError
from firstcome.domain.message import to_body
from functions.drain.app import lambda_handler
from tests.factories import a_claim
from tests.fakes import FakeClock
from tests.unit.conftest import Log, World

_TIMEOUT_MS = 30_000


@dataclass
class Context:
    """Lambda's context, on the world's clock."""

    clock: FakeClock
    timeout_ms: int = _TIMEOUT_MS

    def __post_init__(self) -> None:
        self.ends_at = self.clock.now() + self.timeout_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.ends_at - self.clock.now()


def _records(*bodies: str, receive_count: int = 1) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"r{number}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(receive_count)},
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


def _drain(world: World, *messages: Claim | str, timeout_ms: int = _TIMEOUT_MS) -> list[str]:
    """Hand over messages m1, m2, ...; returns the ids that are to be delivered again."""
    bodies = [to_body(message) if isinstance(message, Claim) else message for message in messages]
    answer = lambda_handler(_records(*bodies), Context(world.clock, timeout_ms))
    assert answer.keys() == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def _issued(world: World) -> list[Claim]:
    return [row.claim for _, row in sorted(world.ledger.rows.items())]


class TestClaims:
    def test_each_claim_becomes_a_row(self, world: World) -> None:
        world.open()
        claims = [a_claim("demo", sequence) for sequence in (3, 1, 2)]
        assert _drain(world, *claims) == []
        assert _issued(world) == sorted(claims, key=lambda claim: claim.sequence)

    def test_claims_of_several_campaigns_may_come_in_one_batch(self, world: World) -> None:
        world.open("one")
        world.open("two")
        assert _drain(world, a_claim("one", 1), a_claim("two", 1)) == []
        assert world.ledger.counts("one").issued == world.ledger.counts("two").issued == 1

    def test_a_duplicate_is_a_no_op_in_the_same_batch_and_in_a_later_one(self, world: World) -> None:
        world.open()
        claim = a_claim("demo", 1)
        assert _drain(world, claim, claim) == []
        assert _drain(world, claim) == []
        assert _issued(world) == [claim]

    def test_the_gate_is_told_what_was_issued(self, world: World) -> None:
        world.open()
        world.gate.apply("demo", "alice", "0123456789ABCDEF")
        claim = world.gate.states["demo"].claims["alice"]
        _drain(world, claim)
        admission = world.gate.find("demo", "alice")
        assert isinstance(admission, Admission)
        assert admission.is_issued

    def test_a_gate_that_is_down_holds_nothing_up(self, world: World, log: Log) -> None:
        world.open()
        world.gate.is_down = True
        assert _drain(world, a_claim("demo", 1)) == []
        assert len(_issued(world)) == 1
        assert [entry["is_marked"] for entry in log.of("drained")] == [False]

    def test_an_empty_batch_is_nothing(self, world: World) -> None:
        assert _drain(world) == []


class TestUnreadable:
    def test_it_is_dead_lettered_at_once_with_its_reason_and_the_rest_is_written(self, world: World, log: Log) -> None:
        world.open()
        claim = a_claim("demo", 1)
        assert _drain(world, "not a claim", claim, '{"v":2}', "[]") == []
        assert world.dead_letters.buried == {
            "m1": ("not a claim", "not_json"),
            "m3": ('{"v":2}', "unknown_version"),
            "m4": ("[]", "not_an_object"),
        }
        assert _issued(world) == [claim]
        assert [entry["reason"] for entry in log.of("unreadable message")] == [
            "not_json",
            "unknown_version",
            "not_an_object",
        ]

    def test_without_the_dead_letter_queue_it_is_delivered_again(self, world: World) -> None:
        world.open()
        world.dead_letters.is_down = True
        assert _drain(world, a_claim("demo", 1), "not a claim", "{}") == ["m2", "m3"]
        assert len(_issued(world)) == 1

    def test_only_what_the_dead_letter_queue_refused_is_delivered_again(self, world: World) -> None:
        world.dead_letters.refuses = {"m2"}
        assert _drain(world, "x", "y", "z") == ["m2"]
        assert world.dead_letters.buried.keys() == {"m1", "m3"}

    def test_a_batch_of_nothing_else_needs_no_ledger(self, world: World) -> None:
        world.ledger.is_down = True
        assert _drain(world, "x", "y") == []
        assert world.dead_letters.buried.keys() == {"m1", "m2"}


class TestLedgerDown:
    def test_the_batch_is_raised_so_that_the_polling_backs_off(self, world: World) -> None:
        world.open()
        world.ledger.is_down = True
        with pytest.raises(LedgerUnavailableError):
            _drain(world, a_claim("demo", 1))

    def test_nothing_is_dead_lettered_then(self, world: World) -> None:
        """The whole batch comes again, and would bury its unreadable messages once more each time."""
        world.open()
        world.ledger.is_down = True
        with pytest.raises(LedgerUnavailableError):
            _drain(world, "not a claim", a_claim("demo", 1))
        assert world.dead_letters.buried == {}

    def test_the_same_batch_is_settled_once_it_is_back(self, world: World) -> None:
        world.open()
        messages: list[Claim | str] = ["not a claim", a_claim("demo", 1), a_claim("demo", 2)]
        world.ledger.is_down = True
        for _ in range(3):
            with pytest.raises(LedgerUnavailableError):
                _drain(world, *messages)
        world.ledger.is_down = False
        assert _drain(world, *messages) == []
        assert len(_issued(world)) == 2
        assert world.dead_letters.buried.keys() == {"m1"}

    def test_when_it_goes_down_between_two_chunks_the_whole_batch_comes_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.open(capacity=30)
        claims = [a_claim("demo", sequence) for sequence in range(1, 31)]
        # The pace of the tests is 10 rows a chunk.
        issue, calls = world.ledger.issue, iter(range(9))

        def fail_the_second_time(some: Any) -> Any:
            if next(calls) == 1:
                raise LedgerUnavailableError("down")
            return issue(some)

        monkeypatch.setattr(world.ledger, "issue", fail_the_second_time)
        with pytest.raises(LedgerUnavailableError):
            _drain(world, *claims)
        assert len(_issued(world)) == 10
        assert _drain(world, *claims) == []
        assert _issued(world) == claims


class TestBackoff:
    @pytest.mark.parametrize(
        ("receive_count", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 180), (999, 180)]
    )
    def test_what_mysql_did_not_take_comes_back_later_each_time(
        self, world: World, receive_count: int, seconds: int
    ) -> None:
        world.open()
        world.ledger.is_down = True
        event = _records(to_body(a_claim("demo", 1)), "not a claim", receive_count=receive_count)
        with pytest.raises(LedgerUnavailableError):
            lambda_handler(event, Context(world.clock))
        assert world.queue.delays == {"r1": seconds, "r2": seconds}

    def test_a_worker_waits_five_seconds_from_one_attempt_to_the_next(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.open()
        began = world.clock.now()

        def fail_after(duration_ms: int) -> Any:
            def fail(_: Any) -> Any:
                world.clock.time += duration_ms
                raise LedgerUnavailableError("down")

            return fail

        monkeypatch.setattr(world.ledger, "issue", fail_after(1_000))
        with pytest.raises(LedgerUnavailableError):
            _drain(world, a_claim("demo", 1))
        assert (world.clock.now() - began, world.clock.slept_ms) == (5_000, 4_000)
        monkeypatch.setattr(world.ledger, "issue", fail_after(8_000))
        with pytest.raises(LedgerUnavailableError):
            _drain(world, a_claim("demo", 1))
        assert world.clock.slept_ms == 4_000

    def test_a_queue_that_takes_no_delay_changes_nothing_else(self, world: World) -> None:
        world.open()
        world.ledger.is_down = world.queue.is_down = True
        with pytest.raises(LedgerUnavailableError):
            _drain(world, a_claim("demo", 1))

    def test_only_the_claims_that_met_an_error_come_back_and_soon(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.open()
        good, bad = a_claim("demo", 1), a_claim("demo", 2)
        issue = world.ledger.issue

        def fail_for_one(claims: Any) -> Any:
            return replace(issue([claim for claim in claims if claim != bad]), unsettled=[bad])

        monkeypatch.setattr(world.ledger, "issue", fail_for_one)
        assert _drain(world, good, bad, bad) == ["m2", "m3"]
        assert _issued(world) == [good]
        assert world.queue.delays == {"r2": 5, "r3": 5}

    def test_what_there_was_no_time_for_comes_back_after_the_visibility_timeout(self, world: World) -> None:
        world.open(capacity=200)
        _drain(world, *(a_claim("demo", sequence) for sequence in range(1, 21)), timeout_ms=5_000)
        assert world.queue.delays == {}


class TestSeats:
    def test_a_seat_that_another_user_holds_is_exchanged_for_a_free_one(self, world: World, log: Log) -> None:
        world.open(capacity=2)
        _drain(world, a_claim("demo", 1, "alice"))
        assert _drain(world, a_claim("demo", 1, "bob")) == []
        assert [(claim.sequence, claim.user_id) for claim in _issued(world)] == [(1, "alice"), (2, "bob")]
        assert [entry["reseated"] for entry in log.of("drained")] == [0, 1]

    def test_a_claim_without_a_seat_is_kept_logged_and_not_delivered_again(self, world: World, log: Log) -> None:
        world.open(capacity=1)
        late = a_claim("demo", 2, "bob")
        assert _drain(world, a_claim("demo", 1, "alice"), late) == []
        assert [item.claim for item in world.ledger.overflow_rows.values()] == [late]
        assert [(entry["campaign_id"], entry["sequence"], entry["reason"]) for entry in log.of("overflow")] == [
            ("demo", 2, "no_seat")
        ]
        assert world.dead_letters.buried == {}

    def test_a_claim_of_an_unknown_campaign_is_kept_too(self, world: World) -> None:
        assert _drain(world, a_claim("gone", 1)) == []
        assert len(world.ledger.overflow_rows) == 1


class TestPace:
    def test_what_there_is_no_time_for_is_delivered_again(self, world: World) -> None:
        """GIVEN 100 rows a second and 13.8 s of which 12 are kept back, THEN 180 of 200 are written."""
        world.open(capacity=200)
        failed = _drain(world, *(a_claim("demo", sequence) for sequence in range(1, 201)), timeout_ms=13_800)
        assert failed == sorted(f"m{number}" for number in range(181, 201))
        assert [claim.sequence for claim in _issued(world)] == list(range(1, 181))
        assert world.clock.slept_ms == 1_800

    def test_with_hardly_any_time_a_first_chunk_is_written_all_the_same(self, world: World) -> None:
        world.open(capacity=200)
        failed = _drain(world, *(a_claim("demo", sequence) for sequence in range(1, 21)), timeout_ms=5_000)
        assert len(failed) == len(_issued(world)) == 10

    def test_unreadable_messages_are_moved_away_even_when_the_time_is_up(self, world: World) -> None:
        world.open(capacity=200)
        failed = _drain(world, "x", *(a_claim("demo", sequence) for sequence in range(1, 21)), timeout_ms=5_000)
        assert "m1" not in failed
        assert world.dead_letters.buried.keys() == {"m1"}


def test_the_log_counts_the_batch(world: World, log: Log) -> None:
    world.open(capacity=2)
    world.dead_letters.is_down = True
    _drain(world, a_claim("demo", 1), a_claim("demo", 2), a_claim("demo", 3), "x")
    (entry,) = log.of("drained")
    names = ("received", "issued", "reseated", "overflow", "failed", "is_marked")
    assert [entry[name] for name in names] == [4, 2, 0, 1, 1, True]


def test_no_log_line_names_a_user_or_a_coupon(world: World, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    world.open(capacity=1)
    claim = a_claim("demo", 1, "alice-7f3a", "0123456789ABCDEF")
    other = replace(claim, sequence=2, user_id="bob-7f3a", coupon_code="ZZZZZZZZZZZZZZZZ")
    unreadable = to_body(other).replace('"sequence":2', '"sequence":0')
    world.gate.is_down = True
    _drain(world, claim, other, unreadable)
    written = log.text + "".join(capsys.readouterr())
    assert {entry["message"] for entry in log.entries} == {"drained", "overflow", "unreadable message"}
    for secret in ("alice-7f3a", "bob-7f3a", claim.coupon_code, other.coupon_code):
        assert secret not in written
