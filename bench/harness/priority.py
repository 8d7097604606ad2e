"""Priorities and cores: what runs on other machines in production must not disturb the measured process here."""

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

    Linux shares the cores between sessions first (sched_autogroup), and uses niceness only within one; so the session
    needs it too.
    """
    psutil.Process(pid).nice(LOWEST)
    with suppress(OSError):  # A kernel without autogroups uses niceness alone.
        Path(f"/proc/{pid}/autogroup").write_text(f"{LOWEST}\n", encoding="ascii")
