"""The ledger on MySQL: runs the statements of the folder `sql` at READ COMMITTED."""
# ruff: noqa: D102 - the port documents the methods

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.seating import RANGE, Seating
from firstcome.adapters.mysql.statements import statement, to_claim, to_column, to_millis, to_record
from firstcome.domain.campaign import Campaign, CampaignEvent, CampaignRecord, CampaignSort, CampaignState
from firstcome.domain.claim import (
    Claim,
    Erasure,
    Finding,
    IssuedCoupon,
    LedgerCounts,
    Overflow,
    OverflowReason,
    Settlement,
)
from firstcome.domain.errors import CampaignLockedError, LedgerUnavailableError
from firstcome.domain.times import Millis

_TRIES = 3
"""Times a transaction is run when another one stands in its way."""

_CONFLICTS = {1062, 1205, 1213}
"""ER_DUP_ENTRY (two events of one number), ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK: the next try may do."""

_IN_ORDER = attrgetter("campaign_id", "sequence", "user_id", "coupon_code", "accepted_at")
"""The order in which rows are written: the key's, so that two drains wait for each other and do not deadlock."""

_EVENTS_MAX = 2**32
"""A number that no event of a campaign has."""


class MysqlLedger:
    """Implements `ports.Ledger`, which documents its methods, on one connection: opened when first needed, and replaced
    when the server has dropped it.

    Args:
        connect: opens a connection, see `firstcome.adapters.mysql.connect`.
    """

    def __init__(self, connect: Callable[[], "Connection[Cursor]"]) -> None:
        self._connect = connect
        self._connection: Connection[Cursor] | None = None
        self._is_locked = False

    def issue(self, claims: Sequence[Claim]) -> Settlement:
        # Own seats in one transaction per campaign, what else there is in another.
        issued: list[Claim] = []
        reseated: list[Claim] = []
        overflow: list[Overflow] = []
        unsettled: list[Claim] = []
        failure: LedgerUnavailableError | None = None
        # Those that are equal come together, of which one is kept.
        distinct = [claim for claim, _ in groupby(sorted(claims, key=_IN_ORDER))]
        for campaign_id, some in groupby(distinct, key=attrgetter("campaign_id")):
            left = list(some)
            try:
                held, left = self._seat(campaign_id, left)
                issued += held
                if left:
                    others = self._reseat(campaign_id, left)
                    issued += others.issued
                    reseated += others.reseated
                    overflow += others.overflow
            except LedgerUnavailableError as exc:
                # A server that is gone is gone for the other campaigns too. What was settled is so when it comes again.
                if not _is_conflict(exc.__cause__):
                    raise
                unsettled += left
                failure = exc
        if failure and not (issued or overflow):
            raise failure
        return Settlement(issued, reseated, overflow, unsettled)

    def create(self, campaign: Campaign) -> bool:
        values = (campaign.campaign_id, *_columns(campaign)[:-1], CampaignState.CREATING.value, 0)
        return self._write("create_campaign", values) == 1

    def update(
        self, campaign: Campaign, expected_version: int, event: CampaignEvent | None = None
    ) -> CampaignRecord | None:
        changed = replace(campaign, version=expected_version + 1)
        values = (*_columns(changed), changed.version, campaign.campaign_id, expected_version, expected_version)

        def compare_and_set(cursor: Cursor) -> CampaignRecord | None:
            is_done = cursor.execute(statement("update_campaign"), values) == 1
            record = _find(cursor, campaign.campaign_id)
            # It may have been done before, by a try of which no reply came.
            is_done |= record is not None and record.campaign == changed and record.state is not CampaignState.ARCHIVED
            if is_done and event:
                cursor.execute(statement("record_event"), _event_values(event))
            return record if is_done else None

        return self._in_transaction(compare_and_set)

    def archive(self, campaign_id: str) -> CampaignRecord | None:
        self._write("archive_campaign", (campaign_id,))
        return self.find(campaign_id)

    def restore_campaign(self, campaign: Campaign) -> bool:
        columns, version = _columns(campaign), campaign.version
        if self._write("create_campaign", (campaign.campaign_id, *columns, version)):
            return True
        return self._write("update_campaign", (*columns, version, campaign.campaign_id, 0, version - 1)) == 1

    def find(self, campaign_id: str) -> CampaignRecord | None:
        return self._in_transaction(lambda cursor: _find(cursor, campaign_id))

    def campaigns(
        self,
        after: str | None,
        limit: int,
        *,
        state: CampaignState | None = None,
        q: str = "",
        sort: CampaignSort = CampaignSort.CREATED,
    ) -> list[CampaignRecord]:
        values = {"after": after, "limit": limit, "state": state.value if state else "", "q": q}
        return [to_record(row) for row in self._fetch(f"campaigns_by_{sort}", values)]

    def active_campaigns(self) -> list[CampaignRecord]:
        return [to_record(row) for row in self._fetch("active_campaigns", ())]

    def archived_ids(self, after: str, limit: int) -> list[str]:
        return [row[0] for row in self._fetch("archived_ids", (after, limit))]

    def coupons(self, campaign_id: str, after: int, limit: int) -> list[IssuedCoupon]:
        rows = self._fetch("list_coupons", (campaign_id, after, limit))
        return [IssuedCoupon(to_claim(row), to_millis(row[5])) for row in rows]

    def overflow(self, campaign_id: str, after: str, limit: int) -> list[Claim]:
        return [to_claim(row) for row in self._fetch("list_overflow", (campaign_id, after, limit))]

    def settled_codes(self, campaign_id: str, claims: Sequence[Claim]) -> set[str]:
        codes = [claim.coupon_code for claim in claims]
        if not codes:
            return set()
        return {row[0] for row in self._fetch("settled_codes", (codes, campaign_id, codes))}

    def find_by_user(self, campaign_id: str, user_id: str) -> Finding:
        return _to_finding(self._fetch("find_by_user", {"campaign_id": campaign_id, "wanted": user_id}))

    def find_by_code(self, campaign_id: str, coupon_code: str) -> Finding:
        return _to_finding(self._fetch("find_by_code", {"campaign_id": campaign_id, "wanted": coupon_code}))

    def counts(self, campaign_id: str) -> LedgerCounts:
        ((issued, overflow, highest),) = self._fetch("counts", {"campaign_id": campaign_id})
        return LedgerCounts(int(issued), overflow, int(highest))

    def accepted_after_gap(self, campaign_id: str) -> Millis | None:
        # The rows of one range are read, at most.
        highest = self.counts(campaign_id).highest
        issued = dict(self._fetch("ranges", (campaign_id,)))
        for range_no in reversed(range((highest + RANGE - 1) // RANGE)):
            first, last = range_no * RANGE + 1, min((range_no + 1) * RANGE, highest)
            if issued.get(range_no, 0) < last - first + 1:
                # The claim that follows is in the next range when the last sequence of this one is missing.
                values = {"campaign_id": campaign_id, "first": first + 1, "last": last + 1}
                return next((to_millis(row[0]) for row in self._fetch("accepted_after_gap", values)), None)
        return None

    def recount(self, campaign_id: str, range_no: int) -> int | None:
        self._in_transaction(lambda cursor: Seating(cursor, campaign_id).recount(range_no))
        ((last,),) = self._fetch("last_range", {"campaign_id": campaign_id})
        return range_no + 1 if range_no < last else None

    def reseat_overflow(self, campaign_id: str, limit: int) -> Settlement:
        return self._in_transaction(lambda cursor: Seating(cursor, campaign_id).reseat_overflow(limit))

    def erase(self, campaign_id: str, user_id: str, pseudonym: str) -> list[Erasure]:
        values = {"campaign_id": campaign_id, "user_id": user_id, "pseudonym": pseudonym}

        def erase(cursor: Cursor) -> list[Erasure]:
            cursor.execute(statement("erase_user"), values)
            return [erasure for erasure in _erase_what_is_listed(cursor, campaign_id) if erasure.pseudonym == pseudonym]

        return self._in_transaction(erase)

    def erasures(self, campaign_id: str) -> list[Erasure]:
        return [Erasure(*row) for row in self._fetch("list_erasures", (campaign_id,))]

    def apply_erasures(self, campaign_id: str, erasures: Sequence[Erasure]) -> None:
        rows = [(campaign_id, erasure.coupon_code, erasure.sequence, erasure.pseudonym) for erasure in erasures]

        def repeat(cursor: Cursor) -> None:
            cursor.executemany(statement("insert_erasures"), rows)
            _erase_what_is_listed(cursor, campaign_id)

        self._in_transaction(repeat)

    def record(self, event: CampaignEvent) -> None:
        self._write("record_event", _event_values(event))

    def events(self, campaign_id: str, after: int | None, limit: int) -> list[CampaignEvent]:
        rows = self._fetch("list_events", (campaign_id, _EVENTS_MAX if after is None else after, limit))
        return [
            CampaignEvent(row[0], to_millis(row[1]), row[2], row[3], _from_json(row[4]), _from_json(row[5]), row[6])
            for row in rows
        ]

    def now(self) -> Millis:
        ((now,),) = self._fetch("now", ())
        return to_millis(now)

    def close(self) -> None:
        if self._connection is not None:
            with suppress(pymysql.MySQLError):
                self._connection.close()
            self._connection = None

    def migrate(self) -> None:
        from firstcome.adapters.mysql.migrate import migrate  # noqa: PLC0415 - no other call needs yoyo

        migrate(self._connect)

    @contextmanager
    def campaign_lock(self, campaign_id: str, wait_seconds: int = 5) -> Iterator[None]:
        # A named lock ends with its session.
        if not self._call_lock("take_lock", {"campaign_id": campaign_id, "wait_seconds": wait_seconds}):
            raise CampaignLockedError("another change of the campaign is under way")
        self._is_locked = True
        try:
            yield
            if not self._call_lock("release_lock", {"campaign_id": campaign_id}):
                raise LedgerUnavailableError("the lock of the campaign was lost before its change was done")
        except BaseException:
            # Whether the lock is still held is not known. It ends with the session.
            self.close()
            raise
        finally:
            self._is_locked = False

    def _call_lock(self, name: str, values: Mapping[str, Any]) -> bool:
        ((outcome,),) = self._fetch(name, values)
        return bool(outcome == 1)

    def _seat(self, campaign_id: str, claims: Sequence[Claim]) -> tuple[list[Claim], list[Claim]]:
        return self._in_transaction(lambda cursor: Seating(cursor, campaign_id).seat(claims))

    def _reseat(self, campaign_id: str, claims: Sequence[Claim]) -> Settlement:
        return self._in_transaction(lambda cursor: Seating(cursor, campaign_id).reseat(claims))

    def _write(self, name: str, values: Sequence[Any] | Mapping[str, Any]) -> int:
        return self._in_transaction(lambda cursor: cursor.execute(statement(name), values))

    def _fetch(self, name: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        def read(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(statement(name), values)
            return list(cursor.fetchall())

        return self._in_transaction(read)

    def _in_transaction[T](self, work: Callable[[Cursor], T]) -> T:
        """Run work in one transaction and commit it; anything else rolls back.

        Work may run more than once: after a deadlock, after a lock wait, and on a new connection when the server had
        dropped the one kept from an earlier invocation. A commit of unknown outcome is safe to repeat, because every
        statement here is a no-op the second time. Under a campaign's lock there is no new connection: the lock ended
        with the old one.
        """
        for tries_left in reversed(range(_TRIES)):
            was_connected = self._connection is not None
            try:
                return self._run_once(work)
            except pymysql.MySQLError as exc:
                is_dropped = was_connected and self._connection is None and not self._is_locked
                if not (tries_left and (_is_conflict(exc) or is_dropped)):
                    raise LedgerUnavailableError("the ledger did not confirm a transaction") from exc
        raise AssertionError("the last try returns or raises")

    def _run_once[T](self, work: Callable[[Cursor], T]) -> T:
        if self._connection is None:
            if self._is_locked:
                raise LedgerUnavailableError("the session that held the lock of the campaign has ended")
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


def _find(cursor: Cursor, campaign_id: str) -> CampaignRecord | None:
    cursor.execute(statement("find_campaign"), (campaign_id,))
    rows = cursor.fetchall()
    return to_record(rows[0]) if rows else None


def _erase_what_is_listed(cursor: Cursor, campaign_id: str) -> list[Erasure]:
    for name in ("erase_in_coupon", "erase_in_overflow", "list_erasures"):
        cursor.execute(statement(name), (campaign_id,))
    return [Erasure(*row) for row in cursor.fetchall()]


def _is_conflict(exc: BaseException | None) -> bool:
    return isinstance(exc, pymysql.MySQLError) and bool(exc.args) and exc.args[0] in _CONFLICTS


def _is_broken(exc: BaseException) -> bool:
    """Whether the connection itself failed, so that nothing more can be sent on it."""
    return isinstance(exc, pymysql.OperationalError | pymysql.InterfaceError) and not _is_conflict(exc)


def _columns(campaign: Campaign) -> tuple[str, int, str, str, str]:
    state = CampaignState.PAUSED if campaign.paused else CampaignState.ACTIVE
    opens_at, closes_at = to_column(campaign.opens_at), to_column(campaign.closes_at)
    return campaign.name, campaign.capacity, opens_at, closes_at, state.value


def _to_finding(rows: Sequence[Sequence[Any]]) -> Finding:
    coupons = [IssuedCoupon(to_claim(row), to_millis(row[5])) for row in rows if row[6] is None]
    overflow = [Overflow(to_claim(row), OverflowReason(row[6])) for row in rows if row[6] is not None]
    return Finding(coupons[0] if coupons else None, overflow[0] if overflow else None)


def _event_values(event: CampaignEvent) -> dict[str, Any]:
    return {
        "campaign_id": event.campaign_id,
        "at": to_column(event.at),
        "actor": event.actor,
        "action": event.action,
        "before": _to_json(event.before),
        "after": _to_json(event.after),
    }


def _to_json(fields: Mapping[str, Any] | None) -> str | None:
    return None if fields is None else json.dumps(fields)


def _from_json(column: str | None) -> dict[str, Any] | None:
    return None if column is None else json.loads(column)
