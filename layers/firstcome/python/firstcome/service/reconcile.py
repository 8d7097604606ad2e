"""Use case that compares gate and ledger, sends again what was accepted and is nowhere, and repairs what differs.

A claim that was sent can still be lost: a queue may be purged, a ledger restored from a backup. So what counts is that
every claim of the gate is in the ledger once the queue was empty. A comparison of all claims works in pages, and the
gate keeps where it goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from firstcome.domain.campaign import CampaignRecord, Phase
from firstcome.domain.claim import LedgerCounts
from firstcome.domain.gate import ClaimCounts, GateState, GateView
from firstcome.domain.refusal import Refused
from firstcome.domain.times import Millis
from firstcome.service.alignment import LOCK_WAIT_SECONDS, Alignment
from firstcome.service.ports import ClaimQueue, Clock, Gate, Ledger
from firstcome.service.rate_limit import hold

_PAGE = 1000

_LOOKED_UP_PER_SECOND = 10_000
"""Claims looked up in the ledger in a second at most: a page takes it some 5 ms, so it has 95 % of its time."""

_READ_PER_SECOND = 20_000
"""Rows read in key order in a second at most; a page takes 2 ms."""

_RANGES_PER_SECOND = 50
"""Ranges of rows counted in a second at most; each takes 3 ms."""

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a comparison did, over all the calls that it took.

    Attributes:
        compared: claims of the gate that were looked up in the ledger.
        resent: those of them that were nowhere, and will be sent again.
        complete: all were compared; else the same request again goes on.
    """

    compared: int = 0
    resent: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a campaign's counts told.

    Attributes:
        missing: claims that were sent, and are neither issued nor in overflow though the queue was empty.
        outcome: of the comparison that went on; None if there was no reason to compare.
    """

    missing: int
    outcome: Reconciled | Refused | None


@dataclass(frozen=True, slots=True)
class _Notes:
    """How far the work on a campaign is; kept by the gate.

    Attributes:
        counted_at: when the ledger had counted all rows anew, by the gate's clock.
        range_no: where counting goes on.
        step: of the comparison under way: "comparing", then "marking"; empty if there is none.
        after: where the step goes on; empty at its beginning.
        before: claims accepted before this instant are sent again when they are nowhere.
        skipped: claims that are nowhere, but in the outbox, or young enough to be on their way.
        done: what both sides counted after the last comparison that left nothing to do.
    """

    counted_at: Millis = 0
    range_no: int = 0
    step: str = ""
    after: str = ""
    before: Millis = 0
    compared: int = 0
    resent: int = 0
    skipped: int = 0
    done: str = ""

    @classmethod
    def of(cls, kept: Mapping[str, str]) -> Self:
        """Read what the gate keeps: nothing at first, and after a rebuild. Another version may keep other names."""
        at_first = asdict(cls())
        return cls(**{name: type(value)(kept.get(name, value)) for name, value in at_first.items()})

    @property
    def to_keep(self) -> dict[str, str]:
        """What the gate keeps."""
        return {name: str(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Compares gates with the ledger.

    Attributes:
        quiet_ms: how often rows are counted anew; and how old a claim must be, when the queue is seen empty, to be sent
            again without being asked.
    """

    gate: Gate
    ledger: Ledger
    queue: ClaimQueue
    clock: Clock
    quiet_ms: int

    def run(self, campaign_id: str, has_time: Callable[[], bool]) -> Reconciled | Refused:
        """Compare all claims of a campaign, or go on with a comparison that is under way: an operator's request.

        Raises:
            GateUnavailableError, LedgerUnavailableError, QueueUnavailableError: the same request again goes on.
        """
        self.see_queue()
        return self._compare(campaign_id, has_time, is_asked=True)

    def check(self, campaign_id: str, sent: ClaimCounts | None, has_time: Callable[[], bool]) -> Checked:
        """Compare a campaign if its counts tell that something is missing, or a comparison is under way: by itself.

        Args:
            sent: the gate's counts from before the queue was seen empty; None if it was not.

        Raises:
            GateUnavailableError, LedgerUnavailableError: the same call again goes on.
        """
        notes = _Notes.of(self.gate.reconcile_notes(campaign_id))
        if sent and not notes.step:
            # Not during a rush, whose rows the drain is writing.
            notes = self._recount(campaign_id, notes, has_time)
        missing, differs = self._difference(campaign_id, sent, notes) if sent else (0, False)
        if notes.step or differs:
            return Checked(missing, self._compare(campaign_id, has_time, is_asked=False))
        return Checked(missing, None)

    def see_queue(self) -> bool:
        """Tell whether the queue is empty, and note it: what was sent before was delivered, or is lost."""
        asked_at = self.gate.now()
        is_empty = self.queue.count() == 0
        if is_empty:
            self.gate.note_queue_empty(asked_at)
        return is_empty

    def _recount(self, campaign_id: str, notes: _Notes, has_time: Callable[[], bool]) -> _Notes:
        """Have the ledger count its rows, which it does not do when somebody asks how many there are."""
        if 0 <= self.gate.now() - notes.counted_at < self.quiet_ms:
            return notes
        range_no: int | None = notes.range_no
        while range_no is not None and has_time():
            began = self.clock.now()
            range_no = self.ledger.recount(campaign_id, range_no)
            # Most campaigns have one range, and few rows in it.
            hold(self.clock, began, 0 if range_no is None else 1, _RANGES_PER_SECOND)
        is_done = range_no is None
        notes = replace(notes, range_no=range_no or 0, counted_at=self.gate.now() if is_done else notes.counted_at)
        self.gate.note_reconcile(campaign_id, notes.to_keep)
        return notes

    def _difference(self, campaign_id: str, sent: ClaimCounts, notes: _Notes) -> tuple[int, bool]:
        """Return how many claims are missing from the ledger, and whether there is a reason to compare all of them."""
        counts = self.ledger.counts(campaign_id)
        missing = max(0, sent.claims - sent.outbox - counts.issued - counts.overflow)
        is_unmarked = sent.issued < counts.issued and self.gate.claim_counts(campaign_id).issued < counts.issued
        is_unerased = sent.erased > 0 and sent.erased > len(self.ledger.erasures(campaign_id))
        differs = missing > 0 or is_unmarked or is_unerased or counts.overflow > 0
        return missing, differs and notes.done != self._done(sent, counts)

    def _done(self, sent: ClaimCounts, counts: LedgerCounts) -> str:
        """Sum up what both sides count. With the day, so that what differs for good is looked at once a day."""
        return f"{self.gate.now() // _DAY_MS}:{sent}:{counts}"

    def _compare(self, campaign_id: str, has_time: Callable[[], bool], *, is_asked: bool) -> Reconciled | Refused:
        with self.ledger.campaign_lock(campaign_id, LOCK_WAIT_SECONDS):
            record = Alignment(self.gate, self.ledger).run(campaign_id)
            if isinstance(record, Refused):
                return record
            if self.gate.state(campaign_id) is not GateState.WHOLE:
                # A rebuild compares as well.
                return Reconciled()
            notes = _Notes.of(self.gate.reconcile_notes(campaign_id))
            if not notes.step:
                notes = self._begin(campaign_id, notes, 0 if is_asked else self.quiet_ms, has_time)
            while notes.step and has_time():
                began = self.clock.now()
                if notes.step == "comparing":
                    notes, rows, rate = *self._look_up(campaign_id, notes), _LOOKED_UP_PER_SECOND
                else:
                    notes, rows, rate = *self._mark(campaign_id, notes), _READ_PER_SECOND
                if not notes.step:
                    notes = self._finish(record, notes, is_asked=is_asked)
                self.gate.note_reconcile(campaign_id, notes.to_keep)
                hold(self.clock, began, rows, rate)
            return Reconciled(notes.compared, notes.resent, complete=not notes.step)

    def _begin(self, campaign_id: str, notes: _Notes, margin_ms: int, has_time: Callable[[], bool]) -> _Notes:
        notes = self._recount(campaign_id, notes, has_time)
        before = (self.gate.queue_empty_at() or 0) - margin_ms
        return replace(notes, step="comparing", after="", before=before, compared=0, resent=0, skipped=0)

    def _look_up(self, campaign_id: str, notes: _Notes) -> tuple[_Notes, int]:
        claims, after = self.gate.claims_page(campaign_id, notes.after)
        settled = self.ledger.settled_codes(campaign_id, claims)
        nowhere = [claim for claim in claims if claim.coupon_code not in settled]
        now = self.gate.now() if nowhere else 0
        # One from the future was accepted before the gate's clock was set back.
        old = [claim for claim in nowhere if not notes.before <= claim.accepted_at <= now]
        resent = self.gate.add_to_outbox(old)
        notes = replace(
            notes,
            step="comparing" if after else "marking",
            after=after or "",
            compared=notes.compared + len(claims),
            resent=notes.resent + resent,
            skipped=notes.skipped + len(nowhere) - resent,
        )
        return notes, len(claims)

    def _mark(self, campaign_id: str, notes: _Notes) -> tuple[_Notes, int]:
        """Note at the gate what is issued, if it was not noted when it was issued."""
        if not notes.after and self.gate.claim_counts(campaign_id).issued >= self.ledger.counts(campaign_id).issued:
            return replace(notes, step=""), 0
        coupons = self.ledger.coupons(campaign_id, int(notes.after or 0), _PAGE)
        if not coupons:
            return replace(notes, step="", after=""), 0
        self.gate.mark_issued([coupon.claim for coupon in coupons])
        return replace(notes, after=str(coupons[-1].claim.sequence)), len(coupons)

    def _finish(self, record: CampaignRecord, notes: _Notes, *, is_asked: bool) -> _Notes:
        campaign_id = record.campaign.campaign_id
        erasures = self.gate.erasures(campaign_id)
        if erasures:
            self.ledger.apply_erasures(campaign_id, erasures)
        is_done = not notes.resent and not notes.skipped
        if is_done:
            # Not before: a free seat may be that of a claim which is on its way.
            self._seat_overflow(record, is_asked=is_asked)
        counts = self.gate.claim_counts(campaign_id), self.ledger.counts(campaign_id)
        return replace(notes, step="", done=self._done(*counts) if is_done else "")

    def _seat_overflow(self, record: CampaignRecord, *, is_asked: bool) -> None:
        """Give seats to claims that found none.

        While a campaign is open, its gate gives the seats: one that the ledger gives closes it until it is rebuilt.
        """
        campaign_id = record.campaign.campaign_id
        counts = self.ledger.counts(campaign_id)
        if not counts.overflow or counts.issued >= record.campaign.capacity:
            return
        view = self.gate.show(campaign_id)
        if isinstance(view, GateView) and (is_asked or view.phase is not Phase.OPEN):
            while issued := self.ledger.reseat_overflow(campaign_id, _PAGE).issued:
                self.gate.mark_issued(issued)
