"""Connecting to the ledger: who logs in, how often, how long it waits, and what the session is."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from firstcome import bootstrap
from firstcome.adapters import aws
from firstcome.adapters.mysql import connect
from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.adapters.mysql.owner import LedgerUser
from firstcome.domain.errors import LedgerUnavailableError, LoginUnavailableError, SettingsError
from firstcome.settings import MysqlSettings
from local.deployment.addresses import MysqlAddress
from tests.conftest import MysqlTestServer
from tests.secrets_manager import ARN, SecretsManager, secrets_manager


@pytest.fixture
def address(mysql_server: MysqlTestServer) -> Iterator[MysqlAddress]:
    """The test's database, and a user who has a password: the one of MYSQL_URL may have none."""
    made = mysql_server.address
    if made.password:
        yield made
        return
    mysql_server.execute("CREATE USER connect_test IDENTIFIED BY 'throwaway-password'")
    mysql_server.execute(f"GRANT ALL PRIVILEGES ON {made.database}.* TO connect_test")
    yield replace(made, user="connect_test", password="throwaway-password")
    mysql_server.execute("DROP USER connect_test")


@pytest.fixture(autouse=True)
def secrets(
    address: MysqlAddress, empty_environment: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecretsManager]:
    """A function's environment, and a Secrets Manager that holds its login."""
    with secrets_manager() as server:
        for name, text in {
            "MYSQL_HOST": address.host,
            "MYSQL_PORT": str(address.port),
            "MYSQL_TLS": "false",
            "MYSQL_DATABASE": address.database,
            "MYSQL_SECRET_ARN": ARN,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": server.url,
        }.items():
            empty_environment(name, text)
        monkeypatch.setattr(aws, "SECRET_MAX_AGE_SECONDS", 0)
        _hold(server, address)
        yield server


@pytest.fixture
def ledger(secrets: SecretsManager) -> Iterator[MysqlLedger]:
    """As a new function builds it."""
    bootstrap.ledger.cache_clear()
    yield bootstrap.ledger()
    bootstrap.ledger().close()


def _hold(secrets: SecretsManager, address: MysqlAddress, **changes: str) -> None:
    login = {"username": address.user, "password": address.password}
    secrets.hold(**login | changes)


def _where() -> MysqlSettings:
    return MysqlSettings.from_env()


def test_it_connects_only_when_it_is_used_and_once(ledger: MysqlLedger, secrets: SecretsManager) -> None:
    assert secrets.times_read == 0
    ledger.now()
    connection = ledger._connection
    ledger.now()

    assert connection is ledger._connection
    assert secrets.times_read == 1


def test_a_session_is_at_read_committed_in_utc_and_waits_three_seconds_for_a_lock(
    mysql_server: MysqlTestServer,
) -> None:
    is_mariadb = "MariaDB" in str(mysql_server.rows("SELECT VERSION()")[0][0])
    isolation = "@@tx_isolation" if is_mariadb else "@@transaction_isolation"
    with connect.connect(_where()) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {isolation}, @@time_zone, @@innodb_lock_wait_timeout, @@character_set_client, @@autocommit"
        )
        session = cursor.fetchone()

    assert session == ("READ-COMMITTED", "+00:00", 3, "utf8mb4", 0)


def test_a_reply_is_not_waited_for_longer_than_the_function_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "READ_TIMEOUT_SECONDS", 0.2)
    connection = connect.connect(_where())
    with connection.cursor() as cursor, pytest.raises(pymysql.OperationalError, match="timed out"):
        cursor.execute("SELECT SLEEP(60)")


def test_a_server_that_says_nothing_is_not_waited_for_longer_than_the_function_lasts(
    monkeypatch: pytest.MonkeyPatch, ledger: MysqlLedger
) -> None:
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(connect, "READ_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MYSQL_PORT", str(silent.getsockname()[1]))
        with pytest.raises(LedgerUnavailableError):
            ledger.now()


def test_a_session_that_cannot_be_set_up_leaves_no_connection_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    really_connect = pymysql.connect

    def note(**options: Any) -> Any:
        opened.append(really_connect(**options))
        return opened[0]

    monkeypatch.setattr(pymysql, "connect", note)
    monkeypatch.setattr(connect, "SESSION_SQL", ("no SQL",))
    with pytest.raises(pymysql.ProgrammingError):
        connect.connect(_where())

    assert not opened[0].open


def test_a_rotated_password_is_read_again(ledger: MysqlLedger, secrets: SecretsManager, address: MysqlAddress) -> None:
    """GIVEN a login in use, WHEN it is rotated and the connection is lost, THEN the new one is read."""
    ledger.now()
    aws._logins()[ARN] = aws.Login(address.user, "the one before")
    ledger.close()

    ledger.now()
    assert secrets.times_read == 2


def test_a_password_that_is_wrong_in_the_secret_too_is_read_twice_and_no_more(
    ledger: MysqlLedger, secrets: SecretsManager, address: MysqlAddress
) -> None:
    _hold(secrets, address, password="wrong")
    with pytest.raises(LedgerUnavailableError):
        ledger.now()
    assert secrets.times_read == 2


def test_a_server_that_is_not_there_does_not_have_the_secret_read_again(
    ledger: MysqlLedger, secrets: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSQL_PORT", "1")
    with pytest.raises(LedgerUnavailableError):
        ledger.now()
    assert secrets.times_read == 1


def test_a_login_that_cannot_be_read_makes_the_ledger_unavailable(ledger: MysqlLedger, secrets: SecretsManager) -> None:
    secrets.status = 400
    with pytest.raises(LedgerUnavailableError):
        ledger.now()
    secrets.status = 200
    ledger.now()


def test_a_secret_without_a_user_is_named(ledger: MysqlLedger, secrets: SecretsManager) -> None:
    secrets.hold(password="hunter2")
    with pytest.raises(SettingsError, match="^MYSQL_SECRET_ARN must name a secret"):
        ledger.now()


def test_an_iam_user_logs_in_with_a_new_token_each_time(
    ledger: MysqlLedger, secrets: SecretsManager, address: MysqlAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test's server knows no IAM: the token is the user's password here, and TLS is left to test_mysql_tls.py."""
    tokens: list[tuple[str, int, str]] = []

    def sign(host: str, port: int, user: str) -> str:
        tokens.append((host, port, user))
        return address.password

    monkeypatch.setattr(aws, "rds_token", sign)
    where = MysqlSettings(address.host, address.port, False, address.database, "", iam_user=address.user)  # noqa: FBT003
    for _ in range(2):
        connect.connect(where).close()

    assert tokens == [(address.host, address.port, address.user)] * 2
    assert secrets.times_read == 0
    monkeypatch.setattr(aws, "rds_token", lambda *_: "refused")
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        connect.connect(where)


def test_a_token_that_cannot_be_signed_makes_the_ledger_unavailable(
    address: MysqlAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise LoginUnavailableError("no credentials")

    monkeypatch.setattr(aws, "rds_token", fail)
    where = MysqlSettings(address.host, address.port, False, address.database, "", iam_user=address.user)  # noqa: FBT003
    with pytest.raises(LedgerUnavailableError, match="no credentials"):
        connect.connect(where)


def test_there_is_an_owner_only_where_the_ledger_is_the_stacks_own() -> None:
    assert bootstrap.ledger_owner() is None


def test_the_owner_gives_the_user_the_password_that_is_in_the_secret_now(
    secrets: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN an environment that read the password, WHEN it is rotated, THEN a migration does not set it back."""
    monkeypatch.setenv("MYSQL_OWNER_SECRET_ARN", "owner's")
    monkeypatch.setenv("DRAIN_CONCURRENCY", "3")
    secrets.hold(username="app", password="first")
    aws.secret_login(ARN)
    secrets.hold(username="app", password="second")

    owner = bootstrap.ledger_owner()

    # As many connections as three workers twice, and ten more.
    assert owner
    assert owner.user == LedgerUser("app", "second", 16)


def test_the_owner_logs_in_with_a_secret_of_its_own(address: MysqlAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    logins = {ARN: aws.Login("app", "x"), "owner's": aws.Login(address.user, address.password)}
    monkeypatch.setattr(aws, "secret_login", lambda arn, *_: logins[arn])
    monkeypatch.setenv("MYSQL_OWNER_SECRET_ARN", "owner's")
    monkeypatch.setenv("DRAIN_CONCURRENCY", "3")
    owner = bootstrap.ledger_owner()

    assert owner
    owner.connect().close()
