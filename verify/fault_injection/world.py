"""A run of the real handlers on real Redis and MariaDB, a queue as AWS promises it, and virtual time.

Time passes only when the world says so: the clocks of Redis and of MariaDB's sessions are set ahead by as much.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import pymysql
import redis
from greenlet import getcurrent, greenlet

from firstcome import bootstrap
from firstcome.adapters.logs import logger
from firstcome.adapters.mysql.migrate import TABLES
from functions.admin import app as admin_app
from functions.apply import app as apply_app
from functions.drain import app as drain_app
from functions.relay import app as relay_app
from tests.fakes import NOW, FakeClock
from verify.fault_injection.aws_calls import AwsOnTheWire, delete_messages
from verify.fault_injection.environments import Environment, Environments
from verify.fault_injection.faults import Killed, Kind, Wire
from verify.fault_injection.mapping import FunctionError
from verify.fault_injection.mapping import Mapping as EventSourceMapping
from verify.fault_injection.mysql_calls import wired_mysql
from verify.fault_injection.redis_calls import RedisOnTheWire
from verify.fault_injection.servers import Servers, connect
from verify.fault_injection.sqs import QueueRules, SqsApi, StandardQueue
from verify.guarantees import DeadLetter, Evidence, Gate, Load, Row, read_gate, violations
from verify.rush.answers import Answer

CAMPAIGN = "demo"
GATE = f"firstcome:{{{CAMPAIGN}}}:"
CLAIMS_URL = "https://sqs.test/claims"
DEAD_LETTERS_URL = "https://sqs.test/dead-letters"

DRAIN_CONCURRENCY = 2
ROWS_PER_SECOND = 4
MINUTE_MS = 60_000
MINUTES_AT_MOST = 40
FOREVER = NOW * 2

QUEUE = QueueRules(visibility_ms=180_000, max_receives=1_000)

type Handler = Callable[[Any, Any], Any]

OURS: dict[str, Handler] = {
    "apply": apply_app.lambda_handler,
    "drain": drain_app.lambda_handler,
    "relay": relay_app.lambda_handler,
    "admin": admin_app.lambda_handler,
}
TIMEOUTS_MS = {"apply": 5_000, "drain": 30_000, "relay": 50_000, "admin": 29_000}


class StuckError(Exception):
    """The world does not come to rest, or a client gets no answer."""


@dataclass
class Context:
    """Lambda's context, in virtual time."""

    clock: FakeClock
    ends_at: int

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still take."""
        return self.ends_at - self.clock.now()


@dataclass
class World:
    """One world, used for run after run: `fresh` begins one, within `running`.

    Attributes:
        table: where the coupons are issued.
        has_gate: whether there is a gate of ours that must be whole, and its outbox empty, before all is at rest.
        capacity: what the operator set last.
        is_rolled_back: whether Redis forgot acknowledged claims in this run.
        redis_ahead_ms: how far Redis' clock is ahead of the others.
        erased: users whose id was replaced, and how many answers there were by then.
    """

    servers: Servers
    handlers: Mapping[str, Handler] = field(default_factory=lambda: OURS)
    table: str = "coupon"
    has_gate: bool = field(default=True, init=False)
    clock: FakeClock = field(default_factory=FakeClock)
    wire: Wire = field(default_factory=Wire)
    addresses: dict[int, int] = field(default_factory=dict)
    capacity: int = 0
    is_rolled_back: bool = False
    redis_ahead_ms: int = 0
    erased: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.redis = redis.Redis(port=self.servers.redis_port)
        self.mysql = connect(self.servers.mysql)
        self.wire.may_stand_still = self._may_stand_still
        self.fresh({})

    def fresh(self, plan: Mapping[int, Kind], seed: int = 0, queue: QueueRules = QUEUE) -> None:
        """Empty everything and begin a run with this plan of faults."""
        self.redis.flushall()
        for table in {*TABLES, self.table}:
            self.rows(f"DELETE FROM {table}")
        self.clock.time, self.redis_ahead_ms, self.erased = NOW, 0, {}
        self.has_gate = self.handlers is OURS
        self.wire.begin(plan)
        self.addresses.clear()
        chance = random.Random(seed)
        self.dead_letters = StandardQueue("dead", self.clock, chance, replace(queue, max_receives=None))
        self.queue = StandardQueue("claims", self.clock, chance, queue, self.dead_letters)
        self.sqs = SqsApi({CLAIMS_URL: self.queue, DEAD_LETTERS_URL: self.dead_letters})
        self.mapping = EventSourceMapping(
            self.queue, self.clock, lambda event: self.invoke("drain", event), self._delete, 100, DRAIN_CONCURRENCY
        )
        self.forget_environments()
        self._at_work = Environment("none")
        self.mysql_connections: dict[str, list[Any]] = {}
        self._most_connections: dict[str, int] = {}
        self._rows_written: list[tuple[int, int]] = []
        self.answers: list[Answer] = []
        self.capacity, self.is_rolled_back = 0, False
        self.set_clocks()

    def forget_environments(self) -> None:
        """Deploy: the functions start anew, with the settings as they are now."""
        self.environments = Environments()

    def move_gate(self, port: int) -> None:
        """Let the gate's name lead to another server from now on."""
        self.addresses[self.servers.redis_port] = port
        self.redis.close()
        self.redis = redis.Redis(port=port)

    def close(self) -> None:
        """Give back what the world itself has open."""
        self.redis.close()
        self.mysql.close()

    @contextmanager
    def running(self) -> Iterator[World]:
        """Put the wire under the libraries for as long as the context lasts."""
        mysql = self.servers.mysql
        secret = {"username": mysql.user, "password": mysql.password}
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, self._variables()))
            stack.enter_context(RedisOnTheWire(self.wire, self.addresses, self._opened_redis).connected())
            wired = wired_mysql(self.wire, self._passed_ms, self._opened_mysql, self._committed)
            stack.enter_context(patch.object(pymysql, "connect", wired))
            stack.enter_context(AwsOnTheWire(self.wire, lambda: self.sqs, secret).connected())
            stack.enter_context(patch.object(bootstrap, "MonotonicClock", lambda: self.clock))
            # Metrics go to the standard output.
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(patch.object(sys, "stdout", nowhere))
            stack.callback(logger().setLevel, logger().log_level)
            logger().setLevel("CRITICAL")
            yield self

    def invoke(self, function: str, event: Any) -> Any:
        """Invoke a function as Lambda does. Raises `FunctionError`."""
        self.set_clocks()
        environment = self.environments.free_one(function, self.clock.now())
        late = self.wire.take_late()
        try:
            return self._run(environment, event)
        finally:
            # What an invocation before gave up on, or stood still before, happens now: its repetition was faster.
            for apply in late:
                apply()

    def _run(self, environment: Environment, event: Any) -> Any:
        context = Context(self.clock, self.clock.now() + TIMEOUTS_MS[environment.function])
        handler = self.handlers[environment.function]
        if Kind.OVERTAKEN not in self.wire.plan.values():
            return self._turn(environment, lambda: handler(event, context))
        work = greenlet(lambda: handler(event, context))

        def go_on() -> Any:
            work.parent = getcurrent()
            with self.wire.set(stand_still=work.parent.switch):
                answer = work.switch()
            if work.dead:
                return answer
            self.wire.add_late(finish)
            raise FunctionError("stood still")

        def finish() -> None:
            with suppress(FunctionError):
                self._turn(environment, go_on)

        return self._turn(environment, go_on)

    def _turn(self, environment: Environment, work: Callable[[], Any]) -> Any:
        """Let an invocation work until it ends, is killed, or stands still."""
        before, self._at_work = self._at_work, environment
        environment.busy_until = FOREVER
        stands_still = False
        try:
            with self.wire.made_by(environment.function), environment.active():
                return work()
        except Killed:
            self.environments.throw_away(environment)
            raise FunctionError("killed") from None
        except FunctionError as exc:
            stands_still = str(exc) == "stood still"
            raise
        except Exception as exc:  # noqa: BLE001 - Lambda's runtime takes every exception for the function's error
            raise FunctionError(f"raised {type(exc).__name__}") from exc
        finally:
            self._at_work = before
            environment.busy_until = FOREVER if stands_still else self.clock.now()

    def _may_stand_still(self, name: str) -> bool:
        """Whether the function at work holds no lock at this call, on which others would wait in real time."""
        function = self.wire.function
        if function == "relay":
            return not any(connection.open for connection in self.mysql_connections.get("relay", ()))
        return function == "apply" or (function == "drain" and name.startswith("redis"))

    def relay(self) -> None:
        """Run one round of the relay; its schedule does not repeat what failed before the next minute."""
        with suppress(FunctionError):
            self.invoke("relay", {})

    def drain(self, milliseconds: int = 3_000) -> None:
        """Let the mapping poll for some time."""
        self.mapping.run(self.clock.now() + milliseconds)

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, with nobody at work."""
        self.clock.time += milliseconds

    def go_on(self) -> None:
        """Let a minute pass as it does: the relay once, the mapping all the time."""
        self.relay()
        self.drain(MINUTE_MS)

    def settle(self) -> None:
        """Run relay and drain, minute by minute, until the world is at rest."""
        for _ in range(MINUTES_AT_MOST):
            if self.is_at_rest():
                return
            self.go_on()
        raise StuckError(f"not at rest after {MINUTES_AT_MOST} minutes")

    def is_at_rest(self) -> bool:
        """Whether nothing is under way and the gate admits."""
        if self.wire.has_late() or self.queue.all():
            return False
        gate, issued = self.gate(), {row.user for row in self.issued()}
        is_whole = gate.is_open and not gate.outbox and issued <= gate.claims.keys()
        return is_whole and not gate.claims.keys() - issued - {row.user for row in self.issued("overflow")}

    def gate(self) -> Gate:
        """Return what the gate holds; a rival without one is as if it had exactly what the ledger has."""
        if not self.has_gate:
            rows = self.issued()
            return Gate(len(rows), {row.user: row.seat for row in rows})
        with redis.Redis(port=self.redis.get_connection_kwargs()["port"], decode_responses=True) as client:
            return read_gate(client, CAMPAIGN)

    def issued(self, table: str = "") -> list[Row]:
        """Return the coupons in the ledger, or the claims in overflow."""
        return [Row(*row) for row in self.rows(f"SELECT sequence, user_id, coupon_code FROM {table or self.table}")]

    def users(self) -> list[str]:
        """Return everybody who asked, in the order they came."""
        return list(dict.fromkeys(answer.user for answer in self.answers))

    def violations(self) -> dict[str, list[str]]:
        """Return what breaks a guarantee, by guarantee."""
        evidence = Evidence(
            campaign=CAMPAIGN,
            capacity=self.capacity,
            answers=self._answers_now(),
            rows=self.issued(),
            gate=self.gate(),
            overflow=self.issued("overflow"),
            lost_writes=self.is_rolled_back,
        )
        most = self._most_connections
        load = Load(
            # A worker that was killed does not wait for the time its rows are worth.
            rows=[] if self.wire.fired else self._rows_written,
            rows_per_second=int(os.environ["DRAIN_ROWS_PER_SECOND"]),
            workers=DRAIN_CONCURRENCY,
            connections={"drain": (most.get("drain", 0), DRAIN_CONCURRENCY), "apply": (most.get("apply", 0), 0)},
        )
        letters = [DeadLetter(one.body, one.attributes.get("reason", "")) for one in self.dead_letters.all()]
        found = violations([evidence], load, letters, len(self.queue.all()))
        return {name: problems for name, problems in found.items() if problems}

    def _answers_now(self) -> list[Answer]:
        """Return the answers under the names that their users have now."""
        names = {row.coupon_code: row.user for row in self.issued()}
        given = {answer.user: names.get(answer.coupon_code) for answer in self.answers if answer.coupon_code}
        return [
            replace(answer, user=given.get(answer.user) or answer.user)
            if number < self.erased.get(answer.user, 0)
            else answer
            for number, answer in enumerate(self.answers)
        ]

    def back_up_ledger(self) -> None:
        """Copy all tables."""
        for table in TABLES:
            self.rows(f"DROP TABLE IF EXISTS backup_{table}")
            self.rows(f"CREATE TABLE backup_{table} AS SELECT * FROM {table}")

    def restore_ledger(self) -> None:
        """Put the copies back."""
        for table in TABLES:
            self.rows(f"DELETE FROM {table}")
            self.rows(f"INSERT INTO {table} SELECT * FROM backup_{table}")

    def set_redis_ahead(self, milliseconds: int) -> None:
        """Let the clock of Redis step."""
        self.redis_ahead_ms = milliseconds
        self.set_clocks()

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        """Run a statement on the ledger, beside the wire."""
        with self.mysql.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def set_clocks(self) -> None:
        """Set Redis' clock to the world's; MySQL's sessions follow with their next statement."""
        self.servers.clock.ahead_ms = self._passed_ms() + self.redis_ahead_ms

    def _passed_ms(self) -> int:
        return self.clock.now() - NOW

    def _opened_redis(self, connection: Any) -> None:
        self._at_work.close.append(connection.disconnect)

    def _opened_mysql(self, connection: Any) -> None:
        self._at_work.close.append(connection._force_close)
        function = self.wire.function
        alive = [one for one in self.mysql_connections.get(function, ()) if one.open]
        self.mysql_connections[function] = [*alive, connection]
        self._most_connections[function] = max(self._most_connections.get(function, 0), len(alive) + 1)

    def _committed(self, rows: int) -> None:
        if rows:
            self._rows_written.append((self.clock.now(), rows))

    def _delete(self, receipts: Sequence[str]) -> None:
        with self.wire.made_by("mapping"):
            delete_messages(self.wire, self.queue, receipts)

    def _variables(self) -> dict[str, str]:
        mysql = self.servers.mysql
        return {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.servers.redis_port),
            "REDIS_TLS": "false",
            "GATE_REPLICA_ACKS": "0",
            "MYSQL_HOST": mysql.host,
            "MYSQL_PORT": str(mysql.port),
            "MYSQL_TLS": "false",
            "MYSQL_DATABASE": mysql.database,
            "MYSQL_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:ledger",
            "DRAIN_ROWS_PER_SECOND": str(ROWS_PER_SECOND),
            "DRAIN_CONCURRENCY": str(DRAIN_CONCURRENCY),
            "CLAIM_QUEUE_URL": CLAIMS_URL,
            "DEAD_LETTER_QUEUE_URL": DEAD_LETTERS_URL,
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "RELAY_AFTER_SECONDS": "10",
            "REBUILD_QUIET_SECONDS": "50",
            "CLAIM_AGE_ALARM_SECONDS": "900",
            "POWERTOOLS_METRICS_NAMESPACE": "Firstcome/faults",
        }
