"""The migration of a ledger of the stack's own: the functions' user may do what the ledger does, and nothing else."""

import getpass
import os
from collections.abc import Callable, Iterator

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome.adapters.mysql.ledger import SESSION_SQL, MysqlLedger
from firstcome.adapters.mysql.owner import LedgerUser, MysqlOwner
from firstcome.domain.errors import LedgerUnavailableError
from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.mariadb_server import SOCKET
from tests.conftest import MysqlTestServer
from tests.factories import a_campaign, a_claim

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
    tables = ("campaign", "coupon", "coupon_count", "overflow", "campaign_event", "erasure")
    for table in tables:
        assert f"GRANT SELECT, INSERT, UPDATE ON `{address.database}`.`{table}` TO" in grants
    assert grants.count("GRANT ") == len(tables) + 1  # the last is USAGE: to log in

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
