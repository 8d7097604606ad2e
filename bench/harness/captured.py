"""What a piece of code really sends to Redis: read from MONITOR, so that nothing has to be known about that code."""

from __future__ import annotations

import ast
import re
import socket
import uuid
from collections.abc import Callable

import redis

from local.services.ports import HOST

_ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SENDER = re.compile(r"^\+[\d.]+ \[\d+ ([^\]]+)\] ")


def script_calls(port: int, act: Callable[[], object]) -> list[list[bytes]]:
    """The script calls that reach the Redis on `port` while `act` runs, each with its arguments."""
    return [command for command in commands(port, act) if command[0].upper() == b"EVALSHA"]


def commands(port: int, act: Callable[[], object]) -> list[list[bytes]]:
    """All commands that reach the Redis on `port` while `act` runs."""
    end = uuid.uuid4().hex
    with socket.create_connection((HOST, port), timeout=10) as monitor, monitor.makefile("rb") as lines:
        monitor.sendall(b"MONITOR\r\n")
        lines.readline()
        act()
        with redis.Redis(host=HOST, port=port) as client:
            client.echo(end)
        seen = []
        while end.encode() not in (line := lines.readline()):
            seen.append(line.decode("ascii"))
    return [command for line in seen if (command := parsed(line))]


def parsed(line: str) -> list[bytes]:
    """The command on a line of MONITOR; nothing when a script issued it."""
    sender = _SENDER.match(line)
    if sender is None or sender[1] == "lua":
        return []
    # Redis escapes as C does, which is how Python writes bytes.
    return [ast.literal_eval(f'b"{text}"') for text in _ARGUMENT.findall(line[sender.end() :])]


def for_user(command: list[bytes], user: str, other: str) -> list[bytes]:
    """The same command with another user."""
    return [other.encode() if part == user.encode() else part for part in command]
