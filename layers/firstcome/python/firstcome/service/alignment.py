"""Makes ledger and gate have the same campaign again: the higher version wins, never below what is accepted.

They differ after a change that ended between the two, and after one of them went back to a backup.
"""

from dataclasses import dataclass, replace

from firstcome.domain.campaign import Campaign, CampaignRecord, CampaignState
from firstcome.domain.errors import GateUnavailableError, LedgerUnavailableError
from firstcome.domain.gate import ConfigureResult, GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.ports import Gate, Ledger

LOCK_WAIT_SECONDS = 1
"""How long healing waits for an operator's change of the campaign: the next run comes within the minute."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Alignment:
    """Aligns campaigns."""

    gate: Gate
    ledger: Ledger

    def register_all(self) -> list[str]:
        """Return the ids of all campaigns that the gate knows; a gate that was wiped learns them from the ledger.

        Raises:
            GateUnavailableError, LedgerUnavailableError: the gate knows what it knew before.
        """
        known = self.gate.campaign_ids()
        if known is not None:
            return known
        self._register_archived()
        active = [record.campaign.campaign_id for record in self.ledger.active_campaigns()]
        # Last, because it is what tells that all is known again.
        self.gate.register(active)
        return active

    def restore_archived(self) -> None:
        """Tell the gate which campaigns are archived if it has forgotten that alone. Raises as `register_all` does."""
        first = self.ledger.archived_ids("", 1)
        if first and not self.gate.archived(first[0]):
            self._register_archived()

    def _register_archived(self) -> None:
        after = ""
        while archived := self.ledger.archived_ids(after, _PAGE):
            self.gate.register_archived(archived)
            after = archived[-1]

    def run(self, campaign_id: str) -> CampaignRecord | Refused:
        """Align one campaign; the caller holds its lock. Returns the campaign, or why there is none.

        Raises:
            GateUnavailableError, LedgerUnavailableError: the same call again goes on.
        """
        self.register_all()
        view = self.gate.show(campaign_id)
        record = self._newest(campaign_id, view)
        if record is None:
            return view if isinstance(view, Refused) else Refused(Refusal.CAMPAIGN_NOT_FOUND)
        if record.state is CampaignState.ARCHIVED or isinstance(view, Refused):
            self._archive(record, view)
            return Refused(Refusal.ARCHIVED)
        if record.state is CampaignState.CREATING:
            return self._finish_creation(record)
        self.gate.register([campaign_id])
        if view is None or view.campaign is None or not view.is_available or view.campaign == record.campaign:
            # A gate that is not available takes the ledger's campaign when it is rebuilt.
            return record
        return self._change_gate(record, view, view.campaign)

    def _newest(self, campaign_id: str, view: GateView | Refused | None) -> CampaignRecord | None:
        """Return the campaign as the ledger has it, once it is not behind the gate."""
        record = self.ledger.find(campaign_id)
        at_gate = view.campaign if isinstance(view, GateView) else None
        if at_gate is None or (record is not None and record.campaign.version >= at_gate.version):
            return record
        if record is not None and record.state is CampaignState.ARCHIVED:
            return record
        self.ledger.restore_campaign(at_gate)
        return self.ledger.find(campaign_id)

    def _archive(self, record: CampaignRecord, view: GateView | Refused | None) -> None:
        campaign_id = record.campaign.campaign_id
        if record.state is not CampaignState.ARCHIVED:
            # The ledger went back to when the campaign was not archived yet. Its gate is gone for good.
            self.ledger.archive(campaign_id)
        if not isinstance(view, Refused):
            self.gate.archive(campaign_id)

    def _finish_creation(self, record: CampaignRecord) -> CampaignRecord:
        """Make the gate, paused until the ledger has noted it: so nobody was admitted, and it may be made again."""
        self.gate.register([record.campaign.campaign_id])
        _refuse_unless_done(self.gate.create(replace(record.campaign, paused=True)))
        record = self._update(record, record.campaign)
        _refuse_unless_done(self.gate.change(record.campaign))
        return record

    def _change_gate(self, record: CampaignRecord, view: GateView, had: Campaign) -> CampaignRecord:
        # The counter may be above what is accepted: a rebuilt gate has free sequences. Its capacity never is below it.
        for enough in (view.accepted, had.capacity):
            result = self.gate.change(record.campaign)
            if result is ConfigureResult.DONE:
                return record
            # Stale: both have this version with another content. A change had lost its lock, or one of them went back.
            capacity = enough if result is ConfigureResult.BELOW_ACCEPTED else record.campaign.capacity
            record = self._update(record, replace(record.campaign, capacity=capacity))
        _refuse_unless_done(self.gate.change(record.campaign))
        return record

    def _update(self, record: CampaignRecord, wanted: Campaign) -> CampaignRecord:
        updated = self.ledger.update(wanted, record.campaign.version)
        if updated is None:
            raise LedgerUnavailableError("the campaign was changed meanwhile")
        return updated


def _refuse_unless_done(result: ConfigureResult) -> None:
    if result is not ConfigureResult.DONE:
        raise GateUnavailableError("the gate was changed meanwhile")
