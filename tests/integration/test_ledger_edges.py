"""The ledger's corners: what other drains do in the middle of a batch, and what each kind of failure leads to."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.domain.claim import Claim, LedgerCounts, Overflow, OverflowReason, new_coupon_code
from firstcome.domain.errors import LedgerUnavailableError
from tests.conftest import MysqlTestServer
from tests.factories import a_campaign, a_claim


def _campaign(server: MysqlTestServer, capacity: int) -> str:
    campaign = a_campaign(capacity=capacity)
    server.ledger().create(campaign)
    return campaign.campaign_id


def _claims(ledger: MysqlLedger, campaign_id: str) -> list[Claim]:
    return [coupon.claim for coupon in ledger.coupons(campaign_id, 0, 1000)]


class WatchedLedger(MysqlLedger):
    """Calls `before` with each statement it is about to send."""

    def __init__(self, server: MysqlTestServer, before: Callable[[str], None]) -> None:
        super().__init__(server.connect)
        self.before = before
        self.runs = 0

    def _run_once[T](self, work: Callable[[Cursor], T]) -> T:
        self.runs += 1
        return super()._run_once(lambda cursor: work(cast(Cursor, WatchedCursor(cursor, self.before))))


class WatchedCursor:
    """A cursor that says what it is about to do."""

    def __init__(self, cursor: Cursor, before: Callable[[str], None]) -> None:
        self._cursor, self._before = cursor, before

    def execute(self, query: str, values: Any = None) -> int:
        self._before(query)
        return self._cursor.execute(query, values)

    def executemany(self, query: str, values: Any) -> int:
        self._before(query)
        return self._cursor.executemany(query, values) or 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@pytest.fixture
def watched(mysql_server: MysqlTestServer) -> Iterator[WatchedLedger]:
    """A ledger whose statements a test can get in between."""
    ledger = WatchedLedger(mysql_server, lambda _: None)
    yield ledger
    ledger.close()


@pytest.mark.parametrize("sql_mode", ["STRICT_TRANS_TABLES", "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES", "ANSI"])
def test_a_users_id_is_written_as_it_is_whatever_the_servers_sql_mode(
    mysql_server: MysqlTestServer, sql_mode: str
) -> None:
    def connect() -> "Connection[Cursor]":
        connection = mysql_server.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = %s", (sql_mode,))
        return connection

    campaign_id = _campaign(mysql_server, 10)
    users = ["\\", "'", "\\'", "''", '"', '\\"', "%s", "\\' OR 1=1 -- ", "x', 'y"]
    claims = [a_claim(campaign_id, number, user) for number, user in enumerate(users, 1)]
    ledger = MysqlLedger(connect)

    assert ledger.issue(claims).issued == claims

    assert _claims(ledger, campaign_id) == claims
    ledger.close()


def test_two_homeless_claims_with_one_code_are_both_accounted_for(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 5)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, 1), a_claim(campaign_id, 2)])
    code = new_coupon_code()
    first, second = a_claim(campaign_id, 1, coupon_code=code), a_claim(campaign_id, 2, coupon_code=code)

    settlement = ledger.issue([second, first])

    assert list(settlement.reseated) == list(settlement.issued) == [replace(first, sequence=4)]
    assert list(settlement.overflow) == [Overflow(second, OverflowReason.CODE_TAKEN)]


def test_a_homeless_claim_whose_code_is_taken_does_not_keep_others_from_a_seat(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 3)
    ledger = mysql_server.ledger()
    held = a_claim(campaign_id, 1)
    ledger.issue([held])
    twin = a_claim(campaign_id, 1, coupon_code=held.coupon_code)
    others = [a_claim(campaign_id, 1) for _ in range(3)]

    settlement = ledger.issue([twin, *others])

    assert Overflow(twin, OverflowReason.CODE_TAKEN) in settlement.overflow
    assert len(settlement.reseated) == 2
    assert sorted(claim.sequence for claim in _claims(ledger, campaign_id)) == [1, 2, 3]
    assert sorted(item.reason for item in settlement.overflow) == [OverflowReason.CODE_TAKEN, OverflowReason.NO_SEAT]


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_a_seat_that_another_drain_takes_meanwhile_is_given_up_for_the_next(
    mysql_server: MysqlTestServer, watched: WatchedLedger, taken: int
) -> None:
    campaign_id = _campaign(mysql_server, 9)
    mysql_server.ledger().issue([a_claim(campaign_id, 1)])
    rivals = [a_claim(campaign_id, seat) for seat in (9, 8, 7)[:taken]]
    waiting = iter(rivals)

    def interfere(query: str) -> None:
        # The unseated claim is inserted in its own seat first, then in each free one.
        if query.startswith("INSERT IGNORE INTO coupon") and interfere_from(query):
            rival = next(waiting, None)
            if rival:
                mysql_server.ledger().issue([rival])

    inserts = iter(range(100))

    def interfere_from(query: str) -> bool:
        return next(inserts) > 0

    watched.before = interfere
    unseated = a_claim(campaign_id, 1)

    settlement = watched.issue([unseated])

    if taken < 3:
        assert list(settlement.issued) == list(settlement.reseated) == [replace(unseated, sequence=9 - taken)]
        assert not settlement.overflow
    else:
        assert list(settlement.overflow) == [Overflow(unseated, OverflowReason.NO_SEAT)]
    assert set(rivals) <= set(_claims(watched, campaign_id))


def test_a_user_whom_another_drain_gives_a_coupon_meanwhile_gets_no_second_one(
    mysql_server: MysqlTestServer, watched: WatchedLedger
) -> None:
    campaign_id = _campaign(mysql_server, 9)
    mysql_server.ledger().issue([a_claim(campaign_id, 1)])
    inserts = iter(range(100))

    def interfere(query: str) -> None:
        if query.startswith("INSERT IGNORE INTO coupon") and next(inserts) == 1:
            mysql_server.ledger().issue([a_claim(campaign_id, 9, "ann")])

    watched.before = interfere
    unseated = a_claim(campaign_id, 1, "ann")

    settlement = watched.issue([unseated])

    assert list(settlement.overflow) == [Overflow(unseated, OverflowReason.USER_HAS_COUPON)]


def test_each_homeless_claim_gets_a_seat_of_its_own_among_the_highest(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 9)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, seat) for seat in (1, 5, 8)])
    unseated = [a_claim(campaign_id, seat) for seat in (1, 5, 8)]

    settlement = ledger.issue(unseated)

    moved = dict(zip([claim.user_id for claim in unseated], [6, 7, 9], strict=True))
    assert {claim.user_id: claim.sequence for claim in settlement.reseated} == moved
    assert {claim.accepted_at for claim in settlement.reseated} == {claim.accepted_at for claim in unseated}


def test_a_batch_of_several_campaigns_is_settled_for_each(mysql_server: MysqlTestServer) -> None:
    one, other = sorted([_campaign(mysql_server, 1), _campaign(mysql_server, 2)])
    ledger = mysql_server.ledger()
    ledger.update(a_campaign(one, capacity=1), 0)
    ledger.update(a_campaign(other, capacity=2), 0)
    held = [a_claim(one, 1), a_claim(other, 1)]
    ledger.issue(held)
    late = [a_claim(one, 1), a_claim(other, 1)]

    settlement = ledger.issue([*late, *held])

    assert set(settlement.issued) == {*held, replace(late[1], sequence=2)}
    assert list(settlement.reseated) == [replace(late[1], sequence=2)]
    assert list(settlement.overflow) == [Overflow(late[0], OverflowReason.NO_SEAT)]
    assert ledger.counts(one).overflow == 1


def test_what_is_in_overflow_keeps_every_field(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 1)
    ledger = mysql_server.ledger()
    first, second = a_claim(campaign_id, 1, "ann"), a_claim(campaign_id, 7, "ann")

    ledger.issue([first, second])

    assert ledger.overflow(campaign_id, "", 10) == [second]
    assert mysql_server.rows("SELECT reason FROM overflow WHERE coupon_code = %s", second.coupon_code) == [
        ("user_has_coupon",)
    ]


@pytest.mark.parametrize("number", [1205, 1213])
@pytest.mark.parametrize("conflicts", [2, 3])
def test_a_lock_conflict_is_tried_again_twice(watched: WatchedLedger, number: int, conflicts: int) -> None:
    failures = iter([number] * conflicts)

    def fail(_: str) -> None:
        for failure in failures:
            raise pymysql.OperationalError(failure, "lock")

    watched.before = fail
    if conflicts < 3:
        assert watched.find("nobody-made-it") is None
    else:
        with pytest.raises(LedgerUnavailableError):
            watched.find("nobody-made-it")
    assert watched.runs == 3


@pytest.mark.parametrize(
    ("failure", "is_kept", "runs"),
    [
        (pymysql.OperationalError(1213, "deadlock"), True, 2),
        (pymysql.OperationalError(2013, "lost"), False, 2),
        (pymysql.InterfaceError(0, ""), False, 2),
        (pymysql.OperationalError(), False, 2),
        (pymysql.ProgrammingError(1064, "syntax"), True, 1),
        (pymysql.DataError(1406, "too long"), True, 1),
    ],
)
def test_a_connection_is_kept_unless_it_is_what_failed(
    watched: WatchedLedger, failure: pymysql.MySQLError, *, is_kept: bool, runs: int
) -> None:
    watched.active_campaigns()
    connection, watched.runs = watched._connection, 0  # noqa: SLF001
    failures = iter([failure])

    def fail(_: str) -> None:
        for one in failures:
            raise one

    watched.before = fail
    if runs == 1:
        with pytest.raises(LedgerUnavailableError):
            watched.active_campaigns()
    else:
        assert watched.active_campaigns() == []

    assert watched.runs == runs
    assert (watched._connection is connection) == is_kept  # noqa: SLF001
    assert connection
    assert connection.open == is_kept


def test_a_connection_that_breaks_when_it_is_new_is_not_tried_again(watched: WatchedLedger) -> None:
    def fail(_: str) -> None:
        raise pymysql.OperationalError(2013, "lost")

    watched.before = fail
    with pytest.raises(LedgerUnavailableError):
        watched.active_campaigns()
    assert watched.runs == 1
    assert watched._connection is None  # noqa: SLF001


def test_nothing_of_a_transaction_stays_whatever_ends_it(mysql_server: MysqlTestServer, watched: WatchedLedger) -> None:
    def end(query: str) -> None:
        if query.startswith("SELECT sequence"):
            raise KeyboardInterrupt

    campaign_id = _campaign(mysql_server, 3)
    watched.before = end
    with pytest.raises(KeyboardInterrupt):
        watched.issue([a_claim(campaign_id, 1), a_claim(campaign_id, 1)])
    watched.before = lambda _: None

    assert watched.counts(campaign_id).issued == 0


def test_a_rollback_that_fails_drops_the_connection(watched: WatchedLedger) -> None:
    def fail(_: str) -> None:
        connection = watched._connection  # noqa: SLF001
        assert connection
        connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001
        raise pymysql.DataError(1406, "too long")

    watched.before = fail
    with pytest.raises(LedgerUnavailableError):
        watched.active_campaigns()
    assert watched._connection is None  # noqa: SLF001


def test_a_claim_that_meets_a_lock_keeps_no_other_claim_of_its_batch_waiting(
    mysql_server: MysqlTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN somebody who holds the campaign's row, WHEN a batch has one claim that needs another seat, THEN the others
    are issued, and only that one must come again.
    """
    campaign_id, other = _campaign(mysql_server, 9), _campaign(mysql_server, 9)
    mysql_server.ledger().issue([a_claim(campaign_id, 1)])
    bad, good = a_claim(campaign_id, 1), [a_claim(campaign_id, 2), a_claim(campaign_id, 3), a_claim(other, 1)]
    monkeypatch.setattr("firstcome.adapters.mysql.ledger._TRIES", 1)
    ledger = MysqlLedger(lambda: _impatient(mysql_server))
    blocker = mysql_server.connect()
    with blocker, blocker.cursor() as cursor:
        cursor.execute("SELECT 1 FROM campaign WHERE campaign_id = %s FOR UPDATE", (campaign_id,))

        settlement = ledger.issue([bad, *good])
        with pytest.raises(LedgerUnavailableError):
            ledger.issue([bad])

    assert set(settlement.issued) == set(good)
    assert list(settlement.unsettled) == [bad]
    assert list(ledger.issue([bad]).reseated) == [replace(bad, sequence=9)]


def test_a_campaign_whose_rows_are_locked_keeps_no_other_campaign_waiting(mysql_server: MysqlTestServer) -> None:
    first, second = sorted([_campaign(mysql_server, 9), _campaign(mysql_server, 9)])
    locked, others = a_claim(first, 1), [a_claim(second, 1), a_claim(second, 2)]
    ledger = MysqlLedger(lambda: _impatient(mysql_server))
    blocker = mysql_server.connect()
    with blocker, blocker.cursor() as cursor:
        cursor.execute(
            "INSERT INTO coupon (campaign_id, sequence, user_id, coupon_code, accepted_at)"
            " VALUES (%s, 1, 'holder', 'HOLDER', UTC_TIMESTAMP(3))",
            (first,),
        )
        settlement = ledger.issue([locked, *others])

    assert set(settlement.issued) == set(others)
    assert list(settlement.unsettled) == [locked]


def _impatient(server: MysqlTestServer) -> "Connection[Cursor]":
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
    return connection


def test_a_seat_is_found_in_the_ranges_that_have_one_and_a_wrong_count_is_mended(mysql_server: MysqlTestServer) -> None:
    """GIVEN counts that a restore took back or that somebody's DELETE made wrong, THEN seats are found all the same."""
    campaign_id = _campaign(mysql_server, 30_000)
    ledger = mysql_server.ledger()
    held = a_claim(campaign_id, 1)
    ledger.issue([held])
    mysql_server.execute("UPDATE coupon_count SET issued = 10000 WHERE campaign_id = %s", campaign_id)
    mysql_server.execute("INSERT INTO coupon_count VALUES (%s, 2, 10000)", campaign_id)

    settlement = ledger.issue([a_claim(campaign_id, 1)])

    assert [claim.sequence for claim in settlement.reseated] == [20_000]
    number: int | None = 0
    while number is not None:
        number = ledger.recount(campaign_id, number)
    assert ledger.counts(campaign_id).issued == 2
    assert [claim.sequence for claim in ledger.issue([a_claim(campaign_id, 1)]).reseated] == [30_000]


def test_a_range_that_is_full_though_its_count_says_otherwise_is_counted_anew(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 10_003)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, sequence) for sequence in (1, 10_001, 10_002, 10_003)])
    mysql_server.execute("DELETE FROM coupon_count WHERE campaign_id = %s", campaign_id)

    settlement = ledger.issue([a_claim(campaign_id, 1)])

    assert [claim.sequence for claim in settlement.reseated] == [10_000]
    assert mysql_server.rows("SELECT range_no, issued FROM coupon_count ORDER BY range_no") == [(0, 1), (1, 3)]


def test_rows_beyond_a_lowered_capacity_count_against_it(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 5)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, sequence) for sequence in (1, 4, 5)])
    ledger.update(a_campaign(campaign_id, capacity=3), 0)
    unseated = a_claim(campaign_id, 1)

    # The seats 2 and 3 are free, but three coupons are issued.
    assert list(ledger.issue([unseated]).overflow) == [Overflow(unseated, OverflowReason.NO_SEAT)]


def test_a_full_campaign_whose_count_says_otherwise_has_no_seat(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 3)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, sequence) for sequence in (1, 2, 3)])
    mysql_server.execute("UPDATE coupon_count SET issued = 1 WHERE campaign_id = %s", campaign_id)
    unseated = a_claim(campaign_id, 1)

    assert list(ledger.issue([unseated]).overflow) == [Overflow(unseated, OverflowReason.NO_SEAT)]
    assert ledger.counts(campaign_id) == LedgerCounts(3, 1, 3)


def test_no_more_seats_are_given_than_the_capacity_leaves_whatever_ranges_they_are_in(
    mysql_server: MysqlTestServer,
) -> None:
    """GIVEN rows beyond a lowered capacity, WHEN three claims need a seat, THEN the two that are left are given, though
    more seats below the capacity are free.
    """
    campaign_id = _campaign(mysql_server, 10_002)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, 1), a_claim(campaign_id, 10_002)])
    mysql_server.execute("INSERT INTO coupon_count VALUES (%s, 2, 9998)", campaign_id)

    settlement = ledger.issue([a_claim(campaign_id, 1) for _ in range(3)])

    assert sorted(claim.sequence for claim in settlement.reseated) == [10_000, 10_001]
    assert [item.reason for item in settlement.overflow] == [OverflowReason.NO_SEAT]


def test_counts_are_exact_while_drains_and_recounts_go_on_at_once(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 40_000)
    claims = [a_claim(campaign_id, sequence) for sequence in range(1, 40_000, 131)]
    batches = [claims[start : start + 40] for start in range(0, len(claims), 20)]
    start = threading.Barrier(4)

    def drain(worker: int) -> None:
        ledger = mysql_server.ledger()
        start.wait(timeout=30)
        for number, batch in enumerate(batches):
            ledger.issue(batch[:: 1 + worker])
            ledger.recount(campaign_id, number % 4)
        ledger.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(drain, range(4)))

    counted = mysql_server.rows("SELECT range_no, issued FROM coupon_count ORDER BY range_no")
    real = mysql_server.rows("SELECT (sequence - 1) DIV 10000 AS r, COUNT(*) FROM coupon GROUP BY r ORDER BY r")
    assert counted == real
    assert sum(int(str(issued)) for _, issued in counted) == len(claims)


def test_overflow_that_lost_its_coupon_again_waits_again(mysql_server: MysqlTestServer) -> None:
    """GIVEN a claim that got a seat after all, WHEN that row is lost, THEN the claim counts as unsettled once more."""
    campaign_id = _campaign(mysql_server, 1)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, 1)])
    waiting = a_claim(campaign_id, 2)
    ledger.issue([waiting])
    ledger.update(a_campaign(campaign_id, capacity=2), 0)
    ledger.issue([waiting])
    assert ledger.counts(campaign_id) == LedgerCounts(2, 0, 2)
    mysql_server.execute("DELETE FROM coupon WHERE sequence = 2")

    assert ledger.settled_codes(campaign_id, [waiting]) == set()
    ledger.issue([a_claim(campaign_id, 2)])
    assert list(ledger.issue([waiting]).overflow) == [Overflow(waiting, OverflowReason.NO_SEAT)]
    assert ledger.settled_codes(campaign_id, [waiting]) == {waiting.coupon_code}
    assert ledger.overflow(campaign_id, "", 9) == [waiting]


@pytest.mark.parametrize(("paused", "state"), [(False, "active"), (True, "paused")])
def test_a_campaigns_state_is_a_word_in_the_table(mysql_server: MysqlTestServer, *, paused: bool, state: str) -> None:
    campaign = a_campaign(paused=paused)
    mysql_server.ledger().create(campaign)
    mysql_server.ledger().update(campaign, 0)

    assert mysql_server.rows("SELECT state FROM campaign WHERE campaign_id = %s", campaign.campaign_id) == [(state,)]
