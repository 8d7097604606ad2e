"""What an environment remembers of campaigns that are sold out, so that the many who come too late are answered without
Redis.

Never wrong, by three rules that apply.lua and configure.lua keep:

1. A user who has a claim is in the gate's Bloom filter of winners, so everybody whom the filter may mean is sent to the
   gate. The filter comes in pages by user: a user's page is in the reply that refuses them.
2. What is remembered is good for `REMEMBER_MS` from before the gate was asked, and not beyond the campaign's end.
3. When the capacity of a campaign that is sold out is raised, the gate goes on refusing for longer than that. So nobody
   has won a coupon while others remember that there is none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from firstcome.domain.refusal import SoldOut
    from firstcome.domain.times import Millis
    from firstcome.service.ports import Clock

REMEMBER_MS = 500
"""How long an environment refuses by itself before it asks the gate again: two requests a second and environment."""

_PAGE_BITS = 32_768

_BITS = 4
"""Bits of a winner. With 16 bits of the filter per coupon, 1 user in 400 is taken for a winner wrongly, and asks."""

_PAGES_AT_MOST = 512
"""Pages of 4 kB kept of a campaign: those of a million coupons. Larger ones are remembered for some of their users."""

_CAMPAIGNS_AT_MOST = 8


@dataclass(slots=True)
class _Memory:
    until: Millis = 0
    claims: int = -1
    count: int = 1
    pages: dict[int, bytes] = field(default_factory=dict)


class SoldOutMemory:
    """Remembers campaigns that are sold out; one a Lambda environment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memories: dict[str, _Memory] = {}

    def refuses(self, campaign_id: str, user_id: str) -> bool:
        """Whether this user certainly gets no coupon at this moment; if not, the gate has to be asked."""
        memory = self._memories.get(campaign_id)
        if memory is None or self._clock.now() >= memory.until:
            return False
        number, bits = place_in_filter(user_id)
        page = memory.pages.get(number % memory.count)
        return page is not None and not _may_hold(page, bits)

    def note(self, campaign_id: str, user_id: str, seen: SoldOut, asked_at: Millis) -> None:
        """Remember what the gate said to this user, who asked at `asked_at` by the clock of this memory."""
        memory = self._memories.get(campaign_id)
        if memory is None or (memory.claims, memory.count) != (seen.claims, seen.pages):
            if len(self._memories) >= _CAMPAIGNS_AT_MOST:
                self._memories.clear()
            memory = self._memories[campaign_id] = _Memory(claims=seen.claims, count=seen.pages)
        if len(memory.pages) >= _PAGES_AT_MOST:
            memory.pages.clear()
        memory.pages[place_in_filter(user_id)[0] % seen.pages] = seen.page
        memory.until = asked_at + seen.for_ms


def place_in_filter(user_id: str) -> tuple[int, list[int]]:
    """Return a number that modulo the number of pages is the user's page, and the user's bits within it."""
    digest = hashlib.sha1(user_id.encode(), usedforsecurity=False).digest()
    bits = [int.from_bytes(digest[at : at + 2]) % _PAGE_BITS for at in range(4, 4 + 2 * _BITS, 2)]
    return int.from_bytes(digest[:4]), bits


def _may_hold(page: bytes, bits: Sequence[int]) -> bool:
    """Whether all these bits are set; Redis counts bits from the highest of a byte."""
    return all(page[bit >> 3] & 0x80 >> (bit & 7) for bit in bits)
