"""The gate's server: a real Redis on a private port."""

from __future__ import annotations

from dataclasses import dataclass

from local.deployment.workspace import Workspace
from local.services.ports import HOST
from local.services.processes import Processes, Program
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
    """Start an empty Redis that never evicts, as the gate demands, and stores nothing on disk.

    With `primary_port` it is a replica of the server on that port. It has no password: it listens on 127.0.0.1, and on
    the workspace's container address if there is one.
    """
    folder = workspace.data / name
    folder.mkdir(exist_ok=True)
    settings = {
        "port": str(port),
        "dir": str(folder),
        "maxmemory-policy": "noeviction",
        "appendonly": "no",
        "save": "",
        "daemonize": "no",
        # A replica asks once and is served; waiting for more of them would only delay it.
        "repl-diskless-sync-delay": "0",
        # Otherwise it would refuse clients on the container address.
        "protected-mode": "no",
    }
    options = ["--bind", *workspace.addresses]
    options += [part for setting, value in settings.items() for part in (f"--{setting}", value)]
    if primary_port is not None:
        options += ["--replicaof", HOST, str(primary_port)]
    processes.start(
        Program(
            name,
            [find_program("redis-server", "valkey-server"), *options],
            workspace.service_environment(),
            folder,
            workspace.log(name),
            port,
        )
    )
    return RedisServer(port)
