"""What a gate says of itself and of its campaign."""

from dataclasses import dataclass
from enum import StrEnum

from firstcome.domain.campaign import Campaign, Phase
from firstcome.domain.times import Millis


@dataclass(frozen=True, slots=True)
class GateView:
    """A campaign as its gate has it.

    Attributes:
        accepted: claims made so far.
        now: the gate's clock when it was read.
    """

    campaign: Campaign
    accepted: int
    now: Millis

    @property
    def remaining(self) -> int:
        """Coupons not yet claimed."""
        return max(0, self.campaign.capacity - self.accepted)

    @property
    def phase(self) -> Phase:
        """What an application would have met; the order of the questions is that of apply.lua."""
        if self.campaign.paused:
            return Phase.PAUSED
        if self.now < self.campaign.opens_at:
            return Phase.NOT_OPEN
        if self.now >= self.campaign.closes_at:
            return Phase.CLOSED
        return Phase.OPEN if self.remaining else Phase.SOLD_OUT


class GateState(StrEnum):
    """Whether a campaign's gate may admit."""

    WHOLE = "whole"
    FENCED = "fenced"
    """Its claims may be incomplete: it was made on another server, or the ledger knows more."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Fence:
    """A gate that is closed until it is rebuilt.

    Attributes:
        run_id: the server on which it was closed.
        since: when it was closed, by that server's clock. With `run_id` it tells this fence from every other.
        age_ms: how long ago that was.
        highest: the highest sequence it has given, as far as it knows.
    """

    campaign_id: str
    run_id: str
    since: Millis
    age_ms: int
    highest: int


type SeatRange = tuple[int, int]
"""First and last of some sequences in a row."""


@dataclass(frozen=True, slots=True)
class GateCounts:
    """How far a campaign's claims are, as its gate has it.

    Attributes:
        outbox: accepted, not known to be in the queue.
        oldest_outbox_ms: age of the oldest of those, 0 if there is none.
    """

    accepted: int
    outbox: int
    oldest_outbox_ms: int
