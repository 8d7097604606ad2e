"""Builds what the functions work with: each part when it is first needed, once per environment, kept for the next call.

Timeouts are chosen so that a function answers before Lambda ends it: see the arithmetic beside each Timeout in
template.yaml. Everything but the gate is imported where it is built, so that a function pays only for what it uses: see
docs/decisions/0013-libraries-on-the-hot-path.md.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from firstcome import settings
from firstcome.adapters import aws
from firstcome.adapters.metrics import Metrics
from firstcome.adapters.redis.connect import Server
from firstcome.adapters.redis.credentials import credentials
from firstcome.adapters.redis.gate import HOLD_MS, RedisGate
from firstcome.service.answers import AnswerCounts
from firstcome.service.apply import Applications
from firstcome.service.sold_out import REMEMBER_MS, SoldOutMemory

if TYPE_CHECKING:
    import ssl

    from firstcome.adapters.mysql.ledger import MysqlLedger
    from firstcome.adapters.mysql.owner import MysqlOwner
    from firstcome.adapters.sqs import SqsClaimQueue, SqsDeadLetters
    from firstcome.adapters.sqs_sender import SqsSender
    from firstcome.domain.times import Millis
    from firstcome.service.campaigns import Campaigns
    from firstcome.service.drain import Drain
    from firstcome.service.lifecycle import Lifecycle
    from firstcome.service.lookup import Lookup
    from firstcome.service.rebuild import Rebuild
    from firstcome.service.reconcile import Reconcile
    from firstcome.service.relay import Relay

_TO_SEND_AND_COUNT = ("firstcome.adapters.sqs_sender", "awscrt.auth", "awscrt.io", "aws_lambda_powertools.metrics")
_TO_READ_A_SECRET = ("aws_lambda_powertools.utilities.parameters", "boto3")


def import_ahead() -> None:
    """Import what a request may need while the function is initialized, where no user waits for that.

    That is with SnapStart and with provisioned concurrency. Modules only: many environments start from one snapshot, so
    there must be no connection, no credentials and no random number in it.
    """
    initialization = settings.initialization_type()
    if initialization == "on-demand":
        return
    for name in _TO_SEND_AND_COUNT + (_TO_READ_A_SECRET if settings.redis_secret_arn() else ()):
        import_module(name)
    if initialization == "snap-start":
        import random

        # Part of Lambda's runtime.
        from snapshot_restore_py import register_after_restore

        # Libraries draw delays from it, which would be the same in all environments.
        register_after_restore(random.seed)


class MonotonicClock:
    """Implements `ports.Clock`."""

    def now(self) -> "Millis":
        """Implement `Clock.now`."""
        return time.monotonic_ns() // 1_000_000

    def sleep(self, duration_ms: int) -> None:
        """Implement `Clock.sleep`."""
        time.sleep(duration_ms / 1000)


@cache
def gate() -> RedisGate:
    """Build the gate."""
    where = settings.RedisSettings.from_env()
    return RedisGate(Server(where, credentials(where)), where.replica_acks, REMEMBER_MS, HOLD_MS)


@cache
def applications() -> Applications:
    """Build the user's side."""
    clock = MonotonicClock()
    return Applications(gate(), claim_sender(), SoldOutMemory(clock), clock)


@cache
def claim_sender() -> "SqsSender":
    """Build the sender of single claims, for the hot path."""
    from firstcome.adapters.sqs_sender import SqsSender

    connect, read = aws.SQS_CONNECT_TIMEOUT_SECONDS, aws.SQS_READ_TIMEOUT_SECONDS
    return SqsSender(settings.claim_queue_url(), settings.sqs_endpoint_url(), connect, read)


@cache
def metrics() -> Metrics:
    """Build what counts for CloudWatch."""
    return Metrics(MonotonicClock(), settings.metrics_namespace())


@cache
def answer_counts() -> AnswerCounts:
    """Build what counts applications that were not admitted."""
    return AnswerCounts(gate(), MonotonicClock())


@cache
def claim_queue() -> "SqsClaimQueue":
    """Build the claim queue."""
    from firstcome.adapters.sqs import SqsClaimQueue

    return SqsClaimQueue(aws.sqs_client(), settings.claim_queue_url())


@cache
def dead_letters() -> "SqsDeadLetters":
    """Build the dead-letter queue."""
    from firstcome.adapters.sqs import SqsDeadLetters

    return SqsDeadLetters(aws.sqs_client(), settings.dead_letter_queue_url())


@cache
def ledger() -> "MysqlLedger":
    """Build the ledger."""
    from firstcome.adapters.mysql.connect import connect
    from firstcome.adapters.mysql.ledger import MysqlLedger

    return MysqlLedger(lambda: connect(settings.MysqlSettings.from_env()))


def ledger_owner() -> "MysqlOwner | None":
    """Build the owner of the stack's own ledger, for the migration; there is none where MySQL was given."""
    from firstcome.adapters.mysql.connect import connect
    from firstcome.adapters.mysql.owner import LedgerUser, MysqlOwner

    owner_secret_arn = settings.mysql_owner_secret_arn()
    if not owner_secret_arn:
        return None
    where = settings.MysqlSettings.from_env()
    # Read anew: a password that was rotated meanwhile must not be set back.
    login = aws.secret_login(where.secret_arn, aws.secret_login(where.secret_arn))
    user = LedgerUser(login.username, login.password, settings.mysql_connections_max())
    return MysqlOwner(lambda: connect(replace(where, secret_arn=owner_secret_arn)), where.database, user)


def pending_migrations() -> list[str]:
    """Return the names of the migrations that the ledger lacks, as the user who would apply them sees them."""
    from firstcome.adapters.mysql.connect import connect
    from firstcome.adapters.mysql.migrate import pending

    where = settings.MysqlSettings.from_env()
    owner_secret_arn = settings.mysql_owner_secret_arn()
    return pending(lambda: connect(replace(where, secret_arn=owner_secret_arn) if owner_secret_arn else where))


@cache
def drain() -> "Drain":
    """Build the drain."""
    from firstcome.service.drain import Drain
    from firstcome.service.rate_limit import RateLimit

    pace = settings.RateLimitSettings.from_env()
    clock = MonotonicClock()
    return Drain(
        ledger=ledger(),
        gate=gate(),
        queue=claim_queue(),
        dead_letters=dead_letters(),
        rate_limit=RateLimit(pace.rows_per_second, pace.workers, clock),
        clock=clock,
    )


def relay(time_left_ms: Callable[[], int]) -> "Relay":
    """Build the relay for one invocation, which knows how much time is left."""
    from firstcome.service.relay import Relay

    quiet_seconds = settings.whole_seconds("REBUILD_QUIET_SECONDS")
    return Relay(
        gate=gate(),
        queue=claim_queue(),
        ledger=ledger(),
        rebuild=rebuild(quiet_seconds),
        reconcile=reconcile(quiet_seconds),
        clock=MonotonicClock(),
        after_ms=settings.whole_seconds("RELAY_AFTER_SECONDS") * 1000,
        time_left_ms=time_left_ms,
    )


def rebuild(quiet_seconds: int) -> "Rebuild":
    """Build the rebuilding of gates that stay closed that long at least."""
    from firstcome.service.rebuild import Rebuild

    return Rebuild(gate(), ledger(), claim_queue(), MonotonicClock(), quiet_seconds * 1000)


def reconcile(quiet_seconds: int) -> "Reconcile":
    """Build the comparison of gates with the ledger."""
    from firstcome.service.reconcile import Reconcile

    return Reconcile(gate(), ledger(), claim_queue(), MonotonicClock(), quiet_seconds * 1000)


@cache
def campaigns() -> "Campaigns":
    """Build what changes campaigns."""
    from firstcome.service.campaigns import Campaigns

    return Campaigns(gate(), ledger(), MonotonicClock(), HOLD_MS)


@cache
def lifecycle() -> "Lifecycle":
    """Build what archives campaigns and erases users."""
    from firstcome.service.lifecycle import Lifecycle

    return Lifecycle(gate(), ledger())


@cache
def lookup() -> "Lookup":
    """Build what operators read."""
    from firstcome.service.lookup import Lookup

    return Lookup(gate(), ledger(), dead_letters(), settings.whole_seconds("CLAIM_AGE_ALARM_SECONDS") * 1000)


@cache
def _tls_context(host: str) -> "ssl.SSLContext":
    from firstcome.adapters import trust

    return trust.context_for(host)
