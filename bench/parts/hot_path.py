"""The hot path: time in the apply handler, against the calls it cannot do without.

The handler runs in-process, on a real Redis and an SQS endpoint that answers at once. The bare side makes the very
script call that the handler was seen to make, by redis-py, and for accepted requests sends a message by boto3.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.harness import campaigns
from bench.harness.awake import awake_cores
from bench.harness.campaigns import LONG_AGO, BenchCampaign
from bench.harness.hot_plan import Block, Outcome, Plan
from bench.harness.part import Histogram, Part, Table
from bench.harness.sqs_endpoint import start_endpoint
from local.deployment.stack import running_processes
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.progress import Progress
from local.services.ports import with_free_port
from local.services.processes import ROOT, Processes, Program
from local.services.redis_server import start_redis

BLOCKS = 60
REQUESTS = 100

FOLDER = ROOT / ".local" / "bench" / "hot_path"
REFUSED, SOLD_OUT, ACCEPTED = "refused, asked at the gate", "sold out, may answer by itself", "accepted"

# Refused as closed and not as sold out: an environment may answer the latter without Redis. The script does a little
# less for it, which makes the ratio no kinder.
PLANS = (
    Plan(REFUSED, BenchCampaign("closed", 100, LONG_AGO + 1), 409, "closed", 0, BLOCKS, REQUESTS),
    Plan(SOLD_OUT, BenchCampaign("sold-out", 1), 409, "sold_out", 1, BLOCKS, REQUESTS),
    Plan(ACCEPTED, BenchCampaign("plenty", 10_000_000), 202, "", 0, BLOCKS, REQUESTS),
)

FIGURES = {REFUSED: "refused_ratio", SOLD_OUT: "sold_out_cached_ratio", ACCEPTED: "accepted_ratio"}

_NOTE = f"""{BLOCKS} blocks of {REQUESTS} requests of different users for each side, the sides taking turns; medians of
the blocks' medians, p99 over all requests, CPU of the client process (without Redis and SQS). The cores are kept
awake: waking one takes longer than a call of Redis, on both sides.
handler: lambda_handler in-process. bare: redis-py's evalsha of the script call that the handler was seen to make, with
the same arguments; for accepted, boto3's send_message to the same endpoint as well. Redis over loopback, without
TLS; the SQS endpoint is plaintext and answers at once, so a real send adds the network and TLS to both sides.
script calls: how many a request reached Redis. log: bytes the handler wrote a request."""


def run() -> Part:
    """Measure all plans."""
    progress = Progress()
    with running_processes(FOLDER, progress) as (processes, workspace):
        server = with_free_port(lambda port: start_redis(processes, workspace, port))
        variables = campaigns.function_variables(workspace, server.port, start_endpoint(processes, workspace).url)
        outcomes = {}
        for plan in PLANS:
            with progress.step(f"The hot path: {plan.name}"), awake_cores(processes, workspace):
                outcomes[plan.name] = _run_plan(processes, workspace, plan, variables)
    _check_the_gate_was_asked(outcomes[REFUSED])
    return Part(
        figures(outcomes) | cpu(outcomes), [table(outcomes)], charts=[chart(name, outcomes[name]) for name in outcomes]
    )


def figures(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    """The handler's median against the bare calls'."""
    return {
        FIGURES[name]: block_median(outcome.handler) / block_median(outcome.bare) for name, outcome in outcomes.items()
    }


def cpu(outcomes: Mapping[str, Outcome]) -> dict[str, float]:
    """CPU of the client process a request, microseconds: what `make cost` reckons with."""
    found = {FIGURES[name].replace("_ratio", "_cpu_us"): _cpu_us(outcome.handler) for name, outcome in outcomes.items()}
    return found | {"boto3_accepted_cpu_us": _cpu_us(outcomes[ACCEPTED].bare)}


def _cpu_us(blocks: Sequence[Block]) -> float:
    return statistics.median(block.cpu_ns / len(block.took_ns) for block in blocks) / 1_000


def table(outcomes: Mapping[str, Outcome]) -> Table:
    """All of it in one table."""
    columns = ["", "", "p50 µs", "p99 µs", "CPU µs", "script calls", "log bytes", "ratio"]
    rows = []
    for name, outcome in outcomes.items():
        ratio = block_median(outcome.handler) / block_median(outcome.bare)
        requests = sum(len(block.took_ns) for block in outcome.handler)
        asked, logged = outcome.script_calls / requests, outcome.log_bytes / requests
        rows.append([name, "handler", *_cells(outcome.handler), f"{asked:.3f}", f"{logged:.0f}", f"{ratio:.2f}"])
        rows.append(["", "bare", *_cells(outcome.bare), "", "", ""])
    return Table("Hot path of the apply function", columns, rows, _NOTE)


def chart(name: str, outcome: Outcome) -> Histogram:
    """How long the handler's requests took, and where the bare calls' median lies."""
    took = [one / 1_000 for block in outcome.handler for one in block.took_ns]
    marks = {
        "median": block_median(outcome.handler) / 1_000,
        "median of the bare calls": block_median(outcome.bare) / 1_000,
    }
    return Histogram(f"Time in the handler: {name}", took, marks, "microseconds")


def block_median(blocks: Sequence[Block]) -> float:
    """The median of the blocks' medians, in nanoseconds."""
    return statistics.median(statistics.median(block.took_ns) for block in blocks)


def _cells(blocks: Sequence[Block]) -> list[str]:
    took = [one for block in blocks for one in block.took_ns]
    times = [f"{value / 1_000:.0f}" for value in (block_median(blocks), statistics.quantiles(took, n=100)[-1])]
    return [*times, f"{_cpu_us(blocks):.0f}"]


def _run_plan(processes: Processes, workspace: Workspace, plan: Plan, variables: Mapping[str, str]) -> Outcome:
    environment = {**workspace.service_environment(), **variables, "PYTHONPATH": str(campaigns.LAYER)}
    campaigns.make(environment, plan.campaign)
    result = workspace.temporary / "outcome.json"
    name = f"hot-{plan.campaign.campaign_id}"
    command = [sys.executable, "-m", "bench.harness.hot_blocks", json.dumps(asdict(plan)), str(result)]
    processes.run(Program(name, command, environment, ROOT, workspace.log(name)))
    return read_outcome(json.loads(result.read_text(encoding="utf-8")))


def read_outcome(fields: Mapping[str, Any]) -> Outcome:
    """An outcome as the process wrote it."""
    sides = {side: [Block(**block) for block in fields[side]] for side in ("handler", "bare")}
    return Outcome(**{**fields, **sides})


def _check_the_gate_was_asked(outcome: Outcome) -> None:
    if outcome.script_calls < sum(len(block.took_ns) for block in outcome.handler):
        raise LocalStackError("Some refusals did not ask the gate, so that they are no measure of those that do.")
