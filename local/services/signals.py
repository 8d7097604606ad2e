"""Signals that end a command, turned into exceptions so that everything started is stopped on the way out."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

PR_SET_PDEATHSIG = 1


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came. A KeyboardInterrupt, so that pytest ends its session too instead of failing one test."""


@dataclass
class _Held:
    """What came while the main thread must not be interrupted."""

    depth: int = 0
    waiting: KeyboardInterrupt | None = None


_held = _Held()


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGINT and Terminated on SIGTERM and SIGHUP while the body runs."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may set handlers; there, somebody else has decided.
        yield
        return
    _end_with_make()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    # Also where SIGINT came ignored, as it does to a shell's background jobs: `kill -INT` must stop the stack.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    if previous[signal.SIGHUP] is not signal.SIG_IGN:  # `nohup` asked for that
        signal.signal(signal.SIGHUP, _terminate)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Let the body finish first: a clean-up, or a start that must not be forgotten half-way.

    Not by blocking the signals: a program started meanwhile would inherit that.
    """
    _held.depth += 1
    try:
        yield
    finally:
        _held.depth -= 1
        if _held.depth == 0 and _held.waiting is not None:
            waiting, _held.waiting = _held.waiting, None
            raise waiting


def _end_with_make() -> None:
    # A `make` that is killed tells its children nothing. The kernel does, when asked to.
    if sys.platform == "linux" and "MAKELEVEL" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _raise_or_hold(KeyboardInterrupt())


def _terminate(_number: int, _frame: FrameType | None) -> None:
    _raise_or_hold(Terminated())


def _raise_or_hold(ending: KeyboardInterrupt) -> None:
    if _held.depth == 0:
        raise ending
    _held.waiting = ending
