"""The part `hot`: time in the apply handler, against the calls that it cannot do without.

The bare side makes the very script call that the handler was seen to make, by redis-py, and for accepted requests sends
a message by boto3. Both sides run in one process, block by block in turns.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import boto3
import redis

from bench.harness import handlers
from bench.harness.commands import Command, commands_of, with_other
from bench.harness.handlers import new_user
from bench.harness.numbers import sized
from bench.harness.part import Bars, Part, Table
from bench.harness.servers import Servers, running_servers
from bench.harness.workers import workers
from local.errors import LocalStackError

BLOCKS = 60
REQUESTS = 100


@dataclass(frozen=True)
class Case:
    """One kind of answer to measure.

    Attributes:
        figure: the beginning of its figures' names.
        before: users who apply before, so that the campaign is in the state to measure.
    """

    name: str
    figure: str
    status: int
    capacity: int
    before: int = 0
    closes_at: str = "2099-01-01T00:00:00Z"

    @property
    def campaign_id(self) -> str:
        """Its campaign."""
        return f"hot-{self.figure.replace('_', '-')}"

    @property
    def sends(self) -> bool:
        """Whether the answer asks for a message in the queue."""
        return self.status == HTTPStatus.ACCEPTED


# Closed and not sold out, which an environment may answer without Redis. The script does a little less for it, which
# makes the ratio no kinder.
REFUSED = Case("refused, asked at the gate", "refused", 409, 100, closes_at="2020-01-02T00:00:00Z")
SOLD_OUT = Case("sold out, may answer by itself", "sold_out_cached", 409, 1, before=1)
ACCEPTED = Case("accepted", "accepted", 202, 10_000_000)
CASES = (REFUSED, SOLD_OUT, ACCEPTED)


@dataclass
class Side:
    """The blocks of one side.

    Attributes:
        took_us: of each request, by block.
        cpu_us: of the process per request, by block.
    """

    took_us: list[list[float]] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def run[T](self, call: Callable[[T], Any], requests: Sequence[T]) -> list[Any]:
        """Call with each request in turn; returns the answers."""
        took, answers, clock = [], [], time.perf_counter
        gc.collect()
        cpu = time.process_time()
        for request in requests:
            started = clock()
            answers.append(call(request))
            took.append((clock() - started) * 1e6)
        self.cpu_us.append((time.process_time() - cpu) / len(requests) * 1e6)
        self.took_us.append(took)
        return answers

    @property
    def median_us(self) -> float:
        """The median of the blocks' medians."""
        return statistics.median(map(statistics.median, self.took_us))

    @property
    def all_us(self) -> list[float]:
        """Every request."""
        return [took for block in self.took_us for took in block]


@dataclass
class Sides:
    """Both sides of a case, and how many scripts Redis ran for the handler."""

    handler: Side = field(default_factory=Side)
    bare: Side = field(default_factory=Side)
    script_calls: int = 0

    @property
    def ratio(self) -> float:
        """The handler's median against the bare calls'."""
        return self.handler.median_us / self.bare.median_us


def run() -> Part:
    """Measure all cases."""
    with running_servers("hot") as servers, awake_cores(), workers(1) as (environment,):
        sides = {case: environment.call(measure, servers, case) for case in CASES}
    if sides[REFUSED].script_calls < len(sides[REFUSED].handler.all_us):
        raise LocalStackError("Some refusals did not ask the gate, so that they are no measure of those that do.")
    return to_part(sides)


def measure(servers: Servers, case: Case) -> Sides:
    """Run all blocks of a case, in a process of its own; the first block of each side does not count."""
    handlers.become_environment(servers)
    handlers.migrate()
    handlers.put_campaign(case.campaign_id, case.capacity, case.closes_at)
    first = new_user()
    # The first call loads the script.
    handlers.apply(handlers.an_apply_event(case.campaign_id, new_user()))
    stats, event = servers.connect_to_redis(), handlers.an_apply_event(case.campaign_id, first)
    command, *_ = commands_of(stats, first, lambda: handlers.apply(event))
    bare = bare_calls(servers, case)
    both = Sides()
    for number in range(-1, sized(BLOCKS)):
        users = [new_user() for _ in range(2 * REQUESTS)]
        events = [handlers.an_apply_event(case.campaign_id, user) for user in users[:REQUESTS]]
        commands = [with_other(command, {first: user}) for user in users[REQUESTS:]]
        into = Sides() if number < 0 else both
        if number % 2:
            into.bare.run(bare, commands)
        before = _script_calls(stats)
        _check(case, into.handler.run(handlers.answer, events))
        into.script_calls += _script_calls(stats) - before
        if not number % 2:
            into.bare.run(bare, commands)
    return both


def bare_calls(servers: Servers, case: Case) -> Callable[[Command], object]:
    """The calls without a handler around them: the script by redis-py, and for a coupon a message by boto3."""
    client, sqs = redis.Redis(port=servers.redis_port), boto3.client("sqs")
    url = os.environ["CLAIM_QUEUE_URL"]
    # As long as a claim.
    message = json.dumps({"v": 1, "campaign_id": case.campaign_id, "user_id": new_user(), "rest": "x" * 80})

    def ask(command: Command) -> object:
        _, sha, keys, *arguments = command
        return client.evalsha(sha, int(keys), *arguments)

    def admit(command: Command) -> object:
        return ask(command), sqs.send_message(QueueUrl=url, MessageBody=message)

    return admit if case.sends else ask


@contextmanager
def awake_cores() -> Iterator[None]:
    """Keep all cores awake by work that runs only when nothing else wants them.

    A core that idles takes tens of microseconds to wake, more than a call of Redis takes. That would be added to both
    sides of a ratio, and hide the difference.
    """
    cores = sorted(os.sched_getaffinity(0))
    with workers(len(cores)) as spinners:
        for core, spinner in zip(cores, spinners, strict=True):
            spinner.begin(spin, core)
        yield


def spin(core: int) -> None:
    """Keep one core busy until this process is ended."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


def _check(case: Case, answers: Sequence[Mapping[str, Any]]) -> None:
    wrong = [answer for answer in answers if answer["statusCode"] != case.status]
    if wrong:
        raise ValueError(f"{case.name}: the handler answered {wrong[0]}")


def _script_calls(client: redis.Redis) -> int:
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    return sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)


def to_part(sides: Mapping[Case, Sides]) -> Part:
    """The figures, the table and the charts; `make cost` calculates with the CPU times."""
    return Part(
        figures={
            **{f"{case.figure}_ratio": both.ratio for case, both in sides.items()},
            **{f"{case.figure}_cpu_us": _cpu(both.handler) for case, both in sides.items()},
            "boto3_accepted_cpu_us": _cpu(sides[ACCEPTED].bare),
        },
        tables=[_table(sides)],
        charts=[
            Bars(
                "Time of a request",
                {
                    f"{case.name}, {name}": side.median_us
                    for case, both in sides.items()
                    for name, side in (("handler", both.handler), ("bare", both.bare))
                },
                "microseconds, median",
            )
        ],
    )


def _table(sides: Mapping[Case, Sides]) -> Table:
    columns = ["", "", "p50 µs", "p99 µs", "CPU µs", "script calls", "ratio"]
    rows = []
    for case, both in sides.items():
        calls = f"{both.script_calls / len(both.handler.all_us):.3f}"
        rows.append([case.name, "handler", *_cells(both.handler), calls, f"{both.ratio:.2f}"])
        rows.append(["", "bare", *_cells(both.bare), "", ""])
    return Table("Hot path of the apply function", columns, rows, _NOTE)


def _cells(side: Side) -> list[str]:
    p99 = statistics.quantiles(side.all_us, n=100)[-1]
    return [f"{value:.0f}" for value in (side.median_us, p99, _cpu(side))]


def _cpu(side: Side) -> float:
    return statistics.median(side.cpu_us)


_NOTE = f"""{BLOCKS} blocks of {REQUESTS} requests of different users for each side, in turns; medians of the blocks'
medians, p99 over all requests, CPU of the client process (without Redis and SQS). The cores are kept awake: waking one
takes longer than a call of Redis, on both sides.
handler: lambda_handler in-process. bare: redis-py's evalsha of the script call that the handler was seen to make, with
the same arguments; for accepted, boto3's send_message to the same endpoint as well. Redis over loopback, without
TLS; the SQS endpoint is plaintext and answers at once, so a real send adds the network and TLS to both sides.
script calls: per request that reached Redis."""
