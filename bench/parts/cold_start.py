"""Cold start: how long an environment of the apply function takes until it can take its first request.

What is measured: AWS's runtime interface emulator starts the built function with AWS's runtime client, and reports the
time from the start of the function's process until that process asks for its first event: the interpreter, the runtime
client, the handler's imports, and whatever it builds at module level. That is what Lambda reports as Init Duration,
without the download of the code. A request that is accepted follows at once, because an import that waits for the
first request has only moved.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from bench.harness import campaigns
from bench.harness.part import Part, Table
from bench.harness.sqs_endpoint import start_endpoint
from local.deployment.deploy import sam_environment, start_build
from local.deployment.lambda_emulator import BuiltFunction, Environment, built_functions, started
from local.deployment.stack import running_processes
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.progress import Progress
from local.services.ports import with_free_port
from local.services.processes import ROOT, Processes, Program
from local.services.programs import find_program
from local.services.redis_server import start_redis

STARTS = 20
REQUESTS = 2_000
"""How many requests an environment answers before its peak memory is read; half of them are accepted."""

CAMPAIGN = "cold-start"
BARE, FIRSTCOME, COMPILED, AS_BUILT = "runtime alone", "Firstcome", "conventional, compiled", "conventional, as built"

FOLDER = ROOT / ".local" / "bench" / "cold_start"
CONVENTIONAL = ROOT / "bench" / "conventional"
MIB = 1024 * 1024

_NOTE = f"""{STARTS} starts each, taking turns; medians, with the least and the most in brackets.
init: from the start of the process to its request for the first event, as the emulator reports it.
beyond: the same less the runtime alone, which runs an empty handler.
first answer: init and one accepted request, on a real Redis and an SQS endpoint that answers at once.
peak: the most memory of the process (VmHWM, in 2^20 bytes) after {REQUESTS:,} requests, half of them accepted.
compiled: with .pyc files of all it brings. as built: as `sam build` leaves it, without; /var/task is read-only on
Lambda, so each start compiles it again. The boto3 of the runtime is taken to have .pyc in all rows.
Sizes: the function and its layers, without the runtime's boto3.
Not in here: the download of the code, and that Lambda gives a function a share of a CPU only."""

_TRACES = Path("/tmp/.aws-xray")  # noqa: S108 - where the X-Ray SDK writes, whatever it is told


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
class Size:
    """What is downloaded, and what it is unpacked to."""

    zipped: int
    unpacked: int
    compiled_files: int


def run() -> Part:
    """Build both functions, and measure."""
    progress = Progress()
    with running_processes(FOLDER, progress) as (processes, workspace), _no_trace_of_xray():
        with progress.step("Building both functions (sam build)"):
            functions = _build(processes, workspace)
        variables = _start_services(processes, workspace)
        before = {name: size(function) for name, function in functions.items()}
        with progress.step(f"Starting {len(functions)} functions {STARTS} times each"):
            starts = _take_turns(processes, workspace, functions, variables)
        with progress.step(f"Sending each {REQUESTS:,} requests"):
            peaks = {
                name: _peak_bytes(processes, workspace, function, variables)
                for name, function in functions.items()
                if name != BARE
            }
        _check_nothing_was_written(before, {name: size(function) for name, function in functions.items()})
    return Part(figures(starts, peaks[FIRSTCOME]), [table(starts, before, peaks)])


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


def table(starts: Mapping[str, Sequence[Start]], sizes: Mapping[str, Size], peaks: Mapping[str, int]) -> Table:
    """All of it in one table."""
    bare = statistics.median(start.init_ms for start in starts[BARE])
    rows = [
        [
            name,
            _spread([start.init_ms for start in taken]),
            f"{statistics.median(start.init_ms for start in taken) - bare:.0f}",
            _spread([start.answer_ms for start in taken]),
            f"{peaks[name] / MIB:.1f}" if name in peaks else "",
            f"{sizes[name].zipped / 1e6:.2f}",
            f"{sizes[name].unpacked / 1e6:.2f}",
            f"{sizes[name].compiled_files:,}",
        ]
        for name, taken in starts.items()
    ]
    columns = ["", "init ms", "beyond ms", "first answer ms", "peak MB", "zipped MB", "unpacked MB", ".pyc files"]
    return Table("Cold start of the apply function", columns, rows, _NOTE)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def _build(processes: Processes, workspace: Workspace) -> dict[str, BuiltFunction]:
    """All that takes part, as `sam build` packages it; the rival once more with compiled files."""
    processes.finish(start_build(processes, workspace))
    built = workspace.folder / "conventional"
    _build_conventional(processes, workspace, built)
    ours = built_functions(workspace.folder / "build")["ApplyFunction"]
    theirs = built_functions(built)["ConventionalFunction"]
    return {
        BARE: replace(ours, name="Bare", folder=_empty_handler(workspace), layers=()),
        FIRSTCOME: ours,
        COMPILED: replace(theirs, name="Compiled", folder=_compiled(theirs.folder, workspace)),
        AS_BUILT: theirs,
    }


def _build_conventional(processes: Processes, workspace: Workspace, target: Path) -> None:
    options = ["--template-file", str(CONVENTIONAL / "template.yaml"), "--build-dir", str(target)]
    options += ["--cached", "--cache-dir", str(workspace.folder / "conventional-cache")]
    command = [find_program("sam"), "build", *options, "--config-file", str(ROOT / "samconfig.toml")]
    name = "sam-build-conventional"
    processes.run(Program(name, command, sam_environment(workspace), ROOT, workspace.log(name)))


def _compiled(folder: Path, workspace: Workspace) -> Path:
    """A copy with compiled files, made as our layers' Makefiles make theirs."""
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


def _start_services(processes: Processes, workspace: Workspace) -> dict[str, str]:
    """Start Redis and SQS, open the campaign at both functions; returns the functions' variables."""
    server = with_free_port(lambda port: start_redis(processes, workspace, port))
    endpoint = start_endpoint(processes, workspace)
    variables = campaigns.function_variables(workspace, server.port, endpoint.url)
    # Enough for one coupon a start, and for half of the requests that follow.
    capacity = STARTS + REQUESTS // 2
    campaigns.make({**workspace.service_environment(), **variables}, campaigns.BenchCampaign(CAMPAIGN, capacity))
    with redis.Redis.from_url(server.url) as client:
        client.set(f"coupons:{{{CAMPAIGN}}}:capacity", capacity * 2)
    return variables


def _take_turns(
    processes: Processes, workspace: Workspace, functions: Mapping[str, BuiltFunction], variables: Mapping[str, str]
) -> dict[str, list[Start]]:
    starts: dict[str, list[Start]] = {name: [] for name in functions}
    event_of = campaigns.applications(CAMPAIGN)
    for number in range(STARTS):
        for name, function in functions.items():
            event = json.dumps(event_of(f"start-{function.name}-{number}"))
            with started(processes, workspace, function, variables) as environment:
                _expect(environment, event, {202})
                starts[name].append(Start(environment.init_ms, environment.invoke_ms(0)))
    return starts


def _peak_bytes(
    processes: Processes, workspace: Workspace, function: BuiltFunction, variables: Mapping[str, str]
) -> int:
    event_of = campaigns.applications(CAMPAIGN)
    with started(processes, workspace, function, variables) as environment:
        for number in range(REQUESTS):
            _expect(environment, json.dumps(event_of(f"user-{function.name}-{number}")), {202, 409})
        return environment.peak_bytes


def _expect(environment: Environment, event: str, statuses: set[int]) -> None:
    done = environment.invoke(event)
    if done.failed or done.answer["statusCode"] not in statuses:
        raise LocalStackError(f"The function answered {done.payload}\n{environment.function_log}")


def size(function: BuiltFunction) -> Size:
    """The size of a function with its layers, zipped as SAM zips it."""
    folders = [function.folder, *function.layers]
    files = [(folder, path) for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    with tempfile.TemporaryFile() as target:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, (folder, path) in enumerate(files):
                # A layer has a zip of its own: equal names in two of them are two files.
                archive.write(path, f"{number}/{path.relative_to(folder)}")
        zipped = target.tell()
    return Size(
        zipped,
        sum(path.stat().st_size for _, path in files),
        sum(path.suffix == ".pyc" for _, path in files),
    )


def _check_nothing_was_written(before: Mapping[str, Size], after: Mapping[str, Size]) -> None:
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise LocalStackError(f"The artefacts changed while they were measured: {', '.join(changed)}.")


@contextmanager
def _no_trace_of_xray() -> Iterator[None]:
    """Remove the folder that the X-Ray SDK makes outside the clone, unless it was there."""
    was_there = _TRACES.exists()
    try:
        yield
    finally:
        if not was_there:
            shutil.rmtree(_TRACES, ignore_errors=True)
