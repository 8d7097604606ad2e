"""Use case of the relay, once a minute: send what was accepted and is not known to be queued, heal what is not whole,
and find what was lost.

A fault of one campaign never stops another: whatever goes wrong with it is noted, and the rest goes on. Each part of a
run has a share of the time and goes on in the next run where it stopped.
"""

import random
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

from firstcome.domain.campaign import CampaignRecord, CampaignState
from firstcome.domain.gate import ClaimCounts, GateView
from firstcome.domain.refusal import Refused
from firstcome.domain.times import Millis
from firstcome.service.alignment import LOCK_WAIT_SECONDS, Alignment
from firstcome.service.ports import ClaimQueue, Clock, Gate, Ledger
from firstcome.service.rebuild import CLAIMS_A_ROUND, Rebuild, Rebuilt, StillUnderWay
from firstcome.service.reconcile import Reconcile, Reconciled

type HasTime = Callable[[], bool]
type View = GateView | Refused | None

_LOOKING_SHARE = 0.2
_OUTBOX_SHARE = 0.5
_HEALING_SHARE = 0.85
"""Of a run's time, from its beginning, after which the next part gets its turn. What is left in the end goes to healing
and to the outboxes.
"""

_SLICE_MS = 4_000
"""How long one campaign is worked on before the next one gets its turn; an operator's change waits for so long."""

_LOOKS_AT_QUEUE = 3
_LOOK_EVERY_MS = 1_000
"""Under a trickle of claims the queue is empty only now and then."""


@dataclass(slots=True)
class Relayed:
    """What became of the claims of one campaign that were found in the outbox.

    Attributes:
        found: claims that were to be sent.
        sent: those of them that the queue confirmed; the others stay in the outbox for the next run.
    """

    found: int = 0
    sent: int = 0

    @property
    def refused(self) -> int:
        """Claims that the queue did not confirm."""
        return self.found - self.sent


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that one campaign met; the next run tries again. Without a campaign it concerns all of them."""

    campaign_id: str
    error: Exception


@dataclass(slots=True)
class RelayReport:
    """What a run of the relay did.

    Attributes:
        relayed: by campaign; those that had nothing in the outbox are not in it.
        rebuilt: campaigns whose gate was restored from the ledger.
        closed: campaigns whose gate stays closed for now.
        reconciled: campaigns whose claims were all compared with the ledger, because their counts differed.
        missing: by campaign: claims that were sent and are not in the ledger though the queue was empty.
        failures: what went wrong.
    """

    relayed: dict[str, Relayed] = field(default_factory=dict)
    rebuilt: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    reconciled: list[str] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Claims of all campaigns that the queue confirmed."""
        return sum(one.sent for one in self.relayed.values())

    @property
    def refused(self) -> int:
        """Claims of all campaigns that it did not."""
        return sum(one.refused for one in self.relayed.values())

    @contextmanager
    def guard(self, campaign_id: str = "") -> Iterator[None]:
        """Note an error instead of raising it."""
        try:
            yield
        except Exception as exc:  # noqa: BLE001 - whatever it is, it must not stop the other campaigns
            self.failures.append(Failure(campaign_id, exc))


@dataclass(frozen=True, slots=True)
class Relay:
    """Relays, heals and reconciles.

    Attributes:
        after_ms: age from which a claim counts as left behind: no apply invocation is still about to send it.
        time_left_ms: how much of the invocation's time is left for beginning something.
    """

    gate: Gate
    queue: ClaimQueue
    ledger: Ledger
    rebuild: Rebuild
    reconcile: Reconcile
    clock: Clock
    after_ms: int
    time_left_ms: Callable[[], int]

    def run(self) -> RelayReport:
        """Look at all campaigns once.

        Raises:
            GateUnavailableError: the gate did not tell which campaigns there are. Everything waits for the next run.
            LedgerUnavailableError: likewise, after the gate was wiped.
        """
        report, begun_with = RelayReport(), self.time_left_ms()

        def until(share: float) -> HasTime:
            return lambda: self.time_left_ms() > begun_with * (1 - share)

        known = Alignment(self.gate, self.ledger).register_all()
        records = self._records(report)
        views = self._views(report, {*known, *(records or {})}, until(_LOOKING_SHARE))
        if records is not None:
            self._align(report, records, views, until(_LOOKING_SHARE))
        gates = {name: view for name, view in sorted(views.items()) if isinstance(view, GateView)}
        suspects = [name for name, view in gates.items() if not view.is_available]
        self._fence(report, suspects)
        unsent = self._send(report, [name for name, view in gates.items() if view.outbox], until(_OUTBOX_SHARE))
        if records is not None:
            closed = self._heal(report, suspects, records, until(_HEALING_SHARE))
            self._reconcile(report, [name for name, view in gates.items() if view.is_available], until(1))
            self._heal(report, closed, records, until(1))
        self._send(report, [*unsent, *report.reconciled], until(1))
        report.closed = [name for name in suspects if name not in report.rebuilt]
        return report

    def _records(self, report: RelayReport) -> dict[str, CampaignRecord] | None:
        """Return all campaigns that are not archived, by id; None, and nothing is healed, without the ledger."""
        with report.guard():
            return {record.campaign.campaign_id: record for record in self.ledger.active_campaigns()}
        return None

    def _views(self, report: RelayReport, campaign_ids: Set[str], has_time: HasTime) -> dict[str, View]:
        views: dict[str, View] = {}
        for campaign_id in _in_any_order(campaign_ids):
            with report.guard(campaign_id):
                if has_time():
                    views[campaign_id] = self.gate.show(campaign_id)
        return views

    def _align(
        self,
        report: RelayReport,
        records: Mapping[str, CampaignRecord],
        views: dict[str, View],
        has_time: HasTime,
    ) -> None:
        """Complete what was interrupted between ledger and gate, and settle where they differ."""
        alignment = Alignment(self.gate, self.ledger)
        with report.guard():
            alignment.restore_archived()
        for campaign_id, view in views.items():
            if _is_aligned(records.get(campaign_id), view) or not has_time():
                continue
            with report.guard(campaign_id), self.ledger.campaign_lock(campaign_id, LOCK_WAIT_SECONDS):
                alignment.run(campaign_id)
                views[campaign_id] = self.gate.show(campaign_id)

    def _fence(self, report: RelayReport, suspects: Sequence[str]) -> None:
        """Close all suspect gates before any is healed: the quiet time of each begins now."""
        ledger_now = None
        if suspects:
            with report.guard():
                ledger_now = self.ledger.now()
        for campaign_id in suspects:
            with report.guard(campaign_id):
                self.gate.fence(campaign_id, ledger_now)

    def _send(self, report: RelayReport, campaign_ids: Sequence[str], has_time: HasTime) -> list[str]:
        """Send from all outboxes in turn, so that a long one does not hold up the others. Returns those with more."""
        turns = deque(campaign_ids)
        while turns and has_time():
            campaign_id = turns.popleft()
            with report.guard(campaign_id):
                claims = self.gate.outbox(campaign_id, self.after_ms, CLAIMS_A_ROUND)
                if not claims:
                    continue
                relayed = report.relayed.setdefault(campaign_id, Relayed())
                relayed.found += len(claims)
                confirmed = self.queue.send_all(claims)
                relayed.sent += len(confirmed)
                if confirmed:
                    # Only now: a claim is never forgotten before the queue has it.
                    self.gate.remove_from_outbox(confirmed)
                if len(confirmed) == len(claims):
                    turns.append(campaign_id)
        return list(turns)

    def _heal(
        self, report: RelayReport, suspects: Sequence[str], records: Mapping[str, CampaignRecord], has_time: HasTime
    ) -> list[str]:
        """Rebuild gates: open campaigns first, then those that open soonest. Returns those to try again."""
        if not suspects:
            return []
        now, closed = self.gate.now(), []
        known = [records[name] for name in suspects if name in records]
        for record in sorted(known, key=lambda record: _urgency(record, now)):
            campaign_id = record.campaign.campaign_id
            outcome: object = StillUnderWay(is_restoring=True)
            while outcome == StillUnderWay(is_restoring=True) and has_time():
                outcome = None
                with report.guard(campaign_id):
                    outcome = self.rebuild.run(campaign_id, self._slice(has_time))
            if isinstance(outcome, Rebuilt):
                report.rebuilt.append(campaign_id)
            elif isinstance(outcome, StillUnderWay):
                closed.append(campaign_id)
        return closed

    def _reconcile(self, report: RelayReport, campaign_ids: Sequence[str], has_time: HasTime) -> None:
        sent = self._counts_of_sent(report, campaign_ids, has_time)
        turns = deque(_in_any_order(campaign_ids))
        while turns and has_time():
            campaign_id = turns.popleft()
            with report.guard(campaign_id):
                checked = self.reconcile.check(campaign_id, sent.get(campaign_id), self._slice(has_time))
                if checked.missing:
                    report.missing[campaign_id] = checked.missing
                if not isinstance(checked.outcome, Reconciled):
                    continue
                if checked.outcome.complete:
                    report.reconciled.append(campaign_id)
                else:
                    turns.append(campaign_id)

    def _counts_of_sent(
        self, report: RelayReport, campaign_ids: Sequence[str], has_time: HasTime
    ) -> dict[str, ClaimCounts]:
        """Return what gates counted before the queue was empty; nothing when it was not seen empty."""
        with report.guard():
            for look in range(_LOOKS_AT_QUEUE):
                if not has_time():
                    break
                self.clock.sleep(_LOOK_EVERY_MS if look else 0)
                counts = {}
                for campaign_id in campaign_ids:
                    with report.guard(campaign_id):
                        counts[campaign_id] = self.gate.claim_counts(campaign_id)
                if has_time() and self.reconcile.see_queue():
                    return counts
        return {}

    def _slice(self, has_time: HasTime) -> HasTime:
        ends_at = self.clock.now() + _SLICE_MS
        return lambda: self.clock.now() < ends_at and has_time()


def _in_any_order(campaign_ids: Collection[str]) -> list[str]:
    """Shuffle, so that each gets its turn in some run should there not be the time for all of them in one."""
    return random.sample(list(campaign_ids), len(campaign_ids))


def _is_aligned(record: CampaignRecord | None, view: View) -> bool:
    """Whether ledger and gate agree on a campaign; a gate that is not available is healed instead."""
    if record is None or record.state is CampaignState.CREATING or not isinstance(view, GateView):
        return False
    return not view.is_available or view.campaign == record.campaign


def _urgency(record: CampaignRecord, now: Millis) -> tuple[int, int]:
    campaign = record.campaign
    if now < campaign.opens_at:
        return 1, campaign.opens_at
    if now < campaign.closes_at:
        # The smallest first: they are back before a large one is.
        return 0, campaign.capacity
    return 2, -campaign.closes_at
