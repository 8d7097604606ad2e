"""Refusals: why a request was not granted."""

from dataclasses import dataclass
from enum import StrEnum

from firstcome.domain.times import Millis


class Refusal(StrEnum):
    """Why a request was not granted; the values are the API's stable codes."""

    SOLD_OUT = "sold_out"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    PAUSED = "paused"
    CAMPAIGN_NOT_FOUND = "campaign_not_found"
    ARCHIVED = "archived"
    NO_COUPON = "no_coupon"
    CAMPAIGN_OPEN = "campaign_open"
    CAPACITY_BELOW_ACCEPTED = "capacity_below_accepted"
    QUEUE_NOT_EMPTY = "queue_not_empty"
    """Claims are not known to be in the ledger yet: the same request later is granted."""


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
    """The answer to a request that is not granted.

    Attributes:
        opens_at: with `NOT_OPEN`, when to come again.
        now: with `NOT_OPEN`, the gate's clock.
        sold_out: with `SOLD_OUT`, if the gate lets it be remembered.
    """

    refusal: Refusal
    opens_at: Millis = 0
    now: Millis = 0
    sold_out: SoldOut | None = None
