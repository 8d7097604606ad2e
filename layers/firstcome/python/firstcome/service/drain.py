"""Use case of the drain: claims from the queue into the ledger, at a bounded pace."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from firstcome.domain.claim import Claim, Overflow
from firstcome.domain.errors import GateUnavailableError, QueueUnavailableError, UnreadableMessageError
from firstcome.domain.message import from_body
from firstcome.service.ports import DeadLetters, Gate, Ledger
from firstcome.service.rate_limit import RateLimit


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
    dead_letters: DeadLetters
    pace: RateLimit

    def drain(self, bodies: Mapping[str, str], time_left_ms: int) -> DrainReport:
        """Write the claims among these messages, given as id -> body, and move the unreadable ones away.

        The ledger comes first: a batch that it does not take is delivered again as a whole, and would otherwise bury
        its unreadable messages once more each time.

        Raises:
            LedgerUnavailableError: nothing of the chunk at hand is known to be written; the batch must come again, and
                the error must reach the queue, because only an error makes its polling back off.
        """
        claims: dict[str, Claim] = {}
        unreadable: dict[str, tuple[str, str]] = {}
        for message_id, body in bodies.items():
            try:
                claims[message_id] = from_body(body)
            except UnreadableMessageError as exc:
                unreadable[message_id] = (body, exc.reason)
        report = DrainReport(unreadable=[reason for _, reason in unreadable.values()])
        self._issue(claims, time_left_ms, report)
        self._send_to_dead_letters(unreadable, report)
        return report

    def _issue(self, claims: Mapping[str, Claim], time_left_ms: int, report: DrainReport) -> None:
        left = set(claims)
        for chunk in self.pace.chunks(list(claims.items()), time_left_ms):
            settlement = self.ledger.issue([claim for _, claim in chunk])
            report.issued += settlement.issued
            report.reseated += settlement.reseated
            report.overflow += settlement.overflow
            report.is_marked &= self._mark(list(settlement.issued))
            left.difference_update(message_id for message_id, _ in chunk)
        report.failed += sorted(left)

    def _mark(self, issued: list[Claim]) -> bool:
        """Tell the gate, best effort: it only shows users `issued` instead of `accepted`."""
        try:
            self.gate.mark_issued(issued)
        except GateUnavailableError:
            return False
        return True

    def _send_to_dead_letters(self, unreadable: dict[str, tuple[str, str]], report: DrainReport) -> None:
        if not unreadable:
            return
        try:
            buried = self.dead_letters.send(unreadable)
        except QueueUnavailableError:
            buried = set()
        report.failed += sorted(unreadable.keys() - buried)
