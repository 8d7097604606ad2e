"""The ports in memory. Each fake passes the same contract tests as the adapter it stands for, see tests/contract."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from firstcome.domain.campaign import Campaign, CampaignEvent, CampaignRecord, CampaignSort, CampaignState, Phase
from firstcome.domain.claim import (
    Admission,
    Claim,
    Erasure,
    Finding,
    IssuedCoupon,
    LedgerCounts,
    Overflow,
    OverflowReason,
    Settlement,
)
from firstcome.domain.errors import (
    CampaignLockedError,
    GateLostError,
    GateUnavailableError,
    LedgerUnavailableError,
    QueueUnavailableError,
)
from firstcome.domain.gate import (
    ClaimCounts,
    ConfigureResult,
    EraseResult,
    Fence,
    GateState,
    GateView,
    Reopened,
)
from firstcome.domain.refusal import Refusal, Refused
from firstcome.domain.times import Millis

NOW = 1_795_000_000_000
"""The instant at which fake time begins, in November 2026."""


@dataclass
class FakeClock:
    """Time that passes only when somebody sleeps."""

    time: Millis = NOW
    slept_ms: int = 0

    def now(self) -> Millis:
        """Implement `Clock.now`."""
        return self.time

    def sleep(self, duration_ms: int) -> None:
        """Implement `Clock.sleep`."""
        self.time += duration_ms
        self.slept_ms += duration_ms


@dataclass
class _FenceState:
    since: Millis
    ledger_since: Millis | None
    phase: str = ""
    position: str = ""
    taken: set[int] = field(default_factory=set)
    is_listed: bool = False


@dataclass
class _GateState:
    campaign: Campaign | None
    accepted: int = 0
    claims: dict[str, Claim] = field(default_factory=dict)
    outbox: set[str] = field(default_factory=set)
    issued: set[int] = field(default_factory=set)
    free: list[int] = field(default_factory=list)
    surplus: int = 0
    is_fenced: bool = False
    fence: _FenceState | None = None
    erased: dict[tuple[int, str], str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    newest_at: Millis | None = None

    @property
    def health(self) -> GateState:
        """Whether it may admit."""
        if self.is_fenced:
            return GateState.FENCED
        is_short = len(self.claims) + len(self.free) < self.accepted + self.surplus
        return GateState.LOST if is_short else GateState.WHOLE

    def take(self, claim: Claim) -> None:
        """Note during a rebuild that somebody has this sequence."""
        if self.fence:
            self.fence.taken.add(claim.sequence)
            self.accepted = max(self.accepted, claim.sequence)


@dataclass
class MemoryGate:
    """Implements `ports.Gate`; `is_down` makes every call fail."""

    clock: FakeClock = field(default_factory=FakeClock)
    is_down: bool = False
    states: dict[str, _GateState] = field(default_factory=dict)
    remembered: set[str] | None = None
    archived_ids: set[str] = field(default_factory=set)
    seen_empty_at: Millis | None = None
    weaker_fence: bool = False

    def apply(self, campaign_id: str, user_id: str, coupon_code: str) -> Admission | Refused:
        """Implement `Gate.apply`."""
        state = self._state_or_none(campaign_id)
        if isinstance(state, Refused):
            return state
        if state is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        if user_id in state.claims:
            return self._admission(state, user_id)
        view = self._view(state)
        if view.campaign is None or not view.is_available:
            raise GateLostError(campaign_id)
        if view.phase is Phase.NOT_OPEN:
            return Refused(Refusal.NOT_OPEN, opens_at=view.campaign.opens_at, now=self.clock.now())
        if view.phase is not Phase.OPEN and not (view.phase is Phase.SOLD_OUT and state.free):
            return Refused(Refusal(view.phase.value))
        if state.free:
            sequence = state.free.pop(0)
        else:
            state.accepted += 1
            sequence = state.accepted
        claim = Claim(campaign_id, user_id, sequence, coupon_code, self.clock.now())
        state.claims[user_id] = claim
        state.outbox.add(user_id)
        state.newest_at = claim.accepted_at
        return Admission(claim, is_new=True, is_in_outbox=True, is_issued=False)

    def find(self, campaign_id: str, user_id: str) -> Admission | Refused | None:
        """Implement `Gate.find`."""
        state = self._state_or_none(campaign_id)
        if not isinstance(state, _GateState):
            return state
        if user_id in state.claims:
            return self._admission(state, user_id)
        if state.health is not GateState.WHOLE:
            raise GateLostError(campaign_id)
        return None

    def show(self, campaign_id: str) -> GateView | Refused | None:
        """Implement `Gate.show`."""
        try:
            state = self._state_or_none(campaign_id)
        except GateLostError:
            return GateView(None, 0, self.clock.now(), is_available=False)
        return self._view(state) if isinstance(state, _GateState) else state

    def now(self) -> Millis:
        """Implement `Gate.now`."""
        self._answer()
        return self.clock.now()

    def campaign_ids(self) -> list[str] | None:
        """Implement `Gate.campaign_ids`."""
        self._answer()
        return None if self.remembered is None else sorted(self.remembered)

    def register(self, campaign_ids: Iterable[str]) -> None:
        """Implement `Gate.register`."""
        self._answer()
        self.remembered = (self.remembered or set()) | set(campaign_ids)

    def archived(self, campaign_id: str) -> bool:
        """Implement `Gate.archived`."""
        self._answer()
        return campaign_id in self.archived_ids

    def register_archived(self, campaign_ids: Iterable[str]) -> None:
        """Implement `Gate.register_archived`."""
        self._answer()
        self.archived_ids |= set(campaign_ids)

    def archive(self, campaign_id: str) -> None:
        """Implement `Gate.archive`."""
        self._answer()
        self.archived_ids.add(campaign_id)
        self.states.pop(campaign_id, None)
        if self.remembered:
            self.remembered.discard(campaign_id)

    def remove_from_outbox(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.remove_from_outbox`."""
        self._answer()
        for claim in claims:
            state = self.states.get(claim.campaign_id)
            if state:
                state.outbox.discard(claim.user_id)

    def outbox(self, campaign_id: str, older_than_ms: int, limit: int) -> list[Claim]:
        """Implement `Gate.outbox`."""
        self._answer()
        state = self.states.get(campaign_id)
        if state is None:
            return []
        state.outbox &= state.claims.keys()
        now = self.clock.now()
        claims = [state.claims[user] for user in state.outbox]
        due = [claim for claim in claims if claim.accepted_at <= now - older_than_ms or claim.accepted_at > now]
        return sorted(due, key=lambda claim: (claim.accepted_at, claim.user_id))[:limit]

    def mark_issued(self, claims: Iterable[Claim]) -> None:
        """Implement `Gate.mark_issued`."""
        self._answer()
        for claim in claims:
            state = self.states.get(claim.campaign_id)
            if state is None:
                continue
            user_id = state.erased.get((claim.sequence, claim.coupon_code), claim.user_id)
            is_new = user_id not in state.claims
            state.claims[user_id] = replace(claim, user_id=user_id)
            state.issued.add(claim.sequence)
            state.surplus += is_new
            state.is_fenced |= claim.sequence > state.accepted or (is_new and bool(state.free))
            state.take(claim)

    def create(self, campaign: Campaign) -> ConfigureResult:
        """Implement `Gate.create`."""
        self._answer()
        state = self.states.get(campaign.campaign_id)
        if state is None or (state.is_fenced and not state.accepted and not state.claims):
            self.states[campaign.campaign_id] = _GateState(campaign)
        return self.change(campaign)

    def change(self, campaign: Campaign) -> ConfigureResult:
        """Implement `Gate.change`."""
        self._answer()
        state = self.states.get(campaign.campaign_id)
        if state is None or state.campaign is None or state.health is not GateState.WHOLE:
            return ConfigureResult.FENCED if state and state.is_fenced else ConfigureResult.LOST
        had = state.campaign
        if campaign.version < had.version or (campaign.version == had.version and had.version and campaign != had):
            return ConfigureResult.STALE
        if state.accepted > campaign.capacity:
            return ConfigureResult.BELOW_ACCEPTED
        state.campaign = campaign
        return ConfigureResult.DONE

    def state(self, campaign_id: str) -> GateState:
        """Implement `Gate.state`."""
        self._answer()
        state = self.states.get(campaign_id)
        return state.health if state else GateState.LOST

    def fence(self, campaign_id: str, ledger_now: Millis | None = None, highest: int = 0) -> Fence:
        """Implement `Gate.fence`."""
        self._answer()
        if campaign_id in self.archived_ids:
            raise GateLostError(campaign_id)
        state = self.states.setdefault(campaign_id, _GateState(None))
        now = self.clock.now()
        if state.fence is None:
            state.fence, state.free = _FenceState(now, ledger_now), []
        fence = state.fence
        fence.since = min(fence.since, now)
        state.is_fenced = True
        state.accepted = max(state.accepted, highest)
        age = now - fence.since
        if ledger_now is not None:
            if fence.ledger_since is None or fence.ledger_since > ledger_now:
                fence.ledger_since = ledger_now
            age = min(age, ledger_now - fence.ledger_since)
        return Fence(campaign_id, "memory", fence.since, age, state.accepted, fence.phase, fence.position)

    def advance(self, fence: Fence, phase: str, position: str) -> None:
        """Implement `Gate.advance`."""
        found = self._fenced(fence)[1]
        found.phase, found.position = phase, position

    def prepare(self, campaign: Campaign, fence: Fence) -> None:
        """Implement `Gate.prepare`."""
        state, found = self._fenced(fence)
        state.campaign = campaign
        if not found.phase:
            state.issued.clear()

    def restore_issued(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.restore_issued`."""
        for claim in claims:
            state = self._restoring(claim)
            state.claims[claim.user_id] = claim
            state.issued.add(claim.sequence)
            state.outbox.discard(claim.user_id)
            state.take(claim)

    def restore_overflow(self, claims: Sequence[Claim]) -> None:
        """Implement `Gate.restore_overflow`."""
        for claim in claims:
            self._restoring(claim).claims.setdefault(claim.user_id, claim)

    def claims_page(self, campaign_id: str, position: str) -> tuple[list[Claim], str | None]:
        """Implement `Gate.claims_page`, three at a time."""
        self._answer()
        state = self.states.get(campaign_id)
        claims = sorted(state.claims.values(), key=lambda claim: claim.user_id) if state else []
        left = [claim for claim in claims if claim.user_id > position]
        return left[:3], left[2].user_id if len(left) > 3 else None

    def add_to_outbox(self, claims: Sequence[Claim]) -> int:
        """Implement `Gate.add_to_outbox`."""
        self._answer()
        added = 0
        for claim in claims:
            state = self.states.get(claim.campaign_id)
            if state and state.claims.get(claim.user_id) == claim:
                added += claim.user_id not in state.outbox
                state.outbox.add(claim.user_id)
                state.take(claim)
        return added

    def claim_counts(self, campaign_id: str) -> ClaimCounts:
        """Implement `Gate.claim_counts`."""
        self._answer()
        state = self.states.get(campaign_id, _GateState(None))
        return ClaimCounts(len(state.claims), len(state.outbox), len(state.issued), len(state.erased))

    def list_free(self, fence: Fence) -> bool:
        """Implement `Gate.list_free`, all at once."""
        state, found = self._fenced(fence)
        state.free = sorted(set(range(1, state.accepted + 1)) - found.taken)
        found.is_listed = True
        return False

    def reopen(self, campaign: Campaign, fence: Fence) -> Reopened:
        """Implement `Gate.reopen`."""
        state, found = self._fenced(fence)
        if not found.is_listed or len(found.taken) + len(state.free) != state.accepted:
            raise GateUnavailableError("not complete")
        if len(state.claims) < len(found.taken):
            state.fence = _FenceState(found.since, found.ledger_since)
            raise GateUnavailableError("not complete")
        state.campaign, state.is_fenced, state.fence, state.notes = campaign, False, None, {}
        state.surplus = len(state.claims) - len(found.taken)
        return Reopened(state.accepted, len(state.free))

    def erase(self, campaign_id: str, user_id: str, pseudonym: str) -> EraseResult:
        """Implement `Gate.erase`."""
        self._answer()
        state = self.states.get(campaign_id)
        if state is None or (user_id not in state.claims and state.health is not GateState.WHOLE):
            raise GateLostError(campaign_id)
        claim = state.claims.get(user_id)
        if claim is None:
            return EraseResult.NONE
        if user_id in state.outbox:
            return EraseResult.UNDER_WAY
        kept = state.erased.setdefault((claim.sequence, claim.coupon_code), pseudonym)
        state.surplus -= kept in state.claims
        state.claims[kept] = replace(state.claims.pop(user_id), user_id=kept)
        return EraseResult.DONE

    def erasures(self, campaign_id: str) -> list[Erasure]:
        """Implement `Gate.erasures`."""
        self._answer()
        state = self.states.get(campaign_id)
        return [Erasure(*key, pseudonym) for key, pseudonym in state.erased.items()] if state else []

    def note_queue_empty(self, at: Millis) -> None:
        """Implement `Gate.note_queue_empty`."""
        self._answer()
        self.seen_empty_at = at

    def queue_empty_at(self) -> Millis | None:
        """Implement `Gate.queue_empty_at`."""
        self._answer()
        at = self.seen_empty_at
        return at if at is not None and at <= self.clock.now() else None

    def note_reconcile(self, campaign_id: str, notes: Mapping[str, str]) -> None:
        """Implement `Gate.note_reconcile`."""
        self._answer()
        if campaign_id in self.states:
            self.states[campaign_id].notes.update(notes)

    def add_answers(self, campaign_id: str, numbers: Mapping[str, int]) -> None:
        """Implement `Gate.add_answers`."""
        self._answer()
        if campaign_id in self.states:
            self.states[campaign_id].answers.update(numbers)

    def answers(self, campaign_id: str) -> dict[str, int]:
        """Implement `Gate.answers`."""
        self._answer()
        return dict(self.states[campaign_id].answers) if campaign_id in self.states else {}

    def reconcile_notes(self, campaign_id: str) -> dict[str, str]:
        """Implement `Gate.reconcile_notes`."""
        self._answer()
        state = self.states.get(campaign_id)
        return dict(state.notes) if state else {}

    def lose(self) -> None:
        """Forget everything, as a wiped server does."""
        self.states.clear()
        self.archived_ids.clear()
        self.remembered = self.seen_empty_at = None

    def lose_claims(self, campaign_id: str) -> None:
        """Forget a campaign's claims and nothing else, as a server does that evicts a key."""
        self.states[campaign_id].claims.clear()

    def _fenced(self, fence: Fence) -> tuple[_GateState, _FenceState]:
        self._answer()
        state = self.states.get(fence.campaign_id)
        if not state or not state.fence or (fence.run_id, fence.since) != ("memory", state.fence.since):
            raise GateUnavailableError("other fence")
        return state, state.fence

    def _restoring(self, claim: Claim) -> _GateState:
        self._answer()
        state = self.states.get(claim.campaign_id)
        if state is None or state.fence is None:
            raise GateUnavailableError("not fenced")
        return state

    def _answer(self) -> None:
        if self.is_down:
            raise GateUnavailableError("down")

    def _state_or_none(self, campaign_id: str) -> _GateState | Refused | None:
        self._answer()
        state = self.states.get(campaign_id)
        if state:
            return state
        if campaign_id in self.archived_ids:
            return Refused(Refusal.ARCHIVED)
        if self.remembered is None or campaign_id in self.remembered:
            raise GateLostError(campaign_id)
        return None

    def _view(self, state: _GateState) -> GateView:
        now = self.clock.now()
        entries = [state.claims[user].accepted_at for user in state.outbox if user in state.claims]
        return GateView(
            state.campaign,
            state.accepted - len(state.free),
            now,
            state.health is GateState.WHOLE,
            len(state.outbox),
            max(0, now - min(entries, default=now)),
            state.accepted,
            state.newest_at,
        )

    def _admission(self, state: _GateState, user_id: str) -> Admission:
        claim = state.claims[user_id]
        return Admission(
            claim, is_new=False, is_in_outbox=user_id in state.outbox, is_issued=claim.sequence in state.issued
        )


@dataclass
class MemoryQueue:
    """Implements `ports.ClaimQueue` and `ports.ClaimSender`.

    `refuses` names users whose claims a batch fails for, `is_down` fails all.
    """

    sent: list[Claim] = field(default_factory=list)
    is_down: bool = False
    refuses: set[str] = field(default_factory=set)
    delivered: int = 0
    delays: dict[str, int] = field(default_factory=dict)

    def send(self, claim: Claim) -> None:
        """Implement `ClaimSender.send`."""
        if self.is_down:
            raise QueueUnavailableError("down")
        self.sent.append(claim)

    def send_all(self, claims: Sequence[Claim]) -> list[Claim]:
        """Implement `ClaimQueue.send_all`."""
        if self.is_down:
            raise QueueUnavailableError("down")
        taken = [claim for claim in claims if claim.user_id not in self.refuses]
        self.sent += taken
        return taken

    def count(self) -> int:
        """Implement `ClaimQueue.count`."""
        if self.is_down:
            raise QueueUnavailableError("down")
        return len(self.sent) - self.delivered

    def delay(self, seconds: Mapping[str, int]) -> None:
        """Implement `ClaimQueue.delay`; `delays` is what was asked for."""
        if self.is_down:
            raise QueueUnavailableError("down")
        self.delays.update(seconds)


@dataclass
class MemoryDeadLetters:
    """Implements `ports.DeadLetters`; `buried` is id -> (body, reason)."""

    buried: dict[str, tuple[str, str]] = field(default_factory=dict)
    is_down: bool = False
    refuses: set[str] = field(default_factory=set)

    def send(self, messages: Mapping[str, tuple[str, str]]) -> set[str]:
        """Implement `DeadLetters.bury`."""
        if self.is_down:
            raise QueueUnavailableError("down")
        taken = {message_id: message for message_id, message in messages.items() if message_id not in self.refuses}
        self.buried.update(taken)
        return set(taken)

    def count(self) -> int:
        """Implement `DeadLetters.count`."""
        if self.is_down:
            raise QueueUnavailableError("down")
        return len(self.buried)


@dataclass
class MemoryLedger:
    """Implements `ports.Ledger`; `is_down` makes every call fail, and `locked` names campaigns that others change.

    `conflicts` names users whose claims meet an error of their own.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    is_down: bool = False
    records: dict[str, CampaignRecord] = field(default_factory=dict)
    rows: dict[tuple[str, int], IssuedCoupon] = field(default_factory=dict)
    overflow_rows: dict[tuple[str, str, str], Overflow] = field(default_factory=dict)
    erased: dict[tuple[str, str], Erasure] = field(default_factory=dict)
    trail: list[CampaignEvent] = field(default_factory=list)
    is_migrated: bool = False
    alone: list[str] = field(default_factory=list)
    locked: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)
    recounted: list[tuple[str, int]] = field(default_factory=list)

    def issue(self, claims: Sequence[Claim]) -> Settlement:
        """Implement `Ledger.issue`."""
        self._answer()
        ordered = sorted(set(claims), key=lambda claim: (claim.campaign_id, claim.sequence, claim.user_id))
        unsettled = [claim for claim in ordered if claim.user_id in self.conflicts]
        if ordered and unsettled == ordered:
            raise LedgerUnavailableError("conflict")
        settlement = self._settle([self._named(claim) for claim in ordered if claim not in unsettled])
        return replace(settlement, unsettled=unsettled)

    def create(self, campaign: Campaign) -> bool:
        """Implement `Ledger.create`."""
        self._answer()
        if campaign.campaign_id in self.records:
            return False
        # A millisecond later each time, so that "newest first" is an order.
        self.clock.time += 1
        self._keep(replace(campaign, version=0, paused=False), CampaignState.CREATING)
        return True

    def update(
        self, campaign: Campaign, expected_version: int, event: CampaignEvent | None = None
    ) -> CampaignRecord | None:
        """Implement `Ledger.update`."""
        self._answer()
        record = self.records.get(campaign.campaign_id)
        if record is None or record.state is CampaignState.ARCHIVED:
            return None
        changed = replace(campaign, version=expected_version + 1)
        if record.campaign.version == expected_version:
            if event:
                self.record(event)
            return self._keep(changed, _state(changed))
        return record if record.campaign == changed else None

    def archive(self, campaign_id: str) -> CampaignRecord | None:
        """Implement `Ledger.archive`."""
        self._answer()
        record = self.records.get(campaign_id)
        if record is None or record.state is CampaignState.ARCHIVED:
            return record
        archived = replace(record.campaign, version=record.campaign.version + 1, paused=False)
        return self._keep(archived, CampaignState.ARCHIVED)

    def restore_campaign(self, campaign: Campaign) -> bool:
        """Implement `Ledger.restore_campaign`."""
        self._answer()
        record = self.records.get(campaign.campaign_id)
        if record and (record.campaign.version >= campaign.version or record.state is CampaignState.ARCHIVED):
            return False
        self._keep(campaign, _state(campaign))
        return True

    def find(self, campaign_id: str) -> CampaignRecord | None:
        """Implement `Ledger.find`."""
        self._answer()
        return self.records.get(campaign_id)

    def campaigns(
        self,
        after: str | None,
        limit: int,
        *,
        state: CampaignState | None = None,
        q: str = "",
        sort: CampaignSort = CampaignSort.CREATED,
    ) -> list[CampaignRecord]:
        """Implement `Ledger.campaigns`."""
        self._answer()
        if after is not None and after not in self.records:
            return []
        ordered = self._ordered(sort)
        if after is not None:
            ordered = ordered[ordered.index(self.records[after]) + 1 :]
        return [
            record
            for record in ordered
            if state in (None, record.state)
            and (q.lower() in record.campaign.campaign_id or q.lower() in record.campaign.name.lower())
        ][:limit]

    def active_campaigns(self) -> list[CampaignRecord]:
        """Implement `Ledger.active_campaigns`."""
        self._answer()
        return [record for _, record in sorted(self.records.items()) if record.state is not CampaignState.ARCHIVED]

    def archived_ids(self, after: str, limit: int) -> list[str]:
        """Implement `Ledger.archived_ids`."""
        self._answer()
        archived = [name for name, record in self.records.items() if record.state is CampaignState.ARCHIVED]
        return [name for name in sorted(archived) if name > after][:limit]

    def coupons(self, campaign_id: str, after: int, limit: int) -> list[IssuedCoupon]:
        """Implement `Ledger.coupons`."""
        self._answer()
        return [row for (of, sequence), row in sorted(self.rows.items()) if of == campaign_id and sequence > after][
            :limit
        ]

    def counts(self, campaign_id: str) -> LedgerCounts:
        """Implement `Ledger.counts`."""
        self._answer()
        issued = [sequence for of, sequence in self.rows if of == campaign_id]
        return LedgerCounts(len(issued), len(self.overflow_claims(campaign_id)), max(issued, default=0))

    def accepted_after_gap(self, campaign_id: str) -> Millis | None:
        """Implement `Ledger.accepted_after_gap`."""
        self._answer()
        rows = {sequence: row.claim for (of, sequence), row in self.rows.items() if of == campaign_id}
        after = [sequence for sequence in rows if sequence > 1 and sequence - 1 not in rows]
        return rows[max(after)].accepted_at if after else None

    def recount(self, campaign_id: str, range_no: int) -> int | None:
        """Implement `Ledger.recount`, of counts that cannot be wrong."""
        highest = self.counts(campaign_id).highest
        self.recounted.append((campaign_id, range_no))
        return range_no + 1 if range_no < (highest - 1) // 10_000 else None

    def overflow_claims(self, campaign_id: str) -> list[Claim]:
        """Return claims that have no seat, by coupon code."""
        return sorted(self._waiting(campaign_id), key=lambda claim: claim.coupon_code)

    def overflow(self, campaign_id: str, after: str, limit: int) -> list[Claim]:
        """Implement `Ledger.overflow`."""
        self._answer()
        return [claim for claim in self.overflow_claims(campaign_id) if claim.coupon_code > after][:limit]

    def reseat_overflow(self, campaign_id: str, limit: int) -> Settlement:
        """Implement `Ledger.reseat_overflow`."""
        self._answer()
        waiting = [claim for claim in self._waiting(campaign_id) if self._reason(claim) is OverflowReason.NO_SEAT]
        waiting.sort(key=lambda claim: (claim.accepted_at, claim.sequence))
        reseated: list[Claim] = []
        overflow: list[Overflow] = []
        for claim in waiting[:limit]:
            self._reseat_into(claim, reseated, overflow)
        return Settlement(reseated, reseated, overflow)

    def settled_codes(self, campaign_id: str, claims: Sequence[Claim]) -> set[str]:
        """Implement `Ledger.settled_codes`."""
        self._answer()
        kept = {row.claim.coupon_code for row in self.rows.values()}
        kept |= {claim.coupon_code for claim in self._waiting(campaign_id)}
        return kept & {claim.coupon_code for claim in claims}

    def find_by_user(self, campaign_id: str, user_id: str) -> Finding:
        """Implement `Ledger.find_by_user`."""
        return self._find_claim(campaign_id, lambda claim: claim.user_id == user_id)

    def find_by_code(self, campaign_id: str, coupon_code: str) -> Finding:
        """Implement `Ledger.find_by_code`."""
        return self._find_claim(campaign_id, lambda claim: claim.coupon_code == coupon_code)

    def erase(self, campaign_id: str, user_id: str, pseudonym: str) -> list[Erasure]:
        """Implement `Ledger.erase`."""
        self._answer()
        claims = [row.claim for (of, _), row in self.rows.items() if of == campaign_id]
        claims += [item.claim for key, item in self.overflow_rows.items() if key[0] == campaign_id]
        for claim in claims:
            if claim.user_id == user_id:
                erasure = Erasure(claim.sequence, claim.coupon_code, pseudonym)
                self.erased.setdefault((campaign_id, claim.coupon_code), erasure)
        self._erase_what_is_listed(campaign_id)
        return [erasure for erasure in self.erasures(campaign_id) if erasure.pseudonym == pseudonym]

    def erasures(self, campaign_id: str) -> list[Erasure]:
        """Implement `Ledger.erasures`."""
        self._answer()
        return [erasure for (of, _), erasure in sorted(self.erased.items()) if of == campaign_id]

    def apply_erasures(self, campaign_id: str, erasures: Sequence[Erasure]) -> None:
        """Implement `Ledger.apply_erasures`."""
        self._answer()
        for erasure in erasures:
            self.erased.setdefault((campaign_id, erasure.coupon_code), erasure)
        self._erase_what_is_listed(campaign_id)

    def record(self, event: CampaignEvent) -> None:
        """Implement `Ledger.record`."""
        self._answer()
        mine = [one for one in self.trail if one.campaign_id == event.campaign_id]
        if all((one.at, one.actor, one.action) != (event.at, event.actor, event.action) for one in mine):
            self.trail.append(replace(event, number=len(mine) + 1))

    def events(self, campaign_id: str, after: int | None, limit: int) -> list[CampaignEvent]:
        """Implement `Ledger.events`."""
        self._answer()
        mine = [event for event in reversed(self.trail) if event.campaign_id == campaign_id]
        return [event for event in mine if after is None or event.number < after][:limit]

    def now(self) -> Millis:
        """Implement `Ledger.now`."""
        self._answer()
        return self.clock.now()

    def close(self) -> None:
        """Implement `Ledger.close`."""

    def migrate(self) -> None:
        """Implement `Ledger.migrate`."""
        self._answer()
        self.is_migrated = True

    @contextmanager
    def campaign_lock(self, campaign_id: str, wait_seconds: int = 5) -> Iterator[None]:
        """Implement `Ledger.campaign_lock`, for one thread."""
        self._answer()
        if campaign_id in self.locked:
            raise CampaignLockedError(f"waited {wait_seconds} s")
        self.alone.append(campaign_id)
        try:
            yield
        finally:
            self.alone.remove(campaign_id)

    def _answer(self) -> None:
        if self.is_down:
            raise LedgerUnavailableError("down")

    def _keep(self, campaign: Campaign, state: CampaignState) -> CampaignRecord:
        before = self.records.get(campaign.campaign_id)
        now = self.clock.now()
        record = CampaignRecord(campaign, state, before.created_at if before else now, now)
        self.records[campaign.campaign_id] = record
        return record

    def _ordered(self, sort: CampaignSort) -> list[CampaignRecord]:
        if sort is CampaignSort.CREATED:
            return sorted(self.records.values(), key=_age_key, reverse=True)
        now = self.clock.now()

        def key(record: CampaignRecord) -> tuple[bool, int, str]:
            opens_at = record.campaign.opens_at
            return opens_at < now, abs(opens_at - now), record.campaign.campaign_id

        return sorted(self.records.values(), key=key)

    def _capacity(self, campaign_id: str) -> int:
        record = self.records.get(campaign_id)
        return record.campaign.capacity if record else 0

    def _named(self, claim: Claim) -> Claim:
        erasure = self.erased.get((claim.campaign_id, claim.coupon_code))
        return replace(claim, user_id=erasure.pseudonym) if erasure else claim

    def _erase_what_is_listed(self, campaign_id: str) -> None:
        for key, row in self.rows.items():
            if key[0] == campaign_id:
                self.rows[key] = replace(row, claim=self._named(row.claim))
        for old, item in list(self.overflow_rows.items()):
            claim = self._named(item.claim)
            self.overflow_rows[(old[0], claim.user_id, old[2])] = replace(self.overflow_rows.pop(old), claim=claim)

    def _reason(self, claim: Claim) -> OverflowReason:
        return self.overflow_rows[(claim.campaign_id, claim.user_id, claim.coupon_code)].reason

    def _waiting(self, campaign_id: str) -> list[Claim]:
        """Return the claims in overflow that have no row."""
        held = {(row.claim.user_id, row.claim.coupon_code) for (of, _), row in self.rows.items() if of == campaign_id}
        items = [item for key, item in self.overflow_rows.items() if key[0] == campaign_id]
        return [item.claim for item in items if (item.claim.user_id, item.claim.coupon_code) not in held]

    def _find_claim(self, campaign_id: str, is_wanted: Callable[[Claim], bool]) -> Finding:
        self._answer()
        coupons = [row for (of, _), row in self.rows.items() if of == campaign_id and is_wanted(row.claim)]
        waiting = [claim for claim in self.overflow_claims(campaign_id) if is_wanted(claim)]
        return Finding(
            coupons[0] if coupons else None,
            Overflow(waiting[0], self._reason(waiting[0])) if waiting else None,
        )

    def _settle(self, claims: Sequence[Claim]) -> Settlement:
        issued: list[Claim] = []
        reseated: list[Claim] = []
        overflow: list[Overflow] = []
        seats = [(claim, self._seat(claim)) for claim in claims]
        issued += [seat for _, seat in seats if seat]
        for claim, seat in seats:
            if seat is None:
                self._reseat_into(claim, reseated, overflow)
        return Settlement([*issued, *reseated], reseated, overflow)

    def _seat(self, claim: Claim) -> Claim | None:
        """Write a claim's row as INSERT IGNORE does; returns the claim if the row is its own."""
        rows = [row.claim for row in self.rows.values()]
        seat = (claim.campaign_id, claim.sequence)
        is_free = seat not in self.rows and claim.sequence <= self._capacity(claim.campaign_id)
        is_new_user = all((row.campaign_id, row.user_id) != (claim.campaign_id, claim.user_id) for row in rows)
        is_new_code = all(row.coupon_code != claim.coupon_code for row in rows)
        if is_free and is_new_user and is_new_code:
            self.rows[seat] = IssuedCoupon(claim, self.clock.now())
        holder = self.rows.get(seat)
        is_own = holder is not None and (holder.claim.user_id, holder.claim.coupon_code) == (
            claim.user_id,
            claim.coupon_code,
        )
        return claim if is_own else None

    def _reseat_into(self, claim: Claim, reseated: list[Claim], overflow: list[Overflow]) -> None:
        outcome = self._reseat(claim)
        if isinstance(outcome, Overflow):
            self.overflow_rows[(claim.campaign_id, claim.user_id, claim.coupon_code)] = outcome
            overflow.append(outcome)
        else:
            reseated.append(outcome)

    def _reseat(self, claim: Claim) -> Claim | Overflow:
        for (campaign_id, sequence), row in self.rows.items():
            if (campaign_id, row.claim.user_id) == (claim.campaign_id, claim.user_id):
                if row.claim.coupon_code == claim.coupon_code:
                    return replace(claim, sequence=sequence)
                return Overflow(claim, OverflowReason.USER_HAS_COUPON)
        for sequence in range(self._capacity(claim.campaign_id), 0, -1):
            if (claim.campaign_id, sequence) not in self.rows:
                moved = replace(claim, sequence=sequence)
                return moved if self._seat(moved) else Overflow(claim, OverflowReason.CODE_TAKEN)
        return Overflow(claim, OverflowReason.NO_SEAT)


def _state(campaign: Campaign) -> CampaignState:
    return CampaignState.PAUSED if campaign.paused else CampaignState.ACTIVE


def _age_key(record: CampaignRecord) -> tuple[Millis, str]:
    return record.created_at, record.campaign.campaign_id
