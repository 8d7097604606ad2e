"""The sender of single claims, and a server that answers as it is told: what it says, and what it takes for a yes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firstcome.adapters.sqs_sender import SqsSender
from firstcome.domain.errors import QueueUnavailableError
from firstcome.domain.message import from_body
from tests.factories import a_claim
from tests.integration.scripted import scripted
from tests.integration.sqs_server import QUEUE_URL, Reply, Sqs, credentials_endpoint, serving, yes
from tests.integration.tls import LOCALHOST, OUR_OWN, REFUSED, Refused

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def _environment(empty_environment: Callable[[str, str], None]) -> None:
    for name, text in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        empty_environment(name, text)


@pytest.fixture
def sqs() -> Iterator[Sqs]:
    """A server without TLS."""
    with serving(Sqs()) as state:
        yield state


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
    sqs.answer = lambda message: None if next(silent) else yes(message)

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

    sqs.answer = yes
    sender.send(a_claim("demo", 2))


def test_a_slow_answer_is_given_up_and_not_asked_for_again(sqs: Sqs) -> None:
    released = threading.Event()
    sender = sqs.sender(connect_seconds=1, read_seconds=0.2)
    sender.send(a_claim("demo", 1))

    def wait(message: str) -> Reply:
        released.wait(30)
        return yes(message)

    sqs.answer = wait
    try:
        with pytest.raises(QueueUnavailableError) as caught:
            sender.send(a_claim("demo", 2))
    finally:
        released.set()

    assert isinstance(caught.value.__cause__, TimeoutError)
    assert len(sqs.bodies) == 2
    # The late answer must not be taken for that of the next claim.
    sqs.answer = yes
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
    sqs.answer = yes
    sender.send(a_claim("demo", 2))
    assert len(sqs.clients) == 1


def test_a_digest_without_a_message_id_is_not_ayes(sqs: Sqs) -> None:
    sqs.answer = lambda message: (200, yes(message)[1].replace(b"MessageId", b"RequestId"))

    with pytest.raises(QueueUnavailableError):
        sqs.sender().send(a_claim("demo", 1))


def test_a_server_that_is_not_there_is_unavailable() -> None:
    sender = Sqs(port=1).sender()

    with pytest.raises(QueueUnavailableError) as caught:
        sender.send(a_claim("demo", 1))

    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_server_that_the_store_vouches_for_is_talked_to(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _trust_our_own(tmp_path, monkeypatch)
    with serving(Sqs(), LOCALHOST, tmp_path) as sqs:
        sender = sqs.sender(scheme="https", host=host)
        sender.send(a_claim("demo", 1))
        sender.send(a_claim("demo", 2))

    assert (len(sqs.bodies), len(sqs.clients)) == (2, 1)


@pytest.mark.parametrize("server", REFUSED, ids=str)
def test_any_other_server_is_told_nothing(server: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _trust_our_own(tmp_path, monkeypatch)
    with serving(Sqs(), server.certificate, tmp_path) as sqs, pytest.raises(QueueUnavailableError):
        sqs.sender(scheme="https", host="localhost", connect_seconds=0.5).send(a_claim("demo", 1))

    assert sqs.bodies == []


def test_a_server_without_tls_is_told_nothing(sqs: Sqs) -> None:
    with pytest.raises(QueueUnavailableError):
        sqs.sender(scheme="https", connect_seconds=0.5).send(a_claim("demo", 1))

    assert sqs.bodies == []


def _trust_our_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "roots.pem").write_bytes(OUR_OWN.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "roots.pem"))


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 2",
        OK,
        OK + b"content-length: 5\r\n\r\nabc",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nabcde",
        b"SSH-2.0-x\r\n\r\n",
    ],
)
@pytest.mark.parametrize("closes", [True, False], ids=["closes", "hangs"])
def test_a_reply_that_breaks_off_is_unavailable(part: bytes, closes: bool) -> None:  # noqa: FBT001 - pytest's
    with scripted(part, closes=closes) as server, pytest.raises(QueueUnavailableError):
        SqsSender(QUEUE_URL, f"http://127.0.0.1:{server.port}", 0.3, 0.1).send(a_claim("demo", 1))


_SEND_TWICE = """
import sys
from firstcome.adapters.sqs_sender import SqsSender
from tests.factories import a_claim

sender = SqsSender(sys.argv[1], sys.argv[2], 5, 5)
sender.send(a_claim("demo", 1))
print("sent", flush=True)
sys.stdin.readline()
sender.send(a_claim("demo", 2))
"""


def test_an_environment_that_was_frozen_sends_on_a_new_connection(sqs: Sqs, repository: Path) -> None:
    """GIVEN a kept connection, WHEN SQS closes it while the environment is frozen, THEN the next claim is sent."""
    command = [sys.executable, "-c", _SEND_TWICE, QUEUE_URL, f"http://127.0.0.1:{sqs.port}"]
    environment = {**os.environ, "PYTHONPATH": f"{repository}:{repository / 'layers/firstcome/python'}"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as function:
        assert function.stdin
        assert function.stdout
        assert function.stdout.readline() == b"sent\n"
        function.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, function.pid, os.WSTOPPED)
        sqs.close_connections()
        function.send_signal(signal.SIGCONT)
        function.stdin.write(b"\n")
        function.stdin.flush()
        assert function.wait(30) == 0

    assert [from_body(body["MessageBody"]).sequence for body in sqs.bodies] == [1, 2]
    assert len(sqs.clients) == 2


class TestCredentials:
    def test_a_long_lived_key_has_no_session_token(self, sqs: Sqs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_SESSION_TOKEN")
        sqs.sender().send(a_claim("demo", 1))
        assert "x-amz-security-token" not in sqs.headers[0]

    def test_an_environment_restored_by_snapstart_asks_the_container_endpoint(
        self, sqs: Sqs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with credentials_endpoint("RESTORED") as endpoint:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
                monkeypatch.delenv(name)
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{endpoint.port}/2021-01-01")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "restored-environments-token")
            sender = sqs.sender()
            for sequence in (1, 2):
                sender.send(a_claim("demo", sequence))

        assert b"restored-environments-token" in endpoint.received
        assert {headers["x-amz-security-token"] for headers in sqs.headers} == {"fresh"}
        assert all("Credential=RESTORED/" in headers["authorization"] for headers in sqs.headers)

    def test_without_any_nothing_is_sent(self, sqs: Sqs, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)
        with pytest.raises(QueueUnavailableError):
            sqs.sender().send(a_claim("demo", 1))
        assert sqs.bodies == []
