"""Free ports, so that two clones run side by side."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

HOST = "127.0.0.1"
# Below the ports that systems take for connections, so that no client takes one before its server listens.
FIRST, LAST = 20_000, 32_000


def free_port() -> int:
    """A port on which nothing listens now."""
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311 - not secret
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
