"""Which texts may be a user id or a campaign's name: a rule of code points, the same in every runtime."""

import pytest

from firstcome.domain.campaign import is_campaign_name
from firstcome.domain.claim import is_user_id
from firstcome.domain.text import is_text

_FORBIDDEN = [(0x0000, 0x001F), (0x007F, 0x009F), (0xD800, 0xDFFF), (0x2028, 0x202E), (0x2066, 0x2069)]


def test_every_code_point_but_the_forbidden_ones_is_taken() -> None:
    refused = {code for code in range(0x110000) if not is_text(chr(code), 1)}
    assert refused == {code for first, last in _FORBIDDEN for code in range(first, last + 1)}


@pytest.mark.parametrize(
    "text",
    [
        *("alice", "auth0|5f7c8ec7c33c6c004bbafe82", "{alice}", "user:1:2", "  alice  ", " ", "日本語", "<b>"),
        pytest.param("山田\u3000太郎", id="ideographic space"),
        pytest.param("a\u00a0b", id="no-break space"),
        pytest.param("می\u200cخواهم", id="Persian with a joiner"),
        pytest.param("👨\u200d👩\u200d👧\u200d👦", id="family emoji"),
        pytest.param("\U0001fae9", id="an emoji newer than some runtimes"),
        pytest.param("\U000e0080\uffff", id="unassigned"),
    ],
)
def test_what_real_issuers_send_is_taken(text: str) -> None:
    assert is_user_id(text)
    assert is_campaign_name(text)


@pytest.mark.parametrize("text", ["a\x00", "a\nb", "\x1b[2J", "half a pair \ud800", "\u202eright to left", ""])
def test_a_forbidden_code_point_anywhere_refuses_the_text(text: str) -> None:
    assert not is_user_id(text)
    assert not is_campaign_name(text)


@pytest.mark.parametrize("letter", ["u", "🎟"])
def test_length_is_counted_in_code_points(letter: str) -> None:
    assert is_user_id(letter * 128)
    assert not is_user_id(letter * 129)
    assert is_campaign_name(letter * 200)
    assert not is_campaign_name(letter * 201)


@pytest.mark.parametrize("value", [None, 1, True, b"alice", ["alice"], {"alice": 1}])
def test_only_a_text_is_one(value: object) -> None:
    assert not is_user_id(value)
    assert not is_campaign_name(value)
