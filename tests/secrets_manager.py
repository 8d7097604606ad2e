"""A Secrets Manager on 127.0.0.1 that holds one secret, and answers as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team-redis-AbCdEf"


@dataclass
class SecretsManager:
    """What it was asked, and what it says.

    Attributes:
        secret: the text of the secret.
        status: of its answers; anything but 200 comes with a text that must not be repeated.
        times_read: how often somebody asked.
    """

    url: str
    secret: str = ""
    status: int = 200
    times_read: int = 0

    def hold(self, **fields: object) -> None:
        """Put these fields into the secret."""
        self.secret = json.dumps(fields)

    def answer(self, asked: dict[str, str]) -> bytes:
        """Answer a request."""
        assert asked == {"SecretId": ARN}
        if self.status != 200:
            return json.dumps({"__type": "AccessDeniedException", "Message": f"no rights on {ARN}"}).encode()
        return json.dumps({"ARN": ARN, "Name": "team-redis", "SecretString": self.secret}).encode()


@contextmanager
def secrets_manager() -> Iterator[SecretsManager]:
    """Start one for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 - the base class's name
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.headers["x-amz-target"] == "secretsmanager.GetSecretValue"
            state.times_read += 1
            reply = state.answer(asked)
            self.send_response(state.status)
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state = SecretsManager(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()
