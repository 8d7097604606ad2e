"""Free ports, so that two clones run side by side."""

from __future__ import annotations

import socket
from collections.abc import Callable

from local.errors import LocalStackError

HOST = "127.0.0.1"
ATTEMPTS = 4


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether nothing listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def with_free_port[T](start: Callable[[int], T]) -> T:
    """Call `start` with a free port, and with another one if a different program took it first."""
    for _ in range(ATTEMPTS - 1):
        port = free_port()
        try:
            return start(port)
        except LocalStackError:
            if is_free(port):
                raise
    return start(free_port())
