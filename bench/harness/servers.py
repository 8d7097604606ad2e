"""The servers that a part of the bench measures on: a real Redis, a real MariaDB, and the bench's own SQS endpoint."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from bench.harness.sqs_endpoint import COUNTS, TAKE, start_endpoint
from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.mariadb_server import LOG, install_database, start_mariadb
from local.services.ports import HOST, with_free_port
from local.services.processes import ROOT, Processes
from local.services.redis_server import start_redis

FOLDER = ROOT / ".local" / "bench"
REGION = "eu-west-1"

# Each commit is flushed. A log too small for the rush would measure its checkpoints.
MARIADB_OPTIONS = (
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-log-file-size=512M",
    "--innodb-buffer-pool-size=1G",
    "--max-connections=300",
)


@dataclass(frozen=True)
class Site:
    """Where the servers of one part are."""

    redis_port: int
    redis_pid: int
    mysql: MysqlAddress
    mysql_pid: int
    aws_port: int
    aws_pid: int

    def environment(self, rows_per_second: int = 500) -> dict[str, str]:
        """The variables that the functions read; the drain keeps the pace given."""
        endpoint = f"http://{HOST}:{self.aws_port}"
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint,
            # No account of the user's is looked at.
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "POWERTOOLS_SERVICE_NAME": "firstcome",
            "POWERTOOLS_LOG_LEVEL": "INFO",
            "REDIS_HOST": HOST,
            "REDIS_PORT": str(self.redis_port),
            "REDIS_TLS": "false",
            "GATE_REPLICA_ACKS": "0",
            "CLAIM_QUEUE_URL": f"{endpoint}/000000000000/claims",
            "DEAD_LETTER_QUEUE_URL": f"{endpoint}/000000000000/dead-letters",
            "MYSQL_HOST": self.mysql.host,
            "MYSQL_PORT": str(self.mysql.port),
            "MYSQL_TLS": "false",
            "MYSQL_DATABASE": self.mysql.database,
            "MYSQL_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:000000000000:secret:mysql",
            "DRAIN_CONCURRENCY": "2",
            "DRAIN_ROWS_PER_SECOND": str(rows_per_second),
            "REBUILD_QUIET_SECONDS": "110",
            "RELAY_AFTER_SECONDS": "12",
        }

    def connect_to_mysql(self, *, autocommit: bool) -> Connection[Cursor]:
        """Open a connection as a plain service would."""
        return pymysql.connect(
            host=self.mysql.host,
            port=self.mysql.port,
            user=self.mysql.user,
            password=self.mysql.password,
            database=self.mysql.database,
            charset="utf8mb4",
            autocommit=autocommit,
            ssl_disabled=True,
        )

    def take_messages(self) -> list[str]:
        """The bodies sent to the queue since the last call."""
        bodies: list[str] = self._ask_endpoint(TAKE)["bodies"]
        return bodies

    def aws_calls(self) -> dict[str, int]:
        """How often each AWS action was called."""
        return self._ask_endpoint(COUNTS)

    def _ask_endpoint(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self.aws_port, timeout=30)
        try:
            connection.request("GET", path)
            reply: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return reply


@contextmanager
def running_site(part: str) -> Iterator[Site]:
    """Start the servers of a part in a folder of its own, empty, and stop them at the end."""
    with started_site(FOLDER / part) as site:
        yield site


@contextmanager
def started_site(folder: Path) -> Iterator[Site]:
    """Start the servers with their data below `folder`, and stop them at the end."""
    workspace = Workspace(folder)
    with workspace.locked():
        workspace.empty()
        processes = Processes()
        try:
            yield _start(processes, workspace)
        finally:
            processes.stop()
            workspace.discard_data()


def _start(processes: Processes, workspace: Workspace) -> Site:
    install_database(processes, workspace)
    mysql = with_free_port(lambda port: start_mariadb(processes, workspace, port, MARIADB_OPTIONS))
    gate = with_free_port(lambda port: start_redis(processes, workspace, port))
    secret = json.dumps({"username": mysql.user, "password": mysql.password})
    endpoint = start_endpoint(processes, workspace, secret)
    return Site(gate.port, processes.pid("redis"), mysql, processes.pid(LOG), endpoint.port, endpoint.pid)
