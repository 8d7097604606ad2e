"""The servers that a part of the bench measures on: a real Redis, a real MariaDB, and an SQS that answers at once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pymysql
import redis
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from local.deployment.addresses import MysqlAddress
from local.deployment.stack import running_processes
from local.deployment.workspace import Workspace
from local.progress import Progress
from local.services import aws_stub
from local.services.mariadb_server import LOG, install_database, start_mariadb
from local.services.ports import HOST, free_port
from local.services.processes import ROOT, Processes
from local.services.redis_server import start_redis

FOLDER = ROOT / ".local" / "bench"
REGION = "eu-west-1"

# Each commit is flushed. A smaller log would measure its checkpoints.
MARIADB_OPTIONS = (
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-log-file-size=512M",
    "--innodb-buffer-pool-size=1G",
    "--max-connections=300",
)


@dataclass(frozen=True)
class Servers:
    """The ports and processes of one part's servers."""

    redis_port: int
    redis_pid: int
    mysql: MysqlAddress
    mysql_pid: int
    aws_port: int
    aws_pid: int

    def environment(self, rows_per_second: int = 500) -> dict[str, str]:
        """The functions' variables; the drain keeps to this rate."""
        endpoint = f"http://{HOST}:{self.aws_port}"
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint,
            # The user's own accounts do not count.
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

    def connect_to_redis(self) -> redis.Redis:
        """One client with its pool, connected."""
        client = redis.Redis(host=HOST, port=self.redis_port)
        client.ping()
        return client

    def take_messages(self) -> list[str]:
        """The bodies sent to the queue since the last call."""
        bodies: list[str] = aws_stub.ask(self.aws_port, aws_stub.TAKE)
        return bodies


@contextmanager
def running_servers(part: str) -> Iterator[Servers]:
    """Start the servers of a part in a folder of its own, and stop them at the end."""
    with running_processes(FOLDER / part, Progress(io.StringIO())) as (processes, workspace):
        yield start_servers(processes, workspace)


def start_servers(processes: Processes, workspace: Workspace) -> Servers:
    """Start the servers of a part."""
    install_database(processes, workspace)
    mysql = start_mariadb(processes, workspace, free_port(), MARIADB_OPTIONS)
    gate = start_redis(processes, workspace, free_port())
    secret = json.dumps({"username": mysql.user, "password": mysql.password})
    aws_port = aws_stub.start_aws_stub(processes, workspace, secret)
    return Servers(gate.port, processes.pid("redis"), mysql, processes.pid(LOG), aws_port, processes.pid(aws_stub.NAME))
