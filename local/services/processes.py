"""The programs of one stack, run by mirakuru: each has a log of its own, and none is left behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import string
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from mirakuru import Executor
from mirakuru.base import ENV_UUID
from mirakuru.exceptions import ExecutorError, ProcessExitedWithError, ProcessFinishedWithError

from local.errors import LocalStackError

READY_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.03
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """A program to start.

    Attributes:
        log: gets all of its output.
        port: where it listens once it is ready; 0 for a program that serves nobody.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    port: int = 0


class _Executor(Executor):
    """A program in a process group of its own, that ends with the process that started it."""

    def __init__(self, program: Program, log: int) -> None:
        # On Linux the kernel stops the program if this process is killed. Elsewhere nothing does.
        tied = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        super().__init__(
            [*tied, *program.command],
            cwd=str(program.folder),
            timeout=READY_SECONDS,
            sleep=POLL_SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.program = program
        # Letters only: when another user of mirakuru exits, it kills what has the digits of its PID in this text.
        self._uuid = "".join(random.choices(string.ascii_letters, k=24))  # noqa: S311 - a name, not a secret

    @property
    def envvars(self) -> dict[str, str]:
        return {**self.program.environment, ENV_UUID: self._uuid}

    def pre_start_check(self) -> bool:
        return False

    def after_start_check(self) -> bool:
        # Not by connecting: on a port that was lost to another program, that one would answer.
        return not self.program.port or self.process is None or self.program.port in _listening_ports(self.process.pid)

    def end(self) -> None:
        """Stop the program and all that it started; kill what does not stop in time."""
        self._timeout = STOP_SECONDS
        with suppress(ProcessFinishedWithError):
            self.stop()


class Processes:
    """Programs that run until `stop`. Start them in the main thread: they are tied to the thread that starts them."""

    def __init__(self) -> None:
        self._running: dict[str, _Executor] = {}

    def start(self, program: Program) -> subprocess.Popen[str]:
        """Start `program` and wait until it is ready."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            executor = self._running[program.name] = _Executor(program, log.fileno())
            try:
                executor.start()
            except ExecutorError as error:
                del self._running[program.name]
                status = error.exit_code if isinstance(error, ProcessExitedWithError) else None
                outcome = f"did not answer within {READY_SECONDS:.0f} s" if status is None else f"ended with {status}"
                raise LocalStackError(f"{program.name} {outcome} at its start.", program.log) from error
        return self._process(program.name)

    def finish(self, name: str) -> None:
        """Wait for the end of a program, which must be a success."""
        log, status = self._running[name].program.log, self._process(name).wait()
        self.forget(name)
        if status:
            raise LocalStackError(f"{name} failed with status {status}.", log)

    def run(self, program: Program) -> None:
        """Run `program` to its end, which must be a success."""
        self.start(program)
        self.finish(program.name)

    def forget(self, name: str) -> None:
        """Stop a program."""
        self._running.pop(name).end()

    def kill(self, name: str) -> None:
        """End a program without a warning, as a power cut does."""
        self._running.pop(name).kill()

    def pid(self, name: str) -> int:
        """The process of a program."""
        return self._process(name).pid

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program and to all that it started."""
        os.killpg(self.pid(name), number)

    def check(self) -> None:
        """Raise `LocalStackError` if a program has ended by itself."""
        for name, executor in self._running.items():
            if not executor.running():
                raise LocalStackError(f"{name} has ended.", executor.program.log)

    def stop(self) -> None:
        """Stop all programs, those started last first."""
        while self._running:
            self._running.popitem()[1].end()

    def _process(self, name: str) -> subprocess.Popen[str]:
        process = self._running[name].process
        assert process is not None  # noqa: S101 - it was started
        return process


def _listening_ports(pid: int) -> set[int]:
    with suppress(psutil.Error):
        connections = psutil.Process(pid).net_connections("inet")
        return {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
    return set()
