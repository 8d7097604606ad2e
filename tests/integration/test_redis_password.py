"""A team's own Redis that asks for a password: the apply function against a real one, in plain and over TLS."""

import datetime
import ipaddress
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from firstcome import bootstrap
from firstcome.adapters import aws
from firstcome.domain.errors import GateLoginError, GateUnavailableError
from functions.apply import app as apply
from local.deployment.workspace import Workspace
from local.services.ports import HOST, free_port
from local.services.processes import Processes
from local.services.redis_server import start_redis
from tests.factories import a_campaign
from tests.integration.scripted import scripted
from tests.secrets_manager import ARN, SecretsManager, secrets_manager
from tests.unit.api_events import an_event

_FIRST, _SECOND = "first-throwaway-password", "second-throwaway-password"
_OWNER = "the-tests-own-password"
_USER = "firstcome-team"


class PasswordRedis:
    """A real Redis that lets in nobody without a password, but for the test's own user."""

    def __init__(self, port: int, tls_port: int) -> None:
        self.port, self.tls_port = port, tls_port
        self._client = redis.Redis(host=HOST, port=port, username="owner", password=_OWNER)

    def takes(self, password: str, user: str = "default") -> None:
        """Take this password for a user from now on, and no other; who is connected is thrown out."""
        self._client.execute_command("ACL", "SETUSER", user, "reset", "on", "~*", "+@all", f">{password}")
        self.throw_out()

    def throw_out(self) -> None:
        """Close everybody's connection."""
        self._client.client_kill_filter(_type="normal", skipme=True)

    def reset(self) -> None:
        """Forget what a test left."""
        self._client.flushall()
        self.takes(_FIRST)

    def close(self) -> None:
        """Close the test's own connection."""
        self._client.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, signed by itself, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("redis-tls") / "redis.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture(scope="module")
def password_server(processes: Processes, workspace: Workspace, certificate: Path) -> Iterator[PasswordRedis]:
    """The server, which listens with TLS too."""
    port = start_redis(processes, workspace, free_port(), "redis-password").port
    with redis.Redis(host=HOST, port=port) as client:
        files = {"tls-cert-file": str(certificate), "tls-key-file": str(certificate), "tls-auth-clients": "no"}
        client.config_set("tls-ca-cert-file", str(certificate), *(part for pair in files.items() for part in pair))
        tls_port = _listen(client, free_port())
        client.execute_command("ACL", "SETUSER", "owner", "on", "~*", "+@all", f">{_OWNER}")
    server = PasswordRedis(port, tls_port)
    yield server
    server.close()


def _listen(client: "redis.Redis", port: int) -> int:
    client.config_set("tls-port", port)
    return port


@pytest.fixture
def secrets() -> Iterator[SecretsManager]:
    """A Secrets Manager that knows the first password."""
    with secrets_manager() as started:
        started.hold(password=_FIRST)
        yield started


@pytest.fixture(params=["plain", "tls"])
def server(
    request: pytest.FixtureRequest,
    password_server: PasswordRedis,
    secrets: SecretsManager,
    certificate: Path,
    empty_environment: Callable[[str, str], None],
) -> PasswordRedis:
    """A fresh Lambda environment of an apply function that has to log in there."""
    is_tls = request.param == "tls"
    settings = {
        "REDIS_HOST": HOST,
        "REDIS_PORT": str(password_server.tls_port if is_tls else password_server.port),
        "REDIS_TLS": "true" if is_tls else "false",
        "REDIS_SECRET_ARN": ARN,
        "GATE_REPLICA_ACKS": "0",
        "CLAIM_QUEUE_URL": "http://127.0.0.1:1/claims",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets.url,
        "SSL_CERT_FILE": str(certificate),
    }
    for name, text in settings.items():
        empty_environment(name, text)
    password_server.reset()
    return password_server


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused password is read again however young it is."""
    monkeypatch.setattr(aws, "SECRET_MAX_AGE_SECONDS", 0)


def _open(campaign_id: str = "demo") -> None:
    bootstrap.gate().register([campaign_id])
    bootstrap.gate().create(a_campaign(campaign_id))


def _mine() -> dict[str, Any]:
    """Ask for the coupon of somebody who has none: an answer of the gate is 404."""
    event = an_event("GET /campaigns/{campaign_id}/coupons/mine", sub="alice", campaign_id="demo")
    return apply.lambda_handler(event, None)


@pytest.mark.parametrize("user", ["default", _USER])
def test_the_right_password_is_let_in_and_read_once(server: PasswordRedis, secrets: SecretsManager, user: str) -> None:
    server.takes(_SECOND, user)
    secrets.hold(password=_SECOND, **({} if user == "default" else {"username": user}))

    _open()

    for _ in range(3):
        assert _mine()["statusCode"] == 404
        server.throw_out()
    assert secrets.times_read == 1


def test_nothing_is_read_before_it_is_needed(server: PasswordRedis, secrets: SecretsManager) -> None:
    bootstrap.gate()
    assert secrets.times_read == 0


def test_a_wrong_password_is_503_and_named_in_the_log_without_it(
    server: PasswordRedis, secrets: SecretsManager, caplog: pytest.LogCaptureFixture
) -> None:
    secrets.hold(password="wrong-and-secret")

    answer = _mine()

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (503, "unavailable")
    (record,) = caplog.records
    assert record.__dict__["kind"] == "GateLoginError"
    assert "wrong-and-secret" not in str(record.__dict__) + str(answer)
    with pytest.raises(GateLoginError) as caught:
        bootstrap.gate().show("demo")
    assert "wrong-and-secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_wrong_password_is_not_read_again_for_every_application(
    server: PasswordRedis, secrets: SecretsManager
) -> None:
    secrets.hold(password="wrong")
    for _ in range(20):
        assert _mine()["statusCode"] == 503
    assert secrets.times_read == 1


@pytest.mark.usefixtures("at_once")
def test_a_rotated_password_heals_within_the_call(server: PasswordRedis, secrets: SecretsManager) -> None:
    """GIVEN a login in use, WHEN secret and server change and the connection is lost, THEN nobody notices."""
    _open()
    assert _mine()["statusCode"] == 404
    server.takes(_SECOND)
    secrets.hold(password=_SECOND)

    assert _mine()["statusCode"] == 404
    assert secrets.times_read == 2


@pytest.mark.usefixtures("at_once")
def test_a_password_that_is_wrong_in_the_secret_too_is_read_once_more_and_no_more(
    server: PasswordRedis, secrets: SecretsManager
) -> None:
    _open()
    server.takes(_SECOND)

    assert _mine()["statusCode"] == 503
    assert secrets.times_read == 2
    # Once it is mended, it heals by itself.
    secrets.hold(password=_SECOND)
    assert _mine()["statusCode"] == 404


def test_a_secret_that_cannot_be_read_is_503_until_it_can(server: PasswordRedis, secrets: SecretsManager) -> None:
    secrets.status = 400
    assert _mine()["statusCode"] == 503
    with pytest.raises(GateUnavailableError) as caught:
        bootstrap.gate().show("demo")
    assert ARN not in str(caught.value)

    secrets.status = 200
    _open()
    assert _mine()["statusCode"] == 404


def test_a_secrets_manager_that_is_not_there_is_503(
    server: PasswordRedis, monkeypatch: pytest.MonkeyPatch, secrets: SecretsManager
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
    assert _mine()["statusCode"] == 503
    assert secrets.times_read == 0


def test_a_server_that_has_no_place_left_is_not_taken_for_a_wrong_password(
    server: PasswordRedis, monkeypatch: pytest.MonkeyPatch, secrets: SecretsManager
) -> None:
    with scripted(b"-ERR max number of clients reached\r\n", closes=True) as full:
        monkeypatch.setenv("REDIS_PORT", str(full.port))
        monkeypatch.setenv("REDIS_TLS", "false")
        with pytest.raises(GateUnavailableError) as caught:
            bootstrap.gate().show("demo")

    assert not isinstance(caught.value, GateLoginError)
    assert secrets.times_read == 1
