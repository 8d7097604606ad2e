"""How a command ends: on a failure with a report, on a signal with everything stopped, never with a bare traceback."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

LOG_LINES_SHOWN = 20
PR_SET_PDEATHSIG = 1
CRASH_LOG = Path(__file__).resolve().parent.parent / ".local" / "crash.log"


class LocalStackError(Exception):
    """A part of the local stack failed. Its text is the whole report: what happened, the log's end, what to do."""

    def __init__(self, message: str, log_path: Path | None = None, advice: str = "") -> None:
        """`log_path`: the log whose last lines explain the failure."""
        super().__init__(message)
        self.message = message
        self.log_path = log_path
        self.advice = advice

    def __str__(self) -> str:
        """The report."""
        lines = [self.message]
        if self.log_path is not None:
            lines += [f"Last lines of {self.log_path}:", *(f"  | {line}" for line in _last_lines(self.log_path))]
        if self.advice:
            lines.append(self.advice)
        return "\n".join(lines)


def run_command(command: Callable[[], None]) -> None:
    """Run `command`; exit with its status, 1 and a report after a failure, 128 + number after a signal."""
    _exit_on_signals()
    try:
        command()
    except (LocalStackError, OSError) as error:
        sys.exit(f"error: {error}")
    except Exception as error:  # noqa: BLE001 - the last resort for a defect of this code
        CRASH_LOG.parent.mkdir(exist_ok=True)
        CRASH_LOG.write_text(traceback.format_exc(), encoding="utf-8")
        sys.exit(f"error: unexpected {type(error).__name__}: {error}\nDetails: {CRASH_LOG}")


def _exit_on_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP on purpose; a shell ignores SIGINT for its background jobs, yet `kill -INT` must work.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)
    # A `make` that is killed sends its children no signal; the kernel does when it is asked to.
    if sys.platform == "linux" and "MAKELEVEL" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _exit(number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the clean-up that the first one begins.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    print(f"{signal.Signals(number).name}: stopping everything that was started.", file=sys.stderr)
    sys.exit(128 + number)


def _last_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ["(no log was written)"]
    return lines[-LOG_LINES_SHOWN:] or ["(the log is empty)"]
