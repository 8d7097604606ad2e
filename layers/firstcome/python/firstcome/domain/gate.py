"""What a gate says of itself and of its campaign."""

from dataclasses import dataclass
from enum import StrEnum

from firstcome.domain.campaign import Campaign, Phase
from firstcome.domain.times import Millis


@dataclass(frozen=True, slots=True)
class GateView:
    """A campaign as its gate has it.

    Attributes:
        campaign: None where the gate is lost and does not know it.
        accepted: claims made so far, as far as the gate knows.
        now: the gate's clock when it was read.
        is_available: whether an application would be decided; not while the gate is lost or fenced.
        outbox: claims that are not known to be in the queue.
        oldest_outbox_ms: age of the oldest of those, 0 if there is none.
        highest: the highest sequence given.
        newest_at: when the last claim was accepted; None where that is not known.
    """

    campaign: Campaign | None
    accepted: int
    now: Millis
    is_available: bool = True
    outbox: int = 0
    oldest_outbox_ms: int = 0
    highest: int = 0
    newest_at: Millis | None = None

    @property
    def remaining(self) -> int | None:
        """Coupons not yet claimed; None while the gate is unavailable."""
        if self.campaign is None or not self.is_available:
            return None
        return max(0, self.campaign.capacity - self.accepted)

    @property
    def phase(self) -> Phase:
        """What an application would have met; the order of the questions is that of apply.lua."""
        if self.campaign is None or not self.is_available:
            return Phase.UNAVAILABLE
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
    """A key of it is gone, or claims are missing from it."""


class ConfigureResult(StrEnum):
    """What became of a change to a gate; nothing was written unless it is done."""

    DONE = "done"
    BELOW_ACCEPTED = "below_accepted"
    """More was accepted than the capacity given."""
    STALE = "stale"
    """The gate has a newer version, or another content of this one."""
    FENCED = "fenced"
    """It may have forgotten how many it accepted. A rebuild takes the change from the ledger."""
    LOST = "lost"


class EraseResult(StrEnum):
    """What became of the erasure of a user from a gate."""

    DONE = "done"
    NONE = "none"
    """The user has no claim here."""
    UNDER_WAY = "under_way"
    """The claim is in the outbox; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A gate that is closed until it is rebuilt.

    Attributes:
        run_id: the server on which it was closed.
        since: when it was closed, by that server's clock. With `run_id` it tells this fence from every other.
        age_ms: how long ago that was, by the clock that says less: the gate's or the ledger's.
        highest: the highest sequence that the gate has given, or was told of.
        phase: of the rebuild, as it was stored; empty at first.
        position: within the phase, where the rebuild goes on; empty at first.
    """

    campaign_id: str
    run_id: str
    since: Millis
    age_ms: int
    highest: int
    phase: str = ""
    position: str = ""


@dataclass(frozen=True, slots=True)
class Reopened:
    """A gate that admits again.

    Attributes:
        highest: where its counter goes on.
        free: sequences up to there that nobody has; they are given first.
    """

    highest: int
    free: int


@dataclass(frozen=True, slots=True)
class ClaimCounts:
    """What a gate has, by number.

    Attributes:
        claims: of users, those without a seat of their own included.
        outbox: claims that are not known to be in the queue.
        issued: sequences that are known to be in the ledger.
        erased: claims whose user was erased.
    """

    claims: int
    outbox: int
    issued: int
    erased: int
