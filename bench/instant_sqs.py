"""An SQS endpoint that takes every message at once and keeps none: what is left of a send is the sender's own cost.

Speaks SQS's JSON protocol over plaintext HTTP/1.1 on 127.0.0.1, for SendMessage and SendMessageBatch.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import sys
from contextlib import suppress
from typing import Any

from local.ports import HOST, with_free_port
from local.processes import ROOT, Processes, Program, wait_until_ready
from local.workspace import Workspace

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *AmazonSQS\.(\w+)", re.IGNORECASE)
_MESSAGE_ID = "00000000-0000-4000-8000-000000000000"
_REQUEST_ID = "11111111-1111-4111-8111-111111111111"


class InstantSqs(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implement `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Implement `asyncio.Protocol`: answer every request that is complete."""
        self._received += data
        while (cut := _request_length(self._received)) and len(self._received) >= cut:
            request, self._received = self._received[:cut], self._received[cut:]
            if self._transport is not None:
                self._transport.write(answer(request))


def _request_length(received: bytes) -> int:
    """How long the first request is; 0 while its headers are not complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    length = _LENGTH.search(received, 0, end + 2)
    return end + 4 + (int(length[1]) if length else 0)


def answer(request: bytes) -> bytes:
    """The reply to one whole request."""
    head, _, body = request.partition(b"\r\n\r\n")
    target = _TARGET.search(head + b"\r\n")
    action = _ACTIONS.get(target[1].decode() if target else "")
    if action is None:
        return _reply("400 Bad Request", {"__type": "com.amazonaws.sqs#UnsupportedOperation"})
    return _reply("200 OK", action(json.loads(body)))


def _send_message(request: dict[str, Any]) -> dict[str, Any]:
    return {"MessageId": _MESSAGE_ID, "MD5OfMessageBody": _md5(request["MessageBody"])}


def _send_message_batch(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "Successful": [{"Id": entry["Id"], **_send_message(entry)} for entry in request["Entries"]],
        "Failed": [],
    }


_ACTIONS = {"SendMessage": _send_message, "SendMessageBatch": _send_message_batch}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _reply(status: str, body: dict[str, Any]) -> bytes:
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nx-amzn-RequestId: {_REQUEST_ID}\r\nContent-Type: application/x-amz-json-1.0\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


def start_instant_sqs(processes: Processes, workspace: Workspace) -> str:
    """Start the endpoint; returns its address."""
    return with_free_port(lambda port: _start(processes, workspace, port))


def _start(processes: Processes, workspace: Workspace, port: int) -> str:
    program = Program(
        "instant-sqs",
        [sys.executable, "-m", "bench.instant_sqs", str(port)],
        workspace.service_environment(),
        ROOT,
        workspace.log("instant-sqs"),
    )
    wait_until_ready(processes.start(program), program, lambda: _listens(port))
    return f"http://{HOST}:{port}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(InstantSqs, HOST, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))
