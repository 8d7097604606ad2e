"""Use cases of a user: apply for a coupon, read their own coupon, look at a campaign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from firstcome.domain.claim import Admission, new_coupon_code
from firstcome.domain.errors import GateUnavailableError
from firstcome.domain.gate import GateView
from firstcome.domain.refusal import Refusal, Refused

if TYPE_CHECKING:
    from firstcome.service.ports import ClaimSender, Clock, Gate
    from firstcome.service.sold_out import SoldOutMemory


@dataclass(frozen=True, slots=True)
class Applications:
    """The user's side of all campaigns.

    Attributes:
        sold_out: the campaigns that this environment knows to be sold out, so that it can refuse without the gate.
        clock: the clock of that memory.
    """

    gate: Gate
    sender: ClaimSender
    sold_out: SoldOutMemory
    clock: Clock

    def apply(self, campaign_id: str, user_id: str) -> Admission | Refused:
        """Admit the user, or say why not. An admission is returned only once its claim is in the queue.

        The claim enters the outbox in the step that makes it. Whatever fails after that step, the claim is kept: the
        user asking again sends it, and so does the relay.

        Raises:
            GateUnavailableError: nothing is known; asking again is safe.
            QueueUnavailableError: the claim is kept; asking again sends it.
        """
        if self.sold_out.refuses(campaign_id, user_id):
            return Refused(Refusal.SOLD_OUT)
        asked_at = self.clock.now()
        answer = self.gate.apply(campaign_id, user_id, new_coupon_code())
        if isinstance(answer, Admission):
            self._send_if_in_outbox(answer)
        elif answer.sold_out:
            self.sold_out.note(campaign_id, user_id, answer.sold_out, asked_at)
        return answer

    def my_coupon(self, campaign_id: str, user_id: str) -> Admission | Refused:
        """Return the user's coupon as the gate has it; like any claim, it is in the queue before it is shown.

        Raises:
            GateUnavailableError: nothing is known.
            QueueUnavailableError: the claim is kept; asking again sends it.
        """
        answer = self.gate.find(campaign_id, user_id)
        if isinstance(answer, Admission):
            self._send_if_in_outbox(answer)
        if answer is not None:
            return answer
        return Refused(Refusal.NO_COUPON if self.gate.show(campaign_id) else Refusal.CAMPAIGN_NOT_FOUND)

    def show(self, campaign_id: str) -> GateView | Refused:
        """Return a campaign as anyone may see it. Raises `GateUnavailableError`: nothing is known."""
        return self.gate.show(campaign_id) or Refused(Refusal.CAMPAIGN_NOT_FOUND)

    def _send_if_in_outbox(self, admission: Admission) -> None:
        if not admission.is_in_outbox:
            return
        self.sender.send(admission.claim)
        try:
            self.gate.remove_from_outbox([admission.claim])
        except GateUnavailableError:
            # The claim is safe in the queue. Left in the outbox, it is sent once more by the relay, which does no harm.
            return
