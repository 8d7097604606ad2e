"""A Redis whose wall clock can be set, while it runs."""

from __future__ import annotations

import mmap
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.deployment.workspace import Workspace

SOURCE = Path(__file__).with_suffix(".c")


class ShiftedClock:
    """The wall clock of the servers that were started with its variables."""

    def __init__(self, folder: Path) -> None:
        """Compile what is preloaded, into `folder`."""
        library = folder / "shifted_clock.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)
        file = folder / "clock-offset"
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._ahead = mmap.mmap(opened.fileno(), 8)
        self.variables = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(file)}

    @property
    def ahead_ms(self) -> int:
        """How far it is ahead of this machine's; negative: behind."""
        (microseconds,) = struct.unpack("q", self._ahead[:])
        return int(microseconds) // 1000

    @ahead_ms.setter
    def ahead_ms(self, milliseconds: int) -> None:
        self._ahead[:] = struct.pack("q", milliseconds * 1000)


@dataclass(frozen=True)
class ClockedWorkspace(Workspace):
    """A workspace whose services have that clock."""

    clock: ShiftedClock | None = None

    def service_environment(self) -> dict[str, str]:
        """The environment of a service."""
        return {**super().service_environment(), **(self.clock.variables if self.clock else {})}
