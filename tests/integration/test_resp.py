"""The connection to Redis: every kind of reply, and a server that breaks off anywhere."""

import pytest

from firstcome.adapters.redis.resp import ReplyError, RespConnection, RespError, RespTimeoutError, pack
from local.services.ports import HOST
from tests.conftest import RedisTestServer
from tests.integration.scripted import Scripted, scripted


def test_every_kind_of_reply_is_read_from_a_real_server(redis_server: RedisTestServer) -> None:
    connection = redis_server.connection()

    replies = connection.exchange(
        [
            ["SET", "key", "änn 💥\r\n"],
            ["GET", "key"],
            ["GET", "nothing"],
            ["INCRBY", "count", -3],
            ["NONSENSE"],
            ["EVAL", "return {1, 'two', {false, 'three', {}}}", 0],
            ["EVAL", "return {err = 'MINE of my own'}", 0],
            ["PING"],
        ]
    )

    assert [reply for reply in replies if not isinstance(reply, ReplyError)] == [
        b"OK",
        "änn 💥\r\n".encode(),
        None,
        -3,
        [1, b"two", [None, b"three", []]],
        b"PONG",
    ]
    assert [str(reply).split()[0] for reply in replies if isinstance(reply, ReplyError)] == ["ERR", "MINE"]


def test_a_large_reply_is_read_whole(redis_server: RedisTestServer) -> None:
    text = "x" * 3_000_000
    assert redis_server.connection().exchange([["SET", "large", text], ["GET", "large"]]) == [b"OK", text.encode()]


def test_it_connects_when_it_is_used_and_again_after_it_was_closed(redis_server: RedisTestServer) -> None:
    connection = redis_server.connection()
    assert not connection.is_connected

    for _ in range(2):
        assert connection.exchange([["PING"]]) == [b"PONG"]
        assert connection.is_connected
        connection.disconnect()
        assert not connection.is_connected


def test_what_is_told_is_done_before_what_is_asked_next(redis_server: RedisTestServer) -> None:
    connection = redis_server.connection()
    connection.exchange([["SET", "count", 5]])

    connection.tell(["INCR", "count"])
    connection.tell(["NONSENSE"])
    connection.tell(["LRANGE", "list", 0, -1])

    assert connection.exchange([["INCR", "count"], ["PING"]]) == [7, b"PONG"]
    assert connection.exchange([["GET", "count"]]) == [b"7"]


def test_a_connection_that_breaks_after_something_was_told_is_an_error_of_the_next_exchange() -> None:
    with scripted(b":1\r\n:2\r\n", closes=True) as server:
        connection = _connect(server)
        assert connection.exchange([["INCR", "x"]]) == [1]
        connection.tell(["INCR", "x"])

        with pytest.raises(RespError):
            connection.exchange([["PING"]])

        assert not connection.is_connected


def test_the_replies_owed_by_a_connection_end_with_it(redis_server: RedisTestServer) -> None:
    connection = redis_server.connection()
    connection.exchange([["PING"]])
    connection.tell(["INCR", "count"])
    connection.disconnect()

    assert connection.exchange([["ECHO", "mine"]]) == [b"mine"]


def _tell_often(connection: RespConnection) -> None:
    """A peer that has gone takes the first packet, and answers that it is gone; a later one fails."""
    for _ in range(1_000):
        connection.tell(["INCR", "x" * 10_000])


def test_telling_on_a_connection_that_is_gone_is_an_error_at_last() -> None:
    with scripted(b"+OK\r\n", closes=True) as server:
        connection = _connect(server)
        connection.exchange([["PING"]])

        with pytest.raises(RespError):
            _tell_often(connection)

        assert not connection.is_connected


def _connect(server: Scripted) -> RespConnection:
    return RespConnection(HOST, server.port, timeout_seconds=0.2)


_PARTS = [b"", b"$", b"$5\r\nab", b"$5\r\nabcde", b"$5\r\nabcde\r", b":1", b":1\r", b"*2\r\n:1\r\n", b"+OK"]


@pytest.mark.parametrize("part", _PARTS)
def test_a_reply_that_breaks_off_closes_the_connection(part: bytes) -> None:
    with scripted(part, closes=True) as server:
        connection = _connect(server)

        with pytest.raises(RespError) as caught:
            connection.exchange([["GET", "key"]])

        assert not isinstance(caught.value, RespTimeoutError)
        assert not connection.is_connected


@pytest.mark.parametrize("part", _PARTS)
def test_a_reply_that_does_not_go_on_is_given_up_in_time(part: bytes) -> None:
    with scripted(part, closes=False) as server:
        connection = _connect(server)

        with pytest.raises(RespTimeoutError):
            connection.exchange([["GET", "key"]])

        # The late rest must not be taken for the reply to the next command.
        assert not connection.is_connected


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b"x" * 70_000 + b"\r\n", b":one\r\n", b"$x\r\n"]
)
def test_what_is_not_resp_is_an_error(reply: bytes) -> None:
    with scripted(reply, closes=False) as server:
        connection = _connect(server)

        with pytest.raises(RespError):
            connection.exchange([["GET", "key"]])

        assert not connection.is_connected


def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(RespError):
        RespConnection("127.0.0.1", 1, timeout_seconds=0.2).exchange([["PING"]])


def test_commands_are_packed_by_bytes_not_by_characters() -> None:
    assert pack([["ä", 10], ["GET"]]) == b"*2\r\n$2\r\n\xc3\xa4\r\n$2\r\n10\r\n*1\r\n$3\r\nGET\r\n"
