"""CloudWatch metrics by Powertools, counted for a while before a line is written.

A line for each request would cost more than the request: a million refusals would write a gigabyte. So an environment
counts, and writes one line per campaign and second. Never in a line: user ids and coupon codes.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firstcome.domain.times import Millis
    from firstcome.service.ports import Clock

EVERY_MS = 1_000
"""How long counts are gathered. What an environment has counted last is written with its next request, if there is one;
what it never writes is this second at most."""

_SETS_AT_MOST = 50
"""Campaigns, times codes, counted at once; more are written early."""


class Metric(StrEnum):
    """What is counted. All are counts but `ACCEPT_TO_ISSUE`."""

    ACCEPTED = "Accepted"
    REPLAYED = "Replayed"
    REFUSED = "Refused"
    UNAVAILABLE = "Unavailable"
    ISSUED = "Issued"
    RESEATED = "Reseated"
    OVERFLOW = "Overflow"
    QUARANTINED = "Quarantined"
    REDELIVERED = "Redelivered"
    OUTBOX = "Outbox"
    """Claims that the relay found left behind: not known to be in the queue long after they were accepted."""
    RELAYED = "Relayed"
    RELAY_REFUSED = "RelayRefused"
    RELAY_FAILURES = "RelayFailures"
    """Campaigns whose turn ended with an error."""
    MISSING = "Missing"
    """Claims that were sent and are not in the ledger though the queue was empty."""
    GATES_REBUILT = "GatesRebuilt"
    GATES_CLOSED = "GatesClosed"
    ACCEPT_TO_ISSUE = "AcceptToIssue"
    """Milliseconds from a claim's acceptance to the commit of its row: the longest of a batch."""


type Dimensions = tuple[tuple[str, str], ...]


class Metrics:
    """Counts, and writes lines to the log; one per Lambda environment.

    Every metric is written twice: by its dimensions, and over everything, so that an alarm needs to know no campaign.
    """

    def __init__(self, clock: Clock, namespace: str) -> None:
        self._clock = clock
        self._namespace = namespace
        self._counts: dict[Dimensions, Counter[Metric]] = {}
        self._campaigns: set[str] = set()
        self._written_at: Millis = clock.now()

    def count(self, metric: Metric, number: int = 1, **dimensions: str) -> None:
        """Count; a number of 0 is left out. Only campaigns that exist may be dimensions: each is paid for."""
        if number:
            self._counts_of(dimensions)[metric] += number
            if len(self._counts) > _SETS_AT_MOST:
                self.write()

    def knows(self, campaign_id: str) -> bool:
        """Whether something was counted of this campaign before, so that it is one that exists."""
        return campaign_id in self._campaigns

    def longest(self, milliseconds: int, **dimensions: str) -> None:
        """Note how long the slowest claim of a batch took from acceptance to its row."""
        counts = self._counts_of(dimensions)
        counts[Metric.ACCEPT_TO_ISSUE] = max(milliseconds, counts[Metric.ACCEPT_TO_ISSUE])

    def write_if_due(self) -> None:
        """Write what was counted, if it has been gathered for `EVERY_MS`."""
        if self._counts and self._clock.now() - self._written_at >= EVERY_MS:
            self.write()

    def write(self) -> None:
        """Write what was counted."""
        counts, self._counts = self._counts, {}
        self._written_at = self._clock.now()
        for dimensions, numbers in counts.items():
            _write_line(self._namespace, dimensions, numbers)

    def _counts_of(self, dimensions: dict[str, str]) -> Counter[Metric]:
        key = tuple(dimensions.items())
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = Counter()
            if "campaign_id" in dimensions:
                self._campaigns.add(dimensions["campaign_id"])
        return counts


def _write_line(namespace: str, dimensions: Dimensions, numbers: Counter[Metric]) -> None:
    # Imported when there is something to write, which the first request of an environment does not wait for.
    from aws_lambda_powertools.metrics import EphemeralMetrics  # noqa: PLC0415

    # No service: it would be one more dimension, and an alarm over everything would not find its metric.
    line = EphemeralMetrics(namespace=namespace, service="")
    if dimensions:
        line.add_dimensions(**dict(dimensions))
    for metric, number in numbers.items():
        line.add_metric(metric, "Milliseconds" if metric is Metric.ACCEPT_TO_ISSUE else "Count", number)
    line.flush_metrics()
