"""`make cost`: US dollars per million requests, from what `make bench` measured and AWS's prices.

Beside Firstcome: the design that puts a REST API in front and one queue message behind every request. There the
consumer decides, so a refusal passes through all of it.

What is measured: the CPU of the handler. What is assumed, and printed: the waits for Redis and SQS in a region, and
that a function of M megabytes has M / 1,769 of a core. Not in here: the fixed cost of Redis, MySQL and endpoints, logs,
WAF.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.harness.part import Table
from bench.harness.result import a_console, shown_table
from local.errors import LocalStackError, run_command
from local.services.processes import ROOT

RESULT = ROOT / ".local" / "bench" / "result.json"
COST = ROOT / ".local" / "bench" / "cost.json"

MEMORY_MB = 512
"""As in template.yaml."""

MB_OF_A_CORE = 1_769
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

REDIS_WAIT_MS = 0.6
SQS_WAIT_MS = 8.0
"""Assumed round trips within a region, in milliseconds."""

ANSWER_BYTES = 700
"""An answer with its headers."""

DRAIN_ROWS_PER_SECOND = 500
DRAIN_BATCH = 125
DRAIN_WORKERS = 2
"""The defaults of template.yaml: a worker is paid for while it keeps its pace."""

RECEIVED_AT_ONCE = 10
"""Messages that one ReceiveMessage or DeleteMessageBatch handles."""

NEEDED = ("refused_cpu_us", "sold_out_cached_cpu_us", "accepted_cpu_us", "boto3_accepted_cpu_us")
MILLION = 1_000_000


@dataclass(frozen=True)
class Prices:
    """Published on-demand prices in US dollars: us-east-1, first tier, without the free tier, as of 2026-11-23.

    Look them up before you rely on them: aws.amazon.com/lambda/pricing, /api-gateway/pricing, /sqs/pricing (a request
    takes up to 64 kB) and /ec2/pricing/on-demand (transfer to the internet).
    """

    invocation: float = 0.20e-6
    gb_second: float = 0.0000133334  # arm64
    http_request: float = 1.00e-6
    rest_request: float = 3.50e-6
    sqs_request: float = 0.40e-6
    transfer_gb: float = 0.09

    def function(self, billed_ms: float) -> float:
        """One invocation."""
        return self.invocation + billed_ms / 1_000 * MEMORY_MB / 1_024 * self.gb_second

    @property
    def answer(self) -> float:
        """The transfer of one answer."""
        return ANSWER_BYTES / 1e9 * self.transfer_gb

    @property
    def queue_message(self) -> float:
        """One message sent alone, and received and deleted with others."""
        return self.sqs_request * (1 + 2 / RECEIVED_AT_ONCE)


def billed_ms(cpu_us: float, waits_ms: float) -> int:
    """The milliseconds that Lambda bills: the handler's CPU at its share of a core, and its waits."""
    share = MEMORY_MB / MB_OF_A_CORE
    return max(1, math.ceil(cpu_us / 1_000 / share + waits_ms))


def per_million(measured: Mapping[str, float], prices: Prices) -> dict[str, float]:
    """US dollars per million requests of each kind."""
    http, rest = prices.http_request + prices.answer, prices.rest_request + prices.answer

    def refused(name: str, waits_ms: float) -> float:
        return http + prices.function(billed_ms(measured[name], waits_ms))

    # A worker takes as long for a batch as the rate limit demands, and is paid for it.
    drained = prices.function(DRAIN_BATCH * DRAIN_WORKERS / DRAIN_ROWS_PER_SECOND * 1_000) / DRAIN_BATCH
    accepted = billed_ms(measured["accepted_cpu_us"], 2 * REDIS_WAIT_MS + SQS_WAIT_MS)
    queued = billed_ms(measured["boto3_accepted_cpu_us"], SQS_WAIT_MS)
    everything_queued = rest + prices.function(queued) + prices.queue_message + drained
    return {
        "refused_at_the_gate": MILLION * refused("refused_cpu_us", REDIS_WAIT_MS),
        "refused_from_memory": MILLION * refused("sold_out_cached_cpu_us", 0),
        "issued": MILLION * (http + prices.function(accepted) + prices.queue_message + drained),
        # The consumer decides, so a refusal costs the same.
        "rest_and_queue": MILLION * everything_queued,
    }


def read_measured(path: Path = RESULT) -> dict[str, float]:
    """Read what `make bench` measured. Raises `LocalStackError` when it has not."""
    try:
        figures: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    except FileNotFoundError:
        figures = {}
    if not figures.keys() >= set(NEEDED):
        raise LocalStackError("Nothing is measured yet. Run: make bench PARTS=hot")
    return figures


def main() -> None:
    """Print the table, and write cost.json."""
    dollars = per_million(read_measured(), Prices())
    COST.write_text(json.dumps({"usd_per_million": dollars}, indent=2) + "\n", encoding="utf-8")
    a_console().print(shown_table(to_table(dollars)))


def to_table(dollars: Mapping[str, float]) -> Table:
    """Both designs, side by side."""
    rival = dollars["rest_and_queue"]
    rows = [
        [name_shown, f"{dollars[name]:.2f}", f"{rival:.2f}", f"{rival / dollars[name]:.1f}"]
        for name, name_shown in (
            ("refused_from_memory", "refused, sold out, from memory"),
            ("refused_at_the_gate", "refused at the gate"),
            ("issued", "issued: accepted, queued, drained"),
        )
    ]
    return Table(
        "US dollars per million requests",
        ["", "Firstcome", "REST API, every request queued", "ratio"],
        rows,
        f"{MEMORY_MB} MB, arm64, us-east-1, prices of 2026-11-23. Assumed: {REDIS_WAIT_MS} ms per round trip to Redis,"
        f" {SQS_WAIT_MS:g} ms to SQS, {ANSWER_BYTES} bytes per answer. Without what costs the same at any rate:"
        " Redis, MySQL, endpoints; and without logs, WAF and the free tier.",
    )


if __name__ == "__main__":
    run_command(main)
