"""A small AWS endpoint for measurements and tests: it answers sends to SQS at once, and knows one secret.

It keeps the bodies that were sent, and hands them over at `/take`. It is no queue: it delivers nothing.

Run as `python -m local.services.aws_stub PORT`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from local.deployment.workspace import Workspace
from local.services.ports import HOST, free_port
from local.services.processes import ROOT, Processes, Program

NAME = "aws-stub"
SECRET_VARIABLE = "STUB_SECRET"  # noqa: S105 - the name of a variable
TAKE, COUNTS = "/take", "/counts"


def start_aws_stub(processes: Processes, workspace: Workspace, secret: str) -> int:
    """Start the endpoint in a process of its own; `secret` is the text of its secret. Returns its port."""
    port = free_port()
    command = [sys.executable, "-m", "local.services.aws_stub", str(port)]
    environment = {**workspace.service_environment(), SECRET_VARIABLE: secret}
    processes.start(Program(NAME, command, environment, ROOT, workspace.log(NAME), port))
    return port


def ask(port: int, path: str) -> Any:
    """The bodies sent since the last call (`TAKE`), or how often each action was called (`COUNTS`)."""
    return urllib3.request("GET", f"http://{HOST}:{port}{path}", timeout=30).json()


class _Stub(ThreadingHTTPServer):
    request_queue_size = 1_000
    bodies: list[str] = []
    calls: Counter[str] = Counter()
    secret = os.environ.get(SECRET_VARIABLE, "{}")

    def answer(self, action: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The reply to an action; None for an unknown one."""
        self.calls[action] += 1
        match action:
            case "SendMessage":
                return self._keep(asked)
            case "SendMessageBatch":
                return {"Successful": [{"Id": entry["Id"], **self._keep(entry)} for entry in asked["Entries"]]}
            case "GetSecretValue":
                return {"Name": asked["SecretId"], "SecretString": self.secret}
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that has gone."""

    def _keep(self, message: dict[str, Any]) -> dict[str, str]:
        self.bodies.append(message["MessageBody"])
        digest = hashlib.md5(message["MessageBody"].encode(), usedforsecurity=False).hexdigest()
        return {"MessageId": "00000000-0000-4000-8000-000000000000", "MD5OfMessageBody": digest}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet per answer.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Stub

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        bodies = []
        if self.path == TAKE:
            bodies, self.server.bodies = self.server.bodies, []
        self._reply(200, bodies if self.path == TAKE else dict(self.server.calls))

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        action = self.headers["X-Amz-Target"].rpartition(".")[2]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        unknown = {"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": f"there is no {action} here"}
        answer = self.server.answer(action, asked)
        self._reply(400 if answer is None else 200, unknown if answer is None else answer)

    def _reply(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


if __name__ == "__main__":
    _Stub((HOST, int(sys.argv[1])), _Handler).serve_forever()
