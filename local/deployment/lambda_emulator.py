"""Runs a built function as Lambda does, without Docker: on AWS's Runtime Interface Emulator and AWS's runtime client.

The emulator comes with aws-sam-cli, the client is `awslambdaric`. The function has what it has on Lambda: its folder as
the working directory, its layers merged into one folder as in /opt/python, and boto3 beside the runtime client. It does
not have this clone's virtual environment, so a package that the artefacts lack is missing here too.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import psutil
import samcli
from packaging.requirements import Requirement
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.ports import HOST, free_port
from local.services.processes import Processes, Program

RUNTIME_PACKAGES = ("awslambdaric", "boto3")
"""The packages of Lambda's own runtime; those that they require come with them."""

EXECUTION_ENVIRONMENT = "AWS_Lambda_python3.13"
INVOKE_PATH = "/2015-03-31/functions/function/invocations"
ERROR_FIELDS = {"errorMessage", "errorType", "requestId", "stackTrace"}
GRACE_SECONDS = 10
LOG_SECONDS = 15.0

# Lines of the emulator in the log that the function writes to as well.
_EMULATOR_LINE = re.compile(r"^\d\d \w{3} \d{4} [\d:,]+ \[\w+\] \(rapid\) |^(START|END|REPORT) RequestId: ")
_INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
_INVOKED = re.compile(r"INVOKE RTDONE\(status: \w+, .*duration: ([\d.]+)ms\)")


@dataclass(frozen=True)
class BuiltFunction:
    """A function as `sam build` left it."""

    name: str
    folder: Path
    handler: str
    layers: Sequence[Path]
    timeout_seconds: int
    memory_mb: int


def built_functions(build: Path, parameters: Mapping[str, str] | None = None) -> dict[str, BuiltFunction]:
    """The functions of a `sam build`, by logical ID, with template parameters that differ from their defaults."""
    template = build / "template.yaml"
    if not template.exists():
        raise LocalStackError(f"There is nothing built in {build}.")
    stacks, _ = SamLocalStackProvider.get_stacks(str(template), parameter_overrides=dict(parameters or {}))
    return {
        function.name: BuiltFunction(
            name=function.name,
            folder=Path(function.codeuri),
            handler=function.handler,
            layers=[Path(layer.codeuri) for layer in function.layers],
            timeout_seconds=int(function.timeout or 3),
            memory_mb=int(function.memory or 128),
        )
        for function in SamFunctionProvider(stacks).get_all()
    }


@dataclass(frozen=True)
class Invocation:
    """The outcome of one invocation.

    Attributes:
        payload: the function's answer, or the emulator's text when there is none.
        answer: the answer, parsed; None when there is none.
        failed: an exception, a timeout, or a runtime that ended: Lambda's FunctionError.
    """

    payload: str
    answer: Any
    failed: bool

    @property
    def is_json(self) -> bool:
        """Whether the payload is an answer: a function's answer is always JSON."""
        return self.answer is not None or not self.failed


class Environment:
    """One execution environment: a process that answers one invocation at a time."""

    def __init__(self, process: psutil.Process, port: int, log: Path, timeout_seconds: int) -> None:
        """Talk to the emulator that listens on `port`; the function starts at the first invocation."""
        self._process = process
        self._port = port
        self._log = log
        # The emulator itself ends an invocation in time. A start that fails is tried once more before it answers.
        self._connection = http.client.HTTPConnection(HOST, port, timeout=timeout_seconds + 2 * GRACE_SECONDS)

    def invoke(self, event: str) -> Invocation:
        """Invoke the function with an event in JSON."""
        self._connection.request("POST", INVOKE_PATH, event.encode())
        reply = self._connection.getresponse()
        return read_reply(reply.status, reply.read().decode())

    def close(self) -> None:
        """Close the connection; the process goes on."""
        self._connection.close()

    @property
    def init_ms(self) -> float:
        """From the start of the function's process until it asked for its first event, measured by the emulator."""
        return self._durations(_INIT, 1)[0]

    def invoke_ms(self, number: int) -> float:
        """How long the function took for the invocation with this number, from 0, measured by the emulator."""
        return self._durations(_INVOKED, number + 1)[number]

    @property
    def peak_bytes(self) -> int:
        """The peak memory of the function's process (VmHWM)."""
        (runtime,) = self._process.children()
        status = Path(f"/proc/{runtime.pid}/status").read_text(encoding="utf-8")
        (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(kilobytes) * 1024

    @property
    def function_log(self) -> str:
        """What the function has written to standard output and standard error."""
        return function_lines(self._log.read_text(encoding="utf-8", errors="replace"))

    def _durations(self, pattern: re.Pattern[str], least: int) -> list[float]:
        deadline = time.monotonic() + LOG_SECONDS
        while len(found := pattern.findall(self._log.read_text(encoding="utf-8", errors="replace"))) < least:
            if time.monotonic() > deadline:
                raise LocalStackError("The Runtime Interface Emulator did not report a duration.", self._log)
            time.sleep(0.01)
        return [float(text) for text in found]


def read_reply(status: int, payload: str) -> Invocation:
    """Read the emulator's reply; its status is 200 also when the function failed."""
    try:
        answer = json.loads(payload)
    except ValueError:
        # Such as "Task timed out".
        return Invocation(payload, None, failed=True)
    failed = status != http.client.OK or (isinstance(answer, dict) and answer.keys() == ERROR_FIELDS)
    return Invocation(payload, answer, failed)


def function_lines(log: str) -> str:
    """The lines of a log that the function wrote, without the emulator's."""
    return "".join(line for line in log.splitlines(keepends=True) if not _EMULATOR_LINE.match(line))


@contextmanager
def started(
    processes: Processes,
    workspace: Workspace,
    function: BuiltFunction,
    variables: Mapping[str, str],
) -> Iterator[Environment]:
    """An execution environment for `function`, stopped on the way out."""
    name = f"emulator-{function.name}"
    log = workspace.log(name)
    log.unlink(missing_ok=True)
    opt = workspace.temporary / f"opt-{function.name}"
    _link_all(opt, [entry for layer in function.layers for entry in sorted((layer / "python").iterdir())])
    path = [opt, runtime_folder(workspace)]
    environment = {**workspace.service_environment(), **variables, **_reserved(function, path)}
    port = free_port()
    process = processes.start(Program(name, _command(function, port), environment, function.folder, log, port))
    running = Environment(psutil.Process(process.pid), port, log, function.timeout_seconds)
    try:
        yield running
    finally:
        running.close()
        processes.forget(name)
        shutil.rmtree(opt, ignore_errors=True)


def _command(function: BuiltFunction, port: int) -> list[str]:
    addresses = ["--runtime-interface-emulator-address", f"{HOST}:{port}"]
    # Its own address for the function's side is a fixed port on all addresses.
    addresses += ["--runtime-api-address", f"{HOST}:{free_port()}"]
    return [str(emulator()), "--log-level", "info", *addresses, _python(), "-m", "awslambdaric", function.handler]


def _reserved(function: BuiltFunction, path: Sequence[Path]) -> dict[str, str]:
    """The variables that Lambda sets itself, and what keeps the artefacts as they were built."""
    return {
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        # /var/task and /opt are read-only on Lambda.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_EXECUTION_ENV": EXECUTION_ENVIRONMENT,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout_seconds),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": str(function.folder),
        "LAMBDA_RUNTIME_DIR": str(path[-1]),
    }


def emulator() -> Path:
    """AWS's Runtime Interface Emulator, which comes with aws-sam-cli."""
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    program = Path(samcli.__file__).parent / "local" / "rapid" / f"aws-lambda-rie-{machine}"
    if not program.exists():
        raise LocalStackError("aws-sam-cli has no Runtime Interface Emulator for this machine.")
    return program


def runtime_folder(workspace: Workspace) -> Path:
    """A folder with the packages of Lambda's Python runtime, and nothing else of the virtual environment."""
    folder = workspace.temporary / "runtime"
    if not folder.exists():
        _link_all(folder, _files_of(RUNTIME_PACKAGES))
    return folder


def _files_of(packages: Sequence[str]) -> list[Path]:
    """The top-level entries of distributions and of all their requirements."""
    waiting, entries, seen = list(packages), set[Path](), set[str]()
    while waiting:
        found = distribution(waiting.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        tops = {file.parts[0] for file in found.files or [] if file.parts[0] not in {"..", "__pycache__"}}
        entries |= {Path(str(found.locate_file(top))) for top in tops}
        required = map(Requirement, found.requires or [])
        waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return sorted(entries)


def _link_all(folder: Path, entries: Sequence[Path]) -> None:
    folder.mkdir(parents=True)
    for entry in entries:
        link = folder / entry.name
        if entry.name == "__pycache__":
            # Each layer may have one for its top-level modules.
            shutil.copytree(entry, link, dirs_exist_ok=True)
        elif not link.exists():
            link.symlink_to(entry)


def _python() -> str:
    # Not the virtual environment's, which has that environment's packages.
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
