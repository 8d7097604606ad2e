"""A connection to Redis or Valkey: RESP 2 on one socket. Protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/

Why not redis-py: importing it is most of a cold start, because it brings asyncio, the cluster client and every command
group; docs/decisions/0005-own-wire-on-the-hot-path.md has the figures. What is needed here is small: commands out,
replies in, nothing repeated.
"""

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from firstcome.adapters.redis.incoming import Incoming
from firstcome.domain.errors import FirstcomeError

if TYPE_CHECKING:
    import ssl

_LINE_BYTES_MAX = 65_536
"""Bytes of a reply's line at most; no server sends more, so more is not RESP."""

type Command = Sequence[str | int]

type Login = Callable[[tuple[str, str] | None], tuple[str, str]]
"""Returns the user and the password of a new connection; called with the two that were refused, what to try instead, or
the same two when there is nothing else."""


class RespError(FirstcomeError):
    """The connection failed, and is closed: whether what was sent took effect is not known."""


class RespTimeoutError(RespError):
    """The server did not take the connection, or did not reply, in time."""


class LoginRefusedError(RespError):
    """The server refused the user or the password."""


class ReplyError(FirstcomeError):
    """An error that the server replied with, such as NOSCRIPT; the connection goes on."""


class RespConnection:
    """A connection that opens itself when it is first used.

    Args:
        timeout_seconds: to connect, and again to wait for each reply.
        tls: makes the context that verifies the server, or None for a plain connection.
        login: tells what to log in with, or None for a server that asks for nothing. What goes out with a login that is
            refused goes out again with the next one: a server with an open default user may run it twice.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timeout_seconds: float,
        tls: "Callable[[], ssl.SSLContext] | None" = None,
        login: Login | None = None,
    ) -> None:
        self._address = (host, port)
        self._timeout_seconds = timeout_seconds
        self._tls = tls
        self._login = login
        self._socket: socket.socket | None = None
        self._replies: Incoming | None = None
        self._owed = 0
        """Replies to what was told, which have not been read."""

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._socket is not None

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one round trip; returns their replies: bytes, int, None, a list, or a `ReplyError`.

        Raises:
            RespError: what was sent may have taken effect.
        """
        try:
            if self._socket is None:
                self._connect()
                if self._login is not None:
                    return self._log_in(self._login, commands)
            return self._round_trip(pack(commands), len(commands))
        except TimeoutError as exc:
            self.disconnect()
            raise RespTimeoutError("no reply in time") from exc
        except OSError as exc:
            self.disconnect()
            raise RespError("the connection failed") from exc
        except ValueError as exc:
            self.disconnect()
            raise RespError("this is not RESP 2") from exc
        except BaseException:
            # Half a reply may be left in it: the next one to use it would take it for theirs.
            self.disconnect()
            raise

    def tell(self, command: Command) -> None:
        """Send a command on the open connection without waiting for its reply, which the next exchange drops unread.

        For what may get lost: whether it arrives is not known, even if nothing is raised.

        Raises:
            RespError: the connection failed, and is closed.
        """
        try:
            self._tell(pack([command]))
        except OSError as exc:
            self.disconnect()
            raise RespError("the connection failed") from exc
        except BaseException:
            # Half a command may have been sent: the next one would be taken for its rest.
            self.disconnect()
            raise

    def disconnect(self) -> None:
        """Close the connection; the next exchange opens another one."""
        opened, self._socket = self._socket, None
        self._replies = None
        self._owed = 0
        if opened is not None:
            opened.close()

    def _connect(self) -> None:
        plain = socket.create_connection(self._address, self._timeout_seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            opened = self._tls().wrap_socket(plain, server_hostname=self._address[0]) if self._tls else plain
        except BaseException:
            plain.close()
            raise
        self._socket = opened
        self._replies = Incoming(opened)

    def _log_in(self, login: Login, commands: Sequence[Command]) -> list[Any]:
        tried = login(None)
        try:
            return self._log_in_with(tried, commands)
        except LoginRefusedError:
            newer = login(tried)
            if newer == tried:
                raise
        self._connect()
        return self._log_in_with(newer, commands)

    def _log_in_with(self, user_and_password: tuple[str, str], commands: Sequence[Command]) -> list[Any]:
        # With the first commands, so that it costs no round trip; a server that refuses it refuses them too.
        packed = pack([["AUTH", *user_and_password], *commands])
        answer, *replies = self._round_trip(packed, 1 + len(commands))
        if not isinstance(answer, ReplyError):
            return replies
        self.disconnect()
        if str(answer).startswith("WRONGPASS"):
            raise LoginRefusedError("the server refused the login")
        # It is full, say, or knows no passwords.
        raise RespError("the server took no login")

    def _round_trip(self, packed: bytes, replies: int) -> list[Any]:
        self._send(packed)
        while self._owed:
            self._read()
            self._owed -= 1
        return [self._read() for _ in range(replies)]

    def _tell(self, packed: bytes) -> None:
        self._send(packed)
        self._owed += 1

    def _send(self, packed: bytes) -> None:
        assert self._socket is not None  # noqa: S101 - whoever comes here has connected; this tells the type checker
        self._socket.sendall(packed)

    def _read(self) -> Any:
        assert self._replies is not None  # noqa: S101 - as in `_send`
        line = self._replies.until(b"\r\n", _LINE_BYTES_MAX)
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return self._replies.exactly(int(rest) + 2)[:-2] if rest != b"-1" else None
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self._read() for _ in range(int(rest))] if rest != b"-1" else None
        if kind == b"+":
            return rest
        if kind == b"-":
            return ReplyError(rest.decode(errors="replace"))
        raise ValueError("no such kind of reply")


def pack(commands: Sequence[Command]) -> bytes:
    """Write commands as they go over the wire."""
    parts: list[str] = []
    for command in commands:
        parts.append(f"*{len(command)}\r\n")
        for argument in command:
            text = str(argument)
            size = len(text) if text.isascii() else len(text.encode())
            parts.append(f"${size}\r\n{text}\r\n")
    return "".join(parts).encode()
