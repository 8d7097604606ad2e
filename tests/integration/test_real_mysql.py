"""What only MySQL has: caching_sha2_password, and TLS that can be taken away. Collected with MYSQL_URL only."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from firstcome import bootstrap
from firstcome.domain.errors import LedgerUnavailableError, SettingsError
from tests.conftest import mysql_of_the_url
from tests.integration.mysql_tls_server import DATABASE, MysqlTlsServer
from tests.integration.tls import LOCALHOST, OUR_OWN, PASSWORD, trusting, verify_code
from verify.tcp_proxy import TcpProxy

__all__ = ["trusting"]

type SetVariable = Callable[[str, str], None]


@pytest.fixture(scope="module")
def server() -> Iterator[MysqlTlsServer]:
    """The server of MYSQL_URL."""
    address = mysql_of_the_url()
    assert address is not None
    made = MysqlTlsServer(address)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _as_in_the_layer(server: MysqlTlsServer, trusting: SetVariable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions have no `cryptography`, and nobody has logged in yet."""
    monkeypatch.setattr("pymysql._auth._have_cryptography", False)
    trusting("MYSQL_DATABASE", DATABASE)
    trusting("MYSQL_PORT", str(server.port))
    server.show(LOCALHOST)
    server.forget_logins()


def _ask_the_ledger() -> None:
    try:
        bootstrap.ledger().migrate()
    finally:
        bootstrap.ledger().close()


def test_a_user_of_caching_sha2_password_logs_in_over_tls(server: MysqlTlsServer) -> None:
    _ask_the_ledger()
    bootstrap.ledger.cache_clear()
    _ask_the_ledger()  # The server knows the user by now, and asks less.


def test_without_tls_the_setting_is_named_and_the_password_is_not_sent(
    server: MysqlTlsServer, trusting: SetVariable
) -> None:
    trusting("MYSQL_TLS", "false")

    with TcpProxy(server.port) as between:
        trusting("MYSQL_PORT", str(between.port))
        with pytest.raises(SettingsError, match="MYSQL_TLS") as caught:
            _ask_the_ledger()

    assert PASSWORD.encode() not in between.received
    assert PASSWORD not in str(caught.value)


def test_a_certificate_that_has_expired_meanwhile_is_refused(server: MysqlTlsServer) -> None:
    server.show(OUR_OWN.sign(["localhost"], until=timedelta(seconds=3)))
    expires = time.time() + 3
    while time.time() <= expires + 1:
        time.sleep(0.1)

    with pytest.raises(LedgerUnavailableError) as caught:
        _ask_the_ledger()

    assert verify_code(caught.value) == 10
