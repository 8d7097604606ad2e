"""Requests as no HTTP library would send them: every byte as given."""

import http.client
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from tests.e2e.conftest import Answer, Service

type Headers = Sequence[tuple[str, str]]

CLOSED = 0
"""The status of a request that the gateway ended without an answer."""


def send(service: Service, method: str, path: str, headers: Headers = (), body: object = None) -> Answer:
    """Send a request to the API, with this path below its own and these headers, twice where given twice."""
    return send_target(service, method, urlsplit(service.stack.api_url).path + path, headers, body)


def send_target(service: Service, method: str, target: str, headers: Headers = (), body: object = None) -> Answer:
    """Send a request with this request target."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    names = {name.lower() for name, _ in headers}
    base = urlsplit(service.stack.api_url)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {base.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if content and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(content)}")
    head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    with socket.create_connection((base.hostname or "", base.port or 80), timeout=60) as connection:
        # The gateway may have closed it before it has read all; what it answered can be there all the same.
        with suppress(ConnectionError):
            connection.sendall(head + b"\r\n\r\n" + content)
        return _answer(connection, method)


def _answer(connection: socket.socket, method: str) -> Answer:
    with http.client.HTTPResponse(connection, method=method) as reply:
        try:
            reply.begin()
            text = reply.read().decode()
        except (http.client.HTTPException, ConnectionError):
            return Answer(CLOSED, {}, None, "")
        found = {name.lower(): value for name, value in reply.getheaders()}
    try:
        return Answer(reply.status, found, json.loads(text), text)
    except ValueError:
        return Answer(reply.status, found, None, text)


def is_refused(answer: Answer) -> bool:
    """Whether a request had no success, and broke nothing."""
    return answer.status == CLOSED or 400 <= answer.status < 500
