"""The logins that AWS gives: a secret's, read from a Secrets Manager that runs here, and tokens, held to botocore's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.session import get_session

from firstcome.adapters import aws
from firstcome.adapters.aws import Login
from firstcome.domain.errors import LoginUnavailableError, SettingsError
from tests.secrets_manager import ARN, SecretsManager, secrets_manager


@pytest.fixture(autouse=True)
def _environment(empty_environment: Callable[[str, str], None]) -> None:
    for name, text in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "throw/away+",
        "AWS_SESSION_TOKEN": "a/session+token==",
    }.items():
        empty_environment(name, text)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManager]:
    """A Secrets Manager where the environment says."""
    with secrets_manager() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url)
        yield server


class TestSecret:
    def test_it_is_read_once(self, secrets: SecretsManager) -> None:
        secrets.hold(username="app", password="first")
        assert [aws.secret_login(ARN) for _ in range(3)] == [Login("app", "first")] * 3
        assert secrets.times_read == 1

    def test_a_user_may_be_missing(self, secrets: SecretsManager) -> None:
        secrets.hold(password="first")
        assert aws.secret_login(ARN) == Login("", "first")

    def test_a_login_that_is_refused_at_once_is_not_read_again(self, secrets: SecretsManager) -> None:
        secrets.hold(username="app", password="first")
        first = aws.secret_login(ARN)
        secrets.hold(username="app", password="second")
        assert aws.secret_login(ARN, refused=first) == first
        assert secrets.times_read == 1

    def test_a_login_that_was_refused_is_read_again(
        self, secrets: SecretsManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(aws, "SECRET_MAX_AGE_SECONDS", 0)
        secrets.hold(username="app", password="first")
        first = aws.secret_login(ARN)
        secrets.hold(username="app", password="second")
        assert aws.secret_login(ARN, refused=first) == Login("app", "second")

    def test_a_login_other_than_the_refused_one_is_returned_unread(self, secrets: SecretsManager) -> None:
        secrets.hold(username="app", password="second")
        aws.secret_login(ARN)
        assert aws.secret_login(ARN, refused=Login("app", "first")) == Login("app", "second")
        assert secrets.times_read == 1

    @pytest.mark.parametrize(
        "secret",
        [
            "",
            "hunter2",
            "[]",
            "null",
            '"hunter2"',
            '{"username":"app"}',
            '{"password":""}',
            '{"password":7}',
            '{"password":"hunter2","username":7}',
        ],
    )
    def test_a_secret_of_another_form_is_named_and_not_quoted(self, secrets: SecretsManager, secret: str) -> None:
        secrets.secret = secret
        with pytest.raises(SettingsError, match="must be a secret with the JSON field password") as caught:
            aws.secret_login(ARN)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    def test_a_refusal_of_secrets_manager_is_unavailable_and_tried_again_by_the_next_call(
        self, secrets: SecretsManager
    ) -> None:
        secrets.status = 400
        with pytest.raises(LoginUnavailableError) as caught:
            aws.secret_login(ARN)
        assert ARN not in str(caught.value)
        assert secrets.times_read == 1
        secrets.status = 200
        secrets.hold(password="first")
        assert aws.secret_login(ARN) == Login("", "first")

    def test_a_secrets_manager_that_is_not_there_is_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
        with pytest.raises(LoginUnavailableError):
            aws.secret_login(ARN)


def _by_botocore(service: str, url: str, at: datetime) -> str:
    """Sign by the class that is botocore's own, which it leaves for awscrt where that is installed."""
    credentials: Any = get_session().get_credentials()
    request = AWSRequest("GET", f"http://{url}")
    with patch("botocore.auth.get_current_datetime", return_value=at):
        SigV4QueryAuth(credentials, service, "eu-west-1", expires=900).add_auth(request)
    return str(request.url).removeprefix("http://")


@pytest.mark.parametrize(
    ("service", "make", "url"),
    [
        (
            "elasticache",
            lambda: aws.elasticache_token("firstcome-1a", "firstcome-2b"),
            "firstcome-2b/?Action=connect&User=firstcome-1a",
        ),
        (
            "elasticache",
            lambda: aws.elasticache_token("firstcome-1a", "firstcome-2b", "ServerlessCache"),
            "firstcome-2b/?Action=connect&ResourceType=ServerlessCache&User=firstcome-1a",
        ),
        (
            "rds-db",
            lambda: aws.rds_token("ledger.example", 3306, "app é"),
            "ledger.example:3306/?Action=connect&DBUser=app%20%C3%A9",
        ),
    ],
)
@pytest.mark.parametrize("session_token", ["a/session+token==", ""])
def test_a_token_is_the_one_that_botocore_signs(
    service: str, make: Callable[[], str], url: str, session_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", session_token)

    place, _, query = make().partition("?")

    ours = parse_qs(query, strict_parsing=True)
    at = datetime.strptime(ours["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    their_place, _, theirs = _by_botocore(service, url, at).partition("?")
    assert (place, ours) == (their_place, parse_qs(theirs, strict_parsing=True))


def test_without_credentials_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(LoginUnavailableError):
        aws.rds_token("ledger.example", 3306, "app")
