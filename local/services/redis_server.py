"""The gate's server: a real Redis on a private port."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import redis

from local.deployment.workspace import Workspace
from local.services.ports import HOST
from local.services.processes import Processes, Program, wait_until_ready
from local.services.programs import find_program


@dataclass(frozen=True)
class RedisServer:
    """Where Redis listens."""

    port: int

    @property
    def url(self) -> str:
        """Its address, as clients take it."""
        return f"redis://{HOST}:{self.port}/0"


def start_redis(
    processes: Processes, workspace: Workspace, port: int, name: str = "redis", primary_port: int | None = None
) -> RedisServer:
    """Start Redis without persistence: it never evicts, as the gate demands, and a new stack starts empty.

    With `primary_port` it is a replica of the server that this port leads to.
    """
    folder = workspace.data / name
    folder.mkdir(exist_ok=True)
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": str(folder),
        "maxmemory-policy": "noeviction",
        "appendonly": "no",
        "save": "",
        "daemonize": "no",
        # A replica asks once and is served; waiting for more of them would only delay it.
        "repl-diskless-sync-delay": "0",
    }
    options = [part for setting, value in settings.items() for part in (f"--{setting}", value)]
    if primary_port is not None:
        options += ["--replicaof", HOST, str(primary_port)]
    program = Program(
        name,
        [find_program("redis-server"), *options],
        workspace.service_environment(),
        folder,
        workspace.log(name),
    )
    process = processes.start(program)
    server = RedisServer(port)
    wait_until_ready(process, program, lambda: _answers(server, process.pid))
    return server


def _answers(server: RedisServer, pid: int) -> bool:
    with suppress(redis.RedisError), redis.Redis.from_url(server.url, socket_timeout=1) as client:
        # Its own number: on a port somebody else took first, another Redis might answer.
        return bool(client.info("server")["process_id"] == pid)
    return False
