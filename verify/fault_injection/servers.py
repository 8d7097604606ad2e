"""A Redis and a MariaDB of the fault suite's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from firstcome.adapters.mysql.ledger import MysqlLedger
from local.deployment.workspace import Workspace
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ports import free_port
from local.services.processes import ROOT, Processes
from local.services.redis_server import start_redis
from verify.fault_injection.world import Servers

FOLDER = ROOT / ".local" / "faults"


@contextmanager
def started_servers(folder: Path) -> Iterator[Servers]:
    """Start both, make the tables, and stop them at the end."""
    workspace = Workspace(folder)
    workspace.empty()
    processes = Processes()
    try:
        install_database(processes, workspace)
        mysql = start_mariadb(processes, workspace, free_port())
        gate = start_redis(processes, workspace, free_port())
        servers = Servers(gate.port, mysql)
        ledger = MysqlLedger(
            lambda: pymysql.connect(
                host=mysql.host, port=mysql.port, user=mysql.user, password=mysql.password, database=mysql.database
            )
        )
        ledger.migrate()
        ledger.close()
        yield servers
    finally:
        processes.stop()
        workspace.discard_data()
