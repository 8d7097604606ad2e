"""Use cases of an operator who looks: campaigns, figures, coupons, one user's claim, the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass

from firstcome.domain.campaign import CampaignEvent, CampaignRecord, CampaignSort, CampaignState
from firstcome.domain.claim import Admission, Finding, IssuedCoupon, LedgerCounts
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.answers import UNAVAILABLE
from firstcome.service.campaigns import Seen
from firstcome.service.ports import DeadLetters, Gate, Ledger


@dataclass(frozen=True, slots=True)
class Stats:
    """How far a campaign's claims are, from the gate to the ledger.

    Attributes:
        queued: accepted and sent, not yet settled in the ledger.
        dead_letters: messages in the dead-letter queue, all campaigns together.
        refused: applications refused, by code; a lower bound, as is `unavailable`, those answered 503.
        exact: whether every accepted claim is issued and no sequence is missing; None while claims are under way that
            need not worry anybody yet.
    """

    capacity: int
    accepted: int
    outbox: int
    queued: int
    issued: int
    overflow: int
    dead_letters: int
    oldest_outbox_seconds: float
    refused: Mapping[str, int]
    unavailable: int
    exact: bool | None


@dataclass(frozen=True, slots=True)
class Found:
    """What gate and ledger each say of a user or a coupon code."""

    gate: Admission | None
    ledger: Finding


@dataclass(frozen=True, slots=True)
class Lookup:
    """Reads. Every method raises `LedgerUnavailableError`.

    Attributes:
        claim_age_ms: how old a claim may be that is not in the ledger yet.
    """

    gate: Gate
    ledger: Ledger
    dead_letters: DeadLetters
    claim_age_ms: int

    def page(
        self, after: str | None, limit: int, state: CampaignState | None, q: str, sort: CampaignSort
    ) -> list[Seen]:
        """Return campaigns in that order, from behind the one named `after`; see `Ledger.campaigns`."""
        page: list[Seen] = []
        gate: Gate | None = self.gate
        for record in self.ledger.campaigns(after, limit, state=state, q=q, sort=sort):
            view = None
            try:
                view = gate.show(record.campaign.campaign_id) if gate else None
            except GateUnavailableError:
                gate = None  # Each further call would wait as long as this one.
            page.append(Seen(record, view if isinstance(view, GateView) else None))
        return page

    def stats(self, campaign_id: str) -> Stats | Refused:
        """Return how far the campaign's claims are.

        Raises:
            GateLostError: the gate does not know how many it accepted.
            GateUnavailableError, QueueUnavailableError: one of them did not answer.
        """
        record = self.ledger.find(campaign_id)
        if record is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        # The ledger first: read the other way round, claims accepted in between could make `queued` negative.
        issued = self.ledger.counts(campaign_id)
        dead_letters = self.dead_letters.count()
        if record.state is CampaignState.ARCHIVED:
            return _stats_of_archived(record.campaign.capacity, issued, dead_letters)
        view = self.gate.show(campaign_id)
        if not isinstance(view, GateView) or view.campaign is None:
            raise GateLostError(campaign_id)
        answers = self.gate.answers(campaign_id)
        return Stats(
            capacity=record.campaign.capacity,
            accepted=view.accepted,
            outbox=view.outbox,
            queued=max(0, view.accepted - view.outbox - issued.issued - issued.overflow),
            issued=issued.issued,
            overflow=issued.overflow,
            dead_letters=dead_letters,
            oldest_outbox_seconds=view.oldest_outbox_ms / 1000,
            refused={code: number for code, number in answers.items() if code != UNAVAILABLE},
            unavailable=answers.get(UNAVAILABLE, 0),
            exact=self._exact(campaign_id, issued, view),
        )

    def coupons(self, campaign_id: str, after: int, limit: int) -> list[IssuedCoupon] | Refused:
        """Return issued coupons by sequence, from behind the sequence `after`."""
        if self.ledger.find(campaign_id) is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        return self.ledger.coupons(campaign_id, after, limit)

    def user(self, campaign_id: str, user_id: str) -> Found | Refused:
        """Return what is known of a user. Raises `GateUnavailableError`."""
        record = self.ledger.find(campaign_id)
        if record is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        return Found(self._at_gate(record, user_id), self.ledger.find_by_user(campaign_id, user_id))

    def code(self, campaign_id: str, coupon_code: str) -> Found | Refused:
        """Return what is known of a coupon code; the gate is asked for its user, whom the ledger must know.

        Raises:
            GateUnavailableError: the gate did not answer.
        """
        record = self.ledger.find(campaign_id)
        if record is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        finding = self.ledger.find_by_code(campaign_id, coupon_code)
        known = finding.coupon or finding.overflow
        return Found(self._at_gate(record, known.claim.user_id) if known else None, finding)

    def events(self, campaign_id: str, after: int | None, limit: int) -> list[CampaignEvent] | Refused:
        """Return the audit trail, the newest first, from behind the event `after`."""
        if self.ledger.find(campaign_id) is None:
            return Refused(Refusal.CAMPAIGN_NOT_FOUND)
        return self.ledger.events(campaign_id, after, limit)

    def _at_gate(self, record: CampaignRecord, user_id: str) -> Admission | None:
        if record.state is CampaignState.ARCHIVED:
            return None
        try:
            answer = self.gate.find(record.campaign.campaign_id, user_id)
        except GateLostError:
            return None
        return answer if isinstance(answer, Admission) else None

    def _exact(self, campaign_id: str, issued: LedgerCounts, view: GateView) -> bool | None:
        if issued.overflow or view.accepted <= issued.issued:
            return issued.overflow == 0 and view.accepted == issued.issued == issued.highest
        # The newest claim that is not in the ledger is behind the last row, or else in a gap between rows; there it was
        # accepted before the claim of the next row.
        made_at = view.newest_at if view.highest > issued.highest else self.ledger.accepted_after_gap(campaign_id)
        is_young = made_at is not None and view.now - made_at < self.claim_age_ms
        return None if is_young else False


def _stats_of_archived(capacity: int, counts: LedgerCounts, dead_letters: int) -> Stats:
    """Return the figures of a campaign that has no gate any more: all its claims were settled when it was archived."""
    return Stats(
        capacity=capacity,
        accepted=counts.issued + counts.overflow,
        outbox=0,
        queued=0,
        issued=counts.issued,
        overflow=counts.overflow,
        dead_letters=dead_letters,
        oldest_outbox_seconds=0,
        refused={},
        unavailable=0,
        exact=counts.overflow == 0 and counts.issued == counts.highest,
    )
