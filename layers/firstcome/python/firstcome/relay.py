"""Use case of the relay: send every claim that was accepted but is not known to be queued."""

from collections.abc import Callable
from dataclasses import dataclass

from firstcome.ports import ClaimQueue, Gate

CLAIMS_A_ROUND = 30
"""Claims sent before the gate is told. Three batches for the queue: a run that is ended by force while the queue is slow
has noted all rounds but its last, and the next run does not begin with the same claims again."""


@dataclass(frozen=True, slots=True)
class RelayReport:
    """What a run of the relay did.

    Attributes:
        sent: claims the queue confirmed.
        refused: claims it did not; they stay unsent for the next run.
    """

    sent: int
    refused: int


@dataclass(frozen=True, slots=True)
class Relay:
    """Sends unsent claims.

    Attributes:
        after_ms: age from which a claim counts as left behind: no apply invocation is still about to send it.
        has_time: whether there is time for another round.
    """

    gate: Gate
    queue: ClaimQueue
    after_ms: int
    has_time: Callable[[], bool]

    def run(self) -> RelayReport:
        """Relay the unsent claims of all campaigns.

        Raises:
            GateUnavailableError: the rest stays unsent for the next run.
            QueueUnavailableError: likewise.
        """
        sent = refused = 0
        for campaign_id in self.gate.campaign_ids():
            sent_here, refused_here = self._relay(campaign_id)
            sent += sent_here
            refused += refused_here
        return RelayReport(sent, refused)

    def _relay(self, campaign_id: str) -> tuple[int, int]:
        sent = 0
        while self.has_time():
            claims = self.gate.unsent(campaign_id, self.after_ms, CLAIMS_A_ROUND)
            if not claims:
                return sent, 0
            confirmed = self.queue.send_all(claims)
            if confirmed:
                # Only now: a claim is never forgotten before the queue has it.
                self.gate.confirm_sent(confirmed)
            sent += len(confirmed)
            if len(confirmed) < len(claims):
                return sent, len(claims) - len(confirmed)
        return sent, 0
