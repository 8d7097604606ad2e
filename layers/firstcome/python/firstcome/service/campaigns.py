"""Use cases of an operator: create, change, pause and resume campaigns."""

from dataclasses import dataclass, replace

from firstcome.domain.campaign import Campaign, CampaignRecord, CampaignState
from firstcome.domain.errors import GateLostError, GateUnavailableError, LedgerUnavailableError
from firstcome.domain.gate import ConfigureResult, GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service import audit
from firstcome.service.alignment import Alignment
from firstcome.service.ports import Clock, Gate, Ledger


@dataclass(frozen=True, slots=True)
class Seen:
    """A campaign as ledger and gate have it; the gate's view is None when it could not be read, or is gone for good."""

    record: CampaignRecord
    view: GateView | None


@dataclass(frozen=True, slots=True)
class Saved:
    """A campaign as it now is."""

    seen: Seen
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """The campaign is not as the request expects it; nothing was changed. `current` is None when there is none."""

    current: Seen | None


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a request expects of the campaign that it changes.

    Attributes:
        versions: those of which it must have one; None for any.
        must_exist: it must be there.
        must_be_new: it must not.
    """

    versions: frozenset[int] | None = None
    must_exist: bool = False
    must_be_new: bool = False

    @property
    def wants_one(self) -> bool:
        """Whether the campaign must be there."""
        return self.must_exist or self.versions is not None

    def allows(self, now: Campaign, wanted: Campaign) -> bool:
        """Whether a campaign that is there may be changed. One that is as wanted was changed by this very request."""
        if self.must_be_new:
            return False
        return self.versions is None or now.version in self.versions or now == wanted


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Changes campaigns, in the ledger and at the gate.

    The ledger must never have fewer seats than the gate admits, or an accepted claim would find none. So capacity is
    raised in the ledger first and lowered in the gate first, each with a version that the other one follows. What ends
    in between leaves the gate the lower one, and the next request completes it, or the relay (see `alignment`).

    Attributes:
        hold_ms: how long the gate holds back a raise of what is sold out. It is waited for, so that whoever asks after
            the operator has the answer meets the raised capacity.
    """

    gate: Gate
    ledger: Ledger
    clock: Clock
    hold_ms: int

    def put(self, campaign: Campaign, actor: str, expected: Precondition) -> Saved | VersionConflict | Refused:
        """Create or change a campaign; may be repeated.

        Args:
            actor: the operator's user id.

        Raises:
            GateLostError: the campaign is there but its gate is gone; it must be rebuilt first.
            GateUnavailableError, LedgerUnavailableError: the same request again completes the change.
        """
        campaign_id = campaign.campaign_id
        with self.ledger.campaign_lock(campaign_id):
            is_new = self._is_new(campaign_id)
            if is_new and expected.wants_one:
                return VersionConflict(None)
            if is_new:
                self.ledger.create(campaign)
                # Before its gate is made: rather twice than not at all.
                self.ledger.record(audit.change(self.ledger, actor, "create", None, replace(campaign, version=1)))
            # Before the gate is aligned: that may raise what an earlier request has raised in the ledger only.
            was = self._view(campaign_id)
            record = Alignment(self.gate, self.ledger).run(campaign_id)
            if isinstance(record, Refused):
                return record
            now = record.campaign
            wanted = replace(campaign, paused=now.paused, version=now.version)
            if not is_new and not expected.allows(now, wanted):
                return VersionConflict(Seen(record, self._view(campaign_id)))
            outcome = self._change(record, wanted, actor, "change")
            self._let_hold_pass(was, wanted)
            return replace(outcome, is_new=is_new) if isinstance(outcome, Saved) else outcome

    def pause(self, campaign_id: str, actor: str) -> Saved | Refused:
        """Admit nobody until the campaign is resumed. Raises as `put` does."""
        return self._set_paused(campaign_id, actor, "pause", paused=True)

    def resume(self, campaign_id: str, actor: str) -> Saved | Refused:
        """End a pause. Raises as `put` does."""
        return self._set_paused(campaign_id, actor, "resume", paused=False)

    def register_all(self) -> None:
        """Let an empty gate know which campaigns there are, so that only those are taken for lost; may be repeated."""
        Alignment(self.gate, self.ledger).register_all()

    def _is_new(self, campaign_id: str) -> bool:
        """Whether there is no such campaign yet, or one whose creation was interrupted."""
        record = self.ledger.find(campaign_id)
        if record is not None:
            return record.state is CampaignState.CREATING
        # The ledger may have gone back to a backup, from before the campaign was created.
        view = self.gate.show(campaign_id)
        return view is None or (isinstance(view, GateView) and view.campaign is None)

    def _set_paused(self, campaign_id: str, actor: str, action: str, *, paused: bool) -> Saved | Refused:
        with self.ledger.campaign_lock(campaign_id):
            record = Alignment(self.gate, self.ledger).run(campaign_id)
            if isinstance(record, Refused):
                return record
            return self._change(record, replace(record.campaign, paused=paused), actor, action)

    def _change(self, before: CampaignRecord, wanted: Campaign, actor: str, action: str) -> Saved | Refused:
        was = self._view(wanted.campaign_id)
        if was is None or was.campaign is None:
            raise GateLostError(wanted.campaign_id)
        if wanted == before.campaign:
            return Saved(Seen(before, was))
        after = replace(wanted, version=before.campaign.version + 1)
        if wanted.capacity < before.campaign.capacity:
            result = self.gate.change(after)
            if result is ConfigureResult.BELOW_ACCEPTED:
                return Refused(Refusal.CAPACITY_BELOW_ACCEPTED)
            if result is not ConfigureResult.DONE:
                raise GateUnavailableError("the gate must be rebuilt first, or was changed meanwhile")
        event = audit.change(self.ledger, actor, action, before.campaign, after)
        if self.ledger.update(after, before.campaign.version, event) is None:
            raise LedgerUnavailableError("the campaign was changed meanwhile")
        aligned = self._aligned(wanted.campaign_id)
        return Saved(Seen(aligned, self._view(wanted.campaign_id)))

    def _let_hold_pass(self, was: GateView | None, now: Campaign) -> None:
        """Wait until nobody remembers that a gate was sold out whose capacity was raised."""
        if was and was.campaign and was.remaining == 0 and now.capacity > was.campaign.capacity:
            self.clock.sleep(self.hold_ms)

    def _aligned(self, campaign_id: str) -> CampaignRecord:
        """Give the gate what the ledger has, as it is read once more under the lock."""
        record = Alignment(self.gate, self.ledger).run(campaign_id)
        if isinstance(record, Refused):
            raise LedgerUnavailableError("the campaign was archived meanwhile")
        return record

    def _view(self, campaign_id: str) -> GateView | None:
        view = self.gate.show(campaign_id)
        return None if isinstance(view, Refused) else view
