"""The parts of the bench, in the order in which they run: one line each."""

from __future__ import annotations

from collections.abc import Callable

from bench import bystander, cold_start, drain, hot_path, race, redis_costs
from bench.part import Part

PARTS: dict[str, Callable[[], Part]] = {
    "bystander": bystander.run,
    "rivals": race.run,
    "drain": drain.run,
    "redis": redis_costs.run,
    "cold": cold_start.run,
    "hot": hot_path.run,
}
