"""The part `drain`: the real drain handler, without a rate limit, against a bare loop that inserts the same rows."""

from __future__ import annotations

import gc
import json
import secrets
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from bench.harness import handlers
from bench.harness.mysql_counters import Counters, read_counters
from bench.harness.numbers import median_ratio, rounded, shown, sized
from bench.harness.part import Bars, Part, Table
from bench.harness.servers import Servers, running_servers
from bench.harness.workers import Worker, call_all, workers

ROUNDS = 5
MAIN_BATCH = 1_000
# Rows per round, by rows per batch: enough for about half a second.
SIZES = {10: 2_000, 100: 10_000, MAIN_BATCH: 20_000, 10_000: 20_000}

_TABLE = "bare_coupon"
_INSERT = (
    f"INSERT IGNORE INTO {_TABLE} (campaign_id, sequence, user_id, coupon_code, accepted_at, issued_at)"  # noqa: S608
    # Placeholders only: with anything else among them PyMySQL's executemany sends one statement per row.
    " VALUES (%s, %s, %s, %s, %s, %s)"
)
_ACCEPTED_AT = datetime(2026, 11, 23, 9, 0, 0, 123_000, UTC)

type Row = tuple[str, int, str, str]
"""Campaign, sequence, user, code."""


@dataclass(frozen=True)
class Measured:
    """One side of one round."""

    rows: int
    seconds: float
    database: Counters

    @property
    def per_second(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class Compared:
    """All rounds of one batch size."""

    batch: int
    bare: Sequence[Measured]
    drain: Sequence[Measured]
    two_drains: Sequence[Measured]

    @property
    def ratio(self) -> float:
        """Rows per second of the drain with two workers, the fewest it may have, against the bare loop."""
        return median_ratio([one.per_second for one in self.two_drains], [one.per_second for one in self.bare])

    @property
    def one_worker_ratio(self) -> float:
        """Rows per second of one drain worker, against the bare loop."""
        return median_ratio([one.per_second for one in self.drain], [one.per_second for one in self.bare])


@dataclass(frozen=True)
class Bench:
    """The servers and processes of the rounds."""

    servers: Servers
    drains: Sequence[Worker]
    bare: Worker
    connection: Connection[Cursor]

    def compare(self, batch: int, rows: int, rounds: int) -> Compared:
        """Measure all sides in turn, back and forth, so that drift hits them alike."""
        sides: list[Callable[[int, int], Measured]] = [self._bare, self._drain, self._two_drains]
        found: dict[int, list[Measured]] = {number: [] for number in range(len(sides))}
        for round_number in range(rounds):
            order = list(enumerate(sides))
            for number, side in order if round_number % 2 == 0 else order[::-1]:
                found[number].append(side(batch, rows))
        return Compared(batch, *found.values())

    def _bare(self, batch: int, rows: int) -> Measured:
        return self._measured(rows, lambda: self.bare.call(insert_bare, self.servers, self._bare_rows(rows), batch))

    @staticmethod
    def _bare_rows(rows: int) -> list[Row]:
        """Rows as long as a campaign's: its id is in every key."""
        return some_rows(f"bare_-{uuid.uuid4()}", rows)

    def _drain(self, batch: int, rows: int) -> Measured:
        return self._measured(rows, lambda: self.drains[0].call(drain_rows, self._campaign(rows), batch))

    def _two_drains(self, batch: int, rows: int) -> Measured:
        claims = self._campaign(rows)
        halves = [(claims[: rows // 2], batch), (claims[rows // 2 :], batch)]

        def both() -> float:
            seconds: list[float] = call_all(self.drains, drain_rows, halves)
            return max(seconds)

        return self._measured(rows, both)

    def _campaign(self, rows: int) -> list[Row]:
        """A new campaign with all its coupons accepted, at the gate too: the drain sets its bits there."""
        campaign_id = f"drain-{uuid.uuid4()}"
        self.drains[0].call(handlers.put_campaign, campaign_id, rows)
        return some_rows(campaign_id, rows)

    def _measured(self, rows: int, run: Callable[[], float]) -> Measured:
        before = read_counters(self.connection, self.servers.mysql_pid)
        seconds = run()
        return Measured(rows, seconds, read_counters(self.connection, self.servers.mysql_pid).since(before))


def run() -> Part:
    """Compare all batch sizes."""
    with running_servers("drain") as servers, workers(3) as (*drains, bare):
        for worker in drains:
            worker.call(handlers.become_environment, servers, handlers.UNLIMITED)
        drains[0].call(handlers.migrate)
        bare.call(make_table, servers)
        with servers.connect_to_mysql(autocommit=True) as connection:
            bench = Bench(servers, drains, bare, connection)
            # The first batch of each process opens its connections.
            bench.compare(10, 20, 1)
            compared = [bench.compare(batch, sized(rows, batch), sized(ROUNDS)) for batch, rows in SIZES.items()]
    return to_part(compared)


def some_rows(campaign_id: str, rows: int) -> list[Row]:
    """Claims 1 to `rows` of a campaign."""
    return [(campaign_id, number, str(uuid.uuid4()), new_code()) for number in range(1, rows + 1)]


def new_code() -> str:
    """A coupon code of the form that the drain accepts."""
    return secrets.token_hex(8).upper()


def make_table(servers: Servers) -> None:
    """Make a table for the bare loop that is like the ledger's, its keys included."""
    with servers.connect_to_mysql(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {_TABLE} LIKE coupon")


def insert_bare(servers: Servers, rows: Sequence[Row], batch: int) -> float:
    """Insert the rows, one transaction per batch; returns the seconds."""
    accepted_at = _ACCEPTED_AT.replace(tzinfo=None)
    some = [(*row, accepted_at, accepted_at) for row in rows]
    connection = servers.connect_to_mysql(autocommit=False)
    with connection, connection.cursor() as cursor:
        # The keys of a campaign lie together; those of the one before must not slow it.
        cursor.execute(f"TRUNCATE TABLE {_TABLE}")
        began = time.monotonic()
        for start in range(0, len(some), batch):
            cursor.executemany(_INSERT, some[start : start + batch])
            connection.commit()
        return time.monotonic() - began


def drain_rows(rows: Sequence[Row], batch: int) -> float:
    """Give the claims to the drain handler as SQS would; returns the seconds."""
    bodies = [to_body(row) for row in rows]
    events = [handlers.an_sqs_event(bodies[start : start + batch]) for start in range(0, len(bodies), batch)]
    with _collected():
        began = time.monotonic()
        for event in events:
            handlers.drain(event)
        return time.monotonic() - began


@contextmanager
def _collected() -> Iterator[None]:
    # Objects made for the measurement must not be traversed while it runs.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def to_body(row: Row) -> str:
    """A claim as the queue's message has it."""
    campaign_id, sequence, user_id, code = row
    return json.dumps(
        {
            "v": 1,
            "campaign_id": campaign_id,
            "user_id": user_id,
            "sequence": sequence,
            "coupon_code": code,
            "accepted_at": _ACCEPTED_AT.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        },
        separators=(",", ":"),
    )


def to_part(compared: Sequence[Compared]) -> Part:
    """The figures of batches of 1,000, and the table of all."""
    main = next(one for one in compared if one.batch == MAIN_BATCH)
    return Part(
        figures={
            "drain_ratio": rounded(main.ratio),
            "drain_ratio_one_worker": rounded(main.one_worker_ratio),
            "statements_per_coupon": rounded(_per_row([one.database.statements for one in main.drain], main.drain)),
        },
        tables=[
            Table(
                title="Drain: rows per second into the ledger",
                columns=[
                    "rows per batch", "bare INSERT loop", "drain, two workers", "ratio", "drain, one worker", "ratio",
                    "statements/coupon", "commits/coupon", "database CPU us/coupon", "the same, bare",
                ],
                rows=[_row(one) for one in compared],
                note=_NOTE,
            )
        ],
        charts=[
            Bars(
                "Rows per second into the ledger, batches of 1,000",
                {
                    "bare INSERT loop, one connection": _median(main.bare),
                    "drain handler, one worker": _median(main.drain),
                    "drain handler, two workers": _median(main.two_drains),
                },
                "rows per second, median of the rounds",
            )
        ],
    )  # fmt: skip


def _row(one: Compared) -> list[str]:
    return [
        f"{one.batch:,}",
        shown(_median(one.bare)),
        shown(_median(one.two_drains)),
        shown(one.ratio),
        shown(_median(one.drain)),
        shown(one.one_worker_ratio),
        shown(_per_row([side.database.statements for side in one.drain], one.drain)),
        shown(_per_row([side.database.commits for side in one.drain], one.drain)),
        shown(_per_row([side.database.cpu_seconds * 1e6 for side in one.drain], one.drain)),
        shown(_per_row([side.database.cpu_seconds * 1e6 for side in one.bare], one.bare)),
    ]


def _median(some: Sequence[Measured]) -> float:
    return statistics.median(one.per_second for one in some)


def _per_row(amounts: Sequence[float], some: Sequence[Measured]) -> float:
    return sum(amounts) / sum(one.rows for one in some)


_NOTE = (
    "Medians of alternating rounds; each batch is one transaction. The bare loop is PyMySQL's executemany (a multi-row"
    " INSERT per batch, of a megabyte at most) of rows that are already Python values, into a table with the ledger's"
    " columns and keys. The drain is the real handler with SQS events: it parses and checks the messages, reads the"
    " capacity, inserts, commits, and notes it at the gate. Two workers are the fewest that DrainConcurrency allows;"
    " one alone, which parses while the database waits, is beside them. DRAIN_ROWS_PER_SECOND is at its maximum,"
    " 100,000 for two workers, so one worker cannot pass 50,000 rows per second."
)
