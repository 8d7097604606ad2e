"""Use cases of an operator at the end of data's life: archive a campaign, erase a user."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from firstcome.domain.campaign import CampaignRecord, CampaignState, Phase
from firstcome.domain.claim import Admission
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import ConfigureResult, EraseResult, GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service import audit
from firstcome.service.alignment import Alignment
from firstcome.service.ports import Gate, Ledger


@dataclass(frozen=True, slots=True)
class Archived:
    """The campaign is archived."""


@dataclass(frozen=True, slots=True)
class Erased:
    """A user whose id was replaced everywhere, and the sequences of the claims that were theirs until now."""

    sequences: Sequence[int]


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Archives campaigns and erases users."""

    gate: Gate
    ledger: Ledger

    def archive(self, campaign_id: str, actor: str) -> Archived | Refused:
        """Take a campaign out of the gate, for good; its rows stay. May be repeated, and ended anywhere.

        Raises:
            GateLostError: its gate must be rebuilt first, because it may have claims that the ledger has not.
            GateUnavailableError, LedgerUnavailableError: the same request again completes it.
        """
        with self.ledger.campaign_lock(campaign_id):
            record = Alignment(self.gate, self.ledger).run(campaign_id)
            if isinstance(record, Refused):
                return Archived() if record.refusal is Refusal.ARCHIVED else record
            hindrance = self._hindrance(record, actor)
            if hindrance:
                return hindrance
            # First: rather twice than not at all.
            audit.record(self.ledger, actor, "archive", campaign_id, {"state": CampaignState.ARCHIVED})
            self.ledger.archive(campaign_id)
            self.gate.archive(campaign_id)
            return Archived()

    def erase(self, campaign_id: str, user_id: str, actor: str) -> Erased | Refused:
        """Replace a user's id by a random pseudonym in ledger, overflow and gate; the seat and the code stay taken.

        The ledger comes first: until the gate has followed, it still knows the user, and gives them no second coupon.
        May be repeated, and ended anywhere.

        Raises:
            GateLostError: the gate must be rebuilt first.
            GateUnavailableError, LedgerUnavailableError: the same request again completes it.
        """
        with self.ledger.campaign_lock(campaign_id):
            record = self.ledger.find(campaign_id)
            if record is None:
                return Refused(Refusal.CAMPAIGN_NOT_FOUND)
            is_archived = record.state is CampaignState.ARCHIVED
            admission = None if is_archived else self.gate.find(campaign_id, user_id)
            outcome = self._erase(campaign_id, user_id, admission if isinstance(admission, Admission) else None)
            if isinstance(outcome, Erased):
                audit.record(self.ledger, actor, "erase", campaign_id, {"sequences": list(outcome.sequences)})
            return outcome

    def _hindrance(self, record: CampaignRecord, actor: str) -> Refused | None:
        """Say why the campaign may not go yet. When it returns None, no claim can be made any more."""
        view = self._whole_view(record.campaign.campaign_id)
        if view.phase is Phase.OPEN:
            return Refused(Refusal.CAMPAIGN_OPEN)
        if self._is_under_way(view):
            return Refused(Refusal.QUEUE_NOT_EMPTY)
        if view.phase in {Phase.CLOSED, Phase.PAUSED}:
            return None
        # It could open between the look above and its end.
        version = record.campaign.version
        wanted = replace(record.campaign, paused=True, version=version + 1)
        event = audit.change(self.ledger, actor, "pause", record.campaign, wanted)
        paused = self.ledger.update(wanted, version, event)
        if paused is None or self.gate.change(paused.campaign) is not ConfigureResult.DONE:
            raise GateUnavailableError("the campaign was changed meanwhile")
        return (
            Refused(Refusal.QUEUE_NOT_EMPTY)
            if self._is_under_way(self._whole_view(record.campaign.campaign_id))
            else None
        )

    def _is_under_way(self, view: GateView) -> bool:
        assert view.campaign is not None  # noqa: S101 - a whole gate knows its campaign
        settled = self.ledger.counts(view.campaign.campaign_id)
        return view.outbox > 0 or view.accepted > settled.issued + settled.overflow

    def _whole_view(self, campaign_id: str) -> GateView:
        view = self.gate.show(campaign_id)
        if not isinstance(view, GateView) or not view.is_available:
            raise GateLostError(campaign_id)
        return view

    def _erase(self, campaign_id: str, user_id: str, admission: Admission | None) -> Erased | Refused:
        # With those of earlier requests that ended before the gate followed.
        pseudonyms = {erasure.coupon_code: erasure.pseudonym for erasure in self.ledger.erasures(campaign_id)}
        if admission:
            code = admission.claim.coupon_code
            found = self.ledger.find_by_code(campaign_id, code)
            is_settled = found.coupon or found.overflow or code in pseudonyms
            if admission.is_in_outbox or not is_settled:
                return Refused(Refusal.QUEUE_NOT_EMPTY)
        erasures = self.ledger.erase(campaign_id, user_id, f"erased-{secrets.token_hex(16)}")
        pseudonyms |= {erasure.coupon_code: erasure.pseudonym for erasure in erasures}
        if admission:
            result = self.gate.erase(campaign_id, user_id, pseudonyms[admission.claim.coupon_code])
            if result is EraseResult.UNDER_WAY:
                return Refused(Refusal.QUEUE_NOT_EMPTY)
        if not admission and not erasures:
            return Refused(Refusal.NO_COUPON)
        return Erased([erasure.sequence for erasure in erasures])
