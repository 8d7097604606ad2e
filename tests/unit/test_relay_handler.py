"""RelayFunction: which claims it sends again, and which stay unsent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from firstcome import bootstrap
from firstcome.errors import GateUnavailableError, QueueUnavailableError, SettingsError
from firstcome.model import Claim
from functions.relay.app import lambda_handler
from tests.fakes import FakeClock, MemoryQueue
from tests.unit.conftest import Log, World

_AFTER_MS = 10_000
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


@pytest.fixture(autouse=True)
def _settings(empty_environment: Callable[[str, str], None]) -> None:
    empty_environment("RELAY_AFTER_SECONDS", "10")


def _relay(world: World, timeout_ms: int = _TIMEOUT_MS) -> dict[str, Any]:
    return lambda_handler({}, Context(world.clock, timeout_ms))


def _leave_unsent(world: World, *users: str, campaign_id: str = "demo") -> None:
    for user in users:
        world.gate.apply(campaign_id, user, f"{len(world.gate.states[campaign_id].claims):016d}")


def _sent(world: World) -> list[str]:
    return [claim.user_id for claim in world.queue.sent]


def test_a_claim_left_unsent_is_sent_as_it_was_accepted_and_noted(world: World) -> None:
    world.open()
    _leave_unsent(world, "alice")
    claim = world.gate.states["demo"].claims["alice"]
    world.clock.sleep(_AFTER_MS)
    assert _relay(world) == {"sent": 1, "refused": 0}
    assert world.queue.sent == [claim]
    assert world.gate.counts("demo").unsent == 0
    assert _relay(world) == {"sent": 0, "refused": 0}


def test_a_claim_that_its_own_invocation_may_still_send_is_left_to_it(world: World) -> None:
    world.open()
    _leave_unsent(world, "alice")
    world.clock.sleep(_AFTER_MS - 1)
    assert _relay(world) == {"sent": 0, "refused": 0}
    assert world.gate.counts("demo").unsent == 1
    world.clock.sleep(1)
    assert _relay(world) == {"sent": 1, "refused": 0}


def test_only_those_old_enough_are_sent(world: World) -> None:
    world.open()
    _leave_unsent(world, "old")
    world.clock.sleep(_AFTER_MS)
    _leave_unsent(world, "new")
    assert _relay(world) == {"sent": 1, "refused": 0}
    assert _sent(world) == ["old"]


def test_the_age_is_a_setting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_AFTER_SECONDS", "1")
    world.open()
    _leave_unsent(world, "alice")
    world.clock.sleep(1_000)
    assert _relay(world) == {"sent": 1, "refused": 0}


def test_every_campaign_is_relayed_also_one_that_is_closed_or_paused(world: World) -> None:
    world.open("one")
    campaign = world.open("two", closes_at=world.clock.now() + 1_000)
    _leave_unsent(world, "alice", campaign_id="one")
    _leave_unsent(world, "bob", campaign_id="two")
    world.clock.sleep(_AFTER_MS)
    assert campaign.closes_at < world.clock.now()
    assert _relay(world) == {"sent": 2, "refused": 0}


def test_a_rush_of_unsent_claims_is_sent_in_rounds_the_oldest_first(world: World) -> None:
    world.open(capacity=1_300)
    users = [f"user-{number:04d}" for number in range(1_300)]
    for user in users:
        _leave_unsent(world, user)
        world.clock.time += 1
    world.clock.sleep(_AFTER_MS)
    assert _relay(world) == {"sent": 1_300, "refused": 0}
    assert _sent(world) == users


def test_what_the_queue_failed_stays_unsent_for_the_next_run(world: World) -> None:
    world.open()
    _leave_unsent(world, "alice", "bob", "carol")
    world.clock.sleep(_AFTER_MS)
    world.queue.refuses = {"bob"}
    assert _relay(world) == {"sent": 2, "refused": 1}
    assert [claim.user_id for claim in world.gate.unsent("demo", 0, 10)] == ["bob"]
    world.queue.refuses = set()
    assert _relay(world) == {"sent": 1, "refused": 0}
    assert sorted(_sent(world)) == ["alice", "bob", "carol"]


def test_one_campaigns_failures_do_not_keep_the_next_from_its_turn(world: World) -> None:
    world.open("one")
    world.open("two")
    _leave_unsent(world, "alice", campaign_id="one")
    _leave_unsent(world, "bob", campaign_id="two")
    world.clock.sleep(_AFTER_MS)
    world.queue.refuses = {"alice"}
    assert _relay(world) == {"sent": 1, "refused": 1}
    assert _sent(world) == ["bob"]


def test_without_the_queue_it_raises_and_everything_stays_unsent(world: World) -> None:
    world.open()
    _leave_unsent(world, "alice")
    world.clock.sleep(_AFTER_MS)
    world.queue.is_down = True
    with pytest.raises(QueueUnavailableError):
        _relay(world)
    assert world.gate.counts("demo").unsent == 1


def test_without_the_gate_it_raises_and_sends_nothing(world: World) -> None:
    world.open()
    _leave_unsent(world, "alice")
    world.clock.sleep(_AFTER_MS)
    world.gate.is_down = True
    with pytest.raises(GateUnavailableError):
        _relay(world)
    assert world.queue.sent == []


def test_a_gate_that_fails_after_the_sending_leaves_the_claim_unsent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open()
    _leave_unsent(world, "alice")
    world.clock.sleep(_AFTER_MS)

    def fail(_: object) -> None:
        raise GateUnavailableError("gone")

    monkeypatch.setattr(world.gate, "confirm_sent", fail)
    with pytest.raises(GateUnavailableError):
        _relay(world)
    assert world.gate.counts("demo").unsent == 1


def test_a_wiped_gate_has_nothing_to_relay_and_is_no_error(world: World) -> None:
    world.open()
    _leave_unsent(world, "alice")
    world.gate.lose()
    assert _relay(world) == {"sent": 0, "refused": 0}


def test_with_a_slow_queue_it_stops_before_its_time_is_up_and_the_next_run_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended by force it would have noted nothing, and every run would send the same claims again."""
    world.open(capacity=1_000)
    _leave_unsent(world, *(f"user-{number:04d}" for number in range(1_000)))
    slow = SlowQueue(clock=world.clock)
    monkeypatch.setattr(bootstrap, "claim_queue", lambda: slow)
    world.clock.sleep(_AFTER_MS)
    began = world.clock.now()
    first = _relay(world)
    assert world.clock.now() - began <= _TIMEOUT_MS
    assert 0 < first["sent"] < 1_000
    assert world.gate.counts("demo").unsent == 1_000 - first["sent"]
    second = _relay(world)
    assert len(slow.sent) == len(set(slow.sent)) == first["sent"] + second["sent"]


def test_with_no_time_left_nothing_is_begun(world: World) -> None:
    world.open()
    _leave_unsent(world, "alice")
    world.clock.sleep(_AFTER_MS)
    assert _relay(world, timeout_ms=10_000) == {"sent": 0, "refused": 0}
    assert world.gate.counts("demo").unsent == 1


@pytest.mark.parametrize("text", ["", "0", "soon"])
def test_a_wrong_setting_is_named(world: World, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RELAY_AFTER_SECONDS", text)
    with pytest.raises(SettingsError, match="RELAY_AFTER_SECONDS"):
        _relay(world)


def test_it_logs_when_it_had_something_to_do_and_names_nobody(world: World, log: Log) -> None:
    world.open()
    _relay(world)
    assert log.entries == []
    _leave_unsent(world, "alice-7f3a", "bob-7f3a")
    world.clock.sleep(_AFTER_MS)
    world.queue.refuses = {"bob-7f3a"}
    _relay(world)
    assert [(entry["sent"], entry["refused"]) for entry in log.of("relayed")] == [(1, 1)]
    assert "7f3a" not in log.text
    assert world.queue.sent[0].coupon_code not in log.text
