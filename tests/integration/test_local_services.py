"""The programs of the local stack: reachable where they must be, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pymysql
import pytest
import redis

from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ports import free_port
from local.services.processes import ROOT, Processes, Program
from local.services.redis_server import start_redis

_CONTAINER_HOST = "127.0.0.2"
"""In place of a container bridge's, which a machine need not have."""

_START = """
import sys, time
from pathlib import Path
from local.services.processes import Processes, Program
processes = Processes()
started = processes.start(Program("sleeper", ["sleep", "600"], {"PATH": "/usr/bin:/bin"}, Path("/"), Path(sys.argv[1])))
print(started.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.stop()


def test_containers_reach_the_stores(processes: Processes, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, _CONTAINER_HOST)
    workspace.empty()
    install_database(processes, workspace)

    port = start_redis(processes, workspace, free_port()).port
    address = start_mariadb(processes, workspace, free_port())

    for host in ("127.0.0.1", _CONTAINER_HOST):
        with redis.Redis(host=host, port=port) as client:
            assert client.ping()
        there = replace(address, host=host)
        pymysql.connect(host=host, port=there.port, user=there.user, password=there.password).close()


def test_a_program_that_fails_shows_its_log(processes: Processes, tmp_path: Path) -> None:
    command = ["bash", "-c", "echo the reason; exit 3"]
    program = Program("failing", command, os.environ, tmp_path, tmp_path / "failing.log", port=1)

    with pytest.raises(LocalStackError, match="failing ended with 3 at its start") as caught:
        processes.start(program)

    assert "  | the reason" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stops a program with the process that started it")
def test_a_program_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _START, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as starter:
        assert starter.stdout
        program = psutil.Process(int(starter.stdout.readline()))
        # Until then it is setpriv, which may not have tied itself to the starter yet.
        _wait_until(lambda: program.name() == "sleep")
        starter.send_signal(signal.SIGKILL)
    _wait_until(lambda: not _lives(program))


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
