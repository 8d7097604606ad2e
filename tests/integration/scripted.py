"""A server that sends given bytes, some for each request; then it closes the connection, or leaves it open."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from local.services.ports import HOST


class Scripted:
    """One such server.

    Attributes:
        received: what it was sent.
    """

    def __init__(self, replies: Sequence[bytes], *, closes: bool) -> None:
        self.received = b""
        self._replies, self._closes = replies, closes
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                for reply in self._replies:
                    self.received += connection.recv(65_536)
                    connection.sendall(reply)
                if not self._closes:
                    self._done.wait(30)

    def close(self) -> None:
        """Stop."""
        self._done.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def scripted(*replies: bytes, closes: bool = False) -> Iterator[Scripted]:
    """Start one for as long as the context lasts."""
    server = Scripted(replies, closes=closes)
    try:
        yield server
    finally:
        server.close()
