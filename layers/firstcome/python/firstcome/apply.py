"""Use cases of a signed-in user: apply for a coupon, ask for one's own, look at a campaign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from firstcome.errors import GateUnavailableError
from firstcome.model import Admission, GateView, Refusal, Refused, new_coupon_code

if TYPE_CHECKING:
    from firstcome.ports import ClaimSender, Clock, Gate
    from firstcome.sold_out import SoldOutMemory


@dataclass(frozen=True, slots=True)
class NoCoupon:
    """The user has no coupon of this campaign."""


@dataclass(frozen=True, slots=True)
class Door:
    """What an application needs of the world.

    Attributes:
        sold_out: what this environment remembers, so that it can refuse by itself.
        clock: the one of that memory.
    """

    gate: Gate
    sender: ClaimSender
    sold_out: SoldOutMemory
    clock: Clock


def apply(campaign_id: str, user_id: str, door: Door) -> Admission | Refused:
    """Admit the user, or say why not. An admission is returned only once its claim is in the queue.

    The gate notes a claim as unsent in the step that makes it. So whatever fails after that step, the claim is kept:
    this user asking again sends it, and so does the relay.

    Raises:
        GateUnavailableError: nothing is known; asking again is safe.
        QueueUnavailableError: the claim is kept; asking again sends it.
    """
    if door.sold_out.refuses(campaign_id, user_id):
        return Refused(Refusal.SOLD_OUT)
    asked_at = door.clock.now()
    answer = door.gate.apply(campaign_id, user_id, new_coupon_code())
    if isinstance(answer, Admission):
        _make_sure_it_is_queued(answer, door.gate, door.sender)
    elif answer.sold_out:
        door.sold_out.note(campaign_id, user_id, answer.sold_out, asked_at)
    return answer


def my_coupon(campaign_id: str, user_id: str, gate: Gate, sender: ClaimSender) -> Admission | NoCoupon | Refused:
    """Return the user's coupon as the gate has it; like any claim, it is in the queue before it is shown.

    Raises:
        GateUnavailableError: nothing is known.
        QueueUnavailableError: the claim is kept; asking again sends it.
    """
    admission = gate.find(campaign_id, user_id)
    if admission is not None:
        _make_sure_it_is_queued(admission, gate, sender)
        return admission
    return NoCoupon() if gate.show(campaign_id) else Refused(Refusal.CAMPAIGN_NOT_FOUND)


def show_campaign(campaign_id: str, gate: Gate) -> GateView | Refused:
    """Return a campaign as anyone may see it.

    Raises:
        GateUnavailableError: nothing is known.
    """
    return gate.show(campaign_id) or Refused(Refusal.CAMPAIGN_NOT_FOUND)


def _make_sure_it_is_queued(admission: Admission, gate: Gate, sender: ClaimSender) -> None:
    if not admission.is_unsent:
        return
    sender.send(admission.claim)
    try:
        gate.note_sent(admission.claim)
    except GateUnavailableError:
        # The claim is safe in the queue. Left noted as unsent, it is sent once more by the relay, which does no harm.
        return
