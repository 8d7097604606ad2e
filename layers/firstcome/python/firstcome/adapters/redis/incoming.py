"""What a peer sends, read from its socket by line or by length.

Why not socket.makefile: its reader calls back into Python for each packet, and is called for each line; a reply here is
one packet of a few lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_PACKET_BYTES = 65_536


class Incoming:
    """The bytes of one connection, in their order.

    All methods raise OSError where the peer closes the connection or keeps silent for too long.
    """

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._data = b""
        self._at = 0

    def until(self, end: bytes, most: int) -> bytes:
        """Read up to `end`, which is dropped.

        Raises:
            ValueError: it does not come within `most` bytes.
        """
        while (found := self._data.find(end, self._at)) < 0:
            if len(self._data) - self._at > most:
                raise ValueError("a line is too long")
            self._receive()
        text = self._data[self._at : found]
        self._at = found + len(end)
        return text

    def exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        end = self._at + size
        while len(self._data) < end:
            end -= self._receive()
        data = self._data[self._at : end]
        self._at = end
        return data

    def _receive(self) -> int:
        """Wait for more; returns how many bytes were dropped in front, because they had been read."""
        packet = self._source.recv(_PACKET_BYTES)
        if not packet:
            raise ConnectionResetError("the peer closed the connection")
        dropped, self._at = self._at, 0
        self._data = self._data[dropped:] + packet
        return dropped
