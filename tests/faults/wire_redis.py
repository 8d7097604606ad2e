"""redis-py on the wire: each round trip of a connection, connecting included, is one call.

The driver's own class is extended where it reaches the socket, so what the adapter sees of a fault is what the driver
would make of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

import redis.connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from firstcome.adapters.redis_gate import script
from tests.faults.faults import ALL_KINDS, CallErrors, Killed, Kind, Wire

CONNECT_KINDS = (Kind.REQUEST_LOST, Kind.REPLY_LOST, Kind.KILLED_BEFORE, Kind.KILLED_AFTER)

ERRORS = CallErrors(
    request_lost=lambda: RedisConnectionError("injected: reset before it was applied"),
    refused=lambda: ReadOnlyError("injected: You can't write against a read only replica."),
    failed_after=lambda: RedisConnectionError("injected: reset after it was applied"),
    reply_lost=lambda: RedisTimeoutError("injected: no reply in time"),
)

# The class itself, before another is put in its place; `Any`, because its methods have no types.
_Connection: Any = redis.connection.Connection


class WiredRedis(_Connection):  # type: ignore[misc]
    """A connection on the wire of its subclass, see `wired_redis`."""

    wire: ClassVar[Wire]
    port: int

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._replies: deque[Any] = deque()
        self._names: list[str] = []

    def pack_commands(self, commands: Sequence[Sequence[Any]]) -> Any:
        """Remember what is sent."""
        self._names = [_command_name(command) for command in commands]
        return super().pack_commands(commands)

    def send_packed_command(self, command: Any, **_: Any) -> None:
        """Make the whole round trip; what goes wrong is met where the reply is read, as on a real socket."""
        if not self.is_connected:
            self._connect_on_wire()
        self._replies.clear()
        name = f"redis {' + '.join(self._names)}"
        try:
            self._replies += self.wire.call(
                name, ALL_KINDS, ERRORS, lambda: self._round_trip(command), self._sent_alone(command)
            )
        except RedisError as exc:
            self._replies += [exc] * len(self._names)
        except Killed:
            self.disconnect()
            raise

    def read_response(self, **_: Any) -> Any:
        """Hand out the next reply."""
        reply = self._replies.popleft()
        if not isinstance(reply, RedisError):
            return reply
        if isinstance(reply, RedisConnectionError | RedisTimeoutError):
            self.disconnect()
        raise reply

    def _connect_on_wire(self) -> None:
        self.port = self.wire.addresses.get(self.port, self.port)
        try:
            self.wire.call("redis connect", CONNECT_KINDS, ERRORS, self.connect)
        except (RedisError, Killed):
            self.disconnect()
            raise

    def _round_trip(self, command: Any) -> list[Any]:
        super().send_packed_command(command)
        return [self._read_one() for _ in self._names]

    def _read_one(self) -> Any:
        try:
            return super().read_response()
        except RedisError as exc:
            return exc

    def _sent_alone(self, command: Any) -> Callable[[], None]:
        """Make what sends the same bytes by itself: they are applied once their sender is gone."""
        host, port, count = self.host, self.port, len(self._names)

        def send() -> None:
            other = _Connection(host=host, port=port, protocol=2, driver_info=None)
            other.send_packed_command(command)
            for _ in range(count):
                with suppress(RedisError):
                    other.read_response()
            other.disconnect()

        return send


def wired_redis(wire: Wire) -> type[WiredRedis]:
    """Make the class of connections on this wire."""
    return type("WiredRedisConnection", (WiredRedis,), {"wire": wire})


def _command_name(command: Sequence[Any]) -> str:
    name = str(command[0])
    return f"{name} {_script_name(str(command[1]))}" if name in {"EVALSHA", "EVAL"} else name


@cache
def _script_name(sha_or_source: str) -> str:
    names = [file.name.removesuffix(".lua") for file in files("firstcome").joinpath("lua").iterdir()]
    return next(name for name in names if sha_or_source in {script(name).sha, script(name).source})
