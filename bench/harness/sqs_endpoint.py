"""A small AWS endpoint of the bench: SQS's sends, answered at once, and the one secret that the drain asks for.

Run as `python -m bench.harness.sqs_endpoint PORT`. It speaks plaintext HTTP/1.1 and AWS JSON 1.0,
keeps the bodies of what was sent, and hands them over at `/bench/take`, so that the bench can give them to the drain as
SQS would. It is no queue: nothing is delivered, hidden or delivered again. A real send adds TLS and the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import selectors
import socket
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from local.deployment.workspace import Workspace
from local.services.ports import HOST, with_free_port
from local.services.processes import ROOT, Processes, Program

NAME = "sqs"
SECRET_VARIABLE = "BENCH_SECRET"  # noqa: S105 - the name of a variable, not a secret
TAKE = "/bench/take"
COUNTS = "/bench/counts"
_HEAD_END = b"\r\n\r\n"
_TARGET = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PACKET_BYTES = 65_536
_MESSAGE_ID = "00000000-0000-4000-8000-000000000000"
_RESPONSE = (
    b"HTTP/1.1 %d %b\r\nx-amzn-RequestId: 11111111-1111-4111-8111-111111111111\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"
)

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
        return {"MessageId": _MESSAGE_ID, "MD5OfMessageBody": digest}

    def _send_batch(self, request: Mapping[str, Any]) -> Reply:
        return {"Successful": [{"Id": entry["Id"], **self._send(entry)} for entry in request["Entries"]]}


class Connection:
    """One kept-alive HTTP connection."""

    def __init__(self, store: Store, client: socket.socket) -> None:
        self._store = store
        self._client = client
        self._received = b""

    def go_on(self) -> bool:
        """Answer every request that is complete; returns whether the client is still there."""
        packet = self._client.recv(_PACKET_BYTES)
        self._received += packet
        while self._answer_one():
            pass
        return bool(packet)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _answer_one(self) -> bool:
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return False
        head = self._received[:head_end]
        length = _LENGTH.search(head)
        end = head_end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) < end:
            return False
        payload, self._received = self._received[head_end + len(_HEAD_END) : end], self._received[end:]
        path, target = head.split(b" ", 2)[1], _TARGET.search(head)
        action = target[1].decode() if target else ""
        self._client.sendall(_response(*self._store.answer(path.decode(), action, payload)))
        return True


def _response(status: int, reply: Reply) -> bytes:
    content = json.dumps(reply).encode()
    reason = b"OK" if status == HTTPStatus.OK else b"Bad Request"
    return _RESPONSE % (status, reason, len(content)) + content


@dataclass(frozen=True)
class Endpoint:
    """The endpoint, running in a process of its own."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"


def start_endpoint(processes: Processes, workspace: Workspace, told: str = "{}") -> Endpoint:
    """Start the endpoint; `told` is the secret that it tells whoever asks for one."""
    port = with_free_port(lambda port: _start(processes, workspace, port, told))
    return Endpoint(port, processes.pid(NAME))


def _start(processes: Processes, workspace: Workspace, port: int, told: str) -> int:
    program = Program(
        NAME,
        [sys.executable, "-m", "bench.harness.sqs_endpoint", str(port)],
        workspace.service_environment() | {SECRET_VARIABLE: told},
        ROOT,
        workspace.log(NAME),
        port,
    )
    processes.start(program)
    return port


def serve(port: int, store: Store) -> None:
    """Answer until the process is ended.

    One thread that waits for whoever sends next: in production SQS has machines of its own, so the less of this one it
    takes, the better.
    """
    with socket.create_server((HOST, port), backlog=1_000) as listener, selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.data is None:
                    client, _ = listener.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    waiting.register(client, selectors.EVENT_READ, Connection(store, client))
                elif not _goes_on(key.data):
                    waiting.unregister(key.fileobj)
                    key.data.close()


def _goes_on(connection: Connection) -> bool:
    try:
        return connection.go_on()
    except OSError:
        return False


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        serve(int(sys.argv[1]), Store(secret=os.environ.get(SECRET_VARIABLE, "{}")))
