"""Lets a process step back for all others on the machine: what runs on other machines in production."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

LOWEST = 19


def step_back(pid: int) -> None:
    """Give a process the lowest priority. It must lead a session of its own.

    Linux shares the cores between sessions first (sched_autogroup), and heeds niceness only within one; so the session
    as a whole has to step back too.
    """
    psutil.Process(pid).nice(LOWEST)
    with suppress(OSError):  # A kernel without autogroups heeds niceness alone.
        Path(f"/proc/{pid}/autogroup").write_text(f"{LOWEST}\n", encoding="ascii")
