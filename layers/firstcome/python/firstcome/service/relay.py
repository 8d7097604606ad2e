"""Use case of the relay: send every claim that was accepted but is not known to be queued, and heal lost gates."""

from collections.abc import Callable
from dataclasses import dataclass

from firstcome.domain.gate import GateState
from firstcome.service.ports import ClaimQueue, Gate, Ledger
from firstcome.service.rebuild import CLAIMS_A_ROUND, Rebuild, Rebuilt


@dataclass(frozen=True, slots=True)
class Relayed:
    """What became of the claims of one campaign that were found outbox.

    Attributes:
        sent: claims the queue confirmed.
        refused: claims it did not; they stay outbox for the next run.
    """

    sent: int
    refused: int


@dataclass(frozen=True, slots=True)
class RelayReport:
    """What a run of the relay did.

    Attributes:
        relayed: by campaign; those that had no outbox claims are not in it.
        rebuilt: campaigns whose gate was restored from the ledger.
        closed: campaigns whose gate stays closed until everything under way has settled.
    """

    relayed: dict[str, Relayed]
    rebuilt: list[str]
    closed: list[str]

    @property
    def sent(self) -> int:
        """Claims of all campaigns that the queue confirmed."""
        return sum(one.sent for one in self.relayed.values())

    @property
    def refused(self) -> int:
        """Claims of all campaigns that it did not."""
        return sum(one.refused for one in self.relayed.values())


@dataclass(frozen=True, slots=True)
class Relay:
    """Sends outbox claims, and has gates rebuilt that are lost or suspect.

    MySQL is asked only when a gate is not whole: the rush must not show there.

    Attributes:
        after_ms: age from which a claim counts as left behind: no apply invocation is still about to send it.
        has_time: whether there is time for another round.
    """

    gate: Gate
    queue: ClaimQueue
    ledger: Ledger
    rebuild: Rebuild
    after_ms: int
    has_time: Callable[[], bool]

    def run(self) -> RelayReport:
        """Relay the outbox claims of all campaigns.

        Raises:
            GateUnavailableError: the rest stays outbox for the next run.
            QueueUnavailableError: likewise.
            LedgerUnavailableError: a gate is not whole, and stays closed.
        """
        campaign_ids = self._campaign_ids()
        relayed = {campaign_id: self._relay(campaign_id) for campaign_id in campaign_ids}
        rebuilt, closed = self._heal(campaign_ids)
        return RelayReport({name: one for name, one in relayed.items() if one.sent or one.refused}, rebuilt, closed)

    def _campaign_ids(self) -> list[str]:
        campaign_ids = self.gate.campaign_ids()
        if campaign_ids is not None:
            return campaign_ids
        # The gate was wiped as a whole. The ledger knows which campaigns it had.
        campaign_ids = self.ledger.campaign_ids()
        self.gate.register(campaign_ids)
        return campaign_ids

    def _heal(self, campaign_ids: list[str]) -> tuple[list[str], list[str]]:
        rebuilt: list[str] = []
        closed: list[str] = []
        for campaign_id in campaign_ids:
            if self.gate.state(campaign_id) is GateState.WHOLE or not self.has_time():
                continue
            is_rebuilt = isinstance(self.rebuild.run(campaign_id, patience_ms=0), Rebuilt)
            (rebuilt if is_rebuilt else closed).append(campaign_id)
        return rebuilt, closed

    def _relay(self, campaign_id: str) -> Relayed:
        sent = 0
        while self.has_time():
            claims = self.gate.outbox(campaign_id, self.after_ms, CLAIMS_A_ROUND)
            if not claims:
                break
            confirmed = self.queue.send_all(claims)
            if confirmed:
                # Only now: a claim is never forgotten before the queue has it.
                self.gate.remove_from_outbox(confirmed)
            sent += len(confirmed)
            if len(confirmed) < len(claims):
                return Relayed(sent, len(claims) - len(confirmed))
        return Relayed(sent, 0)
