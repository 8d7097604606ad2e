"""Process groups: who is in one, and how it is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import psutil

GRACE_SECONDS = 6.0
KILL_SECONDS = 4.0
POLL_SECONDS = 0.05


def living_members(groups: Collection[int]) -> list[psutil.Process]:
    """The processes of `groups` that still run; a zombie no longer does."""
    members = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) in groups:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    members.append(process)
    return members


def stop_groups(groups: Collection[int], reap: Callable[[], object] = lambda: None) -> None:
    """End `groups`, politely first. `reap` is called while waiting, to collect those that are the caller's children."""
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        deadline = time.monotonic() + seconds
        _signal(groups, number)
        while living_members(groups):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
            reap()
        else:
            return


def _signal(groups: Collection[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
