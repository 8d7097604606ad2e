"""The local token issuer: publishes the key that `tokens.sign_token` signs with, and signs the pages' users in.

It asks for a name and believes it. So it listens on 127.0.0.1 only, and gives what it signs to nothing but the pages of
its own stack.

Run as `python -m local.services.issuer FOLDER PORT ORIGIN`.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.deployment.tokens import create_key, key_set
from local.deployment.workspace import Workspace
from local.services.ports import HOST
from local.services.processes import ROOT, Processes, Program, wait_until_ready
from local.services.sign_in import REFUSED, Refused, SignIn

CONFIGURATION_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/.well-known/jwks.json"
AUTHORIZE_PATH = "/authorize"
TOKEN_PATH = "/token"  # noqa: S105 - a path

_BODY_BYTES_MAX = 10_000

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


def start_issuer(processes: Processes, workspace: Workspace, port: int, origin: str) -> str:
    """Start the issuer with a new key, for the pages of `origin`; returns its address, the `iss` of its tokens."""
    create_key(workspace.folder)
    program = Program(
        "issuer",
        [sys.executable, "-m", "local.services.issuer", str(workspace.folder), str(port), origin],
        workspace.service_environment(),
        ROOT,
        workspace.log("issuer"),
    )
    wait_until_ready(processes.start(program), program, lambda: _answers(port))
    return _address(port)


def main() -> None:
    """Serve the key in a folder, and sign in, until stopped."""
    folder, port, origin = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    address = _address(port)
    documents = {
        CONFIGURATION_PATH: {
            "issuer": address,
            "jwks_uri": address + KEYS_PATH,
            "authorization_endpoint": address + AUTHORIZE_PATH,
            "token_endpoint": address + TOKEN_PATH,
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        },
        KEYS_PATH: key_set(folder),
    }
    handler = partial(_Handler, documents, SignIn(folder, address, origin), origin)
    ThreadingHTTPServer((HOST, port), handler).serve_forever()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, documents: dict[str, dict[str, Any]], sign_in: SignIn, origin: str, *arguments: Any) -> None:
        self._documents = documents
        self._sign_in = sign_in
        self._origin = origin
        super().__init__(*arguments)

    def do_GET(self) -> None:  # noqa: N802 - the name http.server calls
        target = urlsplit(self.path)
        if target.path == AUTHORIZE_PATH:
            page = self._sign_in.page(dict(parse_qsl(target.query)))
            self._send_page(page)
            return
        document = self._documents.get(self.path)
        self._send_json(http.client.OK if document else http.client.NOT_FOUND, document or {"error": "not found"})

    def do_POST(self) -> None:  # noqa: N802 - the name http.server calls
        form = dict(parse_qsl(self._body(), keep_blank_values=True))
        match urlsplit(self.path).path:
            case "/authorize":
                self._authorize(form)
            case "/token":
                self._token(form)
            case _:
                self._send_json(http.client.NOT_FOUND, {"error": "not found"})

    def do_OPTIONS(self) -> None:  # noqa: N802 - the name http.server calls
        self._send(http.client.NO_CONTENT, b"", {"Access-Control-Allow-Headers": "content-type"})

    def _authorize(self, form: Mapping[str, str]) -> None:
        back = self._sign_in.allow(form)
        if isinstance(back, Refused):
            self._send_page(back)
        else:
            self._send(http.client.SEE_OTHER, b"", {"Location": back, **_PAGE_HEADERS})

    def _token(self, form: Mapping[str, str]) -> None:
        tokens = self._sign_in.tokens(form)
        if isinstance(tokens, Refused):
            self._send_json(http.client.BAD_REQUEST, {"error": tokens.reason})
        else:
            self._send_json(http.client.OK, tokens)

    def _body(self) -> str:
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(min(length, _BODY_BYTES_MAX)).decode("utf-8", "replace")

    def _send_page(self, page: str | Refused) -> None:
        is_refused = isinstance(page, Refused)
        text = REFUSED.substitute(reason=page.reason) if isinstance(page, Refused) else page
        status = http.client.BAD_REQUEST if is_refused else http.client.OK
        self._send(status, text.encode(), {"Content-Type": "text/html; charset=utf-8", **_PAGE_HEADERS})

    def _send_json(self, status: int, document: Mapping[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        self._send(status, json.dumps(document).encode(), headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        # Only the stack's own pages may read an answer.
        self.send_header("Access-Control-Allow-Origin", self._origin)
        self.send_header("Vary", "Origin")
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
