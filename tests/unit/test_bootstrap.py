"""The clients: how long they wait, how often they try, what they verify, and when they are built."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from firstcome import bootstrap
from firstcome.adapters import aws
from firstcome.domain.errors import GateUnavailableError, SettingsError

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
