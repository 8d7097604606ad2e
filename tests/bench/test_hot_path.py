"""What is made of the blocks of the hot path, and of what MONITOR saw."""

import pytest

from bench.harness.captured import commands, for_user, parsed, script_calls
from bench.harness.hot_plan import Block, Outcome
from bench.parts.hot_path import ACCEPTED, PLANS, REFUSED, SOLD_OUT, figures, read_outcome, table
from tests.conftest import RedisTestServer


def _blocks(*medians_us: int) -> list[Block]:
    return [Block([median * 1_000 - 500, median * 1_000, median * 90_000], median * 2_000) for median in medians_us]


def _outcome(handler: list[Block], bare: list[Block], script_calls: int = 9, log_bytes: int = 0) -> Outcome:
    return Outcome(handler, bare, script_calls, log_bytes)


_OUTCOMES = {
    REFUSED: _outcome(_blocks(110, 120, 9_000), _blocks(100, 100, 50)),
    SOLD_OUT: _outcome(_blocks(20, 20, 20), _blocks(100, 100, 100), script_calls=3),
    ACCEPTED: _outcome(_blocks(500, 500, 500), _blocks(1_000, 1_000, 1_000), log_bytes=900),
}


def test_the_figures_are_medians_of_the_blocks_medians() -> None:
    assert figures(_OUTCOMES) == pytest.approx(
        {"refused_ratio": 1.2, "sold_out_cached_ratio": 0.2, "accepted_ratio": 0.5}
    )


def test_the_table_says_how_many_requests_reached_redis_and_what_was_logged() -> None:
    made = table(_OUTCOMES)
    assert {len(row) for row in made.rows} == {len(made.columns)}
    assert made.rows[2][-3:] == ["0.333", "0", "0.20"]
    assert made.rows[4][-3:] == ["1.000", "100", "0.50"]
    assert made.rows[0][2] == "120"


def test_every_plan_has_a_figure() -> None:
    assert [plan.name for plan in PLANS] == list(_OUTCOMES)


def test_an_outcome_is_read_as_it_was_written() -> None:
    block = {"took_ns": [1, 2], "cpu_ns": 3}
    fields = {"handler": [block], "bare": [], "script_calls": 2, "log_bytes": 0}
    assert read_outcome(fields) == Outcome([Block([1, 2], 3)], [], 2, 0)


def test_a_line_of_monitor_is_read_as_redis_wrote_it() -> None:
    line = r'+1795432000.123456 [0 127.0.0.1:50000] "EVALSHA" "ab" "1" "k\"ey\\" "\x00\xff\n"' + "\r\n"
    assert parsed(line) == [b"EVALSHA", b"ab", b"1", b'k"ey\\', b"\x00\xff\n"]
    assert parsed('+1795432000.123456 [0 lua] "GET" "k"') == []


def test_another_user_takes_the_place_of_the_one_who_was_seen() -> None:
    assert for_user([b"EVALSHA", b"ann", b"anna"], "ann", "bob") == [b"EVALSHA", b"bob", b"anna"]


def test_what_is_sent_meanwhile_is_seen(redis_server: RedisTestServer) -> None:
    client = redis_server.client
    sha = client.script_load("return redis.call('GET', KEYS[1])")

    def act() -> None:
        client.set("k", b"\x00\r\n")
        client.evalsha(sha, 1, "k")

    ((name, _, count, key),) = script_calls(redis_server.port, act)
    assert (name, count, key) == (b"EVALSHA", b"1", b"k")
    seen = [command for command in commands(redis_server.port, act) if command[0] in {b"SET", b"EVALSHA"}]
    assert seen[0] == [b"SET", b"k", b"\x00\r\n"]
    assert seen[1][0::2] == [b"EVALSHA", b"1"]
