"""The gate's connection on the wire: each round trip, connecting included, is one call.

The connection's own class is extended where it reaches the socket, so what the adapter sees of a fault is what the
connection makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar

from firstcome.adapters.redis.resp import Command, ReplyError, RespConnection

from firstcome.adapters.redis.scripts import SCRIPT_NAMES, script
from verify.fault_injection.faults import ALL_KINDS, CallErrors, Kind, Wire

CONNECT_KINDS = (Kind.REQUEST_LOST, Kind.REPLY_LOST, Kind.KILLED_BEFORE, Kind.KILLED_AFTER)

TOLD_KINDS = (Kind.REQUEST_LOST, Kind.FAILED_AFTER, Kind.APPLIED_LATE, Kind.KILLED_BEFORE, Kind.KILLED_AFTER)
"""Nobody waits for a reply to what was told: no error is answered, and none gets lost."""

ERRORS = CallErrors(
    request_lost=lambda: ConnectionResetError("injected: before it was applied"),
    refused=lambda: ReplyError("READONLY injected: You can't write against a read only replica."),
    failed_after=lambda: ConnectionResetError("injected: after it was applied"),
    reply_lost=lambda: TimeoutError("injected: no reply in time"),
)


class WiredRedis(RespConnection):
    """A connection on the wire of its subclass, see `wired_redis`."""

    wire: ClassVar[Wire]

    def __init__(self, *options: Any, **named: Any) -> None:
        super().__init__(*options, **named)
        self._names: list[str] = []

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Remember what is sent."""
        self._names = [_command_name(command) for command in commands]
        return super().exchange(commands)

    def _connect(self) -> None:
        host, port = self._address
        self._address = (host, self.wire.addresses.get(port, port))
        self.wire.call("redis connect", CONNECT_KINDS, ERRORS, super()._connect)

    def tell(self, command: Command) -> None:
        """Remember what is told."""
        self._names = [_command_name(command)]
        super().tell(command)

    def _tell(self, packed: bytes) -> None:
        def go() -> None:
            super(WiredRedis, self)._tell(packed)

        self.wire.call(f"redis {self._names[0]}, told", TOLD_KINDS, ERRORS, go, self._sent_alone(packed, 1))

    def _round_trip(self, packed: bytes, replies: int) -> list[Any]:
        def go() -> list[Any]:
            return super(WiredRedis, self)._round_trip(packed, replies)

        name = f"redis {' + '.join(self._names)}"
        try:
            answers: list[Any] = self.wire.call(name, ALL_KINDS, ERRORS, go, self._sent_alone(packed, replies))
        except ReplyError as exc:
            return [exc] * replies
        return answers

    def _sent_alone(self, packed: bytes, replies: int) -> Callable[[], None]:
        """Make what sends the same bytes by itself: they are applied once their sender is gone."""
        other = RespConnection(*self._address, timeout_seconds=10)

        def send() -> None:
            other._connect()
            other._round_trip(packed, replies)
            other.disconnect()

        return send


def wired_redis(wire: Wire) -> type[WiredRedis]:
    """Make the class of connections on this wire."""
    return type("WiredRedisConnection", (WiredRedis,), {"wire": wire})


def _command_name(command: Command) -> str:
    name = str(command[0])
    return f"{name} {_script_name(str(command[1]))}" if name in {"EVALSHA", "EVAL"} else name


@cache
def _script_name(sha_or_source: str) -> str:
    return next(name for name in SCRIPT_NAMES if sha_or_source in {script(name).sha, script(name).source})
