"""A process that tries mutants one after the other: on servers that stay up, in a copy of the layer, each in a fork in
which the slow imports are done.
"""

import importlib
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
import pymysql.connections
import pytest
import redis
from hypothesis import Phase, settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.deployment.addresses import MysqlAddress
from local.deployment.workspace import Workspace
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ports import HOST, free_port
from local.services.processes import Processes
from local.services.redis_server import start_redis
from verify.mutation.mutants import Mutant
from verify.mutation.plan import LAYER, ROOT, Target

_IMPORTED_BEFORE = (
    "_hypothesis_pytestplugin",
    "aws_lambda_powertools.logging",
    "boto3",
    "hypothesis.stateful",
    "jsonschema",
    "pytest_timeout",
    "yaml",
)
_POLL_SECONDS = 0.02
_SECONDS = 240.0
_OPTIONS = [
    *("-x", "-q", "--tb=line", "--timeout=20", "-k", "not memory"),
    # Hypothesis was imported before pytest could look.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-p", "_hypothesis_pytestplugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
]


@dataclass(frozen=True)
class Job:
    """A file with its tests, and the error to put in; None for none."""

    target: Target
    mutant: Mutant | None = None


@dataclass
class Worker:
    """A copy of the layer, and the servers, which it hands to the tests instead of new ones."""

    folder: Path
    redis_port: int
    mysql: MysqlAddress
    restart_redis: Callable[[], None]
    tried: int = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> object | None:
        """Answer for the fixtures that start servers; None leaves the others to pytest."""
        value = {"redis_port": self.redis_port, "mysql_address": self.mysql}.get(fixturedef.argname)
        if value is not None:
            fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
        return value

    def try_out(self, job: Job) -> str | None:
        """Run the tests; returns what they printed if they fail or do not end, None if they pass."""
        path = self.folder / "python" / "firstcome" / job.target.file
        before = path.read_text(encoding="utf-8")
        self._write(path, job.mutant.source if job.mutant else before)
        self._empty_servers()
        log = self.folder / "pytest.log"
        pid = os.fork()
        if not pid:
            self._become_pytest(job.target.tests, log)
        try:
            return None if _wait(pid) == 0 else log.read_text(encoding="utf-8", errors="replace")[-4000:]
        finally:
            self._write(path, before)

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source, encoding="utf-8")
        # A time that no compiled copy has: Python compares whole seconds.
        self.tried += 1
        os.utime(path, (self.tried, self.tried))

    def _empty_servers(self) -> None:
        """Undo what an earlier test made, or one that was ended by force left: the tables are to be made anew."""
        try:
            with redis.Redis(HOST, self.redis_port, retry=Retry(NoBackoff(), 0), socket_timeout=10) as client:
                client.config_set("maxmemory", 0)
                client.flushall()
        except redis.RedisError:
            # It is lost in a script that does not end.
            self.restart_redis()
        mysql = self.mysql
        with suppress(pymysql.MySQLError):
            connection = pymysql.connect(host=mysql.host, port=mysql.port, user=mysql.user, password=mysql.password)
            with connection, connection.cursor() as cursor:
                cursor.execute("SET SESSION lock_wait_timeout = 10")
                cursor.execute(f"DROP DATABASE IF EXISTS {mysql.database}")
                cursor.execute(f"CREATE DATABASE {mysql.database} CHARACTER SET utf8mb4")

    def _become_pytest(self, tests: tuple[str, ...], log: Path) -> None:
        status = 99
        try:
            os.setpgid(0, 0)
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os.environ.update(PROPERTY_EXAMPLES="12", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
            python_path = ["-o", f"pythonpath=. {self.folder / 'python'}"]
            status = pytest.main([*_OPTIONS, *python_path, *tests], plugins=[self])
        except BaseException:  # noqa: BLE001 - there is nobody above to report it
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _wait(pid: int) -> int | None:
    """Return the exit status of a child, or None if it had to be ended."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(_POLL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


_worker: Worker | None = None


def start(folder: Path) -> None:
    """Make this process a worker; its servers end with it."""
    global _worker  # noqa: PLW0603 - what an initializer makes has no other place
    os.chdir(ROOT)
    for name in _IMPORTED_BEFORE:
        importlib.import_module(name)
    # One failure is enough, as it is; and thousands of connections load no certificates.
    settings.register_profile("mutation", database=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutation")
    pymysql.connections.SSL_ENABLED = False
    folder = folder / f"worker-{os.getpid()}"
    shutil.copytree(ROOT / LAYER, folder / "python", ignore=shutil.ignore_patterns("__pycache__"))
    workspace = Workspace(folder / "servers")
    workspace.empty()
    processes = Processes()
    redis_port = start_redis(processes, workspace, free_port()).port
    install_database(processes, workspace)
    mysql = start_mariadb(processes, workspace, free_port())

    def restart_redis() -> None:
        processes.kill("redis")
        start_redis(processes, workspace, redis_port)

    _worker = Worker(folder, redis_port, mysql, restart_redis)


def try_out(job: Job) -> str | None:
    """Do a job in this process, see `Worker.try_out`."""
    assert _worker
    return _worker.try_out(job)
