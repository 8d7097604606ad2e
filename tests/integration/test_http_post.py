"""POST over HTTP/1.1 against a server that sends given bytes: every way a reply may be framed, and may break off."""

import pytest

from firstcome.adapters.http_post import HttpConnection, HttpError
from local.services.ports import HOST
from tests.integration.scripted import Scripted, scripted

OK = b"HTTP/1.1 200 OK\r\n"


def _connect(server: Scripted) -> HttpConnection:
    return HttpConnection(HOST, server.port, 1, 0.2, tls=None)


@pytest.mark.parametrize(
    ("reply", "expected", "is_open"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", (200, b"hi"), True),
        (OK + b"content-length:2\r\nConnection: close\r\n\r\nhi", (200, b"hi"), False),
        (OK + b"CONTENT-LENGTH: 0\r\n\r\n", (200, b""), True),
        (b"HTTP/1.1 400 \r\ncontent-length: 1\r\n\r\nx", (400, b"x"), True),
        (b"HTTP/1.1 503\r\ncontent-length: 1\r\n\r\nx", (503, b"x"), True),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
            (200, b"hi0123456789"),
            True,
        ),
    ],
)
def test_a_reply_is_read_whatever_its_frame(
    reply: bytes,
    expected: tuple[int, bytes],
    is_open: bool,  # noqa: FBT001 - pytest's
) -> None:
    with scripted(reply) as server:
        connection = _connect(server)

        assert connection.post("host:x\n", b"body") == expected

        assert connection.is_open == is_open
        connection.close()


def test_the_request_is_as_it_should_be() -> None:
    with scripted(OK + b"content-length: 0\r\n\r\n") as there:
        connection = _connect(there)
        connection.post("host:x\nx-amz-target:T\n", "bödy".encode())
        connection.close()

        assert there.received == "POST / HTTP/1.1\r\nhost:x\r\nx-amz-target:T\r\ncontent-length:5\r\n\r\nbödy".encode()


_PARTS = [b"", b"HTTP/1.1 2", OK, OK + b"content-length: 5\r\n", OK + b"content-length: 5\r\n\r\nabc"]


@pytest.mark.parametrize("part", [*_PARTS, OK + b"transfer-encoding: chunked\r\n\r\n5\r\nabcde"])
def test_a_reply_that_breaks_off_is_an_error(part: bytes) -> None:
    with scripted(part, closes=True) as server:
        connection = _connect(server)

        with pytest.raises(OSError) as caught:  # noqa: PT011 - a reset as well as an end
            connection.post("host:x\n", b"body")

        assert not isinstance(caught.value, TimeoutError)
        connection.close()


@pytest.mark.parametrize("part", _PARTS)
def test_a_reply_that_does_not_go_on_is_given_up_in_time(part: bytes) -> None:
    with scripted(part) as server:
        connection = _connect(server)

        with pytest.raises(TimeoutError):
            connection.post("host:x\n", b"body")

        connection.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 yes\r\ncontent-length: 0\r\n\r\n",
        OK + b"\r\nbody until the end",
        OK + b"content-length: two\r\n\r\nhi",
        OK + b"content-length: -2\r\n\r\nhi",
        OK + b"content-length: 99999999\r\n\r\n",
        OK + b"x: " + b"y" * 100_000,
        OK + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi!\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n" + (b"F000\r\n" + b"x" * 0xF000 + b"\r\n") * 2,
    ],
)
def test_what_is_not_http_or_too_much_of_it_is_an_error(reply: bytes) -> None:
    with scripted(reply) as server:
        connection = _connect(server)

        with pytest.raises(HttpError):
            connection.post("host:x\n", b"body")

        connection.close()
