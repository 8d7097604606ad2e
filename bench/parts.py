"""The parts of the bench, in the order in which they run: one line each."""

from __future__ import annotations

from collections.abc import Callable

from bench import drain, race
from bench.part import Part

PARTS: dict[str, Callable[[], Part]] = {
    "rivals": race.run,
    "drain": drain.run,
}
