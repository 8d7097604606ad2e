"""Refusals: why an application was not admitted."""

from dataclasses import dataclass
from enum import StrEnum

from firstcome.domain.times import Millis


class Refusal(StrEnum):
    """Why an application was not admitted; the values are the API's stable codes."""

    SOLD_OUT = "sold_out"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    PAUSED = "paused"
    CAMPAIGN_NOT_FOUND = "campaign_not_found"
    ARCHIVED = "archived"


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
