"""The parts of the bench, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.harness.part import Part
from bench.parts import bystander, cold_start, drain, hot_path, race, redis_costs

PARTS: dict[str, Callable[[], Part]] = {
    "bystander": bystander.run,
    "rivals": race.run,
    "drain": drain.run,
    "redis": redis_costs.run,
    "cold": cold_start.run,
    "hot": hot_path.run,
}
