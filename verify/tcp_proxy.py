"""A TCP proxy with one fixed port, as a DNS name is to a client: it can be cut, held, made mute and led elsewhere."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from enum import Enum, auto
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
KEPT_BYTES = 65_536


class Mode(Enum):
    """What the proxy does with what it gets."""

    OPEN = auto()
    CUT = auto()
    """Connections are broken, new ones too."""
    HELD = auto()
    """Bytes wait, in both directions, until the mode changes."""
    MUTE = auto()
    """Requests arrive, replies are lost."""


class TcpProxy:
    """Passes connections on to a port.

    Attributes:
        received: what the clients have sent, up to `KEPT_BYTES`.
        held_clients: the ports of the clients whose requests wait here.
    """

    def __init__(self, target: int = 0) -> None:
        self.received = b""
        self.held_clients: set[int] = set()
        self._target = target
        self._mode = Mode.OPEN
        self._flows = threading.Event()
        self._flows.set()
        self._links: set[socket.socket] = set()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Begin to accept connections."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Break all connections, and accept no more."""
        self.set(Mode.CUT)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def lead_to(self, target: int) -> None:
        """Pass on to another port from now on; connections to the old one are broken."""
        self._target = target
        self.set(Mode.CUT)
        self.set(Mode.OPEN)

    def set(self, mode: Mode) -> None:
        """Change the mode. What was held flows on only into `OPEN`; after any other it is lost with its connection."""
        # After a reply was lost, a connection cannot go on in mid-stream.
        breaks = mode is Mode.CUT or self._mode is Mode.MUTE or (self._mode is Mode.HELD and mode is Mode.MUTE)
        self._mode = mode
        if breaks:
            for link in list(self._links):
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
        self.held_clients.clear()
        if mode is Mode.HELD:
            self._flows.clear()
        else:
            self._flows.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, (_, port) = self._listener.accept()
                threading.Thread(target=self._serve, args=(client, port), daemon=True).start()

    def _serve(self, client: socket.socket, port: int) -> None:
        with closing(client), suppress(OSError):
            if self._mode is Mode.CUT or not self._target:
                return
            with closing(socket.create_connection((HOST, self._target))) as server:
                links = {client, server}
                self._links |= links
                back = threading.Thread(target=self._pass_on, args=(server, client, 0), daemon=True)
                back.start()
                self._pass_on(client, server, port)
                back.join()
                self._links -= links

    def _pass_on(self, source: socket.socket, sink: socket.socket, client: int) -> None:
        """Pass bytes on until either end closes: requests of the client with this port, or replies (0)."""
        with suppress(OSError):
            while data := source.recv(65_536):
                if client:
                    self.received += data[: KEPT_BYTES - len(self.received)]
                    if not self._flows.is_set():
                        self.held_clients.add(client)
                self._flows.wait()
                if client or self._mode is not Mode.MUTE:
                    sink.sendall(data)
        # Neither side goes on without the other.
        for link in (source, sink):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
