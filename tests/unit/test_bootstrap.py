"""The clients: how long they wait, how often they try, what they verify, and when they are built."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import boto3
import pymysql
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from firstcome import bootstrap
from firstcome.adapters import aws
from firstcome.domain.errors import GateUnavailableError, LedgerUnavailableError, SettingsError

_SETTINGS = {
    "REDIS_HOST": "127.0.0.1",
    "REDIS_PORT": "1",
    "REDIS_TLS": "false",
    "GATE_REPLICA_ACKS": "0",
    "MYSQL_HOST": "mysql.example",
    "MYSQL_PORT": "3307",
    "MYSQL_TLS": "true",
    "MYSQL_DATABASE": "firstcome",
    "MYSQL_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
    "DRAIN_ROWS_PER_SECOND": "500",
    "DRAIN_CONCURRENCY": "2",
    "CLAIM_QUEUE_URL": "https://sqs.example/claims",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}

_BUILT = [
    bootstrap.gate,
    bootstrap.claim_sender,
    bootstrap.claim_queue,
    bootstrap.dead_letters,
    bootstrap.ledger,
    bootstrap.drain,
    bootstrap.campaigns,
]


@pytest.fixture(autouse=True)
def _environment(empty_environment: Callable[[str, str], None]) -> None:
    """A new Lambda environment whose settings are complete."""
    for name, text in _SETTINGS.items():
        empty_environment(name, text)


_INFO = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
_RUN_ID = b"# Server\r\nrun_id:" + b"0" * 40 + b"\r\n"


class HangingRedis:
    """Listens on 127.0.0.1, says who it is when asked, keeps whatever else it is sent, and never answers that."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._keep(connection)

    def _keep(self, connection: socket.socket) -> None:
        self.received.append(b"")
        with suppress(OSError):
            while sent := connection.recv(65_536):
                self.received[-1] += sent
                if sent == _INFO:
                    connection.sendall(b"$%d\r\n%s\r\n" % (len(_RUN_ID), _RUN_ID))

    def close(self) -> None:
        """Stop; a listener that is shut down wakes its accept."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def hanging_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingRedis]:
    """A Redis that hangs, where the settings say."""
    server = HangingRedis()
    monkeypatch.setenv("REDIS_PORT", str(server.port))
    yield server
    server.close()


class TestGate:
    def test_a_redis_that_hangs_is_asked_once_and_given_up_within_a_second(self, hanging_redis: HangingRedis) -> None:
        began = time.monotonic()
        with pytest.raises(GateUnavailableError):
            bootstrap.gate().show("demo")
        assert 0.4 < time.monotonic() - began < 1.5
        # Nothing but who it is, and the script: no HELLO, no SELECT, no CLIENT SETINFO, each of which is a round trip.
        (sent,) = hanging_redis.received
        assert sent.startswith(_INFO)
        assert sent.removeprefix(_INFO).split(b"\r\n")[2] == b"EVALSHA"
        assert sent.count(b"EVAL") == 1

    def test_a_redis_that_is_not_there_is_unavailable(self) -> None:
        with pytest.raises(GateUnavailableError):
            bootstrap.gate().show("demo")

    def test_with_tls_nothing_is_said_in_plain(
        self, hanging_redis: HangingRedis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_TLS", "true")
        with pytest.raises(GateUnavailableError):
            bootstrap.gate().show("demo")
        handshake = 0x16
        assert [sent[0] for sent in hanging_redis.received] == [handshake]

    @pytest.mark.usefixtures("hanging_redis")
    def test_with_tls_the_certificate_and_the_name_are_verified(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REDIS_TLS", "true")
        contexts: list[tuple[ssl.SSLContext, object]] = []

        def refuse(context: ssl.SSLContext, *_: object, **options: object) -> ssl.SSLSocket:
            contexts.append((context, options.get("server_hostname")))
            raise ssl.SSLError

        monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
        with pytest.raises(GateUnavailableError):
            bootstrap.gate().show("demo")
        ((context, name),) = contexts
        assert (context.verify_mode, context.check_hostname, name) == (ssl.CERT_REQUIRED, True, "127.0.0.1")
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2

    def test_it_waits_for_as_many_replicas_as_it_is_told(
        self, hanging_redis: HangingRedis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GATE_REPLICA_ACKS", "3")
        with pytest.raises(GateUnavailableError):
            bootstrap.gate().apply("demo", "alice", "0" * 16)
        assert b"WAIT\r\n$1\r\n3\r\n" in hanging_redis.received[0]


class TestQueues:
    def test_sqs_is_asked_once_with_timeouts_that_fit_the_apply_function(self) -> None:
        config = aws.sqs_client().meta.config
        assert (config.connect_timeout, config.read_timeout) == (0.5, 2.0)  # type: ignore[attr-defined]
        assert config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]

    def test_each_queue_is_the_one_of_its_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []

        class Client:
            def get_queue_attributes(self, *, QueueUrl: str, **_: object) -> dict[str, dict[str, str]]:  # noqa: N803
                calls.append(QueueUrl)
                return {"Attributes": {"ApproximateNumberOfMessages": "3"}}

        monkeypatch.setattr(aws, "sqs_client", Client)
        assert bootstrap.claim_queue().count() == 3
        assert bootstrap.dead_letters().count() == 3
        assert calls == ["https://sqs.example/claims", "https://sqs.example/dead"]


class Mysql:
    """Stands for PyMySQL and Secrets Manager: takes one password, and notes how it was connected to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.password = "first"
        self.secret = json.dumps({"username": "app", "password": "first"})
        self.secret_error: Exception | None = None
        self.error: Exception | None = None
        self.connected: list[dict[str, Any]] = []
        self.statements: list[str] = []
        self.secrets_read = 0
        self.config: Any = None
        monkeypatch.setattr(pymysql, "connect", self.connect)
        monkeypatch.setattr(boto3, "client", self.client)

    def client(self, service: str, config: Any) -> "Mysql":
        assert service == "secretsmanager"
        self.config = config
        return self

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        assert SecretId == _SETTINGS["MYSQL_SECRET_ARN"]
        self.secrets_read += 1
        if self.secret_error:
            raise self.secret_error
        return {"SecretString": self.secret}

    def rotate(self) -> None:
        self.password = "second"
        self.secret = json.dumps({"username": "app", "password": "second"})

    def connect(self, **options: Any) -> "Mysql":
        self.connected.append(options)
        if self.error:
            raise self.error
        if options["password"] != self.password:
            raise pymysql.OperationalError(1045, "Access denied")
        return self

    def cursor(self) -> "Mysql":
        return self

    def __enter__(self) -> "Mysql":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, _values: object = None) -> int:
        self.statements.append(statement)
        return 0

    def fetchall(self) -> list[object]:
        return []

    def commit(self) -> None:
        pass


@pytest.fixture
def mysql(monkeypatch: pytest.MonkeyPatch) -> Mysql:
    """A MySQL that lets in whoever has the password."""
    return Mysql(monkeypatch)


class TestLedger:
    def test_it_connects_only_when_it_is_used_and_once(self, mysql: Mysql) -> None:
        ledger = bootstrap.ledger()
        assert mysql.connected == []
        assert mysql.secrets_read == 0
        assert ledger.find("demo") is None
        assert ledger.find("demo") is None
        assert len(mysql.connected) == 1

    def test_it_connects_as_the_settings_say_with_timeouts_on_everything(self, mysql: Mysql) -> None:
        bootstrap.ledger().find("demo")
        (options,) = mysql.connected
        expected = {
            "host": "mysql.example",
            "port": 3307,
            "user": "app",
            "password": "first",
            "database": "firstcome",
            "charset": "utf8mb4",
            "autocommit": False,
            "connect_timeout": 3,
            "read_timeout": 8,
            "write_timeout": 8,
            "ssl_disabled": False,
        }
        assert {name: options[name] for name in expected} == expected
        assert mysql.statements[0] == "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

    def test_with_tls_the_certificate_and_the_name_are_verified(self, mysql: Mysql) -> None:
        bootstrap.ledger().find("demo")
        context = mysql.connected[0]["ssl"]
        assert isinstance(context, ssl.SSLContext)
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)

    def test_without_tls_it_is_off_rather_than_preferred(self, mysql: Mysql, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MYSQL_TLS", "false")
        bootstrap.ledger().find("demo")
        assert (mysql.connected[0]["ssl"], mysql.connected[0]["ssl_disabled"]) == (None, True)

    def test_a_rotated_password_is_read_again(self, mysql: Mysql) -> None:
        """GIVEN a password in use, WHEN it is rotated and the connection is lost, THEN the new one is fetched."""
        bootstrap._connect_to_mysql()
        mysql.rotate()
        bootstrap._connect_to_mysql()
        assert [options["password"] for options in mysql.connected] == ["first", "first", "second"]
        assert mysql.secrets_read == 2

    def test_a_password_that_is_wrong_in_the_secret_too_is_tried_twice_and_no_more(self, mysql: Mysql) -> None:
        mysql.password = "another"
        with pytest.raises(LedgerUnavailableError):
            bootstrap.ledger().find("demo")
        assert len(mysql.connected) == 2

    @pytest.mark.parametrize("args", [(2003, "Can't connect"), (1040, "Too many connections"), ()])
    def test_any_other_failure_does_not_read_the_secret_again(self, mysql: Mysql, args: tuple[object, ...]) -> None:
        mysql.error = pymysql.OperationalError(*args)
        with pytest.raises(LedgerUnavailableError):
            bootstrap.ledger().find("demo")
        assert (len(mysql.connected), mysql.secrets_read) == (1, 1)

    @pytest.mark.parametrize(
        "error",
        [
            EndpointConnectionError(endpoint_url="https://secretsmanager.example"),
            ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue"),
        ],
        ids=["unreachable", "denied"],
    )
    def test_credentials_that_cannot_be_read_make_the_ledger_unavailable(self, mysql: Mysql, error: Exception) -> None:
        mysql.secret_error = error
        with pytest.raises(LedgerUnavailableError):
            bootstrap.ledger().find("demo")
        mysql.secret_error = None
        assert bootstrap.ledger().find("demo") is None

    @pytest.mark.parametrize("secret", ["", "hunter2", "[]", "null", '{"username":"app"}', '{"password":"hunter2"}'])
    def test_a_secret_of_another_form_is_named_and_not_quoted(self, mysql: Mysql, secret: str) -> None:
        mysql.secret = secret
        with pytest.raises(SettingsError, match="^MYSQL_SECRET_ARN must name a secret") as caught:
            bootstrap.ledger().find("demo")
        assert caught.value.__suppress_context__
        assert caught.value.__cause__ is None

    def test_secrets_manager_is_not_waited_for_longer_than_the_function_lasts(self, mysql: Mysql) -> None:
        bootstrap.ledger().find("demo")
        waits = mysql.config.connect_timeout + mysql.config.read_timeout
        assert waits * mysql.config.retries["total_max_attempts"] <= 8


class TestBuilding:
    @pytest.mark.parametrize("build", _BUILT, ids=lambda build: build.__name__)
    def test_each_is_built_once_and_opens_no_connection(
        self, build: Callable[[], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("a connection was opened")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        assert build() is build()

    @pytest.mark.parametrize(
        ("build", "name"),
        [
            (bootstrap.gate, "REDIS_HOST"),
            (bootstrap.claim_sender, "CLAIM_QUEUE_URL"),
            (bootstrap.claim_queue, "CLAIM_QUEUE_URL"),
            (bootstrap.dead_letters, "DEAD_LETTER_QUEUE_URL"),
            (bootstrap.drain, "DRAIN_ROWS_PER_SECOND"),
            (bootstrap.campaigns, "REDIS_PORT"),
        ],
    )
    def test_a_missing_setting_is_named_each_time_until_it_is_there(
        self, build: Callable[[], object], name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(name)
        for _ in range(2):
            with pytest.raises(SettingsError, match=name):
                build()
        monkeypatch.setenv(name, _SETTINGS[name])
        assert build()

    def test_a_missing_setting_of_the_ledger_is_named_when_it_connects(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MYSQL_HOST")
        with pytest.raises(SettingsError, match="MYSQL_HOST"):
            bootstrap.ledger().find("demo")

    def test_the_drain_has_the_pace_of_the_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DRAIN_ROWS_PER_SECOND", "300")
        monkeypatch.setenv("DRAIN_CONCURRENCY", "3")
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)
        monkeypatch.setattr(time, "monotonic_ns", lambda: 0)
        assert [len(chunk) for chunk in bootstrap.drain().rate_limit.chunks(range(25), 60_000)] == [10, 10, 5]
        assert slept == [0.1, 0.1, 0.05]


def test_the_clock_runs_forward_in_milliseconds() -> None:
    clock = bootstrap.MonotonicClock()
    before = clock.now()
    clock.sleep(2)
    assert 2 <= clock.now() - before < 2_000


def test_a_gate_with_an_iam_user_logs_in_with_a_token_of_the_functions_role(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                received.append(connection.recv(65_536))
                connection.sendall(b"+OK\r\n$%d\r\n%s\r\n" % (len(_RUN_ID), _RUN_ID))
                received.append(connection.recv(65_536))
                connection.sendall(b"*0\r\n")

        server = threading.Thread(target=serve)
        server.start()
        monkeypatch.setenv("REDIS_PORT", str(listener.getsockname()[1]))
        monkeypatch.setenv("REDIS_IAM_USER", "firstcome-1a2b")
        monkeypatch.setenv("REDIS_IAM_CACHE", "firstcome-1a2b")
        assert bootstrap.gate().campaign_ids() is None
        server.join()

    login, _, rest = received[0].partition(b"*2\r\n")
    assert login.startswith(b"*3\r\n$4\r\nAUTH\r\n$14\r\nfirstcome-1a2b\r\n")
    assert b"firstcome-1a2b/?Action=connect&User=firstcome-1a2b&X-Amz-Algorithm=AWS4-HMAC-SHA256" in login
    # In the same round trip as the question who the server is, and once a connection.
    assert rest.startswith(b"$4\r\nINFO")
    assert b"AUTH" not in received[1]


_OWNER_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:owner"


class OwnedMysql(Mysql):
    """The stack's own MySQL, which lets in its owner too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.owner_password = "owner-1"
        self.values: list[Any] = []

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        if SecretId != _OWNER_ARN:
            return super().get_secret_value(SecretId=SecretId)
        return {"SecretString": json.dumps({"username": "owner", "password": self.owner_password})}

    def connect(self, **options: Any) -> "Mysql":
        self.connected.append(options)
        passwords = {"app": self.password, "owner": self.owner_password}
        if options["password"] != passwords[options["user"]]:
            raise pymysql.OperationalError(1045, "Access denied")
        return self

    def execute(self, statement: str, _values: object = None) -> int:
        self.values.append(_values)
        return super().execute(statement)

    def close(self) -> None:
        pass


class TestLedgerOwner:
    def test_there_is_one_only_where_the_ledger_is_the_stacks_own(self) -> None:
        assert bootstrap.ledger_owner() is None

    def test_the_migration_runs_as_the_owner_and_makes_the_functions_user(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mysql = OwnedMysql(monkeypatch)
        monkeypatch.setenv("MYSQL_OWNER_SECRET_ARN", _OWNER_ARN)
        monkeypatch.setenv("DRAIN_CONCURRENCY", "3")

        owner = bootstrap.ledger_owner()
        assert owner
        assert mysql.connected == []
        owner.migrate()

        assert {options["user"] for options in mysql.connected} == {"owner"}
        assert {options["database"] for options in mysql.connected} == {"firstcome"}
        assert all(isinstance(options["ssl"], ssl.SSLContext) for options in mysql.connected)
        # As many connections as three workers twice, and ten more.
        made = [values for statement, values in zip(mysql.statements, mysql.values, strict=True) if "USER" in statement]
        assert made == [("app", "first", 16)] * 2

    def test_it_gives_the_user_the_password_that_is_in_the_secret_now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """GIVEN an environment that read the password, WHEN it is rotated, THEN a migration does not set it back."""
        mysql = OwnedMysql(monkeypatch)
        monkeypatch.setenv("MYSQL_OWNER_SECRET_ARN", _OWNER_ARN)
        bootstrap._connect_to_mysql()
        mysql.rotate()

        owner = bootstrap.ledger_owner()
        assert owner
        owner.migrate()

        assert ("app", "second", 14) in mysql.values
        assert ("app", "first", 14) not in mysql.values

    def test_an_owners_password_that_rds_has_rotated_is_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mysql = OwnedMysql(monkeypatch)
        monkeypatch.setenv("MYSQL_OWNER_SECRET_ARN", _OWNER_ARN)
        first = bootstrap.ledger_owner()
        assert first
        first.migrate()
        mysql.owner_password = "owner-2"

        first.migrate()

        tried = [options["password"] for options in mysql.connected]
        assert tried[-1] == "owner-2"
