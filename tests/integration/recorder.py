"""Stands between a client and a server, and keeps what the client says."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from local.services.ports import HOST


class Recorder:
    """Passes one connection on to a port, both ways.

    Attributes:
        said: what the client has sent.
    """

    def __init__(self, target: int) -> None:
        self.said = b""
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop, and end the connection if the client has not."""
        for opened in (self._listener, *self._connections):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            with client, socket.create_connection((HOST, self._target)) as server:
                self._connections = [client, server]
                back = threading.Thread(target=_pass_on, args=(server, client))
                back.start()
                with suppress(OSError):
                    while said := client.recv(65_536):
                        self.said += said
                        server.sendall(said)
                with suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
                back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            target.sendall(chunk)


@contextmanager
def recorder(target: int) -> Iterator[Recorder]:
    """Listen for as long as the context lasts."""
    made = Recorder(target)
    try:
        yield made
    finally:
        made.close()
