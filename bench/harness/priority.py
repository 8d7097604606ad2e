"""Lets a process step back for all others on the machine: what runs on other machines in production."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

LOWEST = 19


def keep_to(cores: Sequence[int], pids: Iterable[int]) -> None:
    """Let these processes, and all the threads they have and will have, run on these cores only."""
    for pid in pids:
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, cores)


def halves() -> tuple[Sequence[int], Sequence[int]]:
    """The cores of this machine in two parts, each of one at least; a single core is both."""
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    return cores[:half], cores[half:] or cores


def step_back(pid: int) -> None:
    """Give a process the lowest priority. It must lead a session of its own.

    Linux shares the cores between sessions first (sched_autogroup), and heeds niceness only within one; so the session
    as a whole has to step back too.
    """
    psutil.Process(pid).nice(LOWEST)
    with suppress(OSError):  # A kernel without autogroups heeds niceness alone.
        Path(f"/proc/{pid}/autogroup").write_text(f"{LOWEST}\n", encoding="ascii")
