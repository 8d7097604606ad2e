"""Which fault comes after which: every kind once a round, in an order that a seed decides."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

# A minute of these is felt as 503s at most.
SHORT = (
    "redis-paused",
    "redis-stopped",
    "redis-replica-stopped",
    "redis-replies-lost",
    "scripts-flushed",
    "sqs-throttled",
    "sqs-cut",
    "sqs-replies-lost",
    "apply-killed",
)
# After these the gates must be rebuilt.
LOSING_THE_GATE = ("redis-failed-over", "redis-flushed")
# After these, claims come back to the drain only when SQS's visibility timeout of three minutes is over. Last in a
# round, so that the next rebuild, which waits for the queue to be empty, comes minutes later.
HOLDING_CLAIMS_UP = ("drain-killed", "mariadb-down")
ROUND_SECONDS = 360


@dataclass(frozen=True)
class Step:
    """One fault of the run."""

    kind: str
    # Who has lost gates rebuilt: an operator, or the relay by itself.
    healed_by_operator: bool = False

    @property
    def loses_the_gate(self) -> bool:
        """Whether the gates must be rebuilt after it."""
        return self.kind in LOSING_THE_GATE


def steps(rng: random.Random, seconds: float) -> Iterator[Step]:
    """The faults of a run that lasts about that long, without an end."""
    turn = 0
    while True:
        # The relay takes up to two minutes more: too long for a short run.
        is_short = seconds < ROUND_SECONDS
        short = rng.sample(SHORT, len(SHORT))
        first, second = LOSING_THE_GATE
        yield from map(Step, short[:4])
        yield Step(first, healed_by_operator=is_short or turn % 2 == 1)
        yield from map(Step, short[4:7])
        yield Step(second, healed_by_operator=is_short or turn % 2 == 0)
        yield from map(Step, short[7:])
        yield from map(Step, HOLDING_CLAIMS_UP)
        turn += 1


def steps_a_round() -> int:
    """How many faults make a round."""
    return len(SHORT) + len(LOSING_THE_GATE) + len(HOLDING_CLAIMS_UP)
