"""Use case of the drain: claims from the queue into the ledger, at a bounded pace."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from firstcome.domain.claim import Claim, Overflow
from firstcome.domain.errors import (
    GateUnavailableError,
    LedgerUnavailableError,
    QueueUnavailableError,
    UnreadableMessageError,
)
from firstcome.domain.message import from_body
from firstcome.service.ports import ClaimQueue, Clock, DeadLetters, Gate, Ledger
from firstcome.service.rate_limit import RateLimit

FIRST_DELAY_SECONDS = 5
LONGEST_DELAY_SECONDS = 180
"""The queue's own visibility timeout: with it, the receives that the queue allows last for days."""

ATTEMPT_EVERY_MS = 5_000
"""How long a worker waits at least from one attempt at a ledger that fails to the next."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the queue delivered it.

    Attributes:
        receipt: names this delivery of it.
        receive_count: deliveries so far, this one included.
    """

    body: str
    receipt: str = ""
    receive_count: int = 1

    @property
    def delay_seconds(self) -> int:
        """How long it stays hidden when the ledger does not take it: twice as long each time."""
        return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS << min(self.receive_count - 1, 6))


@dataclass(slots=True)
class DrainReport:
    """What became of a batch of messages.

    Attributes:
        failed: ids of the messages that must be delivered again.
        issued: the claims that have their row, those that had it already included.
        reseated: those of them that have another seat than the gate gave.
        unreadable: reasons of the messages that are not claims.
        is_marked: whether the gate took note of what was issued.
    """

    failed: list[str] = field(default_factory=list)
    issued: list[Claim] = field(default_factory=list)
    reseated: list[Claim] = field(default_factory=list)
    overflow: list[Overflow] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    is_marked: bool = True


@dataclass(frozen=True, slots=True)
class Drain:
    """Drains batches of messages."""

    ledger: Ledger
    gate: Gate
    queue: ClaimQueue
    dead_letters: DeadLetters
    rate_limit: RateLimit
    clock: Clock

    def drain(self, messages: Mapping[str, Message], time_left_ms: int) -> DrainReport:
        """Write the claims among these messages, given by their ids, and move the unreadable ones away.

        The ledger comes first: a batch that it does not take is delivered again as a whole, and would otherwise send
        its unreadable messages to the dead-letter queue once more each time.

        Raises:
            LedgerUnavailableError: nothing of the chunk at hand is known to be written. The batch is delivered again,
                soon; the error must reach the queue's poller, because only an error makes its polling back off.
        """
        claims: dict[str, Claim] = {}
        unreadable: dict[str, tuple[str, str]] = {}
        for message_id, message in messages.items():
            try:
                claims[message_id] = from_body(message.body)
            except UnreadableMessageError as exc:
                unreadable[message_id] = (message.body, exc.reason)
        report = DrainReport(unreadable=[reason for _, reason in unreadable.values()])
        self._issue(messages, claims, time_left_ms, report)
        self._send_to_dead_letters(unreadable, report)
        return report

    def _issue(
        self, messages: Mapping[str, Message], claims: Mapping[str, Claim], time_left_ms: int, report: DrainReport
    ) -> None:
        left = set(claims)
        for chunk in self.rate_limit.chunks(list(claims.items()), time_left_ms):
            began = self.clock.now()
            try:
                settlement = self.ledger.issue([claim for _, claim in chunk])
            except LedgerUnavailableError:
                self._deliver_soon(messages.values())
                self.clock.sleep(max(0, began + ATTEMPT_EVERY_MS - self.clock.now()))
                raise
            report.issued += settlement.issued
            report.reseated += settlement.reseated
            report.overflow += settlement.overflow
            report.is_marked &= self._mark(list(settlement.issued))
            unsettled = set(settlement.unsettled)
            self._deliver_soon(messages[message_id] for message_id, claim in chunk if claim in unsettled)
            left.difference_update(message_id for message_id, claim in chunk if claim not in unsettled)
        report.failed += sorted(left)

    def _mark(self, issued: list[Claim]) -> bool:
        """Tell the gate, best effort: it only shows users `issued` instead of `accepted`, and the relay repairs it."""
        try:
            self.gate.mark_issued(issued)
        except GateUnavailableError:
            return False
        return True

    def _deliver_soon(self, messages: Iterable[Message]) -> None:
        """Have messages delivered again before the visibility timeout ends, best effort."""
        delays = {message.receipt: message.delay_seconds for message in messages if message.receipt}
        if delays:
            with suppress(QueueUnavailableError):
                self.queue.delay(delays)

    def _send_to_dead_letters(self, unreadable: dict[str, tuple[str, str]], report: DrainReport) -> None:
        if not unreadable:
            return
        try:
            moved = self.dead_letters.send(unreadable)
        except QueueUnavailableError:
            moved = set()
        report.failed += sorted(unreadable.keys() - moved)
