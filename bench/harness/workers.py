"""Processes that make calls for the bench: each stands for one warm environment, with clients of its own.

They come from a fork server that has imported the drivers once, so that many of them start quickly, and that has none
of the launcher's descriptors: when the launcher goes, its pipes close and the workers end.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.harness.priority import step_back
from local.errors import LocalStackError
from local.services.processes import ROOT

LOG = ROOT / ".local" / "bench" / "workers.log"
END_SECONDS = 2.0
_IMPORTED_ONCE = ["bench.harness.handlers", "boto3", "botocore.config", "pymysql", "redis", "redis.lock"]


def do_nothing() -> None:
    """Nothing to prepare."""


class Worker:
    """One process, which runs one call at a time."""

    def __init__(self, prepare: Callable[[], None] = do_nothing) -> None:
        """`prepare`: a module's own function that the process calls first."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED_ONCE)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, prepare), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process.pid is not None  # noqa: S101 - it was started
        return self._process.pid

    def begin(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Have the worker start a call, which must be a module's own function."""
        self._pipe.send((call, arguments))

    def outcome(self) -> Any:
        """Wait for the end of the call, and return what it returned."""
        try:
            failed, outcome = self._pipe.recv()
        except EOFError as exc:
            raise LocalStackError("A process of the bench ended by itself.") from exc
        if failed:
            raise LocalStackError(f"A process of the bench failed: {outcome}", LOG)
        return outcome

    def call[**P, T](self, call: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        """Run a call in the worker and return its outcome."""
        self.begin(call, *arguments)
        outcome: T = self.outcome()
        return outcome

    def dismiss(self) -> None:
        """Let the process end after the call it is in."""
        self._pipe.close()

    def stop(self, deadline: float) -> None:
        """Wait for the end of the process until then, by the monotonic clock; then end it."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


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
            worker.dismiss()
        deadline = time.monotonic() + END_SECONDS
        for worker in crowd:
            worker.stop(deadline)


def call_all(crowd: Sequence[Worker], call: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run a call in each worker at the same time, each with arguments of its own; return their outcomes in order."""
    for worker, some in zip(crowd, arguments, strict=True):
        worker.begin(call, *some)
    return [worker.outcome() for worker in crowd]


def stand_back() -> None:
    """Step back, as the first call of a worker that stands for another machine."""
    os.setsid()
    step_back(os.getpid())


def _serve(pipe: Connection, prepare: Callable[[], None]) -> None:
    # A Ctrl-C in the terminal reaches this process too; the launcher decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The functions write their metrics there, and Lambda would read them; nobody does here.
    with open(os.devnull, "w", encoding="utf-8") as sys.stdout:
        _answer(pipe, prepare)


def _answer(pipe: Connection, prepare: Callable[[], None]) -> None:
    prepare()
    # The launcher has closed its end: it is done, or gone.
    with suppress(EOFError, ConnectionError):
        while True:
            call, arguments = pipe.recv()
            pipe.send(_run(call, arguments))


def _run(call: Callable[..., Any], arguments: Sequence[Any]) -> tuple[bool, Any]:
    try:
        return False, call(*arguments)
    except Exception as exc:  # noqa: BLE001 - the launcher reports it
        _write_log(LOG)
        return True, f"{type(exc).__name__}: {exc}"


def _write_log(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(traceback.format_exc())
