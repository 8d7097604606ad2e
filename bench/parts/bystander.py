"""The part `bystander`: the effect of a rush on another service on the same MySQL. This is what the queue is for."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import batched

import psutil

from bench.harness import handlers
from bench.harness.crowd import Asked, Target, ask, get_ready
from bench.harness.numbers import percentile, rounded, shown, sized
from bench.harness.other_service import KINDS, Waits, make_orders, use_mysql
from bench.harness.part import Bars, Part, Table
from bench.harness.priority import halves, keep_to, step_back
from bench.harness.servers import Servers, running_servers
from bench.harness.workers import Worker, outcome, stand_back, workers
from bench.parts.drain import some_rows, to_body
from bench.rivals import ALL
from bench.rivals.rival import Campaign
from bench.rivals.tables import make_tables

CLIENTS = 16
ROUNDS = 15
ROUNDS_OF_OTHERS = 5
"""Rounds of the conditions without a goal. A p99 comes from few queries, so one round says little."""

WINDOW_SECONDS = 3.0
SETTLE_SECONDS = 0.5
QUERIES_PER_SECOND = 300
CLAIMS_PER_SECOND = 1_000
# More than the clients can send, so that they never wait.
MOST_CLAIMS_PER_SECOND = 1_000_000
CALIBRATION_CLAIMS_PER_SECOND = 200
CAPACITY = 1_000_000
DEFAULT_RATE = 500

# More than the drain can do, so that it never waits for work.
_MOST_ROWS_PER_SECOND = 30_000


@dataclass(frozen=True)
class Condition:
    """The load beside the bystander.

    Attributes:
        rival: the design that the users meet; empty for no users.
        claims_per_second: 0 for as many as the clients can send. For Firstcome it is set by `equal_weight`.
        rate: rows per second of Firstcome's drain; 0 for a drain that is stopped.
        batch: messages per invocation of the drain: half a second of one worker's rate, 1,000 at most.
    """

    name: str
    rival: str = ""
    claims_per_second: float = CLAIMS_PER_SECOND
    rate: int = 0
    batch: int = 0


IDLE = Condition("idle: no users")
DIRECT = Condition("direct inserts (e')", rival="e'")
DIRECT_FLAT_OUT = Condition("direct inserts (e'), as fast as they can", rival="e'", claims_per_second=0)
GATE_ONLY = Condition("Firstcome, its drain stopped", rival="g")
DEFAULT = Condition("Firstcome, 500 rows/s (default)", rival="g", rate=DEFAULT_RATE, batch=125)
FASTER = Condition("Firstcome, 2,000 rows/s", rival="g", rate=2_000, batch=500)
UNLIMITED = Condition("Firstcome, no rate limit", rival="g", rate=handlers.UNLIMITED, batch=1_000)
CONDITIONS = (IDLE, GATE_ONLY, DEFAULT, FASTER, UNLIMITED, DIRECT, DIRECT_FLAT_OUT)
COMPARED = (IDLE, DEFAULT, DIRECT)


@dataclass
class Felt:
    """The bystander's queries under one condition, over all rounds."""

    waits: Waits = field(default_factory=Waits)
    p99_of_rounds: dict[int, float] = field(default_factory=dict)
    claims: int = 0
    rows: int = 0
    generator_cpu_seconds: float = 0.0
    database_cpu_seconds: float = 0.0
    stolen_seconds: float = 0.0
    seconds: float = 0.0

    def at(self, percent: float) -> float:
        """A percentile of all queries, in milliseconds."""
        return percentile(self.waits.all_ms(), percent)


@dataclass(frozen=True)
class Stage:
    """The processes: the bystander, the users' clients, two drain workers, and one that sets things up."""

    servers: Servers
    bystander: Worker
    clients: Sequence[Worker]
    drains: Sequence[Worker]
    helper: Worker

    def window(self, condition: Condition, felt: Felt, round_number: int = 0) -> None:
        """Measure one window."""
        if condition.rival:
            self._prepare(condition)
        start = time.monotonic() + SETTLE_SECONDS
        end = start + seconds_per_window()
        database_before, generator_before, stolen_before = self._database_cpu(), self._generator_cpu(), stolen_seconds()
        # The rush is under way when the bystander's first query counts.
        watching = self.bystander.begin(use_mysql, self.servers, start, end, 1 / QUERIES_PER_SECOND)
        asked, rows = self._rush(condition, start - SETTLE_SECONDS, end)
        waits = outcome(watching)
        felt.waits.add(waits)
        felt.p99_of_rounds[round_number] = percentile(waits.all_ms(), 99)
        felt.claims += sum(one.accepted for one in asked)
        felt.rows += rows
        felt.generator_cpu_seconds += self._generator_cpu() - generator_before
        felt.database_cpu_seconds += self._database_cpu() - database_before
        felt.stolen_seconds += stolen_seconds() - stolen_before
        felt.seconds += end - start + SETTLE_SECONDS
        self.servers.take_messages()

    def equal_weight(self) -> float:
        """The claims per second at which Firstcome's clients and servers take as much CPU as those of direct inserts.

        The bystander is to show the load on the database, not the CPU of clients that share its cores only here.
        """
        direct, ours = Felt(), Felt()
        self.window(replace(DIRECT, claims_per_second=CALIBRATION_CLAIMS_PER_SECOND), direct)
        self.window(replace(GATE_ONLY, claims_per_second=CALIBRATION_CLAIMS_PER_SECOND), ours)
        weight = direct.generator_cpu_seconds / direct.claims * ours.claims / ours.generator_cpu_seconds
        return CLAIMS_PER_SECOND * min(1.0, weight)

    def _database_cpu(self) -> float:
        return _cpu_seconds([self.servers.mysql_pid])

    def _generator_cpu(self) -> float:
        """CPU of the processes that stand for other machines: clients, drain workers, Redis and the queue."""
        crowd = (*self.clients, *self.drains)
        return _cpu_seconds([self.servers.redis_pid, self.servers.aws_pid, *(worker.pid for worker in crowd)])

    def _prepare(self, condition: Condition) -> None:
        rival = ALL[condition.rival]
        campaign = Campaign(f"rush-{uuid.uuid4()}", CAPACITY)
        self.helper.call(rival.prepare, self.servers, campaign)
        target = Target(self.servers, rival.key, campaign)
        begun = [client.begin(get_ready, target, ()) for client in self.clients]
        for drain in self.drains if condition.rate else ():
            backlog = Campaign(f"backlog-{uuid.uuid4()}", CAPACITY)
            self.helper.call(handlers.put_campaign, backlog.campaign_id, backlog.capacity)
            begun.append(drain.begin(get_backlog, self.servers, condition, backlog))
        for each in begun:
            outcome(each)

    def _rush(self, condition: Condition, start: float, end: float) -> tuple[list[Asked], int]:
        clients = self.clients if condition.rival else ()
        drains = self.drains if condition.rate else ()
        every = len(self.clients) / (condition.claims_per_second or MOST_CLAIMS_PER_SECOND)
        asking = [
            client.begin(ask, start + every * number / len(self.clients), end, every)
            for number, client in enumerate(clients)
        ]
        draining = [drain.begin(drain_backlog, end) for drain in drains]
        return [outcome(each) for each in asking], sum(outcome(each) for each in draining)


@dataclass
class _Backlog:
    """The state of a drain worker's process: the batches it is to drain."""

    batches: list[list[str]] = field(default_factory=list)


_backlog = _Backlog()


def seconds_per_window() -> float:
    """The length of a window."""
    return WINDOW_SECONDS / 4 if sized(2) == 1 else WINDOW_SECONDS


def run() -> Part:
    """Measure the bystander under all conditions in turn."""
    felt = {condition.name: Felt() for condition in CONDITIONS}
    with (
        running_servers("bystander") as servers,
        workers(1) as (bystander,),
        workers(CLIENTS, stand_back) as clients,
        workers(3, stand_back) as (*drains, helper),
    ):
        for pid in (servers.aws_pid, servers.redis_pid):
            step_back(pid)
        databases, others = halves()
        keep_to(databases, (servers.mysql_pid, bystander.pid))
        keep_to(others, (servers.aws_pid, servers.redis_pid, *(worker.pid for worker in (*clients, *drains, helper))))
        make_tables(servers)
        make_orders(servers)
        stage = Stage(servers, bystander, clients, drains, helper)
        helper.call(ALL["g"].prepare, servers, Campaign("first", CAPACITY))
        # A first window for connections and caches; it does not count.
        stage.window(DEFAULT, Felt())
        rate = stage.equal_weight()
        for round_number in range(sized(ROUNDS)):
            conditions = CONDITIONS if round_number < sized(ROUNDS_OF_OTHERS) else COMPARED
            for condition in conditions if round_number % 2 == 0 else conditions[::-1]:
                asked = replace(condition, claims_per_second=rate) if condition.rival == "g" else condition
                stage.window(asked, felt[condition.name], round_number)
    return to_part(felt)


def get_backlog(servers: Servers, condition: Condition, campaign: Campaign) -> None:
    """Become a drain worker at that rate, with more accepted claims waiting than a window can drain."""
    handlers.become_environment(servers, condition.rate)
    rows = int(min(condition.rate, _MOST_ROWS_PER_SECOND) * (seconds_per_window() + 2 * SETTLE_SECONDS))
    bodies = (to_body(row) for row in some_rows(campaign.campaign_id, rows))
    _backlog.batches = [list(batch) for batch in batched(bodies, condition.batch, strict=False)]


def drain_backlog(end: float) -> int:
    """Drain batch after batch until `end`; returns the rows written."""
    rows = 0
    while _backlog.batches and time.monotonic() < end:
        batch = _backlog.batches.pop()
        handlers.drain(handlers.an_sqs_event(batch))
        rows += len(batch)
    return rows


def stolen_seconds() -> float:
    """CPU time that the host of a virtual machine took while something here wanted to run."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def _cpu_seconds(pids: Sequence[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(some.user + some.system for some in times)


def ratio(felt: dict[str, Felt], condition: Condition, baseline: Condition = IDLE) -> float:
    """The p99 against that of the baseline's window of the same round; the median over the rounds."""
    return statistics.median(_ratios(felt, condition, baseline))


def _ratios(felt: dict[str, Felt], condition: Condition, baseline: Condition = IDLE) -> list[float]:
    idle = felt[baseline.name].p99_of_rounds
    return [busy / idle[number] for number, busy in felt[condition.name].p99_of_rounds.items()]


def to_part(felt: dict[str, Felt]) -> Part:
    """The figures, the table and the chart."""
    return Part(
        figures={
            "bystander_p99_ratio": rounded(ratio(felt, DEFAULT)),
            "bystander_p99_ratio_direct": rounded(ratio(felt, DIRECT)),
            "bystander_p99_ratio_direct_flat_out": rounded(ratio(felt, DIRECT_FLAT_OUT)),
            "bystander_p99_ratio_gate_only": rounded(ratio(felt, GATE_ONLY)),
        },
        tables=[
            Table(
                title="The bystander: another service's queries on the same database during the rush",
                columns=[
                    "beside it", "p50 ms", "p99 ms", "p99.9 ms", "p99 against idle (min to max)",
                    *(f"p99 {kind}" for kind in KINDS), "claims/s", "rows/s", "database cores", "generator cores",
                    "stolen cores",
                ],
                rows=[_row(felt, condition) for condition in CONDITIONS],
                note=_NOTE,
            )
        ],
        charts=[
            Bars(
                "p99 of another service's queries",
                {one.name: felt[one.name].at(99) for one in CONDITIONS},
                "milliseconds, all rounds together",
            )
        ],
    )  # fmt: skip


def _row(felt: dict[str, Felt], condition: Condition) -> list[str]:
    one = felt[condition.name]
    ratios = _ratios(felt, condition)
    rows = one.rows if condition.rival == "g" else one.claims
    return [
        condition.name,
        shown(one.at(50)),
        shown(one.at(99)),
        shown(one.at(99.9)),
        f"{shown(ratio(felt, condition))} ({shown(min(ratios))} to {shown(max(ratios))})",
        *(shown(percentile([seconds * 1000 for seconds in one.waits.by_kind[kind]], 99)) for kind in KINDS),
        shown(one.claims / one.seconds),
        shown(rows / one.seconds),
        shown(one.database_cpu_seconds / one.seconds),
        shown(one.generator_cpu_seconds / one.seconds),
        shown(one.stolen_seconds / one.seconds),
    ]


_NOTE = (
    f"{ROUNDS} alternating rounds of {WINDOW_SECONDS:g} s each for idle, the default and direct inserts,"
    f" {ROUNDS_OF_OTHERS} for the rest; {QUERIES_PER_SECOND} queries per second, a third of"
    " each kind, each committed by itself. Claims arrive at a steady rate, answered or not, and"
    " all are accepted; meanwhile the drain empties a backlog with two workers. 'Against idle' is the median over the"
    " rounds of p99 over p99 idle. In production MySQL has a machine of its own. So half of"
    " the cores are for MySQL and the bystander alone; the claims' clients, the drain, Redis and the queue have the"
    " others, at the lowest priority; and Firstcome's claims come"
    f" at the rate at which that generator takes the CPU that {CLAIMS_PER_SECOND:,} direct inserts per second take"
    " (its drain always has more to do than it may). 'Its drain stopped' shows what is left of the generator's weight:"
    " nothing touches the database then. 'Stolen' cores were taken by the host of a virtual machine: where they are not"
    " near 0, trust the row less."
)
