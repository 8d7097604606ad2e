"""Keeps the cores awake while short round trips are measured.

A core that idles takes tens of microseconds to wake, more than a call of Redis takes; that would be added to both sides
of a ratio, and hide the difference that is asked for. The spinners run only when nothing else wants the core.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.deployment.workspace import Workspace
from local.services.processes import ROOT, Processes, Program


@contextmanager
def awake_cores(processes: Processes, workspace: Workspace) -> Iterator[None]:
    """Let every core that this process may use do something at all times."""
    names = []
    for core in sorted(os.sched_getaffinity(0)):
        name = f"spinner-{core}"
        command = [sys.executable, "-m", "bench.harness.awake", str(core)]
        processes.start(Program(name, command, workspace.service_environment(), ROOT, workspace.log(name)))
        names.append(name)
    try:
        yield
    finally:
        for name in names:
            processes.forget(name)


def spin(core: int) -> None:
    """Keep one core busy, behind everybody else."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


if __name__ == "__main__":
    spin(int(sys.argv[1]))
