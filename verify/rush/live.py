"""A line that keeps changing: in place on a terminal, as a plain line every few seconds elsewhere."""

from __future__ import annotations

import shutil
import time
from types import TracebackType
from typing import Self, TextIO

TERMINAL_SECONDS = 0.2
PLAIN_SECONDS = 2.0


class LiveLine:
    """Shows the latest of many texts, not too often."""

    def __init__(self, out: TextIO) -> None:
        """Write to `out`."""
        self._out = out
        self._in_place = out.isatty()
        self._every = TERMINAL_SECONDS if self._in_place else PLAIN_SECONDS
        self._shown_at = 0.0
        self._shown = ""
        self._latest = ""

    def __enter__(self) -> Self:
        """Nothing shown yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last text as a line of its own."""
        if self._in_place:
            self._out.write(f"\r\x1b[2K{self._latest}\n")
        elif self._latest != self._shown:
            self._out.write(f"{self._latest}\n")
        self._out.flush()

    def show(self, text: str) -> None:
        """Show `text`, unless another was shown a moment ago."""
        self._latest = text
        now = time.monotonic()
        if now - self._shown_at < self._every:
            return
        self._shown_at, self._shown = now, text
        if self._in_place:
            # Longer than the terminal is wide, it would wrap, and the next text could not replace it.
            width = shutil.get_terminal_size().columns - 1
            self._out.write(f"\r\x1b[2K{text[:width]}")
        else:
            self._out.write(f"{text}\n")
        self._out.flush()
