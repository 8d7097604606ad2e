"""Claims: accepted applications, and what becomes of them in the ledger."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from firstcome.domain.text import is_text
from firstcome.domain.times import Millis

USER_ID_MAX = 128
"""Code points a user id may have at most."""

# Crockford's base 32: no I, L, O or U, so a code can be read out and typed. https://www.crockford.com/base32.html
_CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_CODE_LENGTH = 16

# 32 letters go into 256 bytes without a rest, so that a random byte gives each letter with the same chance.
_BYTE_TO_LETTER = (_CODE_ALPHABET * 8).encode()

_COUPON_CODE = re.compile(f"[{_CODE_ALPHABET}]{{{_CODE_LENGTH}}}")


def is_user_id(text: object) -> bool:
    """Whether the text may name a user: 1 to 128 code points, see `text`."""
    return is_text(text, USER_ID_MAX)


def is_coupon_code(text: object) -> bool:
    """Whether the text has the form of a coupon code."""
    return isinstance(text, str) and _COUPON_CODE.fullmatch(text) is not None


def new_coupon_code() -> str:
    """Draw a coupon code: 16 characters, 80 random bits, so that none can be guessed from another."""
    return os.urandom(_CODE_LENGTH).translate(_BYTE_TO_LETTER).decode()


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
        is_in_outbox: it is not known to be in the queue.
        is_issued: it is known to be in the ledger.
    """

    claim: Claim
    is_new: bool
    is_in_outbox: bool
    is_issued: bool


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
        issued: the claims that have their row, under the sequence and the user id the row has. The user id is a
            pseudonym when the user was erased.
        reseated: those of them whose seat another user held, so that their sequence changed.
        overflow: the claims without a row.
        unsettled: the claims that met an error, unlike the rest of the batch; they must be delivered again.
    """

    issued: Sequence[Claim]
    reseated: Sequence[Claim]
    overflow: Sequence[Overflow]
    unsettled: Sequence[Claim] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class IssuedCoupon:
    """A claim in the ledger."""

    claim: Claim
    issued_at: Millis


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """How far a campaign's claims are, as the ledger has it.

    Attributes:
        overflow: claims that found no seat and have none since.
        highest: the highest sequence that has a row; 0 when none has.
    """

    issued: int
    overflow: int
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the ledger has of one user or one coupon code."""

    coupon: IssuedCoupon | None
    overflow: Overflow | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """A claim whose user id was replaced by a pseudonym, for good; the seat and the code stay taken."""

    sequence: int
    coupon_code: str
    pseudonym: str
