"""The one module that builds AWS clients and signs for AWS. Each is built when first used, and imported then.

boto3 for what is not hot; the AWS Common Runtime (awscrt) signs and sends where a user waits:
docs/decisions/0013-libraries-on-the-hot-path.md has the figures.
"""

from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

from firstcome import settings
from firstcome.domain.errors import LoginUnavailableError, SettingsError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider
    from awscrt.auth import AwsCredentialsProvider
    from mypy_boto3_sqs import SQSClient

SQS_CONNECT_TIMEOUT_SECONDS = 0.5
SQS_READ_TIMEOUT_SECONDS = 2.0

SECRET_CONNECT_TIMEOUT_SECONDS = 0.5
SECRET_READ_TIMEOUT_SECONDS = 1.0

SECRET_MAX_AGE_SECONDS = 5
"""How old a secret must be to be read again when its login is refused. So a password that is wrong in the secret too is
not read for every request of a rush."""

SIGN_TIMEOUT_SECONDS = 1.0
"""To sign, which includes fetching the function's credentials the first time, and whenever they have expired."""

_TOKEN_SECONDS = 900
"""How long a login token may be used, 15 minutes: what ElastiCache and RDS take at most."""


class Login(NamedTuple):
    """What to log in with; `username` is empty where the secret names none."""

    username: str
    password: str


_logins: dict[str, Login] = {}


def secret_login(secret_arn: str, refused: Login | None = None) -> Login:
    """Return the login that a secret holds, as JSON with `password` and perhaps `username`; read once an environment.

    Args:
        refused: the login that the server refused. The secret is read again, unless it was in the last
            `SECRET_MAX_AGE_SECONDS`; returns the refused one when the secret holds no other.

    Raises:
        LoginUnavailableError: the secret could not be read.
        SettingsError: it has another form.
    """
    login = _logins.get(secret_arn)
    if login is None or login == refused:
        login = _logins[secret_arn] = _read_login(secret_arn)
    return login


def elasticache_token(user: str, cache_name: str, resource_type: str = "") -> str:
    """Sign the password with which an IAM user of ElastiCache logs in; good for 15 minutes.

    https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html

    Args:
        user: id of the user, which is its name too.
        cache_name: the replication group, or the serverless cache.
        resource_type: `ServerlessCache` for a serverless cache.

    Raises:
        LoginUnavailableError: there are no credentials to sign with.
    """
    query = {"Action": "connect", "User": user}
    if resource_type:
        query["ResourceType"] = resource_type
    return _token("elasticache", cache_name, query)


def rds_token(host: str, port: int, user: str) -> str:
    """Sign the password with which an IAM user of RDS logs in; good for 15 minutes.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html

    Raises:
        LoginUnavailableError: there are no credentials to sign with.
    """
    return _token("rds-db", f"{host}:{port}", {"Action": "connect", "DBUser": user})


@cache
def sqs_client() -> "SQSClient":
    """Build the client for everything but single claims."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=SQS_CONNECT_TIMEOUT_SECONDS,
        read_timeout=SQS_READ_TIMEOUT_SECONDS,
        # One attempt: a claim stays in the outbox until it is confirmed, and is sent again from there.
        retries={"total_max_attempts": 1, "mode": "standard"},
        tcp_keepalive=True,
    )
    return boto3.client("sqs", config=config)


def forget() -> None:
    """Forget all clients, credentials and logins, as a new environment has none."""
    _logins.clear()
    for built in (sqs_client, credentials, _secrets):
        built.cache_clear()


@cache
def credentials() -> "AwsCredentialsProvider":
    """Return the function's credentials, from its environment or, with SnapStart, from the container endpoint."""
    from awscrt.auth import AwsCredentialsProvider

    return AwsCredentialsProvider.new_default_chain()


@cache
def _secrets() -> "SecretsProvider":
    from aws_lambda_powertools.utilities.parameters import SecretsProvider
    from botocore.config import Config

    config = Config(
        connect_timeout=SECRET_CONNECT_TIMEOUT_SECONDS,
        read_timeout=SECRET_READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    return SecretsProvider(boto_config=config)


def _read_login(secret_arn: str) -> Login:
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

    try:
        secret = _secrets().get(secret_arn, max_age=SECRET_MAX_AGE_SECONDS, transform="json")
    except GetParameterError as exc:
        raise LoginUnavailableError("a login could not be read from Secrets Manager") from exc
    except TransformParameterError:
        # Not its text, which may quote the secret.
        secret = None
    login = Login(secret.get("username") or "", secret.get("password") or "") if isinstance(secret, dict) else None
    if login is None or not all(isinstance(text, str) for text in login) or not login.password:
        raise SettingsError(f"{secret_arn} must be a secret with the JSON field password, and username if needed")
    return login


def _token(service: str, host: str, query: dict[str, str]) -> str:
    from awscrt.auth import AwsSignatureType, AwsSigningConfig, aws_sign_request
    from awscrt.exceptions import AwsCrtError
    from awscrt.http import HttpHeaders, HttpRequest

    request = HttpRequest("GET", f"/?{urlencode(query, quote_via=quote)}", HttpHeaders([("host", host)]))
    config = AwsSigningConfig(
        signature_type=AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
        credentials_provider=credentials(),
        region=settings.aws_region(),
        service=service,
        expiration_in_seconds=_TOKEN_SECONDS,
    )
    try:
        signed = aws_sign_request(request, config).result(SIGN_TIMEOUT_SECONDS)
    except (AwsCrtError, TimeoutError) as exc:
        raise LoginUnavailableError("there are no AWS credentials to sign a login with") from exc
    return f"{host}{signed.path}"
