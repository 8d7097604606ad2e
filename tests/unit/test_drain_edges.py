"""The drain's corners, which its handler does not show."""

from collections.abc import Mapping

from firstcome.domain.message import to_body
from firstcome.service.drain import Drain, Message
from firstcome.service.rate_limit import RateLimit
from tests.factories import a_campaign, a_claim
from tests.fakes import FakeClock, MemoryDeadLetters, MemoryGate, MemoryLedger, MemoryQueue


class CountingDeadLetters(MemoryDeadLetters):
    """Counts how often it is called."""

    calls = 0

    def send(self, messages: Mapping[str, tuple[str, str]]) -> set[str]:
        self.calls += 1
        return super().send(messages)


def _drain(dead_letters: MemoryDeadLetters) -> Drain:
    clock = FakeClock()
    ledger = MemoryLedger(clock)
    ledger.create(a_campaign("demo"))
    return Drain(ledger, MemoryGate(clock), MemoryQueue(), dead_letters, RateLimit(1000, 2, clock), clock)


def test_the_dead_letter_queue_is_not_asked_to_take_nothing() -> None:
    dead_letters = CountingDeadLetters()

    _drain(dead_letters).drain({"m1": Message(to_body(a_claim("demo", 1)))}, 1000)

    assert dead_letters.calls == 0


def test_a_report_names_what_failed_in_order() -> None:
    dead_letters = MemoryDeadLetters(is_down=True)
    ids = [f"m{number}" for number in range(1, 10)]

    report = _drain(dead_letters).drain(dict.fromkeys(reversed(ids), Message("junk")), 1000)

    assert report.failed == ids
