"""A TCP forwarder with one fixed port, as a DNS name is to a client: it can be led elsewhere, cut, held and muted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

from local.services.ports import HOST

CHUNK_BYTES = 65_536
CALL_SECONDS = 10
THROTTLED_BODY = b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Request is throttled."}'
THROTTLED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.0\r\nConnection: close\r\n"
    b"x-amzn-query-error: RequestThrottled;Sender\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(THROTTLED_BODY), THROTTLED_BODY)
)


class Mode(Enum):
    """What the forwarder does with what it gets."""

    OPEN = auto()
    CUT = auto()  # connections are broken, new ones too
    HELD = auto()  # bytes wait, in both directions, until the mode changes
    MUTE = auto()  # requests arrive, replies are lost
    THROTTLED = auto()  # every HTTP request gets SQS's own refusal


class Forwarder:
    """Forwards from its own port to a target; a thread of its own does the work."""

    def __init__(self, target: int | None = None) -> None:
        """Not leading anywhere yet, unless to the port `target`."""
        self.port = 0
        self.mode = Mode.OPEN
        self._target = target
        self._held: set[int] = set()
        self._links: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwarder", daemon=True)

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, HOST, 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Break all connections and stop listening."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def held_clients(self) -> frozenset[int]:
        """The ports of the clients whose requests wait here."""
        return frozenset(self._held)

    def lead_to(self, target: int) -> None:
        """Forward to another port from now on; connections to the old one are broken."""
        self._call(self._change(Mode.OPEN, target))

    def set(self, mode: Mode) -> None:
        """Change the mode. What was held flows on only into `OPEN`; after any other it is lost with its connection."""
        self._call(self._change(mode, self._target))

    def _call[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    async def _change(self, mode: Mode, target: int | None) -> None:
        before = (self.mode, self._target)
        self.mode, self._target = mode, target
        # Held bytes may flow on and replies may begin to be lost; anything else cannot go on in mid-stream.
        if not (before == (Mode.HELD, target) and mode is Mode.OPEN) and mode not in (Mode.HELD, Mode.MUTE):
            self._break_links()
        self._held.clear()
        if mode is Mode.HELD:
            self._flows.clear()
        else:
            self._flows.set()

    async def _close(self) -> None:
        self._break_links()
        self._flows.set()
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _break_links(self) -> None:
        for writer in self._links:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        try:
            with suppress(OSError, EOFError, ValueError):
                if self.mode is Mode.THROTTLED:
                    await _refuse(reader, writer)
                elif self.mode is not Mode.CUT and self._target is not None:
                    await self._forward(reader, writer, self._target)
        finally:
            self._links.discard(writer)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        onward_reader, onward_writer = await asyncio.open_connection(HOST, target)
        self._links.add(onward_writer)
        client = writer.get_extra_info("peername")[1]
        try:
            pumps = [
                asyncio.ensure_future(self._pump(reader, onward_writer, client)),
                asyncio.ensure_future(self._pump(onward_reader, writer, None)),
            ]
            # Neither side goes on without the other.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._links.discard(onward_writer)
            onward_writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: int | None) -> None:
        # Requests come from a client, replies do not.
        while data := await source.read(CHUNK_BYTES):
            if client is not None and not self._flows.is_set():
                self._held.add(client)
            await self._flows.wait()
            if sink.transport.is_closing():
                return
            if client is not None or self.mode is not Mode.MUTE:
                sink.write(data)
                await sink.drain()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(body_length(head))
    writer.write(THROTTLED)
    await writer.drain()
    # Closed by the client, so that the answer is not cut short by a reset.
    await reader.read(1)


def body_length(head: bytes) -> int:
    """How many bytes follow the head of an HTTP request."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
