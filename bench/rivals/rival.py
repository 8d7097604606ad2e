"""The interface of a rival."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.harness.servers import Servers

type Apply = Callable[[str], bool]
"""Applies for a user; whether this very call got a coupon."""


@dataclass(frozen=True)
class Campaign:
    """A campaign of the race."""

    campaign_id: str
    capacity: int


def do_nothing(_site: Servers, _campaign: Campaign) -> None:
    """Nothing to do for this design."""


@dataclass(frozen=True)
class Rival:
    """A design.

    Attributes:
        key: its letter in the tables.
        connect: in a client's process: opens its connections and returns how it asks.
        prepare: before the rush.
        settle: after the rush: bring what waits in the queue into the database.
        table: where its coupons end.
    """

    key: str
    name: str
    connect: Callable[[Servers, Campaign], Apply]
    prepare: Callable[[Servers, Campaign], None] = do_nothing
    settle: Callable[[Servers, Campaign], None] = do_nothing
    table: str = "rival_coupon"
