"""Progress of long steps on standard error: in place on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.text import Text

PLAIN_SECONDS = 2.0


class Progress:
    """Reports steps as they run, and the seconds each takes."""

    def __init__(self, out: TextIO | None = None) -> None:
        """Write to `out`, by default standard error: standard output is for results."""
        self._console = Console(file=out or sys.stderr, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show `title` while the body runs, then how long it took; the body may show where it stands."""
        started = shown = time.monotonic()

        def show(state: str) -> None:
            nonlocal shown
            status.update(Text(f"{title}: {state}"))
            if not self._console.is_terminal and time.monotonic() - shown > PLAIN_SECONDS:
                shown = time.monotonic()
                self.say(f"  {state}")

        with self._console.status(Text(title)) as status:
            yield show
        self.say(f"{title} ({time.monotonic() - started:.1f} s)")

    def say(self, text: str) -> None:
        """Write one line that stays."""
        self._console.print(Text(text))
