"""Use cases of an operator: make, change, pause, resume, watch and list campaigns."""

from dataclasses import dataclass, replace

from firstcome.domain.campaign import Campaign, CampaignRecord
from firstcome.domain.claim import IssuedCoupon
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import ConfigureResult, GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.ports import Clock, DeadLetters, Gate, Ledger


@dataclass(frozen=True, slots=True)
class CapacityBelowAccepted:
    """A capacity lower than what was accepted already; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A campaign as it now is."""

    view: GateView
    is_new: bool


@dataclass(frozen=True, slots=True)
class Stats:
    """How far a campaign's claims are, from the gate to the ledger.

    Attributes:
        queued: accepted and sent, not yet settled in the ledger.
        dead_letters: messages in the dead-letter queue, all campaigns together.
    """

    capacity: int
    accepted: int
    outbox: int
    queued: int
    issued: int
    overflow: int
    dead_letters: int
    oldest_outbox_seconds: float


@dataclass(frozen=True, slots=True)
class Listed:
    """A campaign in a list; `view` is None when its gate could not be read."""

    record: CampaignRecord
    view: GateView | None


@dataclass(frozen=True, slots=True)
class Campaigns:
    """The operator's side of all campaigns.

    The ledger must never have fewer seats than the gate admits, or an accepted claim would find none. So capacity is
    raised in the ledger first and lowered in the gate first; what fails in between leaves the gate the lower one, and
    the same request again completes it.

    Attributes:
        hold_ms: how long the gate holds back a raise of what is sold out. It is waited for, so that whoever asks after
            the operator has the answer meets the raised capacity.
    """

    gate: Gate
    ledger: Ledger
    dead_letters: DeadLetters
    clock: Clock
    hold_ms: int

    def put(self, campaign: Campaign) -> Saved | CapacityBelowAccepted:
        """Make or change a campaign.

        Raises:
            GateLostError: the campaign is there but its gate is gone; it must be rebuilt first.
            GateUnavailableError, LedgerUnavailableError: the same request again completes the change.
        """
        with self.ledger.campaign_lock(campaign.campaign_id):
            if self.ledger.create(campaign):
                return self._open_gate(campaign)
            return self._change(campaign)

    def set_paused(self, campaign_id: str, *, paused: bool) -> GateView | Refused:
        """Pause or resume a campaign. Raises as `put` does."""
        with self.ledger.campaign_lock(campaign_id):
            record = self.ledger.find(campaign_id)
            if record is None:
                return Refused(Refusal.CAMPAIGN_NOT_FOUND)
            self._view(campaign_id)  # As in `_change`.
            changed = replace(record.campaign, paused=paused, version=record.campaign.version + 1)
            self.ledger.update(changed, record.campaign.version)
            self.gate.configure(changed)
            return self._view(campaign_id)

    def stats(self, campaign_id: str) -> Stats | Refused:
        """Return how far the campaign's claims are.

        Raises:
            GateUnavailableError, LedgerUnavailableError, QueueUnavailableError: one of the three did not answer.
        """
        record = self.ledger.find(campaign_id)
        if record is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        # The ledger first: read the other way round, claims accepted in between could make `queued` negative.
        in_ledger = self.ledger.counts(campaign_id)
        at_gate = self.gate.counts(campaign_id)
        settled = in_ledger.issued + in_ledger.overflow
        return Stats(
            capacity=record.campaign.capacity,
            accepted=at_gate.accepted,
            outbox=at_gate.outbox,
            queued=max(0, at_gate.accepted - at_gate.outbox - settled),
            issued=in_ledger.issued,
            overflow=in_ledger.overflow,
            dead_letters=self.dead_letters.count(),
            oldest_outbox_seconds=at_gate.oldest_outbox_ms / 1000,
        )

    def page(self, after: str | None, limit: int) -> list[Listed]:
        """Return campaigns, the newest first. Raises `LedgerUnavailableError`."""
        return [Listed(record, self._view_or_none(record)) for record in self.ledger.campaigns(after, limit)]

    def coupons(self, campaign_id: str, after: int, limit: int) -> list[IssuedCoupon] | Refused:
        """Return issued coupons by sequence. Raises `LedgerUnavailableError`."""
        if self.ledger.find(campaign_id) is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        return self.ledger.coupons(campaign_id, after, limit)

    def migrate(self) -> None:
        """Bring the schema up to date and plant the sentinel of an empty service; may be repeated."""
        self.ledger.migrate()
        if not self.ledger.campaign_ids():
            self.gate.register([])

    def _open_gate(self, campaign: Campaign) -> Saved | CapacityBelowAccepted:
        # Remembered before it is made: a gate that is remembered but missing answers 503, the other way round it would
        # answer 404, or be made anew at 1. All of them, should the sentinel itself have been lost.
        self.gate.register(self.ledger.campaign_ids())
        if self.gate.create(replace(campaign, version=1)) is ConfigureResult.BELOW_ACCEPTED:
            return CapacityBelowAccepted()
        self.ledger.update(campaign, 0)
        return Saved(self._view(campaign.campaign_id), is_new=True)

    def _change(self, campaign: Campaign) -> Saved | CapacityBelowAccepted:
        # A campaign whose making ended before its gate was remembered would never be missed, and so never be rebuilt.
        self.gate.register(self.ledger.campaign_ids())
        was = self._view(campaign.campaign_id)  # A lost gate is refused here, before the ledger is changed.
        record = self.ledger.find(campaign.campaign_id)
        before = record.campaign if record else campaign
        changed = replace(campaign, paused=before.paused, version=before.version + 1)
        if changed.capacity >= before.capacity:
            self.ledger.update(changed, before.version)
            is_done = self.gate.configure(changed)
            if was.remaining == 0 and changed.capacity > before.capacity:
                self.clock.sleep(self.hold_ms)
        else:
            is_done = self.gate.lower(changed)
            if is_done:
                self.ledger.update(changed, before.version)
        return Saved(self._view(campaign.campaign_id), is_new=False) if is_done else CapacityBelowAccepted()

    def _view(self, campaign_id: str) -> GateView:
        view = self.gate.show(campaign_id)
        if not isinstance(view, GateView) or view.campaign is None:
            raise GateLostError(campaign_id)
        return view

    def _view_or_none(self, record: CampaignRecord) -> GateView | None:
        try:
            return self._view(record.campaign.campaign_id)
        except GateUnavailableError:
            return None
