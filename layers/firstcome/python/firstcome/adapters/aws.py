"""The one module that builds AWS clients and signs for AWS. Each is built when first used, and imported then.

boto3 for what is not hot; the AWS Common Runtime (awscrt) signs and sends where a user waits:
docs/decisions/0013-libraries-on-the-hot-path.md has the figures.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from firstcome import settings
from firstcome.domain.errors import LoginUnavailableError, SettingsError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider
    from awscrt.auth import AwsCredentialsProvider
    from awscrt.http import HttpRequest
    from awscrt.io import ClientBootstrap, ClientTlsContext, TlsConnectionOptions
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


def secret_login(secret_arn: str, refused: Login | None = None) -> Login:
    """Return the login that a secret holds, as JSON with `password` and perhaps `username`; read once an environment.

    Args:
        refused: the login that the server refused. The secret is read again, unless it was in the last
            `SECRET_MAX_AGE_SECONDS`; returns the refused one when the secret holds no other.

    Raises:
        LoginUnavailableError: the secret could not be read.
        SettingsError: it has another form.
    """
    logins = _logins()
    login = logins.get(secret_arn)
    if login is None or (refused and login.password == refused.password):
        login = logins[secret_arn] = _read_login(secret_arn)
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


def sign(request: "HttpRequest", service: str, timeout_seconds: float, **options: Any) -> "HttpRequest":
    """Sign a request to AWS with the function's credentials.

    Args:
        timeout_seconds: to fetch the credentials, if there are none or they have expired.
        options: what else is said to `AwsSigningConfig`.

    Raises:
        AwsCrtError: there are no credentials.
        TimeoutError: there were none in time.
    """
    from awscrt.auth import AwsSigningConfig, aws_sign_request

    config = AwsSigningConfig(
        credentials_provider=_credentials(), region=settings.aws_region(), service=service, **options
    )
    signed: HttpRequest = aws_sign_request(request, config).result(timeout_seconds)
    return signed


@cache
def client_bootstrap() -> "ClientBootstrap":
    """Start the one thread on which awscrt sends and receives."""
    from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup

    events = EventLoopGroup(1)
    return ClientBootstrap(events, DefaultHostResolver(events))


def tls_options(host: str) -> "TlsConnectionOptions":
    """Return what verifies a host's certificate and name: by the system's store, which SSL_CERT_FILE replaces."""
    options = _tls_context().new_connection_options()
    options.set_server_name(host)
    return options


@cache
def _tls_context() -> "ClientTlsContext":
    from awscrt.io import ClientTlsContext, TlsContextOptions, TlsVersion

    options = TlsContextOptions()
    options.min_tls_ver = TlsVersion.TLSv1_2
    options.override_default_trust_store_from_path(ca_filepath=os.environ.get("SSL_CERT_FILE"))
    return ClientTlsContext(options)


@cache
def _credentials() -> "AwsCredentialsProvider":
    from awscrt.auth import AwsCredentialsProvider

    if "AWS_ACCESS_KEY_ID" in os.environ:
        # The default chain comes to the same, after it has read the system's certificates: 10 ms of CPU.
        return AwsCredentialsProvider.new_environment()
    # SnapStart: from the endpoint that AWS_CONTAINER_CREDENTIALS_FULL_URI names.
    return AwsCredentialsProvider.new_default_chain(client_bootstrap())


@cache
def _logins() -> dict[str, Login]:
    return {}


@cache
def _secrets() -> "SecretsProvider":
    import boto3
    from aws_lambda_powertools.utilities.parameters import SecretsProvider
    from botocore.config import Config

    config = Config(
        connect_timeout=SECRET_CONNECT_TIMEOUT_SECONDS,
        read_timeout=SECRET_READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    return SecretsProvider(boto3_client=boto3.client("secretsmanager", config=config))


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
    from urllib.parse import quote, urlencode

    from awscrt.auth import AwsSignatureType
    from awscrt.exceptions import AwsCrtError
    from awscrt.http import HttpHeaders, HttpRequest

    request = HttpRequest("GET", f"/?{urlencode(query, quote_via=quote)}", HttpHeaders([("host", host)]))
    try:
        signed = sign(
            request,
            service,
            SIGN_TIMEOUT_SECONDS,
            signature_type=AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
            expiration_in_seconds=_TOKEN_SECONDS,
        )
    except (AwsCrtError, TimeoutError) as exc:
        raise LoginUnavailableError("there are no AWS credentials to sign a login with") from exc
    return f"{host}{signed.path}"
