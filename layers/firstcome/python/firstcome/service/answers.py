"""How many applications were not admitted, by campaign: each environment counts, and adds what it has to the gate.

Not in the round trip that decides an application. What an environment that ends has not yet added is missing, so the
figures are lower bounds.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from firstcome.domain.errors import GateUnavailableError

if TYPE_CHECKING:
    from firstcome.domain.times import Millis
    from firstcome.service.ports import Clock, Gate

UNAVAILABLE = "unavailable"
"""The code under which answers of 503 are counted, beside those of refusals."""

EVERY_MS = 1_000
"""How long counts are gathered before they are added."""

_CAMPAIGNS_AT_MOST = 50
"""Campaigns counted at once, while the gate takes none."""


class AnswerCounts:
    """Counts; one in each Lambda environment."""

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._counts: dict[str, Counter[str]] = {}
        self._added_at: Millis = clock.now()

    def count(self, campaign_id: str, code: str) -> None:
        """Count one answer about a campaign that exists."""
        if campaign_id in self._counts or len(self._counts) < _CAMPAIGNS_AT_MOST:
            self._counts.setdefault(campaign_id, Counter())[code] += 1

    def add_if_due(self) -> None:
        """Add what was counted to the gate, if it has been gathered for `EVERY_MS`. Never raises."""
        if not self._counts or self._clock.now() - self._added_at < EVERY_MS:
            return
        self._added_at = self._clock.now()
        for campaign_id in list(self._counts):
            try:
                self._gate.add_answers(campaign_id, self._counts[campaign_id])
            except GateUnavailableError:
                return
            del self._counts[campaign_id]
