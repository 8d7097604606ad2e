"""The clients: how long they wait, how often they try, what they verify, and when they are built."""

import socket
import time
from collections.abc import Callable

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


class TestGate:
    def test_a_redis_that_is_not_there_is_unavailable(self) -> None:
        with pytest.raises(GateUnavailableError):
            bootstrap.gate().show("demo")


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
