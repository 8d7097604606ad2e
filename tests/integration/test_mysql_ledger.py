"""The ledger on a real server: drains at once, deadlocks, dropped connections, outages, the schema as last guard."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pymysql
import pytest

from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.domain.claim import Claim, Settlement
from firstcome.domain.errors import LedgerUnavailableError
from tests.conftest import MysqlTestServer
from tests.factories import a_campaign, a_claim


def _campaign(server: MysqlTestServer, capacity: int) -> str:
    campaign = a_campaign(capacity=capacity)
    server.ledger().create(campaign)
    return campaign.campaign_id


def _at_once(server: MysqlTestServer, batches: Sequence[Sequence[Claim]]) -> list[Settlement]:
    """Let several drains, each on a connection of its own, write at the same moment."""
    start = threading.Barrier(len(batches))

    def issue(batch: Sequence[Claim]) -> Settlement:
        ledger = server.ledger()
        ledger.now()
        start.wait(timeout=30)
        return ledger.issue(batch)

    with ThreadPoolExecutor(len(batches)) as pool:
        return list(pool.map(issue, batches))


def _rows(server: MysqlTestServer, campaign_id: str) -> list[tuple[object, ...]]:
    return server.rows("SELECT sequence, user_id FROM coupon WHERE campaign_id = %s ORDER BY sequence", campaign_id)


def test_two_drains_on_one_batch_write_each_claim_once(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 300)
    batch = [a_claim(campaign_id, sequence) for sequence in range(1, 301)]

    settlements = _at_once(mysql_server, [batch, list(reversed(batch))])

    assert [len(settlement.issued) for settlement in settlements] == [300, 300]
    assert not any(settlement.overflow or settlement.reseated for settlement in settlements)
    assert _rows(mysql_server, campaign_id) == [(claim.sequence, claim.user_id) for claim in batch]


def test_overlapping_batches_in_any_order_settle_every_claim(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 200)
    claims = [a_claim(campaign_id, sequence) for sequence in range(1, 201)]
    batches = [claims[:120], claims[60:180][::-1], claims[100:], claims[::3]]

    settlements = _at_once(mysql_server, batches)

    assert not any(settlement.overflow or settlement.reseated for settlement in settlements)
    assert len(_rows(mysql_server, campaign_id)) == 200


def test_two_drains_with_claims_for_the_same_seats_seat_everybody_once(mysql_server: MysqlTestServer) -> None:
    # Two histories of the same sequences, as after a Redis that rolled back: 40 claims on 30 seats.
    campaign_id = _campaign(mysql_server, 30)
    one = [a_claim(campaign_id, sequence) for sequence in range(1, 21)]
    other = [a_claim(campaign_id, sequence) for sequence in range(1, 21)]

    _at_once(mysql_server, [one, other])

    rows = _rows(mysql_server, campaign_id)
    assert [sequence for sequence, _ in rows] == list(range(1, 31))
    kept = mysql_server.rows("SELECT user_id FROM overflow WHERE campaign_id = %s", campaign_id)
    assert {user for _, user in rows} | {user for (user,) in kept} == {claim.user_id for claim in [*one, *other]}
    assert len(kept) == 10


def test_a_deadlock_victim_is_tried_again(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 10)
    failures = iter([pymysql.OperationalError(1213, "Deadlock found"), pymysql.OperationalError(1205, "Lock wait")])

    class Unlucky(MysqlLedger):
        """A ledger whose transactions are chosen as deadlock victims for a while."""

        def _run_once[T](self, work: Callable[[pymysql.cursors.Cursor], T]) -> T:
            outcome = super()._run_once(work)
            failure = next(failures, None)
            if failure:
                raise failure
            return outcome

    settlement = Unlucky(mysql_server.connect).issue([a_claim(campaign_id, 1)])

    assert len(settlement.issued) == 1
    assert len(_rows(mysql_server, campaign_id)) == 1


def test_a_real_deadlock_between_two_transactions_is_survived(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 10)
    first, second = a_claim(campaign_id, 1), a_claim(campaign_id, 2)
    insert = (
        "INSERT INTO coupon (campaign_id, sequence, user_id, coupon_code, accepted_at, issued_at)"
        " VALUES (%s, %s, %s, %s, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))"
    )
    outcome: list[Settlement] = []
    drain = threading.Thread(target=lambda: outcome.append(mysql_server.ledger().issue([first, second])))
    blocker = mysql_server.connect()
    with blocker, blocker.cursor() as cursor:
        cursor.execute(insert, (campaign_id, 2, "holder", "HOLDER"))
        drain.start()
        _wait_for_query(mysql_server, "INSERT IGNORE INTO coupon%")
        # The drain holds seat 1 and waits for 2; this asks for 1: one of the two must give way.
        with suppress(pymysql.OperationalError):
            cursor.execute(insert, (campaign_id, 1, "other", "OTHER"))
        blocker.rollback()
        drain.join(timeout=30)

    assert [len(settlement.issued) for settlement in outcome] == [2]
    assert _rows(mysql_server, campaign_id) == [(1, first.user_id), (2, second.user_id)]


def _wait_for_query(server: MysqlTestServer, pattern: str) -> None:
    while not server.rows("SELECT 1 FROM information_schema.PROCESSLIST WHERE info LIKE %s", pattern):
        pass


def test_a_connection_that_the_server_dropped_is_replaced(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 10)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, 1)])
    (connection_id,) = mysql_server.rows("SELECT MAX(id) FROM information_schema.PROCESSLIST WHERE command = 'Sleep'")[
        0
    ]
    mysql_server.rows(f"KILL {connection_id}")

    settlement = ledger.issue([a_claim(campaign_id, 2)])

    assert len(settlement.issued) == 1
    assert len(_rows(mysql_server, campaign_id)) == 2


def test_a_commit_whose_reply_is_lost_is_repeated_without_harm(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 10)
    claims = [a_claim(campaign_id, 1), a_claim(campaign_id, 2)]
    losses = iter([True])

    class LossyLedger(MysqlLedger):
        """A ledger whose first commit succeeds without anybody hearing of it."""

        def _run_once[T](self, work: Callable[[pymysql.cursors.Cursor], T]) -> T:
            outcome = super()._run_once(work)
            if next(losses, False):
                self._connection = None
                raise pymysql.OperationalError(2013, "Lost connection to MySQL server during query")
            return outcome

    ledger = LossyLedger(mysql_server.connect)
    with pytest.raises(LedgerUnavailableError):
        ledger.issue(claims)

    # The queue delivers the batch again.
    settlement = ledger.issue(claims)
    assert set(settlement.issued) == set(claims)
    assert len(_rows(mysql_server, campaign_id)) == 2


def test_a_server_that_cannot_be_reached_is_unavailable_and_names_nothing() -> None:
    def refuse() -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
        raise pymysql.OperationalError(2003, "Can't connect to MySQL server on 'db.internal'")

    with pytest.raises(LedgerUnavailableError) as caught:
        MysqlLedger(refuse).issue([a_claim("demo", 1)])

    assert "db.internal" not in str(caught.value)


def test_a_transaction_that_fails_leaves_nothing_behind(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 10)
    too_long = replace(a_claim(campaign_id, 1), campaign_id="x" * 200)

    ledger = mysql_server.ledger()
    with pytest.raises(ZeroDivisionError):
        ledger._in_transaction(lambda cursor: (cursor.execute("DELETE FROM campaign"), 1 // 0))  # noqa: SLF001

    assert ledger.find(campaign_id) is not None
    assert ledger.issue([too_long]).issued == []


@pytest.mark.parametrize(
    ("sequence", "user_id", "code"), [(1, "bob", "B"), (2, "ann", "B"), (2, "bob", "A")], ids=["seat", "user", "code"]
)
def test_the_schema_itself_refuses_a_second_coupon(
    mysql_server: MysqlTestServer, sequence: int, user_id: str, code: str
) -> None:
    insert = (
        "INSERT INTO coupon (campaign_id, sequence, user_id, coupon_code, accepted_at, issued_at)"
        " VALUES ('demo', %s, %s, %s, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))"
    )
    connection = mysql_server.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(insert, (1, "ann", "A"))
        with pytest.raises(pymysql.IntegrityError):
            cursor.execute(insert, (sequence, user_id, code))


def test_changes_of_one_campaign_wait_for_each_other(mysql_server: MysqlTestServer) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait(timeout=30)
        with mysql_server.ledger().campaign_lock("demo"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with mysql_server.ledger().campaign_lock("demo"):
        inside.set()
        _wait_for_query(mysql_server, "SELECT GET_LOCK%")
        order.append("first")
    thread.join(timeout=30)

    assert order == ["first", "second"]


def test_a_batch_of_claims_is_four_statements(mysql_server: MysqlTestServer) -> None:
    campaign_id = _campaign(mysql_server, 1000)
    ledger = mysql_server.ledger()
    ledger.issue([a_claim(campaign_id, 1)])
    before = _questions(ledger)

    claims = [a_claim(campaign_id, sequence) for sequence in range(2, 1001)]
    ledger.issue(claims)

    # Asking for the figure is a statement and a commit of its own.
    assert _questions(ledger) - before - 2 == 4
    before = _questions(ledger)
    ledger.issue(claims)
    assert _questions(ledger) - before - 2 == 4


def _questions(ledger: MysqlLedger) -> int:
    """Return the statements that the ledger's connection has sent, COMMIT included."""

    def ask(cursor: "pymysql.cursors.Cursor") -> int:
        cursor.execute("SHOW SESSION STATUS LIKE 'Questions'")
        row = cursor.fetchone()
        assert row
        return int(row[1])

    return ledger._in_transaction(ask)  # noqa: SLF001 - the count is the connection's own
