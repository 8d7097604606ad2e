"""The servers that tests run on: a real Redis and a real MariaDB of the test run's own, and SQS by moto.

`MYSQL_URL=mysql://user:password@host:port/` runs the tests of the database and of the deployed stack on that server
instead, in databases made for the run and dropped after it.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import boto3
import pymysql
import pytest
import redis
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from firstcome import bootstrap
from firstcome.adapters import aws
from firstcome.adapters.mysql.connect import SESSION_SQL
from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.adapters.redis.connect import Server, Timeouts
from firstcome.adapters.redis.credentials import GateCredentials
from firstcome.adapters.redis.gate import RedisGate
from firstcome.settings import RedisSettings
from local.deployment.addresses import MysqlAddress
from local.deployment.stack import running_stack
from local.deployment.workspace import Workspace
from local.progress import Progress
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ports import free_port
from local.services.processes import Processes
from local.services.redis_server import start_redis
from tests.e2e.conftest import Service
from tests.redis_cluster import RedisTestCluster, start_cluster
from tests.timeouts import PATIENT

# What only MySQL has, and MariaDB has not: these tests need such a server.
collect_ignore = [] if os.environ.get("MYSQL_URL") else ["integration/test_real_mysql.py"]


@dataclass(frozen=True)
class RedisTestServer:
    """A Redis that belongs to the test run; each test finds it empty."""

    port: int
    client: "redis.Redis"

    def gate(
        self, replica_acks: int = 0, credentials: GateCredentials | None = None, timeouts: Timeouts = PATIENT
    ) -> RedisGate:
        """Make a gate on a connection of its own."""
        where = RedisSettings("127.0.0.1", self.port, use_tls=False, replica_acks=replica_acks)
        return RedisGate(Server(where, credentials, timeouts), replica_acks)


@dataclass(frozen=True)
class MysqlTestServer:
    """A database that belongs to the test run; each test finds its tables empty."""

    address: MysqlAddress

    def connect(self) -> "Connection[Cursor]":
        """Open one more connection, with the session that the functions have."""
        connection = pymysql.connect(
            host=self.address.host,
            port=self.address.port,
            user=self.address.user,
            password=self.address.password,
            database=self.address.database,
            charset="utf8mb4",
            autocommit=False,
            connect_timeout=10,
            read_timeout=30,
            write_timeout=30,
        )
        with connection.cursor() as cursor:
            for statement in SESSION_SQL:
                cursor.execute(statement)
        return connection

    def ledger(self) -> MysqlLedger:
        """Make a ledger on a connection of its own."""
        return MysqlLedger(self.connect)

    def execute(self, statement: str, *values: object) -> None:
        """Change what is in the tables, behind the ledger's back."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            connection.commit()

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Read what is really in the tables."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, values)
                return list(cursor.fetchall())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A folder for the servers of this test run."""
    made = Workspace(tmp_path_factory.mktemp("servers"))
    made.empty()
    return made


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """What this test run starts, and stops again."""
    started = Processes()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def redis_port(processes: Processes, workspace: Workspace) -> int:
    """The port of a Redis for this test run."""
    return start_redis(processes, workspace, free_port()).port


@pytest.fixture
def redis_server(redis_port: int) -> Iterator[RedisTestServer]:
    """An empty Redis."""
    with redis.Redis(host="127.0.0.1", port=redis_port) as client:
        client.flushall()
        client.script_flush()
        yield RedisTestServer(redis_port, client)


@pytest.fixture(scope="session")
def running_cluster(processes: Processes, workspace: Workspace) -> RedisTestCluster:
    """The Redis cluster of this test run."""
    return start_cluster(processes, workspace)


@pytest.fixture
def redis_cluster(running_cluster: RedisTestCluster) -> RedisTestCluster:
    """An empty Redis cluster."""
    running_cluster.flush()
    return running_cluster


@pytest.fixture(scope="session")
def mysql_address(request: pytest.FixtureRequest) -> Iterator[MysqlAddress]:
    """The database of this test run: on a MariaDB of its own, or on the server that MYSQL_URL names."""
    server = mysql_of_the_url()
    if server is None:
        processes: Processes = request.getfixturevalue("processes")
        workspace: Workspace = request.getfixturevalue("workspace")
        install_database(processes, workspace)
        # Said, not left to the server: MariaDB has offered TLS of its own accord since 11.4.
        yield start_mariadb(processes, workspace, free_port(), ["--skip-ssl"])
        return
    with a_database_on(server) as address:
        yield address


@contextmanager
def a_database_on(server: MysqlAddress) -> Iterator[MysqlAddress]:
    """Make a database on the server of MYSQL_URL, and drop it in the end."""
    address = replace(server, database=f"firstcome_test_{uuid.uuid4().hex[:12]}")
    _run_on_server(server, f"CREATE DATABASE {address.database} CHARACTER SET utf8mb4")
    yield address
    _run_on_server(server, f"DROP DATABASE {address.database}")


def mysql_of_the_url() -> MysqlAddress | None:
    """Return the server that MYSQL_URL names, without a database, if it names one."""
    url = os.environ.get("MYSQL_URL", "")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "mysql" or not parts.hostname:
        raise pytest.UsageError("MYSQL_URL must look like mysql://user:password@host:port/")
    user, password = unquote(parts.username or "root"), unquote(parts.password or "")
    return MysqlAddress(parts.hostname, parts.port or 3306, user, password, "")


@pytest.fixture(scope="session")
def migrated_address(mysql_address: MysqlAddress) -> MysqlAddress:
    """The same, with the tables."""
    MysqlTestServer(mysql_address).ledger().migrate()
    return mysql_address


@pytest.fixture
def mysql_server(migrated_address: MysqlAddress) -> MysqlTestServer:
    """A database with empty tables."""
    server = MysqlTestServer(migrated_address)
    connection = server.connect()
    with connection.cursor() as cursor:
        for table in ("campaign", "coupon", "coupon_count", "overflow", "campaign_event", "erasure"):
            cursor.execute(f"DELETE FROM {table}")
    connection.commit()
    connection.close()
    return server


@pytest.fixture(scope="session")
def repository() -> Path:
    """The clone's folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def service(repository: Path) -> Iterator[Service]:
    """The stack, deployed once for all tests of a run; the folder keeps what `sam build` may use again.

    Its endpoint holds each function to the policies of its role.
    """
    # Each worker of a parallel run deploys one.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    folder, server = repository / ".local" / f"test{worker}", mysql_of_the_url()
    with ExitStack() as cleanup:
        cleanup.enter_context(pytest.MonkeyPatch.context()).setenv("AUTH", "true")
        mysql = cleanup.enter_context(a_database_on(server)) if server else None
        yield Service(cleanup.enter_context(running_stack(folder, Progress(), mysql=mysql)), folder)


@pytest.fixture
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """A new Lambda environment: no settings, no credentials, nothing built; returns a way to set a variable."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "REDIS_", "MYSQL_", "GATE_", "DRAIN_", "RELAY_", "CLAIM_", "DEAD_", "APPLY_")):
            monkeypatch.delenv(name)
    _forget_clients()
    yield monkeypatch.setenv
    _forget_clients()


def _forget_clients() -> None:
    # It keeps the credentials that it found first.
    boto3.DEFAULT_SESSION = None
    for module in (bootstrap, aws):
        for part in list(vars(module).values()):
            if hasattr(part, "cache_clear"):
                part.cache_clear()


def _run_on_server(server: MysqlAddress, statement: str) -> None:
    connection = pymysql.connect(host=server.host, port=server.port, user=server.user, password=server.password)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
