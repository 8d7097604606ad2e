"""RelayFunction: which claims it sends again, and which stay outbox."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from firstcome import bootstrap
from firstcome.domain.claim import Admission, Claim
from firstcome.domain.errors import GateUnavailableError, LedgerUnavailableError, SettingsError
from firstcome.domain.gate import GateState
from functions.relay.app import lambda_handler
from tests.factories import a_claim
from tests.fakes import FakeClock, MemoryQueue
from tests.unit.conftest import Log, World

_AFTER_MS = 10_000
_QUIET_MS = 6_000
_TIMEOUT_MS = 50_000


@dataclass
class Context:
    """Lambda's context, on the world's clock."""

    clock: FakeClock
    timeout_ms: int = _TIMEOUT_MS
    ends_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.ends_at = self.clock.now() + self.timeout_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.ends_at - self.clock.now()


@dataclass
class SlowQueue(MemoryQueue):
    """Takes as long for each batch of ten as the real one may before it counts as down."""

    clock: FakeClock = field(default_factory=FakeClock)
    batch_ms: int = 2_400

    def send_all(self, claims: Sequence[Claim]) -> list[Claim]:
        self.clock.sleep(-(-len(claims) // 10) * self.batch_ms)
        return super().send_all(claims)


def _relay(world: World, timeout_ms: int = _TIMEOUT_MS) -> dict[str, Any]:
    return lambda_handler({}, Context(world.clock, timeout_ms))


def _did(
    sent: int,
    refused: int = 0,
    rebuilt: Sequence[str] = (),
    closed: Sequence[str] = (),
    reconciled: Sequence[str] = (),
) -> dict[str, Any]:
    lists = {"rebuilt": list(rebuilt), "closed": list(closed), "reconciled": list(reconciled)}
    return {"sent": sent, "refused": refused, **lists}


def _leave_outbox(world: World, *users: str, campaign_id: str = "demo") -> None:
    for user in users:
        world.gate.apply(campaign_id, user, f"{len(world.gate.states[campaign_id].claims):016d}")


def _sent(world: World) -> list[str]:
    return [claim.user_id for claim in world.queue.sent]


def test_a_claim_left_unsent_is_sent_as_it_was_accepted_and_noted(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice")
    claim = world.gate.states["demo"].claims["alice"]
    world.clock.sleep(_AFTER_MS)
    assert _relay(world) == _did(1)
    assert world.queue.sent == [claim]
    assert world.gate.claim_counts("demo").outbox == 0
    assert _relay(world) == _did(0)


def test_a_claim_that_its_own_invocation_may_still_send_is_left_to_it(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice")
    world.clock.sleep(_AFTER_MS - 1)
    assert _relay(world) == _did(0)
    assert world.gate.claim_counts("demo").outbox == 1
    world.clock.sleep(1)
    assert _relay(world) == _did(1)


def test_only_those_old_enough_are_sent(world: World) -> None:
    world.open()
    _leave_outbox(world, "old")
    world.clock.sleep(_AFTER_MS)
    _leave_outbox(world, "new")
    assert _relay(world) == _did(1)
    assert _sent(world) == ["old"]


def test_the_age_is_a_setting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_AFTER_SECONDS", "1")
    world.open()
    _leave_outbox(world, "alice")
    world.clock.sleep(1_000)
    assert _relay(world) == _did(1)


def test_every_campaign_is_relayed_also_one_that_is_closed_or_paused(world: World) -> None:
    world.open("one")
    campaign = world.open("two", closes_at=world.clock.now() + 1_000)
    _leave_outbox(world, "alice", campaign_id="one")
    _leave_outbox(world, "bob", campaign_id="two")
    world.clock.sleep(_AFTER_MS)
    assert campaign.closes_at < world.clock.now()
    assert _relay(world) == _did(2)


def test_a_rush_of_unsent_claims_is_sent_in_rounds_the_oldest_first(world: World) -> None:
    world.open(capacity=1_300)
    users = [f"user-{number:04d}" for number in range(1_300)]
    for user in users:
        _leave_outbox(world, user)
        world.clock.time += 1
    world.clock.sleep(_AFTER_MS)
    assert _relay(world) == _did(1_300)
    assert _sent(world) == users


def test_what_the_queue_failed_stays_unsent_for_the_next_run(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice", "bob", "carol")
    world.clock.sleep(_AFTER_MS)
    world.queue.refuses = {"bob"}
    assert _relay(world) == _did(2, 1)
    assert [claim.user_id for claim in world.gate.outbox("demo", 0, 10)] == ["bob"]
    world.queue.refuses = set()
    assert _relay(world) == _did(1)
    assert sorted(_sent(world)) == ["alice", "bob", "carol"]


def test_one_campaigns_failures_do_not_keep_the_next_from_its_turn(world: World) -> None:
    world.open("one")
    world.open("two")
    _leave_outbox(world, "alice", campaign_id="one")
    _leave_outbox(world, "bob", campaign_id="two")
    world.clock.sleep(_AFTER_MS)
    world.queue.refuses = {"alice"}
    assert _relay(world) == _did(1, 1)
    assert _sent(world) == ["bob"]


def test_without_the_queue_everything_stays_in_the_outbox(world: World, log: Log) -> None:
    world.open("one")
    world.open("two")
    _leave_outbox(world, "alice", campaign_id="one")
    _leave_outbox(world, "bob", "carol", campaign_id="two")
    world.clock.sleep(_AFTER_MS)
    world.queue.is_down = True
    assert _relay(world) == _did(0, 3)
    assert [world.gate.claim_counts(name).outbox for name in ("one", "two")] == [1, 2]
    assert [entry["kind"] for entry in log.of("a campaign failed")] == ["QueueUnavailableError"] * 3


def test_without_the_gate_it_raises_and_sends_nothing(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice")
    world.clock.sleep(_AFTER_MS)
    world.gate.is_down = True
    with pytest.raises(GateUnavailableError):
        _relay(world)
    assert world.queue.sent == []


def test_a_gate_that_fails_after_the_sending_leaves_the_claim_outbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open()
    _leave_outbox(world, "alice")
    world.clock.sleep(_AFTER_MS)

    def fail(_: object) -> None:
        raise GateUnavailableError("gone")

    monkeypatch.setattr(world.gate, "remove_from_outbox", fail)
    assert _relay(world) == _did(1)
    assert world.gate.claim_counts("demo").outbox == 1


def test_a_wiped_gate_is_closed_at_first_and_rebuilt_once_everything_has_settled(world: World) -> None:
    world.open(capacity=5)
    world.ledger.issue([a_claim("demo", 1, "alice")])
    world.gate.lose()
    assert _relay(world) == _did(0, closed=["demo"])
    world.clock.sleep(_QUIET_MS - 1)
    assert _relay(world) == _did(0, closed=["demo"])
    world.clock.sleep(1)
    assert _relay(world) == _did(0, rebuilt=["demo"])
    assert _relay(world) == _did(0)
    answer = world.gate.apply("demo", "bob", "B" * 16)
    assert isinstance(answer, Admission)
    assert answer.claim.sequence == 2


def test_a_claim_that_was_lost_on_its_way_is_found_and_sent_in_the_same_run(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice")
    world.gate.remove_from_outbox(list(world.gate.states["demo"].claims.values()))
    world.clock.sleep(_AFTER_MS)
    assert _relay(world) == _did(1, reconciled=["demo"])
    assert _sent(world) == ["alice"]


def test_what_is_missing_is_an_error_and_a_metric(world: World, log: Log) -> None:
    world.open()
    _leave_outbox(world, "alice", "bob")
    world.gate.remove_from_outbox(list(world.gate.states["demo"].claims.values()))
    _relay(world)
    (entry,) = log.of("claims are missing from the ledger")
    assert (entry["campaign_id"], entry["missing"]) == ("demo", 2)
    assert {"campaign_id": "demo", "Missing": 2} in world.counted()


def test_without_mysql_what_is_in_the_outbox_is_sent_and_suspect_gates_are_closed(
    world: World, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    world.open("one")
    world.open("two")
    _leave_outbox(world, "alice", campaign_id="two")
    del world.gate.states["one"]
    world.clock.sleep(_AFTER_MS)
    closed: list[bool] = []
    monkeypatch.setattr(world.ledger, "close", lambda: closed.append(True))
    world.ledger.is_down = True
    assert _relay(world) == _did(1, closed=["one"])
    assert world.gate.state("one") is GateState.FENCED
    assert closed == [True]
    assert {entry["kind"] for entry in log.of("a campaign failed")} == {"LedgerUnavailableError"}


def test_after_a_wipe_nothing_is_known_without_mysql(world: World) -> None:
    world.open()
    world.gate.lose()
    world.ledger.is_down = True
    with pytest.raises(LedgerUnavailableError):
        _relay(world)


class TestOneFaultStopsNothingElse:
    """GIVEN three campaigns of which the second one is broken, THEN the other two are relayed, healed and compared."""

    @pytest.fixture
    def three(self, world: World) -> World:
        for name in ("one", "two", "zwei"):
            world.open(name)
            _leave_outbox(world, f"user-of-{name}", campaign_id=name)
        world.clock.sleep(_AFTER_MS)
        return world

    @pytest.mark.parametrize("method", ["show", "outbox", "claim_counts", "reconcile_notes"])
    @pytest.mark.parametrize("error", [AttributeError("broken"), GateUnavailableError("broken")])
    def test_whatever_the_gate_does_with_it(
        self, three: World, log: Log, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
    ) -> None:
        works = getattr(three.gate, method)

        def fail_for_two(campaign_id: str, *rest: Any) -> Any:
            if campaign_id == "two":
                raise error
            return works(campaign_id, *rest)

        monkeypatch.setattr(three.gate, method, fail_for_two)
        _relay(three)
        assert {"user-of-one", "user-of-zwei"} <= set(_sent(three))
        entry = log.of("a campaign failed")[0]
        assert (entry["campaign_id"], entry["kind"]) == ("two", type(error).__name__)
        assert entry["where"].startswith("fail_for_two, line ")

    def test_a_gate_that_cannot_be_healed(self, three: World, monkeypatch: pytest.MonkeyPatch) -> None:
        three.queue.sent.clear()
        three.gate.lose()
        _relay(three)
        three.clock.sleep(_QUIET_MS)
        works = three.ledger.coupons

        def fail_for_two(campaign_id: str, *rest: Any) -> Any:
            if campaign_id == "two":
                raise LedgerUnavailableError("broken")
            return works(campaign_id, *rest)

        monkeypatch.setattr(three.ledger, "coupons", fail_for_two)
        assert _relay(three) == _did(0, rebuilt=["one", "zwei"], closed=["two"])

    def test_an_operators_change_of_it(self, three: World, log: Log) -> None:
        three.gate.lose()
        _relay(three)
        three.clock.sleep(_QUIET_MS)
        three.ledger.locked.add("two")
        assert _relay(three) == _did(0, rebuilt=["one", "zwei"], closed=["two"])
        assert [entry["kind"] for entry in log.of("a campaign failed")] == ["CampaignLockedError"]

    def test_an_outbox_entry_without_its_claim(self, three: World, log: Log) -> None:
        del three.gate.states["two"].claims["user-of-two"]
        three.gate.states["two"].accepted = 0
        assert _relay(three)["sent"] == 2
        assert log.of("a campaign failed") == []


def test_a_long_outbox_holds_up_neither_another_one_nor_the_healing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open("aaa", capacity=1_000)
    _leave_outbox(world, *(f"user-{number:04d}" for number in range(1_000)), campaign_id="aaa")
    world.open("bbb")
    _leave_outbox(world, "bob", campaign_id="bbb")
    world.open("ccc")
    del world.gate.states["ccc"]
    slow = SlowQueue(clock=world.clock)
    monkeypatch.setattr(bootstrap, "claim_queue", lambda: slow)
    world.clock.sleep(_AFTER_MS)

    did = _relay(world)

    assert "bob" in {claim.user_id for claim in slow.sent}
    assert 0 < did["sent"] < 200
    assert did["closed"] == ["ccc"]
    assert world.gate.state("ccc") is GateState.FENCED


class TestOrder:
    """All suspect gates are closed at once; then the open campaigns are healed first."""

    @pytest.fixture
    def wiped(self, world: World) -> World:
        now = world.clock.now()
        world.open("closed-long-ago", closes_at=now - 2_000)
        world.open("closed-lately", closes_at=now - 1_000)
        world.open("opens-late", opens_at=now + 9_000_000)
        world.open("opens-soon", opens_at=now + 8_000_000)
        world.open("open-and-large", capacity=1_000)
        world.open("open-and-small", capacity=10)
        world.gate.lose()
        return world

    def test_it_is_by_urgency(self, wiped: World) -> None:
        assert sorted(_relay(wiped)["closed"]) == sorted(wiped.ledger.records)
        assert {wiped.gate.state(name) for name in wiped.ledger.records} == {GateState.FENCED}
        wiped.clock.sleep(_QUIET_MS)
        assert _relay(wiped)["rebuilt"] == [
            "open-and-small",
            "open-and-large",
            "opens-soon",
            "opens-late",
            "closed-lately",
            "closed-long-ago",
        ]

    def test_what_there_is_no_time_for_is_healed_by_the_next_runs(
        self, wiped: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """GIVEN a ledger that takes 15 s for each campaign."""
        _relay(wiped)
        wiped.clock.sleep(_QUIET_MS)
        works = wiped.ledger.coupons

        def slow(*asked: Any) -> Any:
            wiped.clock.sleep(15_000)
            return works(*asked)

        monkeypatch.setattr(wiped.ledger, "coupons", slow)
        rebuilt = []
        for _ in range(3):
            began = wiped.clock.now()
            rebuilt.append(_relay(wiped)["rebuilt"])
            assert wiped.clock.now() - began <= _TIMEOUT_MS
        assert rebuilt[0][:2] == ["open-and-small", "open-and-large"]
        assert sorted(sum(rebuilt, [])) == sorted(wiped.ledger.records)


def test_under_a_trickle_of_claims_the_queue_is_looked_at_more_than_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open()
    counts = iter([1, 1, 0])
    monkeypatch.setattr(world.queue, "count", lambda: next(counts))
    _relay(world)
    assert world.gate.queue_empty_at() is not None


def test_with_no_time_left_nothing_is_begun(world: World) -> None:
    world.open("one")
    world.open("two")
    _leave_outbox(world, "alice", campaign_id="one")
    del world.gate.states["two"]
    world.clock.sleep(_AFTER_MS)
    assert _relay(world, timeout_ms=8_000) == _did(0)
    assert world.gate.claim_counts("one").outbox == 1


def test_gates_that_do_not_answer_in_time_keep_the_others_from_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a shard that is away with 60 campaigns on it, THEN the others are looked at within a few runs."""
    away = {f"away-{number:02d}" for number in range(60)}
    for name in away:
        world.open(name)
    world.open("here")
    _leave_outbox(world, "alice", campaign_id="here")
    world.clock.sleep(_AFTER_MS)
    show = world.gate.show

    def slow_show(campaign_id: str) -> Any:
        if campaign_id in away:
            world.clock.sleep(1_000)
            raise GateUnavailableError("no answer")
        return show(campaign_id)

    monkeypatch.setattr(world.gate, "show", slow_show)
    for _ in range(60):
        began = world.clock.now()
        if _relay(world)["sent"]:
            return
        assert world.clock.now() - began <= _TIMEOUT_MS
    pytest.fail("nobody looked")


def test_what_healing_and_comparing_leave_of_the_time_goes_to_the_outbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open(capacity=1_000)
    _leave_outbox(world, *(f"user-{number:04d}" for number in range(1_000)))
    slow = SlowQueue(clock=world.clock)
    monkeypatch.setattr(bootstrap, "claim_queue", lambda: slow)
    world.clock.sleep(_AFTER_MS)
    time_for_all_but_looking_at_the_queue = _TIMEOUT_MS - 8_000 - 2_000
    assert _relay(world)["sent"] >= 10 * (time_for_all_but_looking_at_the_queue // slow.batch_ms - 1)


def test_with_a_slow_queue_it_stops_before_its_time_is_up_and_the_next_run_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended by force it would have noted nothing, and every run would send the same claims again."""
    world.open(capacity=1_000)
    _leave_outbox(world, *(f"user-{number:04d}" for number in range(1_000)))
    slow = SlowQueue(clock=world.clock)
    monkeypatch.setattr(bootstrap, "claim_queue", lambda: slow)
    world.clock.sleep(_AFTER_MS)
    began = world.clock.now()
    first = _relay(world)
    assert world.clock.now() - began <= _TIMEOUT_MS
    assert 0 < first["sent"] < 1_000
    assert world.gate.claim_counts("demo").outbox == 1_000 - first["sent"]
    second = _relay(world)
    assert len(slow.sent) == len(set(slow.sent)) == first["sent"] + second["sent"]


@pytest.mark.parametrize("name", ["RELAY_AFTER_SECONDS", "REBUILD_QUIET_SECONDS"])
@pytest.mark.parametrize("text", ["", "0", "soon"])
def test_a_wrong_setting_is_named(world: World, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError, match=name):
        _relay(world)


def test_it_logs_when_it_had_something_to_do_and_names_nobody(world: World, log: Log) -> None:
    world.open()
    _relay(world)
    assert log.entries == []
    _leave_outbox(world, "alice-7f3a", "bob-7f3a")
    world.clock.sleep(_AFTER_MS)
    world.queue.refuses = {"bob-7f3a"}
    _relay(world)
    world.gate.lose()
    _relay(world)
    did = [[entry[name] for name in ("sent", "refused", "closed")] for entry in log.of("relayed")]
    assert did == [[1, 1, []], [0, 0, ["demo"]]]
    assert "7f3a" not in log.text
    assert world.queue.sent[0].coupon_code not in log.text
