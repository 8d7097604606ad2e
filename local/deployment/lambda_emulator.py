"""Runs a built function as Lambda does, without Docker: AWS's runtime interface emulator and AWS's runtime client.

The emulator comes with aws-sam-cli, the client is `awslambdaric`. The function sees what Lambda shows it: its folder as
the working directory, its layers merged into one folder as in /opt/python, and boto3 beside the runtime client. It does
not see this clone's virtual environment, so a package that the artefacts lack is missing here too.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import yaml

from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.ports import HOST, free_port, with_free_port
from local.services.processes import Processes, Program, wait_until_ready

RUNTIME_PACKAGES = ("awslambdaric", "boto3")
"""What the runtime itself brings on Lambda; the packages that these require come with them."""

EXECUTION_ENVIRONMENT = "AWS_Lambda_python3.13"
INVOKE_PATH = "/2015-03-31/functions/function/invocations"
ERROR_FIELDS = {"errorMessage", "errorType", "requestId", "stackTrace"}
GRACE_SECONDS = 10
LOG_SECONDS = 15.0

_OWN_LINE = re.compile(r"^\d\d \w{3} \d{4} [\d:,]+ \[\w+\] \(rapid\) ")
_FRAME = re.compile(r"^(START|END|REPORT) RequestId: ")
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


@dataclass(frozen=True)
class Invocation:
    """What came of one invocation.

    Attributes:
        payload: the answer as the function wrote it, or the emulator's own words.
        answer: the same, read; None for the emulator's own words.
        failed: an exception, a timeout, or a runtime that ended; Lambda's FunctionError.
    """

    payload: str
    answer: Any
    failed: bool

    @property
    def is_json(self) -> bool:
        """Whether it is an answer at all: whatever a function returns is JSON."""
        return self.answer is not None or not self.failed


def built_functions(build: Path) -> dict[str, BuiltFunction]:
    """The functions of a `sam build`, by logical ID."""
    template = build / "template.yaml"
    if not template.exists():
        raise LocalStackError(f"There is nothing built in {build}.")
    document = yaml.safe_load(template.read_text(encoding="utf-8"))
    shared = document.get("Globals", {}).get("Function", {})
    resources = document["Resources"]
    return {
        name: _built_function(build, name, resource.get("Properties", {}), shared, resources)
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _built_function(
    build: Path, name: str, own: Mapping[str, Any], shared: Mapping[str, Any], resources: Mapping[str, Any]
) -> BuiltFunction:
    # SAM puts a function's own layers behind the shared ones.
    layers = [*shared.get("Layers", []), *own.get("Layers", [])]
    properties = {**shared, **own}
    return BuiltFunction(
        name=name,
        folder=build / properties["CodeUri"],
        handler=properties["Handler"],
        layers=[build / resources[layer["Ref"]]["Properties"]["ContentUri"] for layer in layers],
        timeout_seconds=_whole_number(properties.get("Timeout", 3)),
        memory_mb=_whole_number(properties.get("MemorySize", 128)),
    )


def _whole_number(value: Any) -> int:
    # A build knows no parameters. Of what a condition decides, the larger does no harm: nothing is cut short.
    if isinstance(value, dict):
        _, *choices = value["Fn::If"]
        return max(map(int, choices))
    return int(value)


class Environment:
    """One execution environment, as Lambda calls it: one process that answers one invocation at a time."""

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
        """Close the connection; the process is stopped by who started it."""
        self._connection.close()

    @property
    def init_ms(self) -> float:
        """From the start of the function's process until it asked for its first event, as the emulator took it."""
        return self._durations(_INIT, 1)[0]

    def invoke_ms(self, number: int) -> float:
        """How long the invocation with this number, from 0, took the function, as the emulator took it."""
        return self._durations(_INVOKED, number + 1)[number]

    @property
    def peak_bytes(self) -> int:
        """The most memory that the function's process ever held (VmHWM)."""
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
                raise LocalStackError("The runtime interface emulator did not report a duration.", self._log)
            time.sleep(0.01)
        return [float(text) for text in found]


def read_reply(status: int, payload: str) -> Invocation:
    """What the emulator's reply means. It answers 200 also when the function failed."""
    try:
        answer = json.loads(payload)
    except ValueError:
        # Such as "Task timed out".
        return Invocation(payload, None, failed=True)
    failed = status != http.client.OK or (isinstance(answer, dict) and answer.keys() == ERROR_FIELDS)
    return Invocation(payload, answer, failed)


def function_lines(log: str) -> str:
    """The lines of a log that the function wrote, without the emulator's."""
    lines = log.splitlines(keepends=True)
    return "".join(line for line in lines if not _OWN_LINE.match(line) and not _FRAME.match(line))


@contextmanager
def started(
    processes: Processes,
    workspace: Workspace,
    function: BuiltFunction,
    variables: Mapping[str, str],
) -> Iterator[Environment]:
    """An execution environment for `function`, stopped on the way out."""
    log = workspace.log(f"emulator-{function.name}")
    log.unlink(missing_ok=True)
    opt = workspace.temporary / f"opt-{function.name}"
    _link_all(opt, [entry for layer in function.layers for entry in sorted((layer / "python").iterdir())])
    path = [opt, runtime_folder(workspace)]
    environment = {**workspace.service_environment(), **variables, **_reserved(function, path)}

    def start(port: int) -> Environment:
        program = Program(f"emulator-{function.name}", _command(function, port), environment, function.folder, log)
        process = processes.start(program)
        wait_until_ready(process, program, lambda: _listens(port))
        return Environment(psutil.Process(process.pid), port, log, function.timeout_seconds)

    running = with_free_port(start)
    try:
        yield running
    finally:
        running.close()
        processes.forget(f"emulator-{function.name}")
        shutil.rmtree(opt, ignore_errors=True)


def _command(function: BuiltFunction, port: int) -> list[str]:
    addresses = ["--runtime-interface-emulator-address", f"{HOST}:{port}"]
    # It would listen on all addresses, and on a fixed port for the function's side.
    addresses += ["--runtime-api-address", f"{HOST}:{free_port()}"]
    return [str(emulator()), "--log-level", "info", *addresses, _python(), "-m", "awslambdaric", function.handler]


def _reserved(function: BuiltFunction, path: Sequence[Path]) -> dict[str, str]:
    """The variables that Lambda sets itself, and a promise to leave the artefacts as they were built."""
    return {
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        # /var/task and /opt are read-only on Lambda: nothing compiled is kept there for the next start.
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
    """AWS's runtime interface emulator, as aws-sam-cli carries it."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "")
    spec = find_spec("samcli")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        program = Path(folder) / "local" / "rapid" / f"aws-lambda-rie-{machine}"
        if program.exists():
            return program
    raise LocalStackError("aws-sam-cli carries no runtime interface emulator for this machine.")


def runtime_folder(workspace: Workspace) -> Path:
    """A folder with what Lambda's Python runtime brings, and nothing else of the virtual environment."""
    folder = workspace.temporary / "runtime"
    if not folder.exists():
        _link_all(folder, _files_of(RUNTIME_PACKAGES))
    return folder


def _files_of(packages: Sequence[str]) -> list[Path]:
    """The top-level entries of distributions and of all that these require."""
    waiting, entries, seen = list(packages), set[Path](), set[str]()
    while waiting:
        found = distribution(waiting.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        tops = {file.parts[0] for file in found.files or [] if file.parts[0] not in {"..", "__pycache__"}}
        entries |= {Path(str(found.locate_file(top))) for top in tops}
        waiting += required_names(found.requires or [])
    return sorted(entries)


def required_names(requirements: Sequence[str]) -> list[str]:
    """The distributions that these requirements always ask for."""
    always = [text for text in requirements if "extra ==" not in text]
    return [match[0] for text in always if (match := re.match(r"[A-Za-z0-9._-]+", text))]


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
    # Not the virtual environment's: it would bring that environment's packages along.
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
