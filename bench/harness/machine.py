"""The machine that the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from local.services.programs import find_program


def describe_machine() -> dict[str, Any]:
    """What a reader needs to judge the absolute numbers, at the start of the bench."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "redis": _version_of(find_program("redis-server", "valkey-server")),
        "mariadb": _version_of(find_program("mariadbd")),
        "load_at_start": load(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def load() -> list[float]:
    """The load average of 1, 5 and 15 minutes: a machine with other work measures badly."""
    return [round(value, 2) for value in os.getloadavg()]


def _version_of(program: str) -> str:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+\.\d+[^\s,]*", output)
    return found[0] if found else output.strip()
