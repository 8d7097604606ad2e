"""The local token issuer: publishes the key that `tokens.sign_token` signs with.

Run as `python -m local.issuer FOLDER PORT`.
"""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.ports import HOST
from local.processes import ROOT, Processes, Program, wait_until_ready
from local.tokens import create_key, key_set
from local.workspace import Workspace

CONFIGURATION_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/.well-known/jwks.json"


def start_issuer(processes: Processes, workspace: Workspace, port: int) -> str:
    """Start the issuer with a new key; returns its address, the `iss` of its tokens."""
    create_key(workspace.folder)
    program = Program(
        "issuer",
        [sys.executable, "-m", "local.issuer", str(workspace.folder), str(port)],
        workspace.service_environment(),
        ROOT,
        workspace.log("issuer"),
    )
    wait_until_ready(processes.start(program), program, lambda: _answers(port))
    return _address(port)


def main() -> None:
    """Serve the key in a folder until stopped."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    documents = {
        CONFIGURATION_PATH: {
            "issuer": _address(port),
            "jwks_uri": _address(port) + KEYS_PATH,
            "id_token_signing_alg_values_supported": ["RS256"],
        },
        KEYS_PATH: key_set(folder),
    }
    ThreadingHTTPServer((HOST, port), partial(_Handler, documents)).serve_forever()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, documents: dict[str, dict[str, Any]], *arguments: Any) -> None:
        self._documents = documents
        super().__init__(*arguments)

    def do_GET(self) -> None:  # noqa: N802 - the name http.server calls
        document = self._documents.get(self.path)
        body = json.dumps(document or {"error": "not found"}).encode()
        self.send_response(http.client.OK if document else http.client.NOT_FOUND)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _address(port: int) -> str:
    return f"http://{HOST}:{port}"


def _answers(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(HOST, port, timeout=2)
        connection.request("GET", KEYS_PATH)
        return connection.getresponse().status == http.client.OK
    return False


if __name__ == "__main__":
    main()
