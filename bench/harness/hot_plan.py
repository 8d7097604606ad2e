"""What is measured on the hot path, and what came of it: spoken between the bench and the process that it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.harness.campaigns import BenchCampaign


@dataclass(frozen=True)
class Plan:
    """What to measure: one kind of answer.

    Attributes:
        status: the answer that each request must get.
        code: its problem code; empty when it is a coupon.
        before: users who apply before, so that the campaign is in the state to measure.
    """

    name: str
    campaign: BenchCampaign
    status: int
    code: str
    before: int
    blocks: int
    requests: int

    @property
    def sends(self) -> bool:
        """Whether the answer asks for a message in the queue."""
        return not self.code


@dataclass(frozen=True)
class Block:
    """One block of requests: how long each took, and the CPU time of all together."""

    took_ns: Sequence[int]
    cpu_ns: int


@dataclass(frozen=True)
class Outcome:
    """All blocks of a plan, in the order in which they ran.

    Attributes:
        script_calls: how many scripts Redis ran for the handler's blocks.
        log_bytes: what the handler logged in them.
    """

    handler: Sequence[Block]
    bare: Sequence[Block]
    script_calls: int
    log_bytes: int
