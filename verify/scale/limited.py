"""A process that has a share of a core, as a Lambda function has by its memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.scale.site import put_first

LAMBDA_SHARE = 0.29
"""Of a core that a function of 512 MB has."""

_PERIOD_SECONDS = 0.1
"""Linux gives a limited process its share anew ten times in a second, and so does this."""

_LOOK_SECONDS = 0.004


@dataclass(frozen=True)
class Run:
    """What became of a process.

    Attributes:
        answer: what it printed last, as JSON; None when it was ended because its time was up.
    """

    answer: Any
    seconds: float
    cpu_seconds: float
    memory_mb: float


def run_limited(module: str, arguments: Mapping[str, Any], share: float, timeout_seconds: float) -> Run:
    """Run a module with a share of a core, and end it by force when its time is up."""
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        put_first(process.pid)
        _limit(process.pid, share, began + timeout_seconds)
        is_late = time.monotonic() >= began + timeout_seconds
        if is_late:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        assert process.stdout
        printed = process.stdout.read().decode().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not is_late:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    answer = None if is_late else json.loads(printed[-1])
    return Run(answer, time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _limit(pid: int, share: float, until: float) -> None:
    """Stop the process in each period once it has used its share, until it ends."""
    with suppress(ProcessLookupError, FileNotFoundError):
        period_ends, budget_ends, is_stopped = 0.0, 0.0, False
        while (now := time.monotonic()) < until and not _has_ended(pid):
            used = _cpu_seconds(pid)
            if now >= period_ends:
                period_ends, budget_ends = now + _PERIOD_SECONDS, used + share * _PERIOD_SECONDS
            should_stop = used >= budget_ends
            if should_stop != is_stopped:
                os.kill(pid, signal.SIGSTOP if should_stop else signal.SIGCONT)
                is_stopped = should_stop
            time.sleep(_LOOK_SECONDS)


def _has_ended(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return state == "Z"


def _cpu_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="utf-8").split()[0]) for task in tasks) / 1e9
