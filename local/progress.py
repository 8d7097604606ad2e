"""What the launcher says while it works: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

REDRAW_SECONDS = 0.2


class Progress:
    """Reports steps as they run, with the seconds each takes."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        """Write to `out`; standard output stays free for results."""
        self._out = out

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show `title` while the body runs, then how long it took."""
        started = time.monotonic()
        with self._live_line(title, started):
            yield
        self._line(f"{title} ({time.monotonic() - started:.1f} s)")

    def say(self, text: str) -> None:
        """One line that stays."""
        self._line(text)

    @contextmanager
    def _live_line(self, title: str, started: float) -> Iterator[None]:
        if not self._out.isatty():
            yield
            return
        ended = threading.Event()

        def redraw() -> None:
            while not ended.wait(REDRAW_SECONDS):
                self._out.write(f"\r\x1b[2K{title} ... {time.monotonic() - started:.0f} s")
                self._out.flush()

        drawer = threading.Thread(target=redraw, daemon=True)
        drawer.start()
        try:
            yield
        finally:
            ended.set()
            drawer.join()
            self._out.write("\r\x1b[2K")
            self._out.flush()

    def _line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()
