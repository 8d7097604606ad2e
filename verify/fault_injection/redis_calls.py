"""redis-py on the wire: each round trip of a connection, connecting included, is one call.

Its connections are changed where they send and read, so it does not matter how the product makes its commands. What the
adapter sees of a fault is what redis-py makes of it.
"""

from __future__ import annotations

import hashlib
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import redis
from redis.connection import AbstractConnection

from firstcome.adapters.redis.scripts import SCRIPT_NAMES, script
from verify.fault_injection.faults import ANY_CALL, CallErrors, Kind, Wire

CONNECT_KINDS = (Kind.REQUEST_LOST, Kind.REPLY_LOST, Kind.KILLED_BEFORE, Kind.KILLED_AFTER)

ERRORS = CallErrors(
    request_lost=lambda: redis.ConnectionError("injected: before it was applied"),
    refused=lambda: redis.exceptions.ReadOnlyError("injected: You can't write against a read only replica."),
    failed_after=lambda: redis.ConnectionError("injected: after it was applied"),
    reply_lost=lambda: redis.TimeoutError("injected: no reply in time"),
)

_connect: Any = AbstractConnection.connect_check_health
_send: Any = AbstractConnection.send_packed_command
_read: Any = AbstractConnection.read_response
_packer: Any = AbstractConnection._construct_command_packer


@dataclass(frozen=True)
class RedisOnTheWire:
    """Redis as the functions reach it; the test's own connections are left alone.

    Attributes:
        addresses: ports that lead elsewhere meanwhile, as a name does after a failover.
        on_open: gets each connection that was opened.
    """

    wire: Wire
    addresses: Mapping[int, int]
    on_open: Callable[[Any], None]

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Put the wire under redis-py for as long as the context lasts."""
        methods: dict[str, Callable[..., Any]] = {
            "connect_check_health": self._connect,
            "send_packed_command": self._send,
            "read_response": self._read,
            "_construct_command_packer": self._construct_packer,
        }
        with ExitStack() as stack:
            for name, method in methods.items():
                stack.enter_context(patch.object(AbstractConnection, name, _as_method(method)))
            yield

    def _connect(self, connection: Any, *options: Any, **named: Any) -> None:
        if connection._sock or not _is_wired(connection):
            _connect(connection, *options, **named)
            return
        connection.port = self.addresses.get(connection.port, connection.port)
        # What is exchanged at first is part of connecting.
        connection.is_connecting = True
        try:
            do = partial(_connect, connection, *options, **named)
            self.wire.call("redis connect", CONNECT_KINDS, ERRORS, do)
        finally:
            connection.is_connecting = False
            connection.names.clear()
        self.on_open(connection)

    def _construct_packer(self, connection: Any, packer: Any) -> Any:
        packer = _packer(connection, packer)
        if not self.wire.is_at_work:
            return packer
        connection.names, connection.replies, connection.is_connecting = [], deque(), False
        return _Packer(packer, connection.names)

    def _send(self, connection: Any, command: Any, *options: Any, **named: Any) -> None:
        if not _is_wired(connection) or connection.is_connecting:
            _send(connection, command, *options, **named)
            return
        names, packed = list(connection.names), command if isinstance(command, list) else [command]
        if not connection._sock:
            connection.connect_check_health(check_health=False)
        connection.names.clear()

        def exchange() -> list[Any]:
            _send(connection, packed, check_health=False)
            return [_read_one(connection) for _ in names]

        late = _sent_alone(connection.host, connection.port, b"".join(packed))
        try:
            replies = self.wire.call(f"redis {' + '.join(names)}", ANY_CALL, ERRORS, exchange, late)
        except redis.exceptions.ReadOnlyError as exc:
            replies = [exc] * len(names)
        except redis.RedisError as exc:
            connection.disconnect()
            replies = [exc]
        connection.replies = deque(replies)

    def _read(self, connection: Any, *options: Any, **named: Any) -> Any:
        if not _is_wired(connection) or not connection.replies:
            return _read(connection, *options, **named)
        reply = connection.replies.popleft()
        if isinstance(reply, redis.RedisError):
            raise reply
        return reply


def _as_method(handle: Callable[..., Any]) -> Callable[..., Any]:
    # A function, so that it becomes a method of the class it is put into.
    def method(connection: Any, *options: Any, **named: Any) -> Any:
        return handle(connection, *options, **named)

    return method


def _is_wired(connection: Any) -> bool:
    """Whether a function made the connection, and not the test."""
    return hasattr(connection, "names")


class _Packer:
    """Packs commands, and remembers their names."""

    def __init__(self, packer: Any, names: list[str]) -> None:
        self._packer, self._names = packer, names

    def pack(self, *parts: Any) -> Any:
        self._names.append(_command_name(parts))
        return self._packer.pack(*parts)


def _read_one(connection: Any) -> Any:
    try:
        return _read(connection)
    except redis.ResponseError as exc:
        return exc


def _sent_alone(host: str, port: int, packed: bytes) -> Callable[[], None]:
    """Make what sends the same bytes by itself: they are applied once their sender is gone."""

    def send() -> None:
        with socket.create_connection((host, port), 10) as alone:
            alone.sendall(packed)
            alone.recv(1)

    return send


def _command_name(parts: Sequence[Any]) -> str:
    name = str(parts[0])
    if name not in {"EVALSHA", "EVAL"}:
        return name
    digest = parts[1] if name == "EVALSHA" else hashlib.sha1(parts[1].encode(), usedforsecurity=False).hexdigest()
    return f"{name} {_scripts().get(digest, 'unknown')}"


@cache
def _scripts() -> Mapping[str, str]:
    """Return the scripts' names by digest."""
    return {script(name).sha: name for name in SCRIPT_NAMES}
