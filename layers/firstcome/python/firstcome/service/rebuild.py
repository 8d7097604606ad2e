"""Use case of a lost or suspect gate: close it, let everything under way settle, restore it from the ledger, reopen it.

Why not restore at once: a claim may still be on its way to the ledger, in the queue or in an apply invocation that has
asked the old server and not yet sent. Its seat looks free until it arrives. So the gate stays closed for at least as
long as such an invocation may live, and until the queue is empty. docs/decisions/0003-fence-by-server-run.md tells
more.

A large gate takes longer than one invocation may last. So a rebuild works in pages, and the fence keeps where it goes
on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import batched
from typing import Self

from firstcome.domain.campaign import Campaign
from firstcome.domain.gate import Fence, GateState
from firstcome.domain.refusal import Refused
from firstcome.service.alignment import LOCK_WAIT_SECONDS, Alignment
from firstcome.service.ports import ClaimQueue, Clock, Gate, Ledger
from firstcome.service.rate_limit import hold

CLAIMS_A_ROUND = 10
"""Claims sent before the gate is told: one batch for the queue. A run that is ended by force while the queue is slow
has noted all rounds but its last, and the next run does not begin with the same claims again."""

_PAGE = 2_000
"""Claims read from the ledger at once; the position is kept after each page."""

_RESTORED_AT_ONCE = 500
"""Claims that one call of Redis restores: it takes 4 ms."""

_ROWS_PER_SECOND = 20_000
"""Rows of the ledger read in a second at most: a page is read in key order in 4 ms, so MySQL has 96 % of its time."""


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
    """The gate stays closed, and the same request again goes on.

    Attributes:
        is_restoring: only time was missing; else claims may still be on their way to the ledger.
    """

    is_restoring: bool = False


class _Step(StrEnum):
    """What a rebuild does, in this order; kept as the fence's phase."""

    SETTLING = ""
    ISSUED = "issued"
    OVERFLOW = "overflow"
    COMPARING = "comparing"
    OPENING = "opening"


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a rebuild is; kept as the fence's phase and position.

    Attributes:
        after: where the step goes on; empty at its beginning.
    """

    step: _Step
    issued: int = 0
    overflow: int = 0
    resent: int = 0
    after: str = ""

    @classmethod
    def of(cls, fence: Fence) -> Self:
        """Read the progress that a fence keeps."""
        if not fence.phase:
            return cls(_Step.SETTLING)
        issued, overflow, resent, after = fence.position.split(":", 3)
        return cls(_Step(fence.phase), int(issued), int(overflow), int(resent), after)

    @property
    def position(self) -> str:
        """What the fence keeps."""
        return f"{self.issued}:{self.overflow}:{self.resent}:{self.after}"

    def next(self, step: _Step) -> Self:
        """Go on with another step."""
        return replace(self, step=step, after="")


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

    def run(
        self, campaign_id: str, has_time: Callable[[], bool], patience_ms: int = 0
    ) -> Rebuilt | StillUnderWay | Refused:
        """Rebuild one campaign's gate if it is not whole; safe to repeat, and to be ended anywhere.

        Args:
            has_time: whether there is time for another page.
            patience_ms: how long to wait for the quiet time to pass.

        Raises:
            GateUnavailableError, LedgerUnavailableError, QueueUnavailableError: the gate stays closed.
        """
        with self.ledger.campaign_lock(campaign_id, LOCK_WAIT_SECONDS):
            record = Alignment(self.gate, self.ledger).run(campaign_id)
            if isinstance(record, Refused):
                return record
            found = self.gate.state(campaign_id)
            if found is GateState.WHOLE:
                return Rebuilt(found)
            highest = self.ledger.counts(campaign_id).highest
            fence = self.gate.fence(campaign_id, self.ledger.now(), highest)
            progress = _Progress.of(fence)
            if progress.step is _Step.SETTLING:
                if not self._has_settled(campaign_id, fence, has_time, patience_ms):
                    return StillUnderWay()
                self.gate.prepare(record.campaign, fence)
                progress = progress.next(_Step.ISSUED)
            return self._restore(record.campaign, found, fence, progress, has_time)

    def _has_settled(self, campaign_id: str, fence: Fence, has_time: Callable[[], bool], patience_ms: int) -> bool:
        missing_ms = max(0, self.quiet_ms - fence.age_ms)
        if missing_ms > patience_ms:
            return False
        self.clock.sleep(missing_ms)
        while outbox := self.gate.outbox(campaign_id, 0, CLAIMS_A_ROUND):
            sent = self.queue.send_all(outbox)
            self.gate.remove_from_outbox(sent)
            if len(sent) < len(outbox) or not has_time():
                return False
        return self.queue.count() == 0

    def _restore(
        self, campaign: Campaign, found: GateState, fence: Fence, progress: _Progress, has_time: Callable[[], bool]
    ) -> Rebuilt | StillUnderWay:
        steps = {
            _Step.ISSUED: self._restore_issued,
            _Step.OVERFLOW: self._restore_overflow,
            _Step.COMPARING: self._compare,
        }
        while progress.step is not _Step.OPENING:
            if not has_time():
                return StillUnderWay(is_restoring=True)
            began = self.clock.now()
            progress, rows = steps[progress.step](fence, progress)
            self.gate.advance(fence, progress.step, progress.position)
            hold(self.clock, began, rows, _ROWS_PER_SECOND)
        while self.gate.list_free(fence):
            if not has_time():
                return StillUnderWay(is_restoring=True)
        opened = self.gate.reopen(campaign, fence)
        return Rebuilt(found, progress.issued, progress.overflow, progress.resent, opened.free, opened.highest)

    def _restore_issued(self, fence: Fence, progress: _Progress) -> tuple[_Progress, int]:
        coupons = self.ledger.coupons(fence.campaign_id, int(progress.after or 0), _PAGE)
        if not coupons:
            return progress.next(_Step.OVERFLOW), 0
        for some in batched(coupons, _RESTORED_AT_ONCE, strict=False):
            self.gate.restore_issued([coupon.claim for coupon in some])
        issued, after = progress.issued + len(coupons), str(coupons[-1].claim.sequence)
        return replace(progress, issued=issued, after=after), len(coupons)

    def _restore_overflow(self, fence: Fence, progress: _Progress) -> tuple[_Progress, int]:
        claims = self.ledger.overflow(fence.campaign_id, progress.after, _PAGE)
        if claims:
            for some in batched(claims, _RESTORED_AT_ONCE, strict=False):
                self.gate.restore_overflow(some)
            overflow = progress.overflow + len(claims)
            return replace(progress, overflow=overflow, after=claims[-1].coupon_code), len(claims)
        # Every claim that was restored is at the gate. If there are no others, there is nothing to compare.
        has_others = self.gate.claim_counts(fence.campaign_id).claims > progress.issued
        return progress.next(_Step.COMPARING if has_others else _Step.OPENING), 0

    def _compare(self, fence: Fence, progress: _Progress) -> tuple[_Progress, int]:
        """Find claims that were sent, and yet are not in the ledger; sending them again is always safe."""
        claims, after = self.gate.claims_page(fence.campaign_id, progress.after)
        settled = self.ledger.settled_codes(fence.campaign_id, claims)
        resent = self.gate.add_to_outbox([claim for claim in claims if claim.coupon_code not in settled])
        progress = replace(progress, resent=progress.resent + resent, after=after or "")
        return progress if after else progress.next(_Step.OPENING), len(claims)
