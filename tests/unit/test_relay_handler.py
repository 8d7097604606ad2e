"""RelayFunction: which claims it sends again, and which stay outbox."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from firstcome import bootstrap
from firstcome.domain.claim import Admission, Claim
from firstcome.domain.errors import GateUnavailableError, LedgerUnavailableError, QueueUnavailableError, SettingsError
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


def _did(sent: int, refused: int = 0, rebuilt: Sequence[str] = (), closed: Sequence[str] = ()) -> dict[str, Any]:
    return {"sent": sent, "refused": refused, "rebuilt": list(rebuilt), "closed": list(closed)}


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
    assert world.gate.counts("demo").outbox == 0
    assert _relay(world) == _did(0)


def test_a_claim_that_its_own_invocation_may_still_send_is_left_to_it(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice")
    world.clock.sleep(_AFTER_MS - 1)
    assert _relay(world) == _did(0)
    assert world.gate.counts("demo").outbox == 1
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


def test_without_the_queue_it_raises_and_everything_stays_outbox(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice")
    world.clock.sleep(_AFTER_MS)
    world.queue.is_down = True
    with pytest.raises(QueueUnavailableError):
        _relay(world)
    assert world.gate.counts("demo").outbox == 1


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
    with pytest.raises(GateUnavailableError):
        _relay(world)
    assert world.gate.counts("demo").outbox == 1


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


def test_mysql_is_asked_only_when_a_gate_is_not_whole_and_given_back_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open()
    closed: list[bool] = []
    monkeypatch.setattr(world.ledger, "close", lambda: closed.append(True))
    world.ledger.is_down = True
    assert _relay(world) == _did(0)
    world.gate.lose()
    with pytest.raises(LedgerUnavailableError):
        _relay(world)
    assert closed == [True, True]


def test_unsent_claims_go_first_even_when_another_gate_cannot_be_healed(world: World) -> None:
    world.open("one")
    world.open("two")
    _leave_outbox(world, "alice", campaign_id="two")
    del world.gate.states["one"]
    world.clock.sleep(_AFTER_MS)
    world.ledger.is_down = True
    with pytest.raises(LedgerUnavailableError):
        _relay(world)
    assert _sent(world) == ["alice"]


def test_with_no_time_left_no_rebuild_is_begun(world: World) -> None:
    world.open()
    world.gate.lose()
    assert _relay(world, timeout_ms=10_000) == _did(0)
    assert world.gate.states == {}


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
    assert world.gate.counts("demo").outbox == 1_000 - first["sent"]
    second = _relay(world)
    assert len(slow.sent) == len(set(slow.sent)) == first["sent"] + second["sent"]


def test_with_no_time_left_nothing_is_begun(world: World) -> None:
    world.open()
    _leave_outbox(world, "alice")
    world.clock.sleep(_AFTER_MS)
    assert _relay(world, timeout_ms=10_000) == _did(0)
    assert world.gate.counts("demo").outbox == 1


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
    did = [[entry[name] for name in ("sent", "refused", "rebuilt", "closed")] for entry in log.of("relayed")]
    assert did == [[1, 1, [], []], [0, 0, [], ["demo"]]]
    assert "7f3a" not in log.text
    assert world.queue.sent[0].coupon_code not in log.text
