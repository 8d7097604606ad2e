"""The sender of single claims, and a server that answers as it is told: what it says, and what it takes for a yes."""

import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from firstcome.adapters.sigv4 import Credentials
from firstcome.adapters.sqs_sender import SqsEndpoint, SqsSender
from firstcome.domain.errors import QueueUnavailableError
from firstcome.domain.message import from_body
from tests.factories import a_claim

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/claims"

type Reply = tuple[int, bytes]


def _yes(message: str) -> Reply:
    digest = hashlib.md5(message.encode(), usedforsecurity=False).hexdigest()
    return 200, json.dumps({"MessageId": "m-1", "MD5OfMessageBody": digest}).encode()


@dataclass
class Sqs:
    """What the server was sent, and how it answers next; None is a connection that it closes without a word."""

    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    clients: set[Any] = field(default_factory=set)
    answer: Callable[[str], Reply | None] = _yes
    closes_after: bool = False

    def sender(self, *, read_seconds: float = 5) -> SqsSender:
        """Make a sender to this server."""
        endpoint = SqsEndpoint(f"http://127.0.0.1:{self.port}", "eu-west-1", Credentials("AKID", "secret", "token"))
        return SqsSender(QUEUE_URL, endpoint, 5, read_seconds, lambda _: ssl.create_default_context())


@pytest.fixture
def sqs() -> Iterator[Sqs]:
    """A server on 127.0.0.1 that keeps connections open."""
    state = Sqs()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

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
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def test_a_claim_is_sent_as_sqs_wants_it(sqs: Sqs) -> None:
    claim = a_claim("demo", 1, "änn 💥 \\\"'")

    sqs.sender().send(claim)

    (body,) = sqs.bodies
    assert set(body) == {"QueueUrl", "MessageBody"}
    assert (body["QueueUrl"], from_body(body["MessageBody"])) == (QUEUE_URL, claim)
    (headers,) = sqs.headers
    assert headers["x-amz-target"] == "AmazonSQS.SendMessage"
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amz-security-token"] == "token"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert headers["host"] == f"127.0.0.1:{sqs.port}"


def test_the_connection_is_kept_for_the_next_claim(sqs: Sqs) -> None:
    sender = sqs.sender()

    for sequence in (1, 2, 3):
        sender.send(a_claim("demo", sequence))

    assert (len(sqs.bodies), len(sqs.clients)) == (3, 1)


@pytest.mark.parametrize("first_word_comes_too_late", [True, False])
def test_a_kept_connection_that_was_closed_is_replaced_once(sqs: Sqs, first_word_comes_too_late: bool) -> None:  # noqa: FBT001
    sender = sqs.sender()
    sqs.closes_after = not first_word_comes_too_late
    sender.send(a_claim("demo", 1))
    silent = iter([first_word_comes_too_late, False])
    sqs.answer = lambda message: None if next(silent) else _yes(message)

    sender.send(a_claim("demo", 2))

    assert len(sqs.clients) == 2
    assert from_body(sqs.bodies[-1]["MessageBody"]).sequence == 2


def test_a_new_connection_that_is_closed_is_not_tried_again(sqs: Sqs) -> None:
    sqs.answer = lambda _: None

    with pytest.raises(QueueUnavailableError):
        sqs.sender().send(a_claim("demo", 1))

    assert len(sqs.bodies) == 1


def test_a_kept_connection_that_fails_twice_is_given_up_and_the_next_claim_begins_anew(sqs: Sqs) -> None:
    sender = sqs.sender()
    sender.send(a_claim("demo", 1))
    sqs.answer = lambda _: None
    with pytest.raises(QueueUnavailableError):
        sender.send(a_claim("demo", 2))
    assert len(sqs.bodies) == 3

    sqs.answer = _yes
    sender.send(a_claim("demo", 2))


def test_a_slow_answer_is_given_up_and_not_asked_for_again(sqs: Sqs) -> None:
    released = threading.Event()
    sender = sqs.sender(read_seconds=0.2)
    sender.send(a_claim("demo", 1))

    def wait(message: str) -> Reply:
        released.wait(30)
        return _yes(message)

    sqs.answer = wait
    try:
        with pytest.raises(QueueUnavailableError) as caught:
            sender.send(a_claim("demo", 2))
    finally:
        released.set()

    assert isinstance(caught.value.__cause__, TimeoutError)
    assert len(sqs.bodies) == 2
    # The late answer must not be taken for that of the next claim.
    sqs.answer = _yes
    sender.send(a_claim("demo", 3))
    assert from_body(sqs.bodies[-1]["MessageBody"]).sequence == 3


@pytest.mark.parametrize(
    "reply",
    [
        (400, b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no"}'),
        (403, b'{"__type":"AccessDenied","message":"arn:aws:iam::123456789012:role/apply"}'),
        (500, b'{"__type":"InternalFailure"}'),
        (503, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"MessageId":"m-1"}'),
        (200, b'{"MessageId":"m-1","MD5OfMessageBody":"d41d8cd98f00b204e9800998ecf8427e"}'),
        (302, b""),
    ],
)
def test_anything_but_a_yes_to_this_very_message_is_unavailable(sqs: Sqs, reply: Reply) -> None:
    sqs.answer = lambda _: reply
    sender = sqs.sender()

    with pytest.raises(QueueUnavailableError) as caught:
        sender.send(a_claim("demo", 1))

    for secret in ("123456789012", "claims", "127.0.0.1", "AKID"):
        assert secret not in str(caught.value).replace("the claim queue", "")
    # An error answered does not cost the connection.
    sqs.answer = _yes
    sender.send(a_claim("demo", 2))
    assert len(sqs.clients) == 1


def test_a_digest_without_a_message_id_is_not_a_yes(sqs: Sqs) -> None:
    sqs.answer = lambda message: (200, _yes(message)[1].replace(b"MessageId", b"RequestId"))

    with pytest.raises(QueueUnavailableError):
        sqs.sender().send(a_claim("demo", 1))


def test_a_server_that_is_not_there_is_unavailable() -> None:
    sender = Sqs(port=1).sender()

    with pytest.raises(QueueUnavailableError) as caught:
        sender.send(a_claim("demo", 1))

    assert "127.0.0.1" not in str(caught.value)


def test_a_server_that_cannot_be_verified_is_told_nothing(sqs: Sqs) -> None:
    endpoint = SqsEndpoint(f"https://127.0.0.1:{sqs.port}", "eu-west-1", Credentials("AKID", "secret", ""))
    sender = SqsSender(QUEUE_URL, endpoint, 0.5, 0.5, lambda _: ssl.create_default_context())

    with pytest.raises(QueueUnavailableError):
        sender.send(a_claim("demo", 1))

    assert sqs.bodies == []
