"""Settings of the functions, read from the environment when first needed; each fails with the variable's name."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from firstcome.domain.errors import SettingsError

type Environment = Mapping[str, str]

SECONDS_A_ROW_MAX = 15
"""Seconds a drain worker may have to hold one row for its pace; more would outlast the function, and no batch end."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the gate is.

    Attributes:
        is_cluster: a cluster, or ElastiCache Serverless; all keys of a campaign are on one node of it.
        replica_acks: replicas that must have an accepted claim before it is answered.
        iam_user: of ElastiCache, as which connections log in with the function's role; empty for no login.
        iam_cache: name of the replication group or of the serverless cache, when there is an `iam_user`.
        iam_resource_type: `ServerlessCache` for a serverless cache; empty for a replication group.
        secret_arn: Secrets Manager secret with the JSON field `password`, and `username` if it is not Redis's default
            user; empty for no login.
    """

    host: str
    port: int
    use_tls: bool
    replica_acks: int
    is_cluster: bool = False
    iam_user: str = ""
    iam_cache: str = ""
    iam_resource_type: str = ""
    secret_arn: str = ""

    @classmethod
    def from_env(cls, env: Environment = os.environ) -> "RedisSettings":
        """Read the REDIS_ variables and GATE_REPLICA_ACKS. Raises `SettingsError`."""
        iam_user = env.get("REDIS_IAM_USER", "")
        mode = env.get("REDIS_MODE", "single")
        if mode not in {"single", "cluster"}:
            raise SettingsError("REDIS_MODE must be single or cluster")
        return cls(
            host=_text(env, "REDIS_HOST"),
            port=_whole(env, "REDIS_PORT", 1, 65535),
            use_tls=_yes_or_no(env, "REDIS_TLS"),
            replica_acks=_whole(env, "GATE_REPLICA_ACKS", 0, 5),
            is_cluster=mode == "cluster",
            iam_user=iam_user,
            iam_cache=_text(env, "REDIS_IAM_CACHE") if iam_user else "",
            iam_resource_type=env.get("REDIS_IAM_RESOURCE_TYPE", ""),
            secret_arn=redis_secret_arn(env),
        )


@dataclass(frozen=True, slots=True)
class MysqlSettings:
    """Where the ledger is.

    Attributes:
        secret_arn: Secrets Manager secret with the JSON fields `username` and `password`; empty for an IAM login.
        iam_user: user of RDS as which the functions log in with their role; empty for the secret.
    """

    host: str
    port: int
    use_tls: bool
    database: str
    secret_arn: str
    iam_user: str = ""

    @classmethod
    def from_env(cls, env: Environment = os.environ) -> "MysqlSettings":
        """Read MYSQL_HOST, _PORT, _TLS and _DATABASE, and MYSQL_SECRET_ARN or _IAM_USER. Raises `SettingsError`."""
        iam_user = env.get("MYSQL_IAM_USER", "").strip()
        use_tls = _yes_or_no(env, "MYSQL_TLS")
        if iam_user and not use_tls:
            raise SettingsError("MYSQL_TLS must be true for MYSQL_IAM_USER: its token would be sent in plain text")
        return cls(
            host=_text(env, "MYSQL_HOST"),
            port=_whole(env, "MYSQL_PORT", 1, 65535),
            use_tls=use_tls,
            database=_text(env, "MYSQL_DATABASE"),
            secret_arn="" if iam_user else _text(env, "MYSQL_SECRET_ARN"),
            iam_user=iam_user,
        )


@dataclass(frozen=True, slots=True)
class RateLimitSettings:
    """How fast the drain may write.

    Attributes:
        rows_per_second: all workers together.
        workers: drain invocations at a time.
    """

    rows_per_second: int
    workers: int

    @classmethod
    def from_env(cls, env: Environment = os.environ) -> "RateLimitSettings":
        """Read DRAIN_ROWS_PER_SECOND and DRAIN_CONCURRENCY. Raises `SettingsError`."""
        pace = cls(
            rows_per_second=_whole(env, "DRAIN_ROWS_PER_SECOND", 2, 100_000),
            workers=_whole(env, "DRAIN_CONCURRENCY", 2, 100),
        )
        if pace.workers > SECONDS_A_ROW_MAX * pace.rows_per_second:
            raise SettingsError(f"DRAIN_CONCURRENCY must be at most {SECONDS_A_ROW_MAX} x DRAIN_ROWS_PER_SECOND")
        return pace


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """Where those who open the console and the claim page sign in.

    Attributes:
        operator_issuer: where operators sign in, and as which client; the same as users where nothing else is said.
        audience: asked for by issuers that need to be told whom the token is for.
        scopes: what every user's token is asked with; an operator's gets the operator's scope besides.
        runbook_url: where the operators' document is read; empty when it has no address.
        origins: what a page may talk to besides the API, the issuer first.
    """

    issuer: str
    client_id: str
    operator_issuer: str
    operator_client_id: str
    audience: str
    scopes: str
    runbook_url: str
    origins: tuple[str, ...]

    @classmethod
    def from_env(cls, env: Environment = os.environ) -> "ConsoleSettings":
        """Read the OIDC_ variables and RUNBOOK_URL. Raises `SettingsError`."""
        issuer = _url("OIDC_ISSUER", _text(env, "OIDC_ISSUER"))
        audience = _text(env, "OIDC_AUDIENCE")
        runbook = env.get("RUNBOOK_URL", "").strip()
        operator_issuer = env.get("OIDC_OPERATOR_ISSUER", "").strip()
        operator_issuer = _url("OIDC_OPERATOR_ISSUER", operator_issuer) if operator_issuer else issuer
        client_id = env.get("OIDC_CLIENT_ID", "").strip() or audience
        further = [_url("OIDC_ORIGINS", url) for url in env.get("OIDC_ORIGINS", "").split()]
        return cls(
            issuer=issuer,
            client_id=client_id,
            operator_issuer=operator_issuer,
            operator_client_id=env.get("OIDC_OPERATOR_CLIENT_ID", "").strip() or client_id,
            audience=audience,
            scopes=_text(env, "OIDC_SCOPES"),
            runbook_url=_url("RUNBOOK_URL", runbook) if runbook else "",
            # Each once, in this order.
            origins=tuple(dict.fromkeys("/".join(url.split("/")[:3]) for url in (issuer, operator_issuer, *further))),
        )


def redis_secret_arn(env: Environment = os.environ) -> str:
    """Read REDIS_SECRET_ARN; empty for a Redis without a password."""
    return env.get("REDIS_SECRET_ARN", "").strip()


def initialization_type(env: Environment = os.environ) -> str:
    """Return how Lambda started the environment: `on-demand`, `provisioned-concurrency` or `snap-start`."""
    return env.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")


def metrics_namespace(env: Environment = os.environ) -> str:
    """Read POWERTOOLS_METRICS_NAMESPACE, which tells two stacks' metrics apart; `Firstcome` where it is not set."""
    return env.get("POWERTOOLS_METRICS_NAMESPACE", "").strip() or "Firstcome"


def edge_digests(env: Environment = os.environ) -> list[str]:
    """Read EDGE_DIGESTS: digests, in hex, of the tokens that the edge may send; none where there is no edge."""
    return env.get("EDGE_DIGESTS", "").replace(",", " ").split()


def aws_region(env: Environment = os.environ) -> str:
    """Read AWS_DEFAULT_REGION, which Lambda sets and boto3 reads too. Raises `SettingsError`."""
    return _text(env, "AWS_DEFAULT_REGION")


def mysql_owner_secret_arn(env: Environment = os.environ) -> str:
    """Read MYSQL_OWNER_SECRET_ARN; empty where the stack does not own its MySQL."""
    return env.get("MYSQL_OWNER_SECRET_ARN", "")


def mysql_connections_max(env: Environment = os.environ) -> int:
    """Return how many connections the functions' user may have, from DRAIN_CONCURRENCY. Raises `SettingsError`.

    Each drain worker twice, because one that was ended without a word leaves its connection behind for a while; and ten
    for the relay and the operators.
    """
    return 2 * _whole(env, "DRAIN_CONCURRENCY", 2, 100) + 10


def claim_queue_url(env: Environment = os.environ) -> str:
    """Read CLAIM_QUEUE_URL. Raises `SettingsError`."""
    return _text(env, "CLAIM_QUEUE_URL")


def sqs_endpoint_url(env: Environment = os.environ) -> str:
    """Return where SQS is: as AWS's SDKs are told, else where the claim queue is. Raises `SettingsError`."""
    told = env.get("AWS_ENDPOINT_URL_SQS") or env.get("AWS_ENDPOINT_URL")
    return told or "/".join(claim_queue_url(env).split("/")[:3])


def dead_letter_queue_url(env: Environment = os.environ) -> str:
    """Read DEAD_LETTER_QUEUE_URL. Raises `SettingsError`."""
    return _text(env, "DEAD_LETTER_QUEUE_URL")


def whole_seconds(name: str, env: Environment = os.environ) -> int:
    """Read a duration such as RELAY_AFTER_SECONDS. Raises `SettingsError`."""
    return _whole(env, name, 1, 86_400)


def _text(env: Environment, name: str) -> str:
    text = env.get(name, "").strip()
    if not text:
        raise SettingsError(f"{name} must be set")
    return text


def _url(name: str, text: str) -> str:
    # No blanks, quotes, commas or semicolons: it is written into a header that they would split.
    if not _URL.fullmatch(text):
        raise SettingsError(f"{name} must be an address that begins with https:// or http://")
    return text


_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&()*+=%\[\]-]+")


def _whole(env: Environment, name: str, least: int, most: int) -> int:
    rule = f"{name} must be a whole number from {least} to {most}"
    try:
        number = int(_text(env, name))
    except ValueError as exc:
        raise SettingsError(rule) from exc
    if not least <= number <= most:
        raise SettingsError(rule)
    return number


def _yes_or_no(env: Environment, name: str) -> bool:
    text = _text(env, name)
    if text not in {"true", "false"}:
        raise SettingsError(f"{name} must be true or false")
    return text == "true"
