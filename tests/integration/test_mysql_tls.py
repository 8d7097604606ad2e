"""The ledger over TLS, on a real MariaDB or, with MYSQL_URL, on a real MySQL: who is talked to, and who is not."""

from collections.abc import Callable, Iterator
from traceback import format_exception

import pymysql
import pytest

from firstcome import bootstrap
from firstcome.domain.errors import LedgerUnavailableError, SettingsError
from local.deployment.addresses import MysqlAddress
from tests.conftest import mysql_of_the_url
from tests.integration.mysql_tls_server import DATABASE, MariadbTlsServer, MysqlTlsServer, TlsServer
from tests.integration.tls import LOCALHOST, PASSWORD, REFUSED, USER, Refused, trusting, verify_code
from verify.tcp_proxy import TcpProxy

__all__ = ["trusting"]

type SetVariable = Callable[[str, str], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """Made once for all tests here."""
    address = mysql_of_the_url()
    made: TlsServer = MysqlTlsServer(address) if address else MariadbTlsServer(tmp_path_factory.mktemp("tls"))
    yield made
    made.close()


@pytest.fixture
def plain_port(mysql_address: MysqlAddress, server: TlsServer) -> int:
    """The port of a server that offers no TLS."""
    if isinstance(server, MysqlTlsServer):
        server.go_plain()
        return server.port
    return mysql_address.port


def _ask_the_ledger(trusting: SetVariable, port: int) -> None:
    trusting("MYSQL_PORT", str(port))
    trusting("MYSQL_DATABASE", DATABASE)
    try:
        bootstrap.ledger().migrate()
    finally:
        bootstrap.ledger().close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_right_server_is_talked_to(server: TlsServer, trusting: SetVariable, host: str) -> None:
    server.show(LOCALHOST)
    trusting("MYSQL_HOST", host)

    with TcpProxy(server.port) as between:
        _ask_the_ledger(trusting, between.port)

    # Not even the name of the user can be read on the way.
    for word in (USER, PASSWORD, "campaign"):
        assert word.encode() not in between.received


# MySQL itself refuses to show a certificate that is not valid; see test_real_mysql.py for one that expires.
_REFUSED = [one for one in REFUSED if not (mysql_of_the_url() and one.is_out_of_date)]


@pytest.mark.parametrize("refused", _REFUSED, ids=str)
def test_any_other_server_is_refused(server: TlsServer, trusting: SetVariable, refused: Refused) -> None:
    server.show(refused.certificate)

    with TcpProxy(server.port) as between, pytest.raises(LedgerUnavailableError) as caught:
        _ask_the_ledger(trusting, between.port)

    assert verify_code(caught.value) in refused.verify_codes
    _assert_nothing_was_told(caught.value, between)


def test_a_server_without_tls_never_sees_the_user_nor_the_password(plain_port: int, trusting: SetVariable) -> None:
    with TcpProxy(plain_port) as between, pytest.raises(LedgerUnavailableError) as caught:
        _ask_the_ledger(trusting, between.port)

    _assert_nothing_was_told(caught.value, between)
    assert between.received == b""


def test_without_tls_a_user_whose_password_would_have_to_be_encrypted_is_a_wrong_setting(
    trusting: SetVariable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PyMySQL says it without `cryptography`; test_real_mysql.py sees it say so."""

    def connect(**_: object) -> None:
        raise RuntimeError("'cryptography' package is required for sha256_password or caching_sha2_password")

    monkeypatch.setattr(pymysql, "connect", connect)
    trusting("MYSQL_TLS", "false")

    with pytest.raises(SettingsError, match="MYSQL_TLS must be true"):
        _ask_the_ledger(trusting, 3306)


def _assert_nothing_was_told(error: BaseException, between: TcpProxy) -> None:
    assert USER.encode() not in between.received
    assert "localhost" not in str(error)
    assert PASSWORD not in "".join(format_exception(error))
