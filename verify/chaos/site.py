"""The stack of the long run: Redis with a replica, reached through one fixed port, and SQS through a forwarder."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import redis

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
from verify.chaos.forwarder import Forwarder
from verify.guarantees import DeadLetter
from verify.rush.rush import Site

READY_SECONDS = 60.0
LOOK_SECONDS = 0.05


@dataclass
class RedisServers:
    """A primary and its replica; the functions know neither, only the forwarder's port."""

    processes: Processes
    workspace: Workspace
    front: Forwarder
    link: Forwarder
    primary_name: str
    primary: RedisServer
    replica_name: str = ""
    replica: RedisServer | None = None
    started: int = 0

    def call(self, *command: str | int, server: RedisServer | None = None) -> object:
        """Send a command to the primary, or to another server, past the forwarder."""
        with redis.Redis.from_url((server or self.primary).url, socket_timeout=10) as connection:
            return connection.execute_command(*command)

    def add_replica(self) -> None:
        """Start a replica of the primary, which follows it through `link`."""
        self.started += 1
        self.replica_name = f"redis-replica-{self.started}"
        self.link.lead_to(self.primary.port)
        self.replica = start_redis(self.processes, self.workspace, free_port(), self.replica_name, self.link.port)
        deadline = time.monotonic() + READY_SECONDS
        while not self.has_replica():
            if time.monotonic() > deadline:
                raise LocalStackError("The replica did not follow.", self.workspace.log(self.replica_name))
            time.sleep(LOOK_SECONDS)

    def has_replica(self) -> bool:
        """Whether a replica follows the primary and confirms."""
        return self.call("WAIT", 1, 1000) == 1

    def kill_primary(self) -> None:
        """Kill the primary."""
        self.processes.kill(self.primary_name)

    def promote(self) -> None:
        """Make the replica the primary, and lead the fixed port to it."""
        if self.replica is None:
            raise LocalStackError("There is no replica to promote.")
        self.call("REPLICAOF", "NO", "ONE", server=self.replica)
        self.primary_name, self.primary = self.replica_name, self.replica
        self.front.lead_to(self.primary.port)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Hold one of the two servers as a whole."""
        self.processes.send_signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes.send_signal(name, signal.SIGCONT)

    def count_claims(self) -> int:
        """How many claims the primary has, of all campaigns."""
        with redis.Redis.from_url(self.primary.url, socket_timeout=10) as connection:
            return sum(connection.hlen(key) for key in connection.scan_iter("firstcome:*:claims"))

    def whole_gates(self, campaigns: list[str]) -> list[str]:
        """The campaigns whose gate admits."""
        with redis.Redis.from_url(self.primary.url, socket_timeout=10, decode_responses=True) as connection:
            run_id = connection.info("server")["run_id"]
            return [name for name in campaigns if connection.hget(f"firstcome:{{{name}}}:campaign", "run_id") == run_id]


@dataclass
class BreakableSite:
    """A running stack, and the handles by which its parts are broken."""

    site: Site
    processes: Processes
    servers: RedisServers
    sqs: Forwarder

    @property
    def stack(self) -> Stack:
        """Where the parts are."""
        return self.site.stack

    @property
    def claims_under_way(self) -> int:
        """Messages in the claim queue, those being worked on included."""
        return self._depth(self.stack.claim_queue_url)

    def dead_letters(self) -> list[DeadLetter]:
        """The messages in the dead-letter queue."""
        found: list[DeadLetter] = []
        with endpoint_failures(self.site.workspace):
            sqs = client("sqs", self.stack.aws_endpoint_url)
            while messages := sqs.receive_message(
                QueueUrl=self.stack.dead_letter_queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["reason"]
            ).get("Messages"):
                reasons = [
                    one.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "") for one in messages
                ]
                found += [DeadLetter(one["Body"], reason) for one, reason in zip(messages, reasons, strict=True)]
        return found

    def kill_mariadb(self) -> None:
        """Kill the ledger's server."""
        self.processes.kill(MARIADB)

    def restart_mariadb(self) -> None:
        """Start it again, on its data folder."""
        start_mariadb_again(self.processes, self.site.workspace, self.stack.mysql)

    @contextmanager
    def stopped_mariadb(self) -> Iterator[None]:
        """Hold the ledger's server as a whole: whoever asks it waits."""
        self.processes.send_signal(MARIADB, signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes.send_signal(MARIADB, signal.SIGCONT)

    def kill_workers(self, function: str, accept: Callable[[psutil.Process], bool], most: int) -> int:
        """Kill Lambda workers of `function` that `accept` takes, `most` of them; how many there were."""
        killed = 0
        for process in psutil.Process(self.processes.pid(ENDPOINT_LOG)).children():
            with suppress(psutil.Error):
                # MiniStack unpacks a worker's code into a folder named after its function.
                is_worker = f"ministack-lambda-{function}-" in process.cwd()
                if killed < most and is_worker and accept(process):
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
        return killed

    def _depth(self, queue_url: str) -> int:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        with endpoint_failures(self.site.workspace):
            reply = client("sqs", self.stack.aws_endpoint_url).get_queue_attributes(
                QueueUrl=queue_url, AttributeNames=list(names)
            )
        return sum(int(reply["Attributes"][name]) for name in names)


@contextmanager
def breakable_site(directory: Path, progress: Progress, acks: int) -> Iterator[BreakableSite]:
    """Start everything, and stop it on the way out."""
    with ExitStack() as cleanup:
        front, link, sqs = (cleanup.enter_context(Forwarder()) for _ in range(3))
        processes, workspace = cleanup.enter_context(running_processes(directory, progress))
        stack = start_stack(processes, workspace, progress, {"GateReplicaAcks": str(acks)})
        primary = RedisServer(urlsplit(stack.redis_url).port or 0)
        front.lead_to(primary.port)
        sqs.lead_to(urlsplit(stack.aws_endpoint_url).port or 0)
        servers = RedisServers(processes, workspace, front, link, "redis", primary)
        with progress.step("Adding a replica and leading the functions through the forwarders"):
            servers.add_replica()
            with endpoint_failures(workspace):
                _lead_functions(stack, {"REDIS_PORT": str(front.port), "AWS_ENDPOINT_URL_SQS": _address(sqs)})
        yield BreakableSite(Site(stack, workspace), processes, servers, sqs)


def _lead_functions(stack: Stack, changes: Mapping[str, str]) -> None:
    functions, names = client("lambda", stack.aws_endpoint_url), stack.functions
    for name in (names.apply, names.drain, names.relay, names.admin):
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **changes}})


def _address(forwarder: Forwarder) -> str:
    return f"http://127.0.0.1:{forwarder.port}"
