"""A run of the real handlers on real Redis and MariaDB, the strict queue and virtual time.

Time passes only when the world says so. What is at the gate ages with it: its clock is the server's, so the world moves
its time stamps back instead.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import boto3
import pymysql
import redis

from firstcome import bootstrap
from firstcome.adapters import sqs_sender
from firstcome.adapters.logs import logger
from firstcome.adapters.redis import resp
from functions.admin import app as admin_app
from functions.apply import app as apply_app
from functions.drain import app as drain_app
from functions.relay import app as relay_app
from local.deployment.addresses import MysqlAddress
from tests.fakes import NOW, FakeClock
from verify.fault_injection.environments import Environment, Environments, environment_variables
from verify.fault_injection.faults import Killed, Kind, Wire
from verify.fault_injection.held import Held
from verify.fault_injection.load import LoadMeter, MysqlConnection
from verify.fault_injection.strict_mapping import FunctionError, MappingRules, StrictMapping
from verify.fault_injection.strict_queue import QueueRules, StrictQueue
from verify.fault_injection.strict_sqs import StrictSqs
from verify.fault_injection.wire_aws import WiredConnection, WiredSecrets, WiredSqs, delete_messages
from verify.fault_injection.wire_mysql import wired_mysql
from verify.fault_injection.wire_redis import wired_redis
from verify.guarantees import DeadLetter, Evidence, Gate, Row, read_gate, violations
from verify.rush.answers import Answer

CAMPAIGN = "demo"
GATE = f"firstcome:{{{CAMPAIGN}}}:"
CLAIMS_URL = "https://sqs.test/claims"
DEAD_LETTERS_URL = "https://sqs.test/dead-letters"

DRAIN_CONCURRENCY = 2
ROWS_PER_SECOND = 4
MINUTE_MS = 60_000
ROUNDS = 40
FOREVER = NOW * 2

MAPPING = MappingRules(batch_size=100, window_ms=1_000, reserved=DRAIN_CONCURRENCY, max_concurrency=DRAIN_CONCURRENCY)
QUEUE = QueueRules(visibility_ms=180_000, max_receives=1_000)

type Handler = Callable[[Any, Any], Any]

OURS: dict[str, Handler] = {
    "apply": apply_app.lambda_handler,
    "drain": drain_app.lambda_handler,
    "relay": relay_app.lambda_handler,
    "admin": admin_app.lambda_handler,
}
TIMEOUTS_MS = {"apply": 5_000, "drain": 30_000, "relay": 50_000, "admin": 29_000}

_AGE = """
for _, key in ipairs(redis.call('KEYS', '*:outbox')) do
  for _, user in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], user) end
end
for _, key in ipairs(redis.call('KEYS', '*:fenced_at')) do redis.call('DECRBY', key, ARGV[1]) end
for _, key in ipairs(redis.call('KEYS', '*:campaign')) do
  if redis.call('HEXISTS', key, 'held_until') == 1 then redis.call('HINCRBY', key, 'held_until', -ARGV[1]) end
end
"""


class StuckError(Exception):
    """The world does not come to rest, or a client gets no answer."""


@dataclass(frozen=True)
class Servers:
    """Where the real servers are."""

    redis_port: int
    mysql: MysqlAddress


@dataclass
class Context:
    """Lambda's context, in virtual time."""

    clock: FakeClock
    ends_at: int

    def get_remaining_time_in_millis(self) -> int:
        """Tell how long the invocation may still take."""
        return self.ends_at - self.clock.now()


@dataclass
class World:
    """One world, used for run after run: `fresh` begins one, within `running`.

    Attributes:
        table: where the coupons are issued.
        has_gate: whether there is a gate of ours that must be whole, and nothing outbox, before all is at rest.
        capacity: what the operator was told last.
        is_rolled_back: whether Redis forgot acknowledged claims in this run.
    """

    servers: Servers
    handlers: Mapping[str, Handler] = field(default_factory=lambda: OURS)
    settings: Mapping[str, str] = field(default_factory=dict)
    table: str = "coupon"
    has_gate: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    wire: Wire = field(default_factory=Wire)
    capacity: int = 0
    is_rolled_back: bool = False

    def __post_init__(self) -> None:
        self.redis = redis.Redis(port=self.servers.redis_port)
        where = self.servers.mysql
        self.mysql = pymysql.connect(
            host=where.host, port=where.port, user=where.user, password=where.password, database=where.database
        )
        self.mysql.autocommit(True)  # noqa: FBT003 - PyMySQL's signature
        self.run_id = str(self.redis.info("server")["run_id"])
        self.load = LoadMeter(self.wire, self.clock)
        self.wire.may_be_held_up = self._may_be_held_up
        self.fresh({})

    def fresh(
        self, plan: Mapping[int, Kind], seed: int = 0, queue: QueueRules = QUEUE, mapping: MappingRules = MAPPING
    ) -> None:
        """Empty everything and begin a run with this plan of faults."""
        self.redis.flushall()
        for table in {"campaign", "coupon", "overflow", self.table}:
            self.rows(f"DELETE FROM {table}")
        self.clock.time = self._aged_at = NOW
        self.wire.begin(plan)
        chance = random.Random(seed)
        self.dead_letters = StrictQueue("dead", self.clock, chance, replace(queue, max_receives=None))
        self.queue = StrictQueue("claims", self.clock, chance, queue, self.dead_letters)
        self.sqs = StrictSqs({CLAIMS_URL: self.queue, DEAD_LETTERS_URL: self.dead_letters})
        self.mapping = StrictMapping(
            self.queue, self.clock, lambda event: self.invoke("drain", event), mapping, self._delete
        )
        self.environments = Environments()
        self._at_work = Environment("none")
        self.answers: list[Answer] = []
        self.load.begin()
        self.capacity, self.is_rolled_back = 0, False

    def move_gate(self, port: int) -> None:
        """Let the gate's name lead to another server from now on."""
        self.wire.addresses[self.servers.redis_port] = port
        self.redis.close()
        self.redis = redis.Redis(port=port)
        self.run_id = str(self.redis.info("server")["run_id"])

    def forget_environments(self) -> None:
        """Deploy: the functions start anew, with the settings as they are now."""
        self.environments = Environments()

    def close(self) -> None:
        """Give back what the world itself has open."""
        self.redis.close()
        self.mysql.close()

    @contextmanager
    def running(self) -> Iterator[World]:
        """Put the wire under the drivers for as long as the context lasts."""
        secret = {"username": self.servers.mysql.user, "password": self.servers.mysql.password}
        clients: dict[str, Callable[[], object]] = {
            "sqs": lambda: WiredSqs(self.wire, self.sqs),
            "secretsmanager": lambda: WiredSecrets(self.wire, secret),
        }
        mysql = wired_mysql(self.wire, self._opened, self.load.committed)
        with ExitStack() as stack:
            stack.enter_context(environment_variables({**self._variables(), **self.settings}))
            connection = wired_redis(self.wire)
            stack.enter_context(patch.object(resp, "RespConnection", connection))
            stack.enter_context(patch.object(bootstrap, "RespConnection", connection))
            sending = WiredConnection(self.wire, lambda: self.sqs)
            stack.enter_context(patch.object(sqs_sender, "HttpClientConnection", sending))
            stack.enter_context(patch.object(pymysql, "connect", mysql))
            stack.enter_context(patch.object(boto3, "client", lambda name, **_: clients[name]()))
            stack.enter_context(patch.object(bootstrap, "MonotonicClock", lambda: self.clock))
            stack.callback(logger().setLevel, logger().log_level)
            logger().setLevel("CRITICAL")
            yield self

    def invoke(self, function: str, event: Any) -> Any:
        """Invoke a function as Lambda does. Raises `FunctionError`."""
        self._age()
        environment = self.environments.free_one(function, self.clock.now())
        late = self.wire.take_late()
        ending = ""
        try:
            answer = self._run(environment, event)
            ending = _ending(answer)
        except FunctionError as exc:
            ending = str(exc)
            raise
        finally:
            self.wire.note_ending(ending)
            # What an invocation before gave up on, or was held up before, happens now: whatever repeated it was faster.
            for apply in late:
                apply()
        return answer

    def _run(self, environment: Environment, event: Any) -> Any:
        context = Context(self.clock, self.clock.now() + TIMEOUTS_MS[environment.function])
        handler = self.handlers[environment.function]
        if not self.wire.will_hold_up():
            return self._turn(environment, lambda: handler(event, context))
        work = Held(lambda: handler(event, context))

        def go_on() -> Any:
            self.wire.hold_up = work.hold_up
            if work.go():
                return work.result()
            environment.busy_until = FOREVER
            self.wire.add_late(finish)
            raise FunctionError("held up")

        def finish() -> None:
            with suppress(FunctionError):
                self._turn(environment, go_on)

        return self._turn(environment, go_on)

    def _turn(self, environment: Environment, work: Callable[[], Any]) -> Any:
        """Let an invocation work until it ends, is killed, or is held up."""
        environment.busy_until = self.clock.now()
        self._at_work = environment
        try:
            with self.wire.made_by(environment.function), environment.active():
                return work()
        except Killed:
            self.environments.throw_away(environment)
            raise FunctionError("killed") from None
        except FunctionError:
            raise
        except Exception as exc:  # noqa: BLE001 - Lambda's runtime takes every exception for the function's error
            raise FunctionError(f"raised {type(exc).__name__}") from exc
        finally:
            environment.busy_until = max(environment.busy_until, self.clock.now())

    def _opened(self, connection: MysqlConnection) -> None:
        self.load.opened(connection)
        self._at_work.connections.append(connection)

    def _may_be_held_up(self, name: str) -> bool:
        """Whether the function at work holds no lock at this call, on which others would wait in real time."""
        if self.wire.function == "relay":
            return not self.load.is_connected("relay")
        return self.wire.function == "apply" or (self.wire.function == "drain" and name.startswith("redis"))

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
        for _ in range(ROUNDS):
            if self.is_at_rest():
                return
            self.go_on()
        raise StuckError(f"not at rest after {ROUNDS} minutes")

    def is_at_rest(self) -> bool:
        """Whether nothing is under way and the gate admits."""
        if self.wire.has_late():
            return False
        if not self.has_gate:
            return not self.queue.exact_count()
        is_whole = self.redis.hget(f"{GATE}campaign", "run_id") == self.run_id.encode() and bool(
            self.redis.exists(f"{GATE}accepted")
        )
        return is_whole and not self.queue.exact_count() and not self.redis.zcard(f"{GATE}outbox")

    def users(self) -> list[str]:
        """Return everybody who asked, in the order they came."""
        return list(dict.fromkeys(answer.user for answer in self.answers))

    def issued(self) -> list[Row]:
        """Return the coupons in the ledger."""
        return self._claims_in(self.table)

    def violations(self) -> dict[str, list[str]]:
        """Return what breaks a guarantee, by guarantee."""
        evidence = Evidence(
            campaign=CAMPAIGN,
            capacity=self.capacity,
            answers=self.answers,
            rows=self.issued(),
            gate=self._gate(),
            overflow=self._claims_in("overflow"),
            lost_writes=self.is_rolled_back,
        )
        load = self.load.reading(int(os.environ["DRAIN_ROWS_PER_SECOND"]), DRAIN_CONCURRENCY)
        letters = [DeadLetter(one.body, one.attributes.get("reason", "")) for one in self.dead_letters.all()]
        found = violations([evidence], load, letters, self.queue.exact_count())
        return {name: problems for name, problems in found.items() if problems}

    def _gate(self) -> Gate:
        if not self.has_gate:
            # A rival without one: as if it had exactly what the ledger has.
            rows = self.issued()
            return Gate(len(rows), {row.user: row.seat for row in rows})
        with redis.Redis(port=self.redis.get_connection_kwargs()["port"], decode_responses=True) as client:
            return read_gate(client, CAMPAIGN)

    def _claims_in(self, table: str) -> list[Row]:
        return [Row(*row) for row in self.rows(f"SELECT sequence, user_id, coupon_code FROM {table}")]

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        """Run a statement on the ledger, beside the wire."""
        with self.mysql.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def _delete(self, receipts: Sequence[str]) -> None:
        with self.wire.made_by("mapping"):
            delete_messages(self.wire, self.queue, receipts)
            self.wire.note_ending("delivered again")

    def _age(self) -> None:
        passed = self.clock.now() - self._aged_at
        self._aged_at = self.clock.now()
        if passed > 0:
            self.redis.eval(_AGE, 0, str(passed))

    def _variables(self) -> dict[str, str]:
        where = self.servers.mysql
        return {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.servers.redis_port),
            "REDIS_TLS": "false",
            "GATE_REPLICA_ACKS": "0",
            "MYSQL_HOST": where.host,
            "MYSQL_PORT": str(where.port),
            "MYSQL_TLS": "false",
            "MYSQL_DATABASE": where.database,
            "MYSQL_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:ledger",
            "DRAIN_ROWS_PER_SECOND": str(ROWS_PER_SECOND),
            "DRAIN_CONCURRENCY": str(DRAIN_CONCURRENCY),
            "CLAIM_QUEUE_URL": CLAIMS_URL,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "DEAD_LETTER_QUEUE_URL": DEAD_LETTERS_URL,
            "RELAY_AFTER_SECONDS": "10",
            "REBUILD_QUIET_SECONDS": "50",
        }


def _ending(answer: Any) -> str:
    """Say how an invocation ended."""
    if "statusCode" in answer:
        return f"answered {answer['statusCode']}"
    failed = answer.get("batchItemFailures")
    return f"{len(failed)} messages failed" if failed else "done"
