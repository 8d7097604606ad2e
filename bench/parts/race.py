"""The part `rivals`: other designs on the same servers with the same clients, beside Firstcome."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from bench.harness.crowd import Target, a_crowd_of_users, rush
from bench.harness.mysql_counters import Counters, read_counters
from bench.harness.numbers import percentile, rounded, shown, sized
from bench.harness.part import Bars, Part, Table
from bench.harness.servers import Servers, running_servers
from bench.harness.workers import Worker, workers
from bench.rivals import ALL
from bench.rivals.rival import Campaign, Rival
from bench.rivals.tables import make_tables

CLIENTS = 32
OURS, FOR_UPDATE = "g", "b"
SEED = 20_261_123


@dataclass(frozen=True)
class Race:
    """A race of one size.

    Attributes:
        most_seconds: after so long a client stops; the rest of the users is then left out.
        rounds_of_two: of the two rivals that are compared.
    """

    capacity: int
    users: int
    most_seconds: float
    rounds_of_two: int
    rounds_of_others: int

    @property
    def title(self) -> str:
        """Its name in tables."""
        return f"{self.users:,} users for {self.capacity:,} coupons"

    def rounds(self) -> Iterable[list[str]]:
        """The rivals of each round, back and forth, so that drift hits all alike."""
        for number in range(max(self.rounds_of_two, self.rounds_of_others)):
            keys = [key for key in ALL if number < self._rounds_of(key)]
            yield keys if number % 2 == 0 else keys[::-1]

    def _rounds_of(self, key: str) -> int:
        return self.rounds_of_two if key in (OURS, FOR_UPDATE) else self.rounds_of_others


@dataclass(frozen=True)
class Run:
    """One rival's run in one round.

    Attributes:
        rows: coupons in the database once the queue is empty.
        database: its work, that of emptying the queue included.
    """

    capacity: int
    requests: int
    asked_all: bool
    seconds: float
    latencies_ms: Sequence[float]
    accepted: int
    rows: int
    client_cpu_seconds: float
    database: Counters

    @property
    def per_second(self) -> float:
        """Requests per second, from the start to the last answer."""
        return self.requests / self.seconds

    @property
    def over_issued(self) -> int:
        """Coupons beyond the capacity."""
        return max(0, self.rows - self.capacity)


@dataclass
class Track:
    """The servers and processes of the races."""

    servers: Servers
    crowd: Sequence[Worker]
    helper: Worker
    connection: Connection[Cursor]
    number: int = 0
    runs: dict[tuple[Race, str], list[Run]] = field(default_factory=lambda: defaultdict(list))

    def run(self, race: Race) -> None:
        """Run all rounds of one race."""
        for number, keys in enumerate(race.rounds()):
            users = a_crowd_of_users(race.users, SEED + number)
            for key in keys:
                self.runs[race, key].append(self._run_one(race, ALL[key], users))

    def _run_one(self, race: Race, rival: Rival, users: Sequence[str]) -> Run:
        self.number += 1
        campaign = Campaign(f"race-{self.number}", race.capacity)
        self.helper.call(rival.prepare, self.servers, campaign)
        before = self._counters()
        seen = rush(self.crowd, Target(self.servers, rival.key, campaign), users, race.most_seconds)
        self.helper.call(rival.settle, self.servers, campaign)
        return Run(
            capacity=race.capacity,
            requests=seen.requests,
            asked_all=seen.requests == len(users),
            seconds=seen.seconds,
            latencies_ms=[seconds * 1000 for seconds in seen.latencies],
            accepted=seen.accepted,
            database=self._counters().since(before),
            rows=self._count(rival.table, campaign),
            client_cpu_seconds=seen.cpu_seconds,
        )

    def _counters(self) -> Counters:
        return read_counters(self.connection, self.servers.mysql_pid)

    def _count(self, table: str, campaign: Campaign) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {table} WHERE campaign_id = %s", (campaign.campaign_id,))  # noqa: S608
            row = cursor.fetchone()
        return int(row[0]) if row else 0


SMALL = Race(100, 1_000, 4, 3, 3)
MEDIUM = Race(100, 10_000, 6, 5, 3)
LARGE = Race(100, 100_000, 4, 1, 1)
# 16,000 requests, of which one in ten repeats a user.
MANY_COUPONS = Race(10_000, 14_400, 20, 3, 1)


def run() -> Part:
    """Run all races."""
    small, medium, large, many = (_sized(race) for race in (SMALL, MEDIUM, LARGE, MANY_COUPONS))
    with running_servers("rivals") as servers, workers(sized(CLIENTS, 8)) as crowd, workers(1) as helpers:
        make_tables(servers)
        with servers.connect_to_mysql(autocommit=True) as connection:
            track = Track(servers, crowd, helpers[0], connection)
            for race in (small, medium, large, many):
                track.run(race)
    return to_part(track.runs, (small, medium, large, many))


def to_part(runs: dict[tuple[Race, str], list[Run]], races: Sequence[Race]) -> Part:
    """The outcome of all runs; `races` in the order small, medium, large, many coupons."""
    _, medium, _, many = races
    ours = [run for (_, key), some in runs.items() if key == OURS for run in some]
    figures = {
        "throughput_vs_for_update": rounded(_ratio(runs, medium)),
        "throughput_vs_for_update_10k": rounded(_ratio(runs, many)),
        "over_issued": float(max(run.over_issued for run in ours)),
        "accepted_without_row": float(sum(run.accepted - run.rows for run in ours)),
    }
    return Part(
        figures=figures,
        tables=[_table(runs, race, _NOTE if race == races[-1] else "") for race in races],
        rivals=[_entry(race, key, some) for (race, key), some in runs.items()],
        charts=[_chart(runs, medium), _chart(runs, many)],
    )


def _ratio(runs: dict[tuple[Race, str], list[Run]], race: Race) -> float:
    return _median(runs[race, OURS]) / _median(runs[race, FOR_UPDATE])


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(run.per_second for run in runs)


def _sized(race: Race) -> Race:
    return Race(
        race.capacity if race.capacity < sized(race.users) else sized(race.capacity),
        sized(race.users),
        race.most_seconds,
        sized(race.rounds_of_two),
        sized(race.rounds_of_others),
    )


def _entry(race: Race, key: str, runs: Sequence[Run]) -> dict[str, Any]:
    latencies = [latency for run in runs for latency in run.latencies_ms]
    requests = sum(run.requests for run in runs)
    return {
        "name": f"({key}) {ALL[key].name}",
        "capacity": race.capacity,
        "users": race.users,
        "rounds": len(runs),
        "requests": requests,
        "asked_all": all(run.asked_all for run in runs),
        "requests_per_s": rounded(_median(runs), 4),
        "requests_per_s_of_rounds": [rounded(run.per_second, 4) for run in runs],
        "p50_ms": rounded(percentile(latencies, 50)),
        "p99_ms": rounded(percentile(latencies, 99)),
        "rows": max(run.rows for run in runs),
        "rows_of_rounds": [run.rows for run in runs],
        "over_issued": max(run.over_issued for run in runs),
        "statements_per_request": rounded(sum(run.database.statements for run in runs) / requests),
        "database_cpu_us_per_request": rounded(sum(run.database.cpu_seconds for run in runs) / requests * 1e6),
        "client_cpu_us_per_request": rounded(sum(run.client_cpu_seconds for run in runs) / requests * 1e6),
    }


def _table(runs: dict[tuple[Race, str], list[Run]], race: Race, note: str) -> Table:
    entries = [_entry(race, key, runs[race, key]) for key in ALL if (race, key) in runs]
    return Table(
        title=f"Rivals: {race.title}",
        columns=[
            "design", "rounds", "requests/s (min to max)", "p50 ms", "p99 ms", "rows", "over-issued",
            "statements/request", "database CPU us/request", "client CPU us/request",
        ],
        rows=[_row(entry) for entry in entries],
        note=note,
    )  # fmt: skip


def _row(entry: dict[str, Any]) -> list[str]:
    rounds, rows = entry["requests_per_s_of_rounds"], entry["rows_of_rounds"]
    spread = f" ({shown(min(rounds))} to {shown(max(rounds))})" if len(rounds) > 1 else ""
    return [
        entry["name"],
        str(entry["rounds"]),
        f"{shown(entry['requests_per_s'])}{spread}",
        shown(entry["p50_ms"]),
        shown(entry["p99_ms"]),
        (f"{min(rows):,} to {max(rows):,}" if min(rows) < max(rows) else f"{max(rows):,}")
        + ("" if entry["asked_all"] else " (cut short)"),
        f"{entry['over_issued']:,}",
        shown(entry["statements_per_request"]),
        shown(entry["database_cpu_us_per_request"]),
        shown(entry["client_cpu_us_per_request"]),
    ]


def _chart(runs: dict[tuple[Race, str], list[Run]], race: Race) -> Bars:
    speeds = {f"({key}) {rival.name}": _median(runs[race, key]) for key, rival in ALL.items()}
    return Bars(f"Requests per second: {race.title}", speeds, "requests per second, median of the rounds")


_NOTE = (
    f"{CLIENTS} client processes, each asking one request after another, on the cores that also run the servers; one"
    " request in ten repeats a user; medians over alternating rounds. A rival is a bare function; Firstcome is its real"
    " apply handler with API Gateway's events, then its drain handler without a rate limit, whose statements count too."
    " The queue is a plaintext endpoint that answers at once: a real send, of (f) and (g), adds TLS and the network."
    " 'Cut short': the clients stopped at the time limit; the rate is that of the requests made until then."
)
