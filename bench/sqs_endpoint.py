"""A small AWS endpoint of the bench: SQS's sends, answered at once, and the one secret that the drain asks for.

Run as `python -m bench.sqs_endpoint PORT`, in a process of its own. It speaks plaintext HTTP/1.1 and AWS JSON 1.0,
keeps the bodies of what was sent, and hands them over at `/bench/take`, so that the bench can give them to the drain as
SQS would. It is no queue: nothing is delivered, hidden or delivered again. A real send adds TLS and the network.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
SECRET_VARIABLE = "BENCH_SECRET"  # noqa: S105 - the name of a variable, not a secret
TAKE = "/bench/take"
COUNTS = "/bench/counts"
_HEAD_END = b"\r\n\r\n"
_TARGET = b"x-amz-target:"
_LENGTH = b"content-length:"

type Reply = dict[str, Any]


@dataclass
class Store:
    """What was sent, and how often each action was called."""

    secret: str = "{}"  # noqa: S105 - no secret
    bodies: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def answer(self, path: str, action: str, payload: bytes) -> tuple[int, Reply]:
        """The status and the reply to one request."""
        if path == TAKE:
            taken, self.bodies = self.bodies, []
            return 200, {"bodies": taken}
        if path == COUNTS:
            return 200, dict(self.calls)
        self.calls[action] += 1
        handler = self._actions.get(action)
        if handler is None:
            return 400, {"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": f"no {action} here"}
        return 200, handler(json.loads(payload))

    @property
    def _actions(self) -> Mapping[str, Callable[[Mapping[str, Any]], Reply]]:
        return {
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "GetSecretValue": lambda request: {"Name": request["SecretId"], "SecretString": self.secret},
        }

    def _send(self, request: Mapping[str, Any]) -> Reply:
        body = request["MessageBody"]
        self.bodies.append(body)
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        return {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}

    def _send_batch(self, request: Mapping[str, Any]) -> Reply:
        return {"Successful": [{"Id": entry["Id"], **self._send(entry)} for entry in request["Entries"]]}


class Connection(asyncio.Protocol):
    """One kept-alive HTTP connection."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise for a TCP server
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while self._answer_one():
            pass

    def _answer_one(self) -> bool:
        head_end = self._received.find(_HEAD_END)
        if head_end < 0 or self._transport is None:
            return False
        head = self._received[:head_end]
        end = head_end + len(_HEAD_END) + int(_header(head, _LENGTH) or 0)
        if len(self._received) < end:
            return False
        payload, self._received = self._received[head_end + len(_HEAD_END) : end], self._received[end:]
        path = head.split(b" ", 2)[1].decode()
        action = _header(head, _TARGET).rpartition(".")[2]
        self._transport.write(_response(*self._store.answer(path, action, payload)))
        return True


def _header(head: bytes, name: bytes) -> str:
    for line in head.split(b"\r\n")[1:]:
        if line[: len(name)].lower() == name:
            return line[len(name) :].strip().decode()
    return ""


def _response(status: int, reply: Reply) -> bytes:
    content = json.dumps(reply, separators=(",", ":")).encode()
    reason = "OK" if status == 200 else "Bad Request"  # noqa: PLR2004 - HTTP's own number
    return (
        f"HTTP/1.1 {status} {reason}\r\nx-amzn-RequestId: {uuid.uuid4()}\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(content)}\r\n\r\n"
    ).encode() + content


async def serve(port: int, store: Store) -> None:
    """Answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(store), HOST, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Store(secret=os.environ.get(SECRET_VARIABLE, "{}"))))
