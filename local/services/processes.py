"""The programs of one stack: started apart, logged, watched, and stopped together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.errors import LocalStackError
from local.services.groups import living_members, stop_groups
from local.services.signals import signals_held_back

READY_SECONDS = 60.0
POLL_SECONDS = 0.03
REAP_SECONDS = 10.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """What to start: `log` gets all of its output."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path


class Processes:
    """Programs that run until `stop`, or beyond this process after `leave_running`.

    Each has a session of its own: a Ctrl-C in the terminal reaches the launcher only, which then stops all in order.
    Start them from one place at a time.
    """

    def __init__(self, inherited: Sequence[int] = ()) -> None:
        """`inherited`: file descriptors the watchdog holds open for as long as it has something to stop."""
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "local.services.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
            pass_fds=inherited,
        )

    def start(self, program: Program) -> subprocess.Popen[bytes]:
        """Start `program`; it may not be ready yet."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log, signals_held_back():
            process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=program.folder,
                env=dict(program.environment),
                start_new_session=True,
            )
            self._running[program.name] = process
            self._tell_watchdog(f"+{process.pid}")
        return process

    def finish(self, program: Program, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of `program`, which must succeed."""
        status = process.wait()
        self.forget(program.name)
        if status:
            raise LocalStackError(f"{program.name} failed with status {status}.", program.log)

    def run(self, program: Program) -> None:
        """Run `program` to its end, which must be a success."""
        self.finish(program, self.start(program))

    def forget(self, name: str) -> None:
        """Stop what is left of the program called `name`, and no longer watch it."""
        process = self._running.pop(name)
        stop_groups([process.pid], process.poll)
        _collect(process)
        self._tell_watchdog(f"-{process.pid}")

    def pid(self, name: str) -> int:
        """The process of the program called `name`."""
        return self._running[name].pid

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the program called `name`, and to all it started."""
        os.killpg(self._running[name].pid, number)

    def kill(self, name: str) -> None:
        """End the program called `name` without a warning, as a power cut does."""
        self.send_signal(name, signal.SIGKILL)
        self._running[name].wait()
        self.forget(name)

    def stop(self) -> None:
        """Stop everything, and everything those programs started."""
        stop_groups([process.pid for process in self._running.values()], self._reap)
        for process in self._running.values():
            _collect(process)
        self._dismiss_watchdog()

    def leave_running(self, record: Path) -> None:
        """Let the programs outlive this process; `stop_recorded(record)` stops them."""
        started = {name: psutil.Process(process.pid).create_time() for name, process in self._running.items()}
        programs = [
            {"name": name, "pid": process.pid, "created": started[name]} for name, process in self._running.items()
        ]
        record.write_text(json.dumps(programs, indent=2) + "\n", encoding="utf-8")
        self._dismiss_watchdog()

    def _reap(self) -> None:
        for process in self._running.values():
            process.poll()

    def _tell_watchdog(self, line: str) -> None:
        pipe = self._watchdog.stdin
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.write(f"{line}\n".encode())
                pipe.flush()

    def _dismiss_watchdog(self) -> None:
        for process in self._running.values():
            self._tell_watchdog(f"-{process.pid}")
        self._running.clear()
        self._watchdog.communicate()


def _collect(process: subprocess.Popen[bytes]) -> None:
    # Gone from the group, but on a busy machine perhaps not yet from the table of processes.
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP_SECONDS)


def wait_until_ready(process: subprocess.Popen[bytes], program: Program, is_ready: Callable[[], bool]) -> None:
    """Wait until `program` answers; fail when it ends instead, or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready():
        if process.poll() is not None:
            raise LocalStackError(f"{program.name} ended with status {process.returncode} at its start.", program.log)
        if time.monotonic() > deadline:
            raise LocalStackError(f"{program.name} did not answer within {READY_SECONDS:.0f} s.", program.log)
        time.sleep(POLL_SECONDS)
    if process.poll() is not None:
        # Something else answers on its port.
        raise LocalStackError(f"{program.name} ended with status {process.returncode} at its start.", program.log)


def all_recorded_run(record: Path) -> bool:
    """Whether every program that was left running still runs."""
    programs = _recorded(record)
    return bool(programs) and all(_is_same(pid, created) for pid, created in programs)


def stop_recorded(record: Path) -> int:
    """Stop the programs that were left running; how many of them there still were."""
    living = [pid for pid, created in _recorded(record) if _is_ours(pid, created)]
    stop_groups(living)
    record.unlink(missing_ok=True)
    return len(living)


def _recorded(record: Path) -> list[tuple[int, float]]:
    try:
        programs = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [(int(program["pid"]), float(program["created"])) for program in programs]


def _is_same(pid: int, created: float) -> bool:
    # A number alone is not enough: the system gives it to another process one day.
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - created) < 1
    except psutil.Error:
        return False


def _is_ours(pid: int, created: float) -> bool:
    if _is_same(pid, created):
        return True
    # The program is gone, but Lambda workers below it may not be. Those know whose they are.
    mark = stack_mark()
    return not psutil.pid_exists(pid) and any(_has_mark(member, mark) for member in living_members([pid]))


def _has_mark(process: psutil.Process, mark: Mapping[str, str]) -> bool:
    try:
        return mark.items() <= process.environ().items()
    except (psutil.Error, OSError):
        return False


def stack_mark() -> dict[str, str]:
    """The variable by which a process shows that this clone started it."""
    return {"FIRSTCOME_CLONE": os.fspath(ROOT)}
