"""The lock of a campaign, on a real server: it ends with its session, and so does the work under it."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.domain.campaign import Campaign
from firstcome.domain.errors import CampaignLockedError, LedgerUnavailableError
from tests.conftest import MysqlTestServer
from tests.factories import a_campaign, a_claim

_NO_WAIT = 0


def test_a_second_change_of_a_campaign_is_refused_when_the_first_takes_too_long(mysql_server: MysqlTestServer) -> None:
    mine, yours = mysql_server.ledger(), mysql_server.ledger()

    with mine.campaign_lock("demo"):
        with pytest.raises(CampaignLockedError), yours.campaign_lock("demo", _NO_WAIT):
            raise AssertionError("not alone")
        with yours.campaign_lock("another", _NO_WAIT):
            pass
    with yours.campaign_lock("demo", _NO_WAIT):
        pass


def test_a_change_that_fails_gives_the_campaign_free(mysql_server: MysqlTestServer) -> None:
    mine = mysql_server.ledger()
    with pytest.raises(ZeroDivisionError), mine.campaign_lock("demo"):
        _ = 1 // 0

    with mysql_server.ledger().campaign_lock("demo"):
        pass


class CutLedger(MysqlLedger):
    """A ledger whose session is killed before the command of that number is sent, COMMIT included.

    Attributes:
        sessions: how many it has had.
        is_cut: whether its session has been killed.
    """

    def __init__(self, server: MysqlTestServer, number: int) -> None:
        super().__init__(self._connect_and_count)
        self._server = server
        self._left = itertools.count(number, -1)
        self.sessions = 0
        self.is_cut = False

    def _connect_and_count(self) -> "Connection[Cursor]":
        connection: Any = self._server.connect()
        self.sessions += 1
        connection.query = self._after_counting(connection, connection.query)
        connection.commit = self._after_counting(connection, connection.commit)
        return connection  # type: ignore[no-any-return]

    def _after_counting(self, connection: Any, send: Callable[..., Any]) -> Callable[..., Any]:
        def count_and_send(*values: Any) -> Any:
            if next(self._left) == 0:
                self.is_cut = True
                session = connection.thread_id()
                self._server.rows(f"KILL {session}")
                while self._server.rows("SELECT 1 FROM information_schema.PROCESSLIST WHERE id = %s", session):
                    pass
            return send(*values)

        return count_and_send


def _raise_capacity(ledger: MysqlLedger, campaign: Campaign) -> None:
    """Change a campaign as an operator does, and look at claims as healing does."""
    record = ledger.find(campaign.campaign_id)
    assert record
    ledger.issue([a_claim(campaign.campaign_id, 1)])
    assert ledger.update(replace(record.campaign, capacity=99), record.campaign.version)
    ledger.counts(campaign.campaign_id)


def test_work_under_a_lock_fails_when_its_session_has_ended_before_any_command(mysql_server: MysqlTestServer) -> None:
    for number in itertools.count():
        campaign = a_campaign()
        mysql_server.ledger().create(campaign)
        ledger = CutLedger(mysql_server, number)
        sessions = 0
        try:
            with ledger.campaign_lock(campaign.campaign_id):
                is_cut_early, sessions = ledger.is_cut, ledger.sessions
                _raise_capacity(ledger, campaign)
        except LedgerUnavailableError:
            assert ledger.is_cut
            # Nothing was done on another session, which does not have the lock.
            assert sessions in {0, ledger.sessions}
        else:
            # The lock may be taken on a second session. Once it is held, the end of its session is noticed.
            assert not ledger.is_cut or is_cut_early
            if not ledger.is_cut:
                break
        with mysql_server.ledger().campaign_lock(campaign.campaign_id):
            pass
        ledger.close()
    assert number >= 15


def test_every_call_under_a_lost_lock_fails_and_so_does_its_end(mysql_server: MysqlTestServer) -> None:
    ledger = mysql_server.ledger()
    calls: list[Callable[[], object]] = [
        ledger.now,
        lambda: ledger.find("demo"),
        lambda: ledger.issue([a_claim("demo", 1)]),
        lambda: ledger.update(a_campaign("demo"), 0),
    ]

    def lose_the_session() -> None:
        session = ledger._connection.thread_id()  # type: ignore[union-attr]
        mysql_server.rows(f"KILL {session}")
        for call in calls:
            with pytest.raises(LedgerUnavailableError):
                call()

    with pytest.raises(LedgerUnavailableError, match="has ended"), ledger.campaign_lock("demo"):
        lose_the_session()

    assert ledger.now()


def test_a_lock_that_the_server_has_taken_away_is_noticed_at_its_end(mysql_server: MysqlTestServer) -> None:
    ledger = mysql_server.ledger()
    with pytest.raises(LedgerUnavailableError, match="lost before its change was done"), ledger.campaign_lock("demo"):
        ledger._in_transaction(lambda cursor: cursor.execute("SELECT RELEASE_ALL_LOCKS()"))


def test_two_databases_of_one_server_do_not_wait_for_each_other(mysql_server: MysqlTestServer) -> None:
    def connect_elsewhere() -> "Connection[Cursor]":
        connection = mysql_server.connect()
        connection.select_db("information_schema")
        return connection

    with mysql_server.ledger().campaign_lock("demo"), MysqlLedger(connect_elsewhere).campaign_lock("demo", _NO_WAIT):
        pass
