"""A Redis and a MariaDB of a check's own, and large ledgers in minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis

from bench.harness.fill_ledger import fill
from firstcome.domain.campaign import Campaign
from local.deployment.workspace import Workspace
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ports import free_port
from local.services.processes import Processes
from local.services.redis_server import start_redis
from tests.conftest import MysqlTestServer, RedisTestServer


@dataclass(frozen=True)
class Site:
    """The servers."""

    redis: RedisTestServer
    mysql: MysqlTestServer

    def issue_all(self, campaign: Campaign) -> None:
        """Issue all coupons of a campaign that is in the ledger."""
        with self.mysql.connect() as connection:
            fill(connection, campaign.campaign_id, campaign.capacity)


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Start both servers, and stop them."""
    workspace, processes = Workspace(folder), Processes()
    workspace.empty()
    try:
        install_database(processes, workspace)
        options = ["--skip-ssl", "--innodb-buffer-pool-size=512M", "--innodb-flush-log-at-trx-commit=2"]
        mysql = MysqlTestServer(start_mariadb(processes, workspace, free_port(), options))
        mysql.ledger().migrate()
        where = start_redis(processes, workspace, free_port())
        with redis.Redis(port=where.port, decode_responses=False) as client:
            put_first(int(client.info("server")["process_id"]))
            put_first(processes.pid("mariadbd"))
            yield Site(RedisTestServer(where.port, client), mysql)
    finally:
        processes.stop()


def put_first(pid: int) -> None:
    """Let nothing else on this machine hold up a process and its threads, where that may be asked for: it is timed."""
    with suppress(PermissionError):
        for thread in psutil.Process(pid).threads():
            os.sched_setscheduler(thread.id, os.SCHED_FIFO, os.sched_param(1))
