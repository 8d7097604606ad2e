"""Processes that make calls for the bench: each stands for one warm environment, with clients of its own.

They come from a fork server that has imported the drivers once, so that many of them start quickly.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any

from bench.harness.priority import step_back
from local.errors import LocalStackError

_IMPORTED_ONCE = ["bench.harness.handlers", "boto3", "botocore.config", "pymysql", "redis", "redis.lock"]


def do_nothing() -> None:
    """Nothing to prepare."""


class Worker:
    """One process, which runs one call at a time."""

    def __init__(self, prepare: Callable[[], None] = do_nothing) -> None:
        """`prepare`: a module's own function that the process calls first."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED_ONCE)
        self._pool = ProcessPoolExecutor(1, context, _prepare, (prepare,))
        # Not waited for, so that many start at the same time.
        self._started = self._pool.submit(os.getpid)

    @property
    def pid(self) -> int:
        """Its process."""
        return outcome(self._started)

    def begin[**P, T](self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Start a call, which must be a module's own function."""
        return self._pool.submit(call, *arguments, **named)

    def call[**P, T](self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Make a call and return its outcome."""
        return outcome(self.begin(call, *arguments, **named))

    def stop(self) -> None:
        """End the process, in whatever call it is."""
        with suppress(ProcessLookupError, LocalStackError):
            os.kill(self.pid, signal.SIGKILL)
        self._pool.shutdown()


def outcome[T](call: Future[T]) -> T:
    """Wait for the end of a call, and return its outcome."""
    try:
        return call.result()
    except BrokenProcessPool as error:
        raise LocalStackError("A process of the bench ended by itself.") from error


@contextmanager
def workers(count: int, prepare: Callable[[], None] = do_nothing) -> Iterator[Sequence[Worker]]:
    """Start workers, and end them."""
    crowd: list[Worker] = []
    try:
        for _ in range(count):
            crowd.append(Worker(prepare))  # noqa: PERF401 - those started must be known when one fails
        yield crowd
    finally:
        for worker in crowd:
            worker.stop()


def call_all(crowd: Sequence[Worker], call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Make a call in each worker at the same time, each with arguments of its own; returns the outcomes in order."""
    begun = [worker.begin(call, *some) for worker, some in zip(crowd, arguments, strict=True)]
    return [outcome(each) for each in begun]


def stand_back() -> None:
    """Step back, as the first call of a worker that stands for another machine."""
    os.setsid()
    step_back(os.getpid())


def _prepare(prepare: Callable[[], None]) -> None:
    # A Ctrl-C in the terminal reaches this process too; the launcher decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    # The functions write their metrics there, for Lambda to read.
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    prepare()


def _end_with_launcher() -> None:
    launcher = multiprocessing.parent_process()
    if launcher is not None:
        launcher.join()
    os.kill(os.getpid(), signal.SIGKILL)
