"""The stack of the long run, and the handles by which its parts are broken.

The functions reach Redis, which has a replica, through one fixed port, and SQS through another.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pymysql
import redis

from firstcome.adapters.mysql.migrate import TABLES
from local.deployment.addresses import Stack
from local.deployment.stack import running_processes, start_stack
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.progress import Progress
from local.services.mariadb_server import LOG as MARIADB
from local.services.mariadb_server import start_mariadb_again
from local.services.ministack import LOG as ENDPOINT_LOG
from local.services.ministack import client, endpoint_failures
from local.services.ports import free_port
from local.services.processes import Processes
from local.services.redis_server import RedisServer, start_redis
from verify.guarantees import DeadLetter
from verify.rush.rush import Site, connect
from verify.shifted_clock import ClockedWorkspace, ShiftedClock
from verify.tcp_proxy import HOST, TcpProxy

READY_SECONDS = 60.0
LOOK_SECONDS = 0.05
WATCH_SECONDS = 0.5
TRIES = 10


@dataclass
class RedisServers:
    """A primary and its replica; the functions know neither, only the port of `front`."""

    processes: Processes
    workspace: Workspace
    front: TcpProxy
    link: TcpProxy
    primary_name: str
    primary: RedisServer
    replica_name: str = ""
    replica: RedisServer | None = None
    clock: ShiftedClock | None = None
    started: int = 0

    def call(self, *command: str | int, server: RedisServer | None = None) -> object:
        """Send a command to the primary, or to another server, past the proxy."""
        with redis.Redis.from_url((server or self.primary).url, socket_timeout=10) as connection:
            return connection.execute_command(*command)

    def add_replica(self) -> None:
        """Start a replica of the primary, which follows it through `link`."""
        self.started += 1
        self.replica_name = f"redis-replica-{self.started}"
        self.link.lead_to(self.primary.port)
        self.replica = start_redis(self.processes, self.workspace, free_port(), self.replica_name, self.link.port)
        deadline = time.monotonic() + READY_SECONDS
        # WAIT answers as soon as a replica has everything.
        while self.call("WAIT", 1, 1000) != 1:
            if time.monotonic() > deadline:
                raise LocalStackError("The replica did not follow.", self.workspace.log(self.replica_name))
            time.sleep(LOOK_SECONDS)

    def make_clock_settable(self) -> None:
        """Replace both servers by others whose wall clock can be set."""
        self.clock = ShiftedClock(self.workspace.data)
        self.workspace = ClockedWorkspace(self.workspace.folder, self.workspace.container_host, self.clock)
        self.processes.kill(self.replica_name)
        self.add_replica()
        self.kill_primary()
        self.promote()
        self.add_replica()

    def kill_primary(self) -> None:
        """Kill the primary."""
        self.processes.kill(self.primary_name)

    def promote(self) -> None:
        """Make the replica the primary, and lead the fixed port to it."""
        assert self.replica
        self.call("REPLICAOF", "NO", "ONE", server=self.replica)
        self.primary_name, self.primary = self.replica_name, self.replica
        self.front.lead_to(self.primary.port)

    def count_claims(self) -> int:
        """Count the claims of all campaigns that the primary has."""
        with redis.Redis.from_url(self.primary.url, socket_timeout=10) as connection:
            return sum(connection.hlen(key) for key in connection.scan_iter("firstcome:*:claims"))


@dataclass
class BreakableSite:
    """A running stack, and the handles.

    Attributes:
        throttling_port: what answers there refuses as SQS does.
        most_connections: the most that the functions had to MySQL at a time, while it was not broken.
    """

    site: Site
    processes: Processes
    servers: RedisServers
    sqs: TcpProxy
    throttling_port: int
    most_connections: int = 0
    _is_mariadb_broken: bool = False

    @property
    def stack(self) -> Stack:
        """Where the parts are."""
        return self.site.stack

    @property
    def endpoint_port(self) -> int:
        """Where SQS really is."""
        return urlsplit(self.stack.aws_endpoint_url).port or 0

    @property
    def claims_under_way(self) -> int:
        """Messages in the claim queue, those being worked on included."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        with endpoint_failures(self.site.workspace):
            reply = client("sqs", self.stack.aws_endpoint_url).get_queue_attributes(
                QueueUrl=self.stack.claim_queue_url, AttributeNames=list(names)
            )
        return sum(int(reply["Attributes"][name]) for name in names)

    def purge_queue(self) -> None:
        """Lose all messages in the claim queue."""
        with endpoint_failures(self.site.workspace):
            client("sqs", self.stack.aws_endpoint_url).purge_queue(QueueUrl=self.stack.claim_queue_url)

    def dead_letters(self) -> list[DeadLetter]:
        """Take the messages out of the dead-letter queue."""
        found: list[DeadLetter] = []
        with endpoint_failures(self.site.workspace):
            sqs = client("sqs", self.stack.aws_endpoint_url)
            while messages := sqs.receive_message(
                QueueUrl=self.stack.dead_letter_queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["reason"]
            ).get("Messages"):
                for message in messages:
                    reason = message.get("MessageAttributes", {}).get("reason", {})
                    found.append(DeadLetter(message["Body"], reason.get("StringValue", "")))
        return found

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Hold a server as a whole: who asks it waits."""
        self.processes.send_signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes.send_signal(name, signal.SIGCONT)

    @contextmanager
    def stopped_mariadb(self) -> Iterator[None]:
        """Hold MariaDB as a whole. It keeps connections whose clients are dead, so they are not counted meanwhile."""
        self._is_mariadb_broken = True
        try:
            with self.stopped(MARIADB):
                yield
        finally:
            time.sleep(WATCH_SECONDS)
            self._is_mariadb_broken = False

    @contextmanager
    def throttled_queue(self) -> Iterator[None]:
        """Let SQS refuse every call."""
        self.sqs.lead_to(self.throttling_port)
        try:
            yield
        finally:
            self.sqs.lead_to(self.endpoint_port)

    @contextmanager
    def without_mariadb(self) -> Iterator[None]:
        """Kill MariaDB, and start it again on its data folder."""
        self._is_mariadb_broken = True
        self.processes.kill(MARIADB)
        try:
            yield
        finally:
            start_mariadb_again(self.processes, self.site.workspace, self.stack.mysql)
            self._is_mariadb_broken = False

    def back_up_ledger(self) -> None:
        """Copy all tables."""
        with closing(connect(self.stack.mysql)) as ledger, ledger.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DROP TABLE IF EXISTS backup_{table}")
                cursor.execute(f"CREATE TABLE backup_{table} AS SELECT * FROM {table}")

    def restore_ledger(self) -> int:
        """Put the copies back, in one step; returns how many coupons that lost."""
        with closing(connect(self.stack.mysql)) as ledger, ledger.cursor() as cursor:
            for tries_left in reversed(range(TRIES)):
                try:
                    cursor.execute("START TRANSACTION")
                    lost = cursor.execute("SELECT sequence FROM coupon FOR UPDATE")
                    for table in TABLES:
                        cursor.execute(f"DELETE FROM {table}")
                        kept = cursor.execute(f"INSERT INTO {table} SELECT * FROM backup_{table}")
                        lost -= kept if table == "coupon" else 0
                    cursor.execute("COMMIT")
                    break
                except pymysql.OperationalError:
                    # A deadlock with the drain.
                    if not tries_left:
                        raise
                    cursor.execute("ROLLBACK")
        return lost

    def kill_workers(self, function: str, accept: Callable[[psutil.Process], bool], most: int) -> int:
        """Kill Lambda workers of `function` that `accept` takes, `most` of them; returns how many there were."""
        killed = 0
        for process in psutil.Process(self.processes.pid(ENDPOINT_LOG)).children():
            with suppress(psutil.Error):
                # MiniStack unpacks a worker's code into a folder named after its function.
                is_worker = f"ministack-lambda-{function}-" in process.cwd()
                if killed < most and is_worker and accept(process):
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
        return killed

    @contextmanager
    def watched_connections(self) -> Iterator[None]:
        """Count the functions' connections to MySQL now and then, from a thread of its own."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(WATCH_SECONDS):
                with suppress(pymysql.MySQLError, OSError), closing(connect(self.stack.mysql)) as ledger:
                    self._count_connections(ledger, is_over)

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            is_over.set()

    def _count_connections(self, ledger: pymysql.connections.Connection, is_over: threading.Event) -> None:
        others = "FROM information_schema.processlist WHERE user = %s AND id <> CONNECTION_ID()"
        while not is_over.wait(WATCH_SECONDS):
            with ledger.cursor() as cursor:
                cursor.execute(f"SELECT COUNT(*) {others}", (self.stack.mysql.user,))
                ((number,),) = cursor.fetchall()
            if not self._is_mariadb_broken:
                self.most_connections = max(self.most_connections, number)


class _Throttled(BaseHTTPRequestHandler):
    """Refuses as SQS does."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Request is throttled."}'
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def breakable_site(directory: Path, progress: Progress, acks: int) -> Iterator[BreakableSite]:
    """Start everything, and stop it on the way out."""
    with ExitStack() as cleanup:
        front, link, sqs = (cleanup.enter_context(TcpProxy()) for _ in range(3))
        throttling = cleanup.enter_context(ThreadingHTTPServer((HOST, 0), _Throttled))
        threading.Thread(target=throttling.serve_forever, daemon=True).start()
        cleanup.callback(throttling.shutdown)
        processes, workspace = cleanup.enter_context(running_processes(directory, progress))
        stack = start_stack(processes, workspace, progress, {"GateReplicaAcks": str(acks)})
        primary = RedisServer(urlsplit(stack.redis_url).port or 0)
        front.lead_to(primary.port)
        servers = RedisServers(processes, workspace, front, link, "redis", primary)
        site = BreakableSite(Site(stack, workspace), processes, servers, sqs, throttling.server_port)
        with progress.step("Adding a replica and leading the functions through the proxies"):
            servers.add_replica()
            sqs.lead_to(site.endpoint_port)
            with endpoint_failures(workspace):
                _lead_functions(
                    stack, {"REDIS_PORT": str(front.port), "AWS_ENDPOINT_URL_SQS": f"http://{HOST}:{sqs.port}"}
                )
        yield site


def _lead_functions(stack: Stack, changes: dict[str, str]) -> None:
    functions, names = client("lambda", stack.aws_endpoint_url), stack.functions
    for name in (names.apply, names.drain, names.relay, names.admin):
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **changes}})
