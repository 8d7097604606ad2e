"""POST over HTTP/1.1 on a connection that is kept: what one signed request needs, and no more. RFC 9112.

Why not http.client: it parses headers as e-mail, which is half of a request's CPU and 20 ms of a cold start.
"""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from firstcome.adapters.redis.incoming import Incoming

if TYPE_CHECKING:
    import ssl
    from urllib.parse import SplitResult

_HEAD_BYTES_MAX = 16_384
_TRAILERS_MAX = 100

_BODY_BYTES_MAX = 65_536
"""Bytes of a reply's body at most; those of SQS have some hundred."""


class HttpError(OSError):
    """The reply is not HTTP/1.1 as it may be here, or broke off: whether the request took effect is unknown."""


class HttpConnection:
    """One connection, opened at once.

    Args:
        connect_seconds: to connect, TLS included.
        read_seconds: to wait for each part of a reply.
        tls: makes the context that verifies the host, or None for a plain connection.

    Raises:
        OSError: nobody answers there, or not who should.
    """

    def __init__(
        self,
        host: str,
        port: int,
        connect_seconds: float,
        read_seconds: float,
        tls: "Callable[[str], ssl.SSLContext] | None",
    ) -> None:
        plain = socket.create_connection((host, port), connect_seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = tls(host).wrap_socket(plain, server_hostname=host) if tls else plain
            self._socket.settimeout(read_seconds)
        except BaseException:
            plain.close()
            raise
        self._replies = Incoming(self._socket)
        self.is_open = True
        """Whether the server keeps the connection for another request."""

    def post(self, headers: str, body: bytes) -> tuple[int, bytes]:
        """Send a request to `/`; returns the reply's status and body.

        Args:
            headers: a line each, without the content's length.

        Raises:
            OSError: the connection is of no use any more.
        """
        head = f"POST / HTTP/1.1\n{headers}content-length:{len(body)}\n\n".replace("\n", "\r\n")
        # In one piece: two would be two packets, and two system calls on either side.
        self._socket.sendall(head.encode("latin-1") + body)
        try:
            return self._read_reply()
        except ValueError as exc:
            raise HttpError("this is not HTTP/1.1") from exc

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self._socket.close()

    def _read_reply(self) -> tuple[int, bytes]:
        first, *lines = self._replies.until(b"\r\n\r\n", _HEAD_BYTES_MAX).split(b"\r\n")
        version, status, *_ = first.split(b" ", 2)
        if version != b"HTTP/1.1":
            raise HttpError("this is not HTTP/1.1")
        parts = [line.partition(b":") for line in lines]
        headers = {name.lower(): value.strip() for name, _, value in parts}
        self.is_open = headers.get(b"connection", b"").lower() != b"close"
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            return int(status), self._read_chunks()
        return int(status), self._read(int(headers.get(b"content-length", b"-1")))

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self._read_line().split(b";")[0], 16):
            body += self._read(size)
            if self._read_line() or len(body) > _BODY_BYTES_MAX:
                raise HttpError("the chunks do not fit")
        for _ in range(_TRAILERS_MAX + 1):
            if not self._read_line():
                return body
        raise HttpError("too many trailers")

    def _read_line(self) -> bytes:
        return self._replies.until(b"\r\n", _HEAD_BYTES_MAX)

    def _read(self, size: int) -> bytes:
        if not 0 <= size <= _BODY_BYTES_MAX:
            raise HttpError("the body has no length that it may have")
        return self._replies.exactly(size)


def connect_to(
    address: "SplitResult", connect_seconds: float, read_seconds: float, tls: "Callable[[str], ssl.SSLContext]"
) -> HttpConnection:
    """Open a connection to the host of an address, with TLS if it begins with https; else as `HttpConnection`."""
    is_secure = address.scheme == "https"
    port = address.port or (443 if is_secure else 80)
    return HttpConnection(address.hostname or "", port, connect_seconds, read_seconds, tls if is_secure else None)
