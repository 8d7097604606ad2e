"""Use case of a lost or suspect gate: close it, let everything under way settle, restore it from the ledger, reopen it.

Why not restore at once: a claim may still be on its way to the ledger, in the queue or in an apply invocation that has
asked the old server and not yet sent. Its seat looks free until it arrives. So the gate stays closed for at least as
long as such an invocation may live, and until the queue is empty. docs/decisions/0003-fence-by-server-run.md tells
more.
"""

from dataclasses import dataclass

from firstcome.domain.campaign import Campaign
from firstcome.domain.claim import Claim
from firstcome.domain.gate import Fence, GateState
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.ports import ClaimQueue, Clock, Gate, Ledger

CLAIMS_A_ROUND = 30
"""Claims sent before the gate is told. Three batches for the queue: a run that is ended by force while the queue is
slow has noted all rounds but its last, and the next run does not begin with the same claims again."""

_PAGE = 1000
"""Claims read from the ledger, and restored, at once."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        found: the gate's state before; nothing was changed if it was whole.
        issued: claims restored as issued.
        overflow: claims restored that have no seat.
        resent: claims the gate had and the ledger has not, to be sent again.
        free: sequences below the counter that will be given first.
        highest: where the counter goes on.
    """

    found: GateState
    issued: int = 0
    overflow: int = 0
    resent: int = 0
    free: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class StillUnderWay:
    """Claims may still be on their way; the gate stays closed, and the same request again goes on."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Rebuilds gates.

    Attributes:
        quiet_ms: how long a gate stays closed at least before it is restored.
    """

    gate: Gate
    ledger: Ledger
    queue: ClaimQueue
    clock: Clock
    quiet_ms: int

    def run(self, campaign_id: str, patience_ms: int) -> Rebuilt | StillUnderWay | Refused:
        """Rebuild one campaign's gate if it is not whole; safe to repeat, and to be ended anywhere.

        Args:
            patience_ms: how long to wait for the quiet time to pass.

        Raises:
            GateUnavailableError, LedgerUnavailableError, QueueUnavailableError: the gate stays closed.
        """
        with self.ledger.campaign_lock(campaign_id):
            record = self.ledger.find(campaign_id)
            if record is None:
                return Refused(Refusal.CAMPAIGN_NOT_FOUND)
            self.gate.register(self.ledger.campaign_ids())
            found = self.gate.state(campaign_id)
            if found is GateState.WHOLE:
                return Rebuilt(found)
            fence = self.gate.fence(campaign_id)
            if not self._has_settled(campaign_id, fence, patience_ms):
                return StillUnderWay()
            return self._restore(record.campaign, found, fence)

    def _has_settled(self, campaign_id: str, fence: Fence, patience_ms: int) -> bool:
        missing_ms = max(0, self.quiet_ms - fence.age_ms)
        if missing_ms > patience_ms:
            return False
        self.clock.sleep(missing_ms)
        while outbox := self.gate.outbox(campaign_id, 0, CLAIMS_A_ROUND):
            sent = self.queue.send_all(outbox)
            self.gate.remove_from_outbox(sent)
            if len(sent) < len(outbox):
                return False
        return self.queue.count() == 0

    def _restore(self, campaign: Campaign, found: GateState, fence: Fence) -> Rebuilt:
        self.gate.prepare(campaign, fence)
        issued = self._restore_issued(campaign.campaign_id)
        overflow = self._restore_overflow(campaign.campaign_id)
        kept = self._only_at_gate(campaign.campaign_id)
        self.gate.add_to_outbox(kept)
        while self.gate.list_free(fence):
            pass
        opened = self.gate.reopen(campaign, fence)
        return Rebuilt(found, issued, overflow, resent=len(kept), free=opened.free, highest=opened.highest)

    def _restore_issued(self, campaign_id: str) -> int:
        count = highest = 0
        while coupons := self.ledger.coupons(campaign_id, highest, _PAGE):
            self.gate.restore_issued([coupon.claim for coupon in coupons])
            count += len(coupons)
            highest = coupons[-1].claim.sequence
        return count

    def _restore_overflow(self, campaign_id: str) -> int:
        count, last = 0, ""
        while claims := self.ledger.overflow(campaign_id, last, _PAGE):
            self.gate.restore_overflow(claims)
            count += len(claims)
            last = claims[-1].coupon_code
        return count

    def _only_at_gate(self, campaign_id: str) -> list[Claim]:
        """Return claims that were sent, and yet are not in the ledger; sending them again is always safe."""
        kept: dict[str, Claim] = {}
        for page in self.gate.all_claims(campaign_id):
            settled = self.ledger.settled_codes(campaign_id, page)
            kept.update({claim.coupon_code: claim for claim in page if claim.coupon_code not in settled})
        return list(kept.values())
