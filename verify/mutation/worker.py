"""Tries mutants, one at a time: on servers that stay up, in a copy of the layer, each in a process of its own that
begins with the slow imports done.

Reads one JSON object a line, `{"file", "source", "tests", "seconds"}`, and answers each with one:
`{"outcome": "killed" | "survived" | "timed_out", "log"}`.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
import redis
from pymysql.connections import Connection
from pymysql.cursors import Cursor
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ports import HOST, free_port
from local.services.processes import Processes
from local.services.redis_server import start_redis
from verify.mutation.plan import LAYER, ROOT

_IMPORTED_BEFORE = (
    "_hypothesis_pytestplugin",
    "aws_lambda_powertools.logging",
    "boto3",
    "hypothesis.stateful",
    "jsonschema",
    "pymysql",
    "pytest_timeout",
    "yaml",
)
_POLL_SECONDS = 0.02


class Servers:
    """Hands the tests this worker's servers instead of new ones."""

    def __init__(self, redis_port: int, mysql: MysqlAddress, restart_redis: Callable[[], None]) -> None:
        self.redis_port = redis_port
        self._mysql = mysql
        self._restart_redis = restart_redis
        self._values = {"redis_port": redis_port, "mysql_address": mysql}

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> object | None:
        """Answer for the fixtures that start servers; None leaves the others to pytest."""
        if fixturedef.argname not in self._values:
            return None
        value = self._values[fixturedef.argname]
        fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
        return value

    def settle(self) -> None:
        """Undo what an earlier test made, or one that was ended by force left: the tables are to be made anew."""
        try:
            self._empty_redis()
        except redis.RedisError:
            # It is lost in a script that does not end.
            self._restart_redis()
        with suppress(pymysql.MySQLError), self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 10")
            cursor.execute(f"DROP DATABASE IF EXISTS {self._mysql.database}")
            cursor.execute(f"CREATE DATABASE {self._mysql.database} CHARACTER SET utf8mb4")

    def _empty_redis(self) -> None:
        with redis.Redis(host=HOST, port=self.redis_port, retry=Retry(NoBackoff(), 0), socket_timeout=10) as client:
            client.config_set("maxmemory", 0)
            client.flushall()

    def _connect(self) -> "Connection[Cursor]":
        mysql = self._mysql
        return pymysql.connect(
            host=mysql.host,
            port=mysql.port,
            user=mysql.user,
            password=mysql.password,
            ssl_disabled=True,
        )


@dataclass
class Worker:
    """A copy of the layer, and the servers."""

    folder: Path
    servers: Servers
    tried: int = 0

    def answer(self, job: dict[str, Any]) -> dict[str, str]:
        """Try one mutant."""
        path = self.folder / "python" / "firstcome" / job["file"]
        before = path.read_text(encoding="utf-8")
        self._write(path, job["source"])
        try:
            return self._run(job["tests"], job["seconds"])
        finally:
            self._write(path, before)

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source, encoding="utf-8")
        # A time that no compiled copy has: Python compares whole seconds.
        self.tried += 1
        os.utime(path, (self.tried, self.tried))

    def _run(self, tests: list[str], seconds: float) -> dict[str, str]:
        self.servers.settle()
        log = self.folder / "pytest.log"
        pid = os.fork()
        if not pid:
            self._become_pytest(tests, log)
        status = _wait(pid, seconds)
        outcome = "timed_out" if status is None else "survived" if status == 0 else "killed"
        return {"outcome": outcome, "log": log.read_text(encoding="utf-8", errors="replace")[-4000:]}

    def _become_pytest(self, tests: list[str], log: Path) -> None:
        status = 99
        try:
            os.setpgid(0, 0)
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os.environ.update(PROPERTY_EXAMPLES="12", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
            options = ["-x", "-q", "--tb=line", "--timeout=20", "-k", "not memory"]
            # Hypothesis was imported before pytest could look.
            options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
            plugins = ["-p", "_hypothesis_pytestplugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
            plugins += ["-p", "verify.mutation.quick_profile"]
            status = pytest.main(
                [*options, *plugins, "-o", f"pythonpath=. {self.folder / 'python'}", *tests], plugins=[self.servers]
            )
        except BaseException:  # noqa: BLE001 - there is nobody above to report it
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _wait(pid: int, seconds: float) -> int | None:
    """Return the exit status of a child, or None if it had to be ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(_POLL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def main(folder: Path) -> None:
    """Serve until the input ends."""
    for name in _IMPORTED_BEFORE:
        importlib.import_module(name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / LAYER, folder / "python", ignore=shutil.ignore_patterns("__pycache__"))
    workspace = Workspace(folder / "servers")
    workspace.empty()
    processes = Processes()
    try:
        redis_port = start_redis(processes, workspace, free_port()).port
        install_database(processes, workspace)
        mysql = start_mariadb(processes, workspace, free_port())

        def restart_redis() -> None:
            processes.kill("redis")
            start_redis(processes, workspace, redis_port)

        worker = Worker(folder, Servers(redis_port, mysql, restart_redis))
        # When the one who asks is gone, this ends too.
        with suppress(BrokenPipeError):
            for line in sys.stdin:
                sys.stdout.write(json.dumps(worker.answer(json.loads(line))) + "\n")
                sys.stdout.flush()
    finally:
        processes.stop()
        workspace.discard_data()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
