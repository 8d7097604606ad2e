"""The part `cold`: how long an environment of the apply function takes until it can take its first request.

AWS's Runtime Interface Emulator starts the built function with AWS's runtime client. It reports the time from the start
of the function's process until that process asks for its first event: the interpreter, the runtime client, the
handler's imports and module-level code. That is Lambda's Init Duration on demand, without the download of the code. A
request that is accepted follows at once, because an import that waits for the first request has only moved.
"""

from __future__ import annotations

import io
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.harness import handlers
from bench.harness.numbers import sized
from bench.harness.part import Part, Table
from bench.harness.servers import FOLDER, Servers, start_servers
from bench.harness.workers import workers
from local.deployment.deploy import sam_environment, start_build
from local.deployment.lambda_emulator import BuiltFunction, Environment, built_functions, started
from local.deployment.stack import running_processes
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.progress import Progress
from local.services.processes import ROOT, Processes, Program
from local.services.programs import find_program

STARTS = 20
REQUESTS = 2_000
"""Requests to an environment before its peak memory is read; half of them are accepted."""

CAMPAIGN = "cold-start"
BARE, FIRSTCOME, COMPILED, AS_BUILT = "runtime alone", "Firstcome", "conventional, compiled", "conventional, as built"

CONVENTIONAL = ROOT / "bench" / "conventional"
MIB = 1024 * 1024

_TRACES = Path("/tmp/.aws-xray")  # noqa: S108 - the X-Ray SDK writes there, in spite of TMPDIR


@dataclass(frozen=True)
class Start:
    """One cold start: until the first event was asked for, and the first invocation."""

    init_ms: float
    first_ms: float

    @property
    def answer_ms(self) -> float:
        """From the start of the process to the first answer."""
        return self.init_ms + self.first_ms


@dataclass(frozen=True)
class Lab:
    """What the environments are started in."""

    processes: Processes
    workspace: Workspace
    variables: Mapping[str, str]

    def start(self, function: BuiltFunction, number: int) -> Start:
        """Start an environment and send it one request, which must be accepted."""
        with started(self.processes, self.workspace, function, self.variables) as environment:
            _expect(environment, f"start-{function.name}-{number}", {202})
            return Start(environment.init_ms, environment.invoke_ms(0))

    def peak_bytes(self, function: BuiltFunction) -> int:
        """The peak memory of an environment after many requests."""
        with started(self.processes, self.workspace, function, self.variables) as environment:
            for number in range(REQUESTS):
                _expect(environment, f"user-{function.name}-{number}", {202, 409})
            return environment.peak_bytes


def run() -> Part:
    """Build both functions, and measure."""
    quiet = Progress(io.StringIO())
    with running_processes(FOLDER / "cold", quiet) as (processes, workspace), _no_trace_of_xray():
        functions = _build(processes, workspace)
        servers = start_servers(processes, workspace)
        _open_campaigns(servers)
        lab = Lab(processes, workspace, servers.environment())
        starts: dict[str, list[Start]] = {name: [] for name in functions}
        for number in range(sized(STARTS)):
            for name, function in functions.items():
                starts[name].append(lab.start(function, number))
        peaks = {name: lab.peak_bytes(function) for name, function in functions.items() if name != BARE}
    return Part(figures(starts, peaks[FIRSTCOME]), [table(starts, peaks)])


def figures(starts: Mapping[str, Sequence[Start]], peak_bytes: int) -> dict[str, float]:
    """The ratios of the medians, and the peak memory."""
    init = {name: statistics.median(start.init_ms for start in taken) for name, taken in starts.items()}
    answer = {name: statistics.median(start.answer_ms for start in taken) for name, taken in starts.items()}
    return {
        "cold_init_ratio": init[FIRSTCOME] / init[AS_BUILT],
        "cold_init_ratio_compiled": init[FIRSTCOME] / init[COMPILED],
        "cold_init_ratio_beyond_runtime": (init[FIRSTCOME] - init[BARE]) / (init[COMPILED] - init[BARE]),
        "cold_answer_ratio": answer[FIRSTCOME] / answer[COMPILED],
        "apply_peak_mb": peak_bytes / MIB,
    }


def table(starts: Mapping[str, Sequence[Start]], peaks: Mapping[str, int]) -> Table:
    """All of it in one table."""
    bare = statistics.median(start.init_ms for start in starts[BARE])
    rows = [
        [
            name,
            _spread([start.init_ms for start in taken]),
            f"{statistics.median(start.init_ms for start in taken) - bare:.0f}",
            _spread([start.answer_ms for start in taken]),
            f"{peaks[name] / MIB:.1f}" if name in peaks else "",
        ]
        for name, taken in starts.items()
    ]
    columns = ["", "init ms", "beyond ms", "first answer ms", "peak MB"]
    return Table("Cold start of the apply function", columns, rows, _NOTE)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def _build(processes: Processes, workspace: Workspace) -> dict[str, BuiltFunction]:
    """All functions that take part, as `sam build` packages them; the rival once more with compiled files."""
    processes.finish(start_build(processes, workspace))
    built, name = workspace.folder / "conventional", "sam-build-conventional"
    options = ["--template-file", str(CONVENTIONAL / "template.yaml"), "--build-dir", str(built)]
    options += ["--cached", "--cache-dir", str(workspace.folder / "conventional-cache")]
    command = [find_program("sam"), "build", *options, "--config-file", str(ROOT / "samconfig.toml")]
    processes.run(Program(name, command, sam_environment(workspace), ROOT, workspace.log(name)))
    ours = built_functions(workspace.folder / "build")["ApplyFunction"]
    theirs = built_functions(built)["ConventionalFunction"]
    return {
        BARE: replace(ours, name="Bare", folder=_empty_handler(workspace), layers=()),
        FIRSTCOME: ours,
        COMPILED: replace(theirs, name="Compiled", folder=_compiled(theirs.folder, workspace)),
        AS_BUILT: theirs,
    }


def _compiled(folder: Path, workspace: Workspace) -> Path:
    """A copy with compiled files, made as the Makefiles of this project's layers make theirs."""
    copy = workspace.temporary / "compiled"
    shutil.copytree(folder, copy)
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return copy


def _empty_handler(workspace: Workspace) -> Path:
    folder = workspace.temporary / "bare"
    folder.mkdir()
    (folder / "app.py").write_text("def lambda_handler(event, context):\n    return {'statusCode': 202}\n")
    return folder


def _open_campaigns(servers: Servers) -> None:
    """Open the campaign of both functions, with one coupon per start and for half of the requests that follow."""
    capacity = STARTS + REQUESTS // 2
    with workers(1) as (operator,):
        operator.call(handlers.become_environment, servers)
        operator.call(handlers.migrate)
        operator.call(handlers.put_campaign, CAMPAIGN, capacity)
    with servers.connect_to_redis() as client:
        # Two environments of the conventional function share it.
        client.set(f"coupons:{{{CAMPAIGN}}}:capacity", capacity * 2)


def _expect(environment: Environment, user: str, statuses: set[int]) -> None:
    done = environment.invoke(json.dumps(handlers.an_apply_event(CAMPAIGN, user)))
    if done.failed or done.answer["statusCode"] not in statuses:
        raise LocalStackError(f"The function answered {done.payload}\n{environment.function_log}")


@contextmanager
def _no_trace_of_xray() -> Iterator[None]:
    """Remove the folder that the X-Ray SDK makes outside the clone, unless it was there."""
    was_there = _TRACES.exists()
    try:
        yield
    finally:
        if not was_there:
            shutil.rmtree(_TRACES, ignore_errors=True)


_NOTE = f"""{STARTS} starts each, in turns; medians, with minimum and maximum in brackets.
init: from the start of the process to its request for the first event, as the emulator reports it.
beyond: the same less the runtime alone, which runs an empty handler.
first answer: init and one accepted request, on a real Redis and an SQS endpoint that answers at once.
peak: peak memory of the process (VmHWM, in 2^20 bytes) after {REQUESTS:,} requests, half of them accepted.
compiled: with .pyc files of all its packages. as built: as `sam build` leaves it, without; /var/task is read-only on
Lambda, so each start compiles it again. The boto3 of the runtime counts as compiled in all rows.
Not in here: the download of the code, and Lambda's limit to a share of a CPU. Not measured: SnapStart, with which an
environment on AWS starts from a snapshot of an initialized one."""
