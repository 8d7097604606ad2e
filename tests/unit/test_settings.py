"""Settings: each variable that is missing or out of range is named."""

from collections.abc import Callable
from functools import partial

import pytest

from firstcome import settings
from firstcome.domain.errors import SettingsError
from firstcome.settings import Environment, MysqlSettings, RateLimitSettings, RedisSettings

_COMPLETE = {
    "REDIS_HOST": "redis.example",
    "REDIS_PORT": "6379",
    "REDIS_TLS": "true",
    "GATE_REPLICA_ACKS": "1",
    "MYSQL_HOST": "mysql.example",
    "MYSQL_PORT": "3306",
    "MYSQL_TLS": "false",
    "MYSQL_DATABASE": "firstcome",
    "MYSQL_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
    "DRAIN_ROWS_PER_SECOND": "500",
    "DRAIN_CONCURRENCY": "2",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "CLAIM_QUEUE_URL": "https://sqs.example/claims",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead",
    "RELAY_AFTER_SECONDS": "10",
    "REBUILD_QUIET_SECONDS": "50",
}

_DURATIONS = ["RELAY_AFTER_SECONDS", "REBUILD_QUIET_SECONDS"]

_READERS: dict[str, Callable[[Environment], object]] = {
    **dict.fromkeys(["REDIS_HOST", "REDIS_PORT", "REDIS_TLS", "GATE_REPLICA_ACKS"], RedisSettings.from_env),
    **dict.fromkeys(
        ["MYSQL_HOST", "MYSQL_PORT", "MYSQL_TLS", "MYSQL_DATABASE", "MYSQL_SECRET_ARN"], MysqlSettings.from_env
    ),
    **dict.fromkeys(["DRAIN_ROWS_PER_SECOND", "DRAIN_CONCURRENCY"], RateLimitSettings.from_env),
    "AWS_DEFAULT_REGION": settings.aws_region,
    "CLAIM_QUEUE_URL": settings.claim_queue_url,
    "DEAD_LETTER_QUEUE_URL": settings.dead_letter_queue_url,
    **{name: partial(settings.whole_seconds, name) for name in _DURATIONS},
}

_RANGES = {
    "REDIS_PORT": (1, 65_535),
    "GATE_REPLICA_ACKS": (0, 5),
    "MYSQL_PORT": (1, 65_535),
    "DRAIN_ROWS_PER_SECOND": (2, 100_000),
    "DRAIN_CONCURRENCY": (2, 100),
    **dict.fromkeys(_DURATIONS, (1, 86_400)),
}


def _complaint(name: str, text: str | None) -> str:
    env = {key: value for key, value in _COMPLETE.items() if key != name}
    if text is not None:
        env[name] = text
    with pytest.raises(SettingsError) as caught:
        _READERS[name](env)
    return str(caught.value)


def test_a_complete_environment_is_read() -> None:
    assert RedisSettings.from_env(_COMPLETE) == RedisSettings("redis.example", 6379, use_tls=True, replica_acks=1)
    assert MysqlSettings.from_env(_COMPLETE) == MysqlSettings(
        "mysql.example", 3306, use_tls=False, database="firstcome", secret_arn=_COMPLETE["MYSQL_SECRET_ARN"]
    )
    assert RateLimitSettings.from_env(_COMPLETE) == RateLimitSettings(rows_per_second=500, workers=2)
    assert settings.claim_queue_url(_COMPLETE) == "https://sqs.example/claims"
    assert settings.dead_letter_queue_url(_COMPLETE) == "https://sqs.example/dead"
    assert [settings.whole_seconds(name, _COMPLETE) for name in _DURATIONS] == [10, 50]


def test_every_variable_has_been_tried() -> None:
    assert _READERS.keys() == _COMPLETE.keys()


@pytest.mark.parametrize("name", _COMPLETE)
@pytest.mark.parametrize("text", [None, "", "   ", "\t\n"])
def test_a_missing_or_blank_variable_is_named(name: str, text: str | None) -> None:
    assert _complaint(name, text) == f"{name} must be set"


@pytest.mark.parametrize("name", _RANGES)
@pytest.mark.parametrize(
    "text", ["x", "1.0", "1e3", "0x10", "1,000", "--1", "NaN", "inf", "9" * 5_000, "²", "true", "1\x00"]
)
def test_what_is_no_whole_number_is_told_the_rule(name: str, text: str) -> None:
    least, most = _RANGES[name]
    assert _complaint(name, text) == f"{name} must be a whole number from {least} to {most}"


@pytest.mark.parametrize(("name", "least", "most"), [(name, *bounds) for name, bounds in _RANGES.items()])
def test_the_range_is_kept_on_both_ends(name: str, least: int, most: int) -> None:
    for outside in (least - 1, most + 1, -most, 10**30):
        assert f"{name} must be a whole number from {least} to {most}" == _complaint(name, str(outside))
    for inside in (least, most):
        _READERS[name](_COMPLETE | {name: str(inside)})


@pytest.mark.parametrize(("workers", "rows_per_second"), [(31, 2), (100, 2), (100, 6)])
def test_a_pace_that_no_worker_could_keep_within_its_time_is_refused(workers: int, rows_per_second: int) -> None:
    env = _COMPLETE | {"DRAIN_CONCURRENCY": str(workers), "DRAIN_ROWS_PER_SECOND": str(rows_per_second)}
    with pytest.raises(SettingsError, match="DRAIN_CONCURRENCY must be at most 15 x DRAIN_ROWS_PER_SECOND"):
        RateLimitSettings.from_env(env)


def test_a_pace_that_a_worker_can_just_keep_is_taken() -> None:
    env = _COMPLETE | {"DRAIN_CONCURRENCY": "30", "DRAIN_ROWS_PER_SECOND": "2"}
    assert RateLimitSettings.from_env(env) == RateLimitSettings(rows_per_second=2, workers=30)


def test_mysql_may_be_logged_in_to_by_iam_over_tls_only() -> None:
    iam = {name: text for name, text in _COMPLETE.items() if name != "MYSQL_SECRET_ARN"} | {"MYSQL_IAM_USER": "app"}
    where = MysqlSettings.from_env(iam | {"MYSQL_TLS": "true"})
    assert (where.iam_user, where.secret_arn) == ("app", "")
    with pytest.raises(SettingsError, match="MYSQL_TLS must be true for MYSQL_IAM_USER"):
        MysqlSettings.from_env(iam | {"MYSQL_TLS": "false"})


@pytest.mark.parametrize("name", ["REDIS_TLS", "MYSQL_TLS"])
@pytest.mark.parametrize("text", ["True", "TRUE", "yes", "1", "0", "on", "no", "truefalse", "nil"])
def test_whether_to_encrypt_is_never_guessed(name: str, text: str) -> None:
    assert _complaint(name, text) == f"{name} must be true or false"


@pytest.mark.parametrize(("text", "use_tls"), [("true", True), ("false", False)])
def test_encryption_is_as_told(text: str, use_tls: bool) -> None:  # noqa: FBT001 - a table of flags
    assert RedisSettings.from_env(_COMPLETE | {"REDIS_TLS": text}).use_tls is use_tls
    assert MysqlSettings.from_env(_COMPLETE | {"MYSQL_TLS": text}).use_tls is use_tls


def test_blanks_around_a_value_are_not_part_of_it() -> None:
    env = {name: f" {text}\n" for name, text in _COMPLETE.items()}
    assert RedisSettings.from_env(env) == RedisSettings.from_env(_COMPLETE)
    assert settings.claim_queue_url(env) == "https://sqs.example/claims"


def test_a_complaint_never_repeats_a_value() -> None:
    """A secret pasted into the wrong variable must not end in a log."""
    for name in _RANGES:
        assert "hunter2" not in _complaint(name, "hunter2")
    for name in ("REDIS_TLS", "MYSQL_TLS"):
        assert "hunter2" not in _complaint(name, "hunter2")


def test_the_functions_read_the_environment_of_their_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in _COMPLETE.items():
        monkeypatch.setenv(name, text)
    assert RedisSettings.from_env() == RedisSettings.from_env(_COMPLETE)
    assert MysqlSettings.from_env() == MysqlSettings.from_env(_COMPLETE)
    assert RateLimitSettings.from_env() == RateLimitSettings.from_env(_COMPLETE)
    assert settings.claim_queue_url() == settings.claim_queue_url(_COMPLETE)
    assert settings.dead_letter_queue_url() == settings.dead_letter_queue_url(_COMPLETE)
    assert [settings.whole_seconds(name) for name in _DURATIONS] == [10, 50]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "https://sqs.example"),
        # As the template declares it where nobody gave one.
        ({"AWS_ENDPOINT_URL_SQS": ""}, "https://sqs.example"),
        ({"AWS_ENDPOINT_URL_SQS": "", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"AWS_ENDPOINT_URL_SQS": "https://vpce.example", "AWS_ENDPOINT_URL": "http://x"}, "https://vpce.example"),
        ({"CLAIM_QUEUE_URL": "https://sqs.cn-north-1.amazonaws.com.cn/1/x"}, "https://sqs.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_sqs_is_where_the_sdks_are_told_and_else_where_the_queue_is(given: dict[str, str], url: str) -> None:
    assert settings.sqs_endpoint_url(_COMPLETE | given) == url
