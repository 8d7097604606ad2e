"""The goal and the meaning of each figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A figure's goal.

    Attributes:
        is_floor: whether the figure is to be at least `limit`; else at most.
    """

    says: str
    limit: float
    is_floor: bool

    @property
    def goal(self) -> str:
        """The goal in words."""
        return f"{'at least' if self.is_floor else 'at most'} {self.limit:g}"

    def is_reached(self, value: float) -> bool:
        """Whether `value` reaches the goal."""
        return value >= self.limit if self.is_floor else value <= self.limit


def _at_most(limit: float, says: str) -> Target:
    return Target(says, limit, is_floor=False)


def _at_least(limit: float, says: str) -> Target:
    return Target(says, limit, is_floor=True)


TARGETS: dict[str, Target] = {
    "bystander_p99_ratio": _at_most(1.1, "another service's p99 during the rush, against idle, default rate limit"),
    "throughput_vs_for_update": _at_least(10, "requests/s against SELECT ... FOR UPDATE: 10,000 users, 100 coupons"),
    "throughput_vs_for_update_10k": _at_least(2.5, "the same: 16,000 requests, 10,000 coupons"),
    "over_issued": _at_most(0, "coupons beyond the capacity"),
    "accepted_without_row": _at_most(0, "accepted answers without their row, the queue emptied"),
    "cold_init_ratio": _at_most(0.15, "cold start of apply against the conventional handler"),
    "refused_ratio": _at_most(1.25, "a refusal in the handler against a bare EVALSHA"),
    "sold_out_cached_ratio": _at_most(0.25, "a refusal without Redis against a bare EVALSHA"),
    "accepted_ratio": _at_most(0.5, "an acceptance in the handler against bare EVALSHA + boto3"),
    "drain_ratio": _at_least(0.85, "rows/s of the drain against a bare multi-row INSERT, batches of 1,000"),
    "statements_per_coupon": _at_most(0.01, "database statements per issued coupon, batches of 1,000"),
    "cost_growth_ratio": _at_most(1.2, "Redis time per call at 1,000,000 claims against 100"),
    "redis_bytes_per_claim": _at_most(200, "Redis memory per accepted claim"),
    "apply_peak_mb": _at_most(48, "peak memory of the apply function"),
}
