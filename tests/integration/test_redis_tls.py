"""The gate over TLS, on a real Redis: who is talked to, who is not, and what those who are not get to hear."""

from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import format_exception

import pytest

from firstcome import bootstrap
from firstcome.domain.errors import GateUnavailableError
from local.services.ports import free_port
from tests.conftest import RedisTestServer
from tests.integration.certificates import Certificate
from tests.integration.tls import LOCALHOST, REFUSED, Refused, trusting, verify_code
from verify.tcp_proxy import TcpProxy

__all__ = ["trusting"]

type SetVariable = Callable[[str, str], None]
type Show = Callable[[Certificate], int]


@pytest.fixture
def show(redis_server: RedisTestServer, tmp_path: Path, trusting: SetVariable) -> Iterator[Show]:
    """Let Redis show a certificate; returns the port on which it does."""
    redis = redis_server.client
    redis.sadd("firstcome:campaigns", "", "spring")

    def start(certificate: Certificate) -> int:
        files = {"tls-cert-file": certificate.cert, "tls-key-file": certificate.key, "tls-ca-cert-file": certificate.ca}
        redis.config_set("tls-port", 0)
        for name, content in files.items():
            path = tmp_path / name
            path.write_bytes(content)
            redis.config_set(name, str(path))
        redis.config_set("tls-auth-clients", "no")
        port = free_port()
        redis.config_set("tls-port", port)
        for choice in ("no", "yes"):
            # Another setting of TLS makes it read the files again.
            redis.config_set("tls-session-caching", choice)
        trusting("REDIS_PORT", str(port))
        return int(port)

    yield start
    redis.config_set("tls-port", 0)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_right_server_is_talked_to(show: Show, trusting: SetVariable, host: str) -> None:
    show(LOCALHOST)
    trusting("REDIS_HOST", host)

    assert bootstrap.gate().campaign_ids() == ["spring"]


def test_nothing_can_be_read_on_the_way(show: Show, trusting: SetVariable) -> None:
    with TcpProxy(show(LOCALHOST)) as between:
        trusting("REDIS_PORT", str(between.port))
        assert bootstrap.gate().campaign_ids() == ["spring"]

    assert between.received.startswith(b"\x16\x03")
    assert b"SMEMBERS" not in between.received


@pytest.mark.parametrize("server", REFUSED, ids=str)
def test_any_other_server_is_refused(show: Show, trusting: SetVariable, server: Refused) -> None:
    with TcpProxy(show(server.certificate)) as between:
        trusting("REDIS_PORT", str(between.port))
        with pytest.raises(GateUnavailableError) as caught:
            bootstrap.gate().campaign_ids()

    assert verify_code(caught.value) in server.verify_codes
    assert "localhost" not in str(caught.value)
    assert b"INFO" not in between.received


def test_a_server_without_tls_hears_no_command(redis_server: RedisTestServer, trusting: SetVariable) -> None:
    before = redis_server.client.info("stats")["total_commands_processed"]

    with TcpProxy(redis_server.port) as between:
        trusting("REDIS_PORT", str(between.port))
        with pytest.raises(GateUnavailableError) as caught:
            bootstrap.gate().campaign_ids()

    assert "localhost" not in str(caught.value)
    # The beginning of TLS, and no second try without it.
    assert between.received.startswith(b"\x16\x03")
    assert b"INFO" not in between.received
    assert redis_server.client.info("stats")["total_commands_processed"] == before + 1


def test_a_login_is_not_said_to_any_other_server(show: Show, trusting: SetVariable) -> None:
    for name, text in {
        "REDIS_IAM_USER": "gate-user",
        "REDIS_IAM_CACHE": "gate-cache",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "throwaway-key",
        "AWS_SECRET_ACCESS_KEY": "throwaway-secret",
    }.items():
        trusting(name, text)

    with TcpProxy(show(REFUSED[0].certificate)) as between:
        trusting("REDIS_PORT", str(between.port))
        with pytest.raises(GateUnavailableError) as caught:
            bootstrap.gate().campaign_ids()

    assert b"AUTH" not in between.received
    for secret in ("gate-user", "X-Amz-Signature", "throwaway"):
        assert secret not in "".join(format_exception(caught.value))
