"""Commands recorded from a handler, sent again for others."""

from __future__ import annotations

from bench.harness.recorded import RECORDED_CAMPAIGN, Recorded, _parse, a_code
from firstcome.domain.claim import is_coupon_code

USER = "00000000-0000-4000-8000-000000000001"


def test_a_line_of_monitor_is_read() -> None:
    line = b'+1795424400.123456 [0 127.0.0.1:40000] "EVALSHA" "ab12" "1" "a \\"b\\"\\x00"\r\n'

    assert _parse(line) == (b"EVALSHA", b"ab12", b"1", b'a "b"\x00')


def test_what_a_script_did_is_left_out() -> None:
    assert _parse(b'+1795424400.123456 [0 lua] "HGET" "a" "b"\r\n') == ()


def test_campaign_user_and_code_are_put_in_where_the_recorded_ones_stood() -> None:
    command = (b"EVALSHA", f"x:{{{RECORDED_CAMPAIGN}}}:claims".encode(), b"ann", b"0123456789ABCDEF")
    recorded = Recorded([command], b"ann", b"0123456789ABCDEF")

    packed = recorded.packed(recorded.commands, "large", USER, 7)

    assert packed.startswith(b"*4\r\n$7\r\nEVALSHA\r\n$16\r\nx:{large}:claims\r\n$36\r\n" + USER.encode())
    assert a_code(7).encode() in packed


def test_codes_are_codes_and_differ() -> None:
    codes = {a_code(number) for number in range(10_000)}

    assert len(codes) == 10_000
    assert all(is_coupon_code(code) for code in codes)
