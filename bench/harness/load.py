"""Who uses the cores: the bench itself, others on the machine, and the host of a virtual machine."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Load:
    """CPU seconds so far, or between two readings.

    Attributes:
        ours: of this process and all it started.
        others: of everybody else on the machine.
        stolen: what the host gave to somebody else while we wanted to run.
    """

    at: float
    ours: float
    others: float
    stolen: float

    def since(self, before: Load) -> Load:
        """What was used since."""
        return Load(
            self.at - before.at, self.ours - before.ours, self.others - before.others, self.stolen - before.stolen
        )


def read_load() -> Load:
    """Read it."""
    times = psutil.cpu_times()
    stolen = float(getattr(times, "steal", 0.0))
    busy = times.user + times.system + getattr(times, "nice", 0.0) + getattr(times, "irq", 0.0)
    busy += getattr(times, "softirq", 0.0)
    ours = 0.0
    us = psutil.Process()
    for process in (us, *us.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            ours += spent.user + spent.system
    return Load(time.monotonic(), ours, busy - ours, stolen)
