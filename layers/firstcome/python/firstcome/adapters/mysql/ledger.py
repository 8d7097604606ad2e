"""The ledger on MySQL: runs the statements in `firstcome/sql`, one transaction a method, at READ COMMITTED."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.domain.campaign import Campaign, CampaignRecord, CampaignState
from firstcome.domain.claim import Claim, IssuedCoupon, LedgerCounts, Overflow, OverflowReason, Settlement
from firstcome.domain.errors import LedgerUnavailableError
from firstcome.domain.gate import SeatRange
from firstcome.domain.times import Millis, from_datetime, to_utc_datetime

SESSION_SQL = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION time_zone = '+00:00', SESSION innodb_lock_wait_timeout = 5",
)
"""Sent once a connection: no gap locks, and a lock waited for no longer than the function can wait."""

_TRIES = 3
"""Times a transaction is run when another one stands in its way."""

_LOCK_CONFLICTS = {1205, 1213}
"""ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK."""

_RESEATING_ROUNDS = 3
"""Times free seats are looked for, should other drains take them meanwhile."""

_IN_ORDER = attrgetter("campaign_id", "sequence", "user_id", "coupon_code", "accepted_at")
"""The order in which rows are written: the key's, so that two drains wait for each other and do not deadlock."""

_ADVISORY_LOCK_SECONDS = 5
"""Seconds an operator's change waits for another one of the same campaign; below the connection's read timeout."""


@cache
def statement(name: str) -> str:
    """Read a statement from `firstcome/sql`, without its comments."""
    lines = files("firstcome.adapters.mysql").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()


class MysqlLedger:
    """Implements `ports.Ledger` on one connection, opened when first needed and replaced when the server has dropped
    it.

    Args:
        connect: opens a connection with autocommit off and explicit timeouts, see `bootstrap`.
    """

    def __init__(self, connect: Callable[[], "Connection[Cursor]"]) -> None:
        self._connect = connect
        self._connection: Connection[Cursor] | None = None

    def issue(self, claims: Sequence[Claim]) -> Settlement:
        """Implement `Ledger.issue`."""
        by_campaign: dict[str, list[Claim]] = {}
        # Those that are equal come together, of which one is kept.
        for claim, _ in groupby(sorted(claims, key=_IN_ORDER)):
            by_campaign.setdefault(claim.campaign_id, []).append(claim)

        def settle(cursor: Cursor) -> Settlement:
            settled = [_Seating(cursor, campaign_id).settle(some) for campaign_id, some in by_campaign.items()]
            return Settlement(
                issued=[claim for one in settled for claim in one.issued],
                reseated=[claim for one in settled for claim in one.reseated],
                overflow=[item for one in settled for item in one.overflow],
            )

        return self._in_transaction(settle)

    def create(self, campaign: Campaign) -> bool:
        """Implement `Ledger.create`."""
        values = (campaign.campaign_id, *_columns(campaign))
        return self._in_transaction(lambda cursor: cursor.execute(statement("create_campaign"), values)) == 1

    def update(self, campaign: Campaign) -> None:
        """Implement `Ledger.update`."""
        values = (*_columns(campaign), campaign.campaign_id)
        self._in_transaction(lambda cursor: cursor.execute(statement("update_campaign"), values))

    def find(self, campaign_id: str) -> CampaignRecord | None:
        """Implement `Ledger.find`."""
        rows = self._fetch("find_campaign", (campaign_id,))
        return _to_record(rows[0]) if rows else None

    def campaigns(self, after: str | None, limit: int) -> list[CampaignRecord]:
        """Implement `Ledger.campaigns`."""
        return [_to_record(row) for row in self._fetch("list_campaigns", (after, after, limit))]

    def campaign_ids(self) -> list[str]:
        """Implement `Ledger.campaign_ids`."""
        return [row[0] for row in self._fetch("campaign_ids", ())]

    def coupons(self, campaign_id: str, after: int, limit: int) -> list[IssuedCoupon]:
        """Implement `Ledger.coupons`."""
        return [
            IssuedCoupon(Claim(row[0], row[1], row[2], row[3], _to_millis(row[4])), _to_millis(row[5]))
            for row in self._fetch("list_coupons", (campaign_id, after, limit))
        ]

    def counts(self, campaign_id: str) -> LedgerCounts:
        """Implement `Ledger.counts`."""
        issued, overflow = self._fetch("count_coupons", (campaign_id, campaign_id))[0]
        return LedgerCounts(issued=issued, overflow=overflow)

    def overflow(self, campaign_id: str, after: str, limit: int) -> list[Claim]:
        """Implement `Ledger.overflow`."""
        return [
            Claim(row[0], row[1], row[2], row[3], _to_millis(row[4]))
            for row in self._fetch("list_overflow", (campaign_id, after, limit))
        ]

    def settled_codes(self, campaign_id: str, claims: Sequence[Claim]) -> set[str]:
        """Implement `Ledger.settled_codes`."""
        if not claims:
            return set()
        codes = [claim.coupon_code for claim in claims]
        users = [claim.user_id for claim in claims]
        rows = self._fetch("settled_codes", (codes, campaign_id, users))
        return {row[0] for row in rows} & set(codes)

    def gaps(self, campaign_id: str, highest: int) -> list[SeatRange]:
        """Implement `Ledger.gaps`."""
        rows = self._fetch("free_seats", (campaign_id, highest, campaign_id, highest, highest + 1))
        return [(int(first), min(int(last), highest)) for first, last in reversed(rows)]

    def close(self) -> None:
        """Implement `Ledger.close`."""
        if self._connection is not None:
            with suppress(pymysql.MySQLError):
                self._connection.close()
            self._connection = None

    def migrate(self) -> None:
        """Implement `Ledger.migrate`."""

        def apply_schema(cursor: Cursor) -> None:
            for part in statement("schema").split(";\n"):
                if part.strip():
                    cursor.execute(part.rstrip(";"))

        self._in_transaction(apply_schema)

    @contextmanager
    def campaign_lock(self, campaign_id: str) -> Iterator[None]:
        """Implement `Ledger.campaign_lock`, by a named lock: it ends with the connection, whatever happens."""
        name = hashlib.sha1(campaign_id.encode(), usedforsecurity=False).hexdigest()

        def take(cursor: Cursor) -> bool:
            cursor.execute("SELECT GET_LOCK(%s, %s)", (name, _ADVISORY_LOCK_SECONDS))
            row = cursor.fetchone()
            return row is not None and row[0] == 1

        if not self._in_transaction(take):
            raise LedgerUnavailableError("another change of the campaign is under way")
        try:
            yield
        finally:
            self._in_transaction(lambda cursor: cursor.execute("SELECT RELEASE_LOCK(%s)", (name,)))

    def _fetch(self, name: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        def read(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(statement(name), values)
            return list(cursor.fetchall())

        return self._in_transaction(read)

    def _in_transaction[T](self, work: Callable[[Cursor], T]) -> T:
        """Run work in one transaction and commit it; anything else rolls back.

        Work may run more than once: after a deadlock, after a lock wait, and on a new connection when the server had
        dropped the one kept from an earlier invocation. A commit of unknown outcome is safe to repeat, because every
        statement here is a no-op the second time.
        """
        for tries_left in reversed(range(_TRIES)):
            was_connected = self._connection is not None
            try:
                return self._run_once(work)
            except pymysql.MySQLError as exc:
                may_repeat = _is_lock_conflict(exc) or (was_connected and self._connection is None)
                if not (tries_left and may_repeat):
                    raise LedgerUnavailableError("the ledger did not confirm a transaction") from exc
        raise AssertionError("the last try returns or raises")

    def _run_once[T](self, work: Callable[[Cursor], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        try:
            with self._connection.cursor() as cursor:
                outcome = work(cursor)
            self._connection.commit()
        except BaseException as exc:
            self._give_up(exc)
            raise
        return outcome

    def _give_up(self, exc: BaseException) -> None:
        """Roll back where the connection is still of use, else drop it."""
        if self._connection is None:
            return
        try:
            if not _is_broken(exc):
                self._connection.rollback()
                return
        except pymysql.MySQLError:
            pass  # Then it is broken as well; the server rolls back what it had.
        self.close()


class _Seating:
    """Gives the claims of one campaign their rows, within one transaction."""

    def __init__(self, cursor: Cursor, campaign_id: str) -> None:
        self._cursor = cursor
        self._campaign_id = campaign_id

    def settle(self, claims: Sequence[Claim]) -> Settlement:
        capacity = self._capacity("capacity")
        within = [claim for claim in claims if claim.sequence <= capacity]
        issued = self._insert(within)
        if len(issued) == len(claims):
            return Settlement(issued=claims, reseated=(), overflow=())
        at_home = set(issued)
        reseated, overflow = self._reseat([claim for claim in claims if claim not in at_home])
        if overflow:
            self._keep_overflow(overflow)
        return Settlement(issued=[*issued, *reseated], reseated=reseated, overflow=overflow)

    def _capacity(self, name: str) -> int:
        self._cursor.execute(statement(name), (self._campaign_id,))
        row = self._cursor.fetchone()
        # A campaign that is not in the ledger has no seats: its claims go to overflow.
        return int(row[0]) if row else 0

    def _insert(self, claims: Sequence[Claim]) -> list[Claim]:
        """Insert claims that may be there already; returns those that now have their own row."""
        if not claims:
            return []
        rows = [
            (claim.campaign_id, claim.sequence, claim.user_id, claim.coupon_code, _to_column(claim.accepted_at))
            for claim in claims
        ]
        written = _insert_rows(self._cursor, "insert_coupons", rows)
        if written == len(rows) and not self._cursor.warning_count:
            # All are new, so nothing of anybody else's was in the way; and IGNORE has bent none of them to fit.
            return list(claims)
        holders = self._holders(claim.sequence for claim in claims)
        return [claim for claim in claims if holders.get(claim.sequence) == (claim.user_id, claim.coupon_code)]

    def _holders(self, sequences: Iterable[int]) -> dict[int, tuple[str, str]]:
        self._cursor.execute(statement("coupons_by_sequence"), (self._campaign_id, list(sequences)))
        return {sequence: (user_id, code) for sequence, user_id, code in self._cursor.fetchall()}

    def _reseat(self, unseated: Sequence[Claim]) -> tuple[list[Claim], list[Overflow]]:
        """Find seats for claims whose own seat somebody else holds, or does not exist."""
        capacity = self._capacity("lock_campaign")
        reseated: list[Claim] = []
        overflow: list[Overflow] = []
        left = list(unseated)
        for _ in range(_RESEATING_ROUNDS):
            seated, refused, left = self._by_user(left)
            reseated += seated
            overflow += refused
            moved = [
                _moved(claim, seat) for claim, seat in zip(left, self._free_seats(capacity, len(left)), strict=False)
            ]
            if not moved:
                break
            done = self._insert(moved)
            reseated += done
            # By user as well: a claim whose code another one has just got must not vanish with it.
            seated_now = {(claim.user_id, claim.coupon_code) for claim in done}
            left = [claim for claim in left if (claim.user_id, claim.coupon_code) not in seated_now]
            left, refused = self._without_taken_codes(left, moved)
            overflow += refused
        overflow += [Overflow(claim, OverflowReason.NO_SEAT) for claim in left]
        return reseated, overflow

    def _by_user(self, claims: Sequence[Claim]) -> tuple[list[Claim], list[Overflow], list[Claim]]:
        """Part claims into those that have a row, those whose user has another coupon, and the rest, one a user."""
        if not claims:
            return [], [], []
        self._cursor.execute(statement("coupons_by_user"), (self._campaign_id, [claim.user_id for claim in claims]))
        held = {user_id: (sequence, code) for sequence, user_id, code in self._cursor.fetchall()}
        seated: list[Claim] = []
        refused: list[Overflow] = []
        rest: dict[str, Claim] = {}
        for claim in claims:
            sequence, code = held.get(claim.user_id, (0, ""))
            if code == claim.coupon_code:
                seated.append(_moved(claim, sequence))
            elif code or claim.user_id in rest:
                refused.append(Overflow(claim, OverflowReason.USER_HAS_COUPON))
            else:
                rest[claim.user_id] = claim
        return seated, refused, list(rest.values())

    def _free_seats(self, capacity: int, wanted: int) -> list[int]:
        if not wanted:
            return []
        self._cursor.execute(
            statement("free_seats"), (self._campaign_id, capacity, self._campaign_id, capacity, wanted)
        )
        gaps = self._cursor.fetchall()
        seats = (seat for first, last in gaps for seat in range(min(int(last), capacity), int(first) - 1, -1))
        return list(islice(seats, wanted))

    def _without_taken_codes(self, left: Sequence[Claim], moved: Sequence[Claim]) -> tuple[list[Claim], list[Overflow]]:
        """Part off the claims that got no row though their seat stayed free: another claim has their coupon code."""
        tried = {claim.coupon_code: claim.sequence for claim in moved}
        if not left or not tried:
            return list(left), []
        holders = self._holders(tried.values())
        rest: list[Claim] = []
        refused: list[Overflow] = []
        for claim in left:
            seat = tried.get(claim.coupon_code)
            if seat is not None and seat not in holders:
                refused.append(Overflow(claim, OverflowReason.CODE_TAKEN))
            else:
                rest.append(claim)
        return rest, refused

    def _keep_overflow(self, overflow: Sequence[Overflow]) -> None:
        rows = [
            (
                item.claim.campaign_id,
                item.claim.user_id,
                item.claim.coupon_code,
                item.claim.sequence,
                _to_column(item.claim.accepted_at),
                item.reason.value,
            )
            for item in overflow
        ]
        _insert_rows(self._cursor, "insert_overflow", rows)


def _insert_rows(cursor: Cursor, name: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run a one-row INSERT as one statement of many rows: a twentieth of the server's work a row.

    The driver escapes each text, and it is put in here: its own way from values to SQL takes five times the CPU.

    Args:
        rows: texts and whole numbers; an instant as `_to_column` writes it.

    Returns:
        The number of rows that were written.
    """
    head, row = statement(name).rsplit("\n", 1)
    escape = cursor.connection.escape
    lines = [row % tuple([escape(x) if isinstance(x, str) else int(x) for x in values]) for values in rows]
    return cursor.execute(f"{head}\n" + ",\n".join(lines))


def _moved(claim: Claim, sequence: int) -> Claim:
    return Claim(claim.campaign_id, claim.user_id, sequence, claim.coupon_code, claim.accepted_at)


def _is_lock_conflict(exc: BaseException) -> bool:
    return isinstance(exc, pymysql.MySQLError) and bool(exc.args) and exc.args[0] in _LOCK_CONFLICTS


def _is_broken(exc: BaseException) -> bool:
    """Whether the connection itself failed, so that nothing more can be sent on it."""
    return isinstance(exc, pymysql.OperationalError | pymysql.InterfaceError) and not _is_lock_conflict(exc)


def _columns(campaign: Campaign) -> tuple[str, int, str, str, str]:
    return (
        campaign.name,
        campaign.capacity,
        _to_column(campaign.opens_at),
        _to_column(campaign.closes_at),
        "paused" if campaign.paused else "active",
    )


def _to_record(row: Sequence[Any]) -> CampaignRecord:
    campaign_id, name, capacity, opens_at, closes_at, state, created_at, updated_at = row
    campaign = Campaign(campaign_id, name, capacity, _to_millis(opens_at), _to_millis(closes_at), state == "paused")
    return CampaignRecord(campaign, CampaignState(state), _to_millis(created_at), _to_millis(updated_at))


def _to_column(instant: Millis) -> str:
    return to_utc_datetime(instant).isoformat(" ", "milliseconds")


def _to_millis(column: datetime) -> Millis:
    return from_datetime(column.replace(tzinfo=UTC))
