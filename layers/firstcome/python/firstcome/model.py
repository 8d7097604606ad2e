"""The words of the domain: campaigns, claims, admissions and refusals."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from firstcome.times import Millis

CAPACITY_MAX = 10_000_000
"""Coupons a campaign may have at most."""

USER_ID_MAX = 128
"""Characters a user id may have at most."""

_CAMPAIGN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# Crockford's base 32: no I, L, O or U, so a code can be read out and typed. https://www.crockford.com/base32.html
_CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH = 16
# 32 letters go into 256 bytes without a rest, so that a random byte gives each letter with the same chance.
_BYTE_TO_LETTER = (_CODE_ALPHABET * 8).encode()
_COUPON_CODE = re.compile(f"[{_CODE_ALPHABET}]{{{_CODE_LENGTH}}}")


def is_campaign_id(text: object) -> bool:
    """Whether the text may name a campaign: 1 to 63 of a-z, 0-9 and -, not starting with -."""
    return isinstance(text, str) and _CAMPAIGN_ID.fullmatch(text) is not None


def is_user_id(text: object) -> bool:
    """Whether the text may name a user: 1 to 128 printable characters."""
    return isinstance(text, str) and 1 <= len(text) <= USER_ID_MAX and text.isprintable()


def is_coupon_code(text: object) -> bool:
    """Whether the text has the form of a coupon code."""
    return isinstance(text, str) and _COUPON_CODE.fullmatch(text) is not None


def new_coupon_code() -> str:
    """Draw a coupon code: 16 characters, 80 random bits, so that none can be guessed from another."""
    return os.urandom(_CODE_LENGTH).translate(_BYTE_TO_LETTER).decode()


class Phase(StrEnum):
    """What an application to a campaign meets, as of one instant."""

    OPEN = "open"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    PAUSED = "paused"
    SOLD_OUT = "sold_out"


@dataclass(frozen=True, slots=True)
class Campaign:
    """N coupons, open between two instants.

    Attributes:
        capacity: N, from 1 to `CAPACITY_MAX`.
        opens_at: the first instant at which an application is admitted.
        closes_at: the first instant at which none is admitted any more.
    """

    campaign_id: str
    name: str
    capacity: int
    opens_at: Millis
    closes_at: Millis
    paused: bool = False


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


@dataclass(frozen=True, slots=True)
class Claim:
    """An accepted application. Two claims are the same claim when all their fields are.

    Attributes:
        sequence: place in line, 1 to capacity.
        accepted_at: the gate's clock when it was accepted.
    """

    campaign_id: str
    user_id: str
    sequence: int
    coupon_code: str
    accepted_at: Millis


@dataclass(frozen=True, slots=True)
class Admission:
    """The gate's answer to a user who has a claim.

    Attributes:
        is_new: the claim was made by this very call.
        is_unsent: it is not known to be in the queue.
        is_issued: it is known to be in the ledger.
    """

    claim: Claim
    is_new: bool
    is_unsent: bool
    is_issued: bool


class Refusal(StrEnum):
    """Why an application was not admitted; the values are the API's stable codes."""

    SOLD_OUT = "sold_out"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    PAUSED = "paused"
    CAMPAIGN_NOT_FOUND = "campaign_not_found"


@dataclass(frozen=True, slots=True)
class SoldOut:
    """What is needed to refuse others without asking the gate, see `sold_out`.

    Attributes:
        for_ms: how long that may be done, from before the gate was asked.
        claims: how many there are; with another number the pages are other pages.
        pages: of the filter of winners.
        page: that of the user who asked.
    """

    for_ms: int
    claims: int
    pages: int
    page: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The gate's answer to a user who gets no claim.

    Attributes:
        opens_at: with `NOT_OPEN`, when to come again.
        now: with `NOT_OPEN`, the gate's clock.
        sold_out: with `SOLD_OUT`, if the gate lets it be remembered.
    """

    refusal: Refusal
    opens_at: Millis = 0
    now: Millis = 0
    sold_out: SoldOut | None = None


class OverflowReason(StrEnum):
    """Why an accepted claim found no seat in the ledger."""

    NO_SEAT = "no_seat"
    USER_HAS_COUPON = "user_has_coupon"
    CODE_TAKEN = "code_taken"


@dataclass(frozen=True, slots=True)
class Overflow:
    """An accepted claim without a seat: kept, counted and alarmed on, never dropped."""

    claim: Claim
    reason: OverflowReason


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a batch of claims in the ledger.

    Attributes:
        issued: the claims that have their row, under the sequence the row has.
        reseated: those of them whose seat another user held, so that their sequence changed.
        overflow: the claims without a row.
    """

    issued: Sequence[Claim]
    reseated: Sequence[Claim]
    overflow: Sequence[Overflow]


@dataclass(frozen=True, slots=True)
class IssuedCoupon:
    """A claim in the ledger."""

    claim: Claim
    issued_at: Millis


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
        unsent: accepted, not known to be in the queue.
        oldest_unsent_ms: age of the oldest of those, 0 if there is none.
    """

    accepted: int
    unsent: int
    oldest_unsent_ms: int


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """How far a campaign's claims are, as the ledger has it."""

    issued: int
    overflow: int


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """A campaign as the ledger has it."""

    campaign: Campaign
    created_at: Millis
    updated_at: Millis
