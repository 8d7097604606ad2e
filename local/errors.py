"""The one failure of the launcher, and the one place where it is shown."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from local.services.signals import Terminated

LOG_LINES_SHOWN = 20
INTERRUPTED = 130
TERMINATED = 143
CRASH_LOG = Path(__file__).resolve().parent.parent / ".local" / "crash.log"


class LocalStackError(Exception):
    """A part of the local stack failed: what happened, where its log is, and what to do about it."""

    def __init__(self, message: str, log_path: Path | None = None, advice: str = "") -> None:
        """`log_path`: the log whose last lines explain the failure."""
        super().__init__(message)
        self.message = message
        self.log_path = log_path
        self.advice = advice

    def __str__(self) -> str:
        """The whole report, as a user should read it."""
        lines = [self.message]
        if self.log_path is not None:
            lines += [f"Last lines of {self.log_path}:", *(f"  | {line}" for line in _last_lines(self.log_path))]
        if self.advice:
            lines.append(self.advice)
        return "\n".join(lines)


def run_command(command: Callable[[], None]) -> None:
    """Run a command of the launcher; leave with a status, and on failure with a report instead of a traceback."""
    try:
        command()
    except LocalStackError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Terminated:
        sys.exit(TERMINATED)
    except KeyboardInterrupt:
        print("Interrupted; everything that was started is stopped.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last resort: a defect of ours is reported, not thrown at the user
        CRASH_LOG.parent.mkdir(exist_ok=True)
        CRASH_LOG.write_text(traceback.format_exc(), encoding="utf-8")
        print(f"error: unexpected {type(error).__name__}: {error}\nDetails: {CRASH_LOG}", file=sys.stderr)
        sys.exit(1)


def _last_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ["(no log was written)"]
    return lines[-LOG_LINES_SHOWN:] or ["(the log is empty)"]
