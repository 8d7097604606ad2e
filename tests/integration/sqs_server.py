"""A server on 127.0.0.1 that answers for SQS as it is told, with or without TLS."""

import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from firstcome.adapters.sqs_sender import SqsSender
from tests.integration.certificates import Certificate
from tests.integration.scripted import Scripted, scripted

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/claims"

type Reply = tuple[int, bytes]


def yes(message: str) -> Reply:
    digest = hashlib.md5(message.encode(), usedforsecurity=False).hexdigest()
    return 200, json.dumps({"MessageId": "m-1", "MD5OfMessageBody": digest}).encode()


@dataclass
class Sqs:
    """What the server was sent, and how it answers next; None is a connection that it closes without a word."""

    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    clients: set[Any] = field(default_factory=set)
    answer: Callable[[str], Reply | None] = yes
    closes_after: bool = False
    connections: list[socket.socket] = field(default_factory=list)

    def close_connections(self) -> None:
        """Close what is kept open."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def sender(
        self, scheme: str = "http", host: str = "127.0.0.1", connect_seconds: float = 5, read_seconds: float = 5
    ) -> SqsSender:
        """Make a sender to this server."""
        return SqsSender(QUEUE_URL, f"{scheme}://{host}:{self.port}", connect_seconds, read_seconds)


@contextmanager
def serving(state: Sqs, certificate: Certificate | None = None, folder: Path | None = None) -> Iterator[Sqs]:
    """Run a server on 127.0.0.1 that keeps connections open."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            state.connections.append(self.connection)

        def do_POST(self) -> None:  # noqa: N802 - the base class's name
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.bodies.append(body)
            state.headers.append({name.lower(): text for name, text in self.headers.items()})
            state.clients.add(self.client_address)
            reply = state.answer(body["MessageBody"])
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply[0])
            self.send_header("content-length", str(len(reply[1])))
            self.end_headers()
            self.wfile.write(reply[1])
            self.close_connection = state.closes_after

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that have hung up: some tests do."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate and folder:
            (folder / "server.pem").write_bytes(certificate.cert + certificate.key)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(folder / "server.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()
        state.close_connections()


@contextmanager
def credentials_endpoint(access_key_id: str) -> Iterator[Scripted]:
    """Answer once as the endpoint that SnapStart's environments get their credentials from."""
    expiration = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = {"AccessKeyId": access_key_id, "SecretAccessKey": "secret", "Token": "fresh", "Expiration": expiration}
    body = json.dumps(keys).encode()
    with scripted(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)) as endpoint:
        yield endpoint
