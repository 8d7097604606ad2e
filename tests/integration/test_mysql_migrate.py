"""The migration, also of a shared database; and the functions' user, who may do what the ledger does and no more."""

import getpass
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.connect import SESSION_SQL
from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.adapters.mysql.migrate import RECORD, TABLES, migrate, pending
from firstcome.adapters.mysql.owner import LedgerUser, MysqlOwner
from firstcome.domain.errors import LedgerSchemaError, LedgerUnavailableError
from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.mariadb_server import SOCKET
from tests.conftest import MysqlTestServer
from tests.factories import a_campaign, a_claim

_EMPTY = "firstcome_migration_test"
_FOLDER = Path(str(files("firstcome.adapters.mysql"))) / "migrations"

_USER = LedgerUser("ledger_user", "first-throwaway-password", 14)


@pytest.fixture
def as_owner(mysql_server: MysqlTestServer, workspace: Workspace) -> "Callable[[], Connection[Cursor]]":
    """Opens connections as somebody who may make users."""
    address = mysql_server.address
    socket = workspace.data / "mariadb" / SOCKET

    def connect() -> "Connection[Cursor]":
        if os.environ.get("MYSQL_URL"):
            return mysql_server.connect()
        # Who runs the server is let in by its socket.
        return pymysql.connect(unix_socket=str(socket), user=getpass.getuser(), database=address.database)

    return connect


@pytest.fixture
def run(as_owner: "Callable[[], Connection[Cursor]]") -> "Iterator[Callable[[str], list[tuple[object, ...]]]]":
    """Runs a statement as the owner; the user is gone before and after."""

    def run_statement(statement: str) -> list[tuple[object, ...]]:
        with as_owner() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    run_statement(f"DROP USER IF EXISTS {_USER.name}@'%'")
    yield run_statement
    run_statement(f"DROP USER IF EXISTS {_USER.name}@'%'")


@pytest.fixture
def connect(as_owner: "Callable[[], Connection[Cursor]]") -> "Iterator[Callable[[], Connection[Cursor]]]":
    """Opens connections to a database that has no table yet."""

    def connect_to_empty() -> "Connection[Cursor]":
        connection = as_owner()
        connection.select_db(_EMPTY)
        return connection

    with as_owner() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {_EMPTY} CHARACTER SET utf8mb4")
    yield connect_to_empty
    with as_owner() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {_EMPTY}")


def _rows(connect: "Callable[[], Connection[Cursor]]", query: str) -> list[tuple[object, ...]]:
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _tables(connect: "Callable[[], Connection[Cursor]]") -> set[object]:
    return {row[0] for row in _rows(connect, "SHOW TABLES")}


def test_each_migration_is_recorded_and_applied_once(connect: "Callable[[], Connection[Cursor]]") -> None:
    migrate(connect)
    assert _tables(connect) == {*TABLES, RECORD}
    recorded = _rows(connect, f"SELECT * FROM {RECORD} ORDER BY migration_id")
    assert [row[1] for row in recorded] == sorted(path.stem for path in _FOLDER.glob("*.sql"))

    migrate(connect)
    assert _rows(connect, f"SELECT * FROM {RECORD} ORDER BY migration_id") == recorded


def test_what_is_not_applied_yet_is_told(connect: "Callable[[], Connection[Cursor]]") -> None:
    assert pending(connect) == sorted(path.stem for path in _FOLDER.glob("*.sql"))
    migrate(connect)
    assert pending(connect) == []


@pytest.mark.parametrize("made", ["TABLE {} (id INT)", "VIEW {} AS SELECT 1 AS id"], ids=["table", "view"])
@pytest.mark.parametrize("name", [*TABLES, RECORD])
def test_a_table_of_somebody_else_is_named_and_nothing_is_changed(
    connect: "Callable[[], Connection[Cursor]]", made: str, name: str
) -> None:
    _rows(connect, "CREATE " + made.format(name))

    with pytest.raises(LedgerSchemaError, match=f"{_EMPTY} has a table named {name} that Firstcome did not make"):
        migrate(connect)

    assert _tables(connect) == {name}


def test_a_migration_that_is_ended_at_any_statement_is_completed_by_the_next(
    connect: "Callable[[], Connection[Cursor]]",
) -> None:
    """Ended before and after each statement, again and again, on one database that is never cleaned up."""
    for ended_at in range(1000):
        left = itertools.count(-ended_at)
        cut = lambda left=left: _CutConnection(connect(), left)  # noqa: E731
        try:
            migrate(cut)  # type: ignore[arg-type]
        except LedgerUnavailableError:
            continue
        break
    assert ended_at > 20
    assert _tables(connect) == {*TABLES, RECORD}
    assert len(_rows(connect, f"SELECT * FROM {RECORD}")) == len(TABLES)


class _CutConnection:
    """A connection that is lost, for good, once `left` has counted to 0: before a statement or after it."""

    def __init__(self, connection: "Connection[Cursor]", left: Iterator[int]) -> None:
        self._connection, self._left = connection, left

    def cursor(self) -> Any:
        return _CutCursor(self._connection.cursor(), self._lose)

    def _lose(self) -> None:
        if next(self._left) >= 0:
            self._connection.close()
            raise pymysql.OperationalError(2013, "lost")

    def close(self) -> None:
        if self._connection.open:
            self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _CutCursor:
    def __init__(self, cursor: Cursor, lose: Callable[[], None]) -> None:
        self._cursor, self._lose = cursor, lose

    def execute(self, query: str, values: Any = None) -> int:
        self._lose()
        rows = self._cursor.execute(query, values)
        self._lose()
        return rows

    def __enter__(self) -> "_CutCursor":
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def test_two_migrations_at_once_do_not_meet(connect: "Callable[[], Connection[Cursor]]") -> None:
    start = threading.Barrier(3)

    def run(_: int) -> None:
        start.wait(timeout=30)
        migrate(connect)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))

    assert _tables(connect) == {*TABLES, RECORD}
    assert len(_rows(connect, f"SELECT * FROM {RECORD}")) == len(TABLES)


def _connect_as_user(address: MysqlAddress, password: str) -> "Connection[Cursor]":
    connection = pymysql.connect(
        host=address.host, port=address.port, user=_USER.name, password=password, database=address.database
    )
    with connection.cursor() as cursor:
        for statement in SESSION_SQL:
            cursor.execute(statement)
    return connection


def test_the_user_may_do_what_the_ledger_does_over_tls_only(
    mysql_server: MysqlTestServer,
    as_owner: "Callable[[], Connection[Cursor]]",
    run: Callable[[str], list[tuple[object, ...]]],
) -> None:
    address = mysql_server.address
    for user in (_USER, LedgerUser(_USER.name, "second-throwaway-password", 14)):
        MysqlOwner(as_owner, address.database, user).migrate()

    made = str(run(f"SHOW CREATE USER {_USER.name}@'%'"))
    assert "REQUIRE SSL" in made
    assert "MAX_USER_CONNECTIONS 14" in made
    grants = str(run(f"SHOW GRANTS FOR {_USER.name}@'%'"))
    for table in TABLES:
        assert f"GRANT SELECT, INSERT, UPDATE ON `{address.database}`.`{table}` TO" in grants
    assert grants.count("GRANT ") == len(TABLES) + 1  # the last is USAGE: to log in

    # The test's server has no certificate.
    run(f"ALTER USER {_USER.name}@'%' REQUIRE NONE")
    ledger = MysqlLedger(lambda: _connect_as_user(address, "second-throwaway-password"))
    campaign = a_campaign(capacity=2)
    with ledger.campaign_lock(campaign.campaign_id):
        assert ledger.create(campaign)
        ledger.update(campaign, 0)
    ledger.issue([a_claim(campaign.campaign_id, sequence=sequence) for sequence in (1, 1, 2, 3)])
    assert ledger.counts(campaign.campaign_id).issued == 2
    with pytest.raises(LedgerUnavailableError):
        ledger.migrate()
    ledger.close()


def test_a_password_is_never_in_what_is_raised(
    mysql_server: MysqlTestServer, run: Callable[[str], list[tuple[object, ...]]]
) -> None:
    """The test's user may not make users, unless MYSQL_URL names one who may."""
    if os.environ.get("MYSQL_URL"):
        return
    owner = MysqlOwner(mysql_server.connect, mysql_server.address.database, _USER)
    with pytest.raises(LedgerUnavailableError) as caught:
        owner.migrate()
    assert _USER.password not in str(caught.value)
    assert caught.value.__cause__ is None
