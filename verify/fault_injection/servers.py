"""A Redis, whose clock can be set, and a MariaDB of the fault suite's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql

from firstcome.adapters.mysql.migrate import migrate
from local.deployment.addresses import MysqlAddress
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ports import free_port
from local.services.processes import ROOT, Processes
from local.services.redis_server import start_redis
from verify.shifted_clock import ClockedWorkspace, ShiftedClock

FOLDER = ROOT / ".local" / "faults"


@dataclass(frozen=True)
class Servers:
    """Where the real servers are."""

    processes: Processes
    workspace: ClockedWorkspace
    clock: ShiftedClock
    redis_port: int
    mysql: MysqlAddress

    def add_replica(self, name: str) -> int:
        """Start a replica of the Redis; returns its port."""
        return start_redis(self.processes, self.workspace, free_port(), name, self.redis_port).port


@contextmanager
def started_servers(folder: Path) -> Iterator[Servers]:
    """Start both, make the tables, and stop them at the end."""
    workspace = ClockedWorkspace(folder)
    workspace.empty()
    processes, clock = Processes(), ShiftedClock(workspace.data)
    clocked = ClockedWorkspace(folder, clock=clock)
    try:
        install_database(processes, workspace)
        mysql = start_mariadb(processes, workspace, free_port())
        gate = start_redis(processes, clocked, free_port())
        migrate(lambda: connect(mysql))
        yield Servers(processes, clocked, clock, gate.port, mysql)
    finally:
        processes.stop()
        workspace.discard_data()


def connect(mysql: MysqlAddress) -> pymysql.connections.Connection:
    """Connect to the ledger, beside the functions."""
    return pymysql.connect(
        host=mysql.host,
        port=mysql.port,
        user=mysql.user,
        password=mysql.password,
        database=mysql.database,
        autocommit=True,
    )
