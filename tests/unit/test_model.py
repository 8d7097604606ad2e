"""The domain's words: which ids and codes are valid, and what a campaign's gate shows."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.domain.campaign import Campaign, Phase, is_campaign_id
from firstcome.domain.claim import is_coupon_code, new_coupon_code
from firstcome.domain.gate import GateView
from firstcome.domain.refusal import Refusal
from firstcome.domain.times import Millis

_OPENS, _CLOSES = 1_000, 2_000

_NOT_TEXT = [None, 0, 1, 1.5, True, b"demo", [], ["demo"], {}, {"demo": 1}]

_CONTROL = [
    pytest.param("\x00", id="NUL"),
    pytest.param("a\x00b", id="NUL inside"),
    pytest.param("a\n", id="newline behind"),
    pytest.param("a\tb", id="tab"),
    pytest.param("a\x1b[2J", id="terminal escape"),
    pytest.param("a\x7f", id="DEL"),
    pytest.param("a\x85", id="C1 control"),
    pytest.param("a\ud800", id="high surrogate alone"),
    pytest.param("\udcff", id="low surrogate alone"),
    pytest.param("a\u200b", id="zero-width space"),
    pytest.param("a\u202e", id="right-to-left override"),
    pytest.param("a\u2028", id="line separator"),
    pytest.param("a\u00a0", id="no-break space"),
    pytest.param("\ufeffa", id="byte order mark"),
    pytest.param("a\ue000", id="private use"),
    pytest.param("a\U0010ffff", id="unassigned"),
]


class TestCampaignId:
    @pytest.mark.parametrize("text", ["a", "0", "demo", "spring-2026", "a-", "a--b", "0" * 63])
    def test_small_letters_digits_and_hyphens_are_valid(self, text: str) -> None:
        assert is_campaign_id(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "-",
            "-demo",
            "Demo",
            "de mo",
            " demo",
            "demo ",
            "demo\n",
            "demo/x",
            "demo_x",
            "demo.x",
            "demo:x",
            "{demo}",
            "..",
            "%64emo",
            "démo",
            "ｄｅｍｏ",  # noqa: RUF001
            "demо",  # noqa: RUF001 - its last letter is Cyrillic
            "١٢٣",
            "a" * 64,
            "a" * 1_000_000,
        ],
    )
    def test_any_other_text_is_not(self, text: str) -> None:
        assert not is_campaign_id(text)

    @pytest.mark.parametrize("text", _CONTROL)
    def test_control_characters_and_surrogates_are_not(self, text: str) -> None:
        assert not is_campaign_id(text)

    @pytest.mark.parametrize("value", _NOT_TEXT)
    def test_what_is_no_text_is_not(self, value: object) -> None:
        assert not is_campaign_id(value)

    @given(st.text())
    def test_the_rule_is_that_of_the_design(self, text: str) -> None:
        assert is_campaign_id(text) == bool(re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", text))


class TestCouponCode:
    def test_every_drawn_code_has_the_form_of_a_code(self) -> None:
        assert all(is_coupon_code(new_coupon_code()) for _ in range(500))

    def test_no_code_is_drawn_twice(self) -> None:
        assert len({new_coupon_code() for _ in range(2_000)}) == 2_000

    def test_every_letter_of_the_alphabet_is_drawn_and_no_other(self) -> None:
        drawn = set("".join(new_coupon_code() for _ in range(200)))
        assert drawn == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0123456789ABCDE",
            "0123456789ABCDEFG",
            "0123456789abcdef",
            "0123456789ABCDEI",
            "0123456789ABCDEL",
            "0123456789ABCDEO",
            "0123456789ABCDEU",
            "0123-4567-89AB-C",
            "0123456789ABCDE ",
            "0123456789ABCDEF\n",
            "0123456789ABCD:F",
            "０123456789ABCDEF",  # noqa: RUF001
            "0123456789ABCDE\x00",
            "0123456789ABCDE\ud800",
        ],
    )
    def test_other_letters_and_lengths_are_not_codes(self, text: str) -> None:
        assert not is_coupon_code(text)

    @pytest.mark.parametrize("value", [*_NOT_TEXT, 1234567890123456])
    def test_what_is_no_text_is_not_a_code(self, value: object) -> None:
        assert not is_coupon_code(value)


def _view(*, capacity: int = 10, accepted: int = 0, now: Millis = _OPENS, paused: bool = False) -> GateView:
    return GateView(Campaign("demo", "Demo", capacity, _OPENS, _CLOSES, paused), accepted, now)


class TestPhase:
    @pytest.mark.parametrize(
        ("now", "phase"),
        [
            (0, Phase.NOT_OPEN),
            (_OPENS - 1, Phase.NOT_OPEN),
            (_OPENS, Phase.OPEN),
            (_CLOSES - 1, Phase.OPEN),
            (_CLOSES, Phase.CLOSED),
            (_CLOSES + 1, Phase.CLOSED),
        ],
    )
    def test_a_campaign_opens_at_its_first_instant_and_is_closed_at_its_last(self, now: Millis, phase: Phase) -> None:
        assert _view(now=now).phase is phase

    @pytest.mark.parametrize(("accepted", "phase"), [(9, Phase.OPEN), (10, Phase.SOLD_OUT), (11, Phase.SOLD_OUT)])
    def test_it_is_sold_out_with_the_last_coupon(self, accepted: int, phase: Phase) -> None:
        assert _view(accepted=accepted).phase is phase

    @pytest.mark.parametrize("now", [0, _OPENS, _CLOSES])
    def test_paused_goes_before_everything(self, now: Millis) -> None:
        assert _view(now=now, accepted=10, paused=True).phase is Phase.PAUSED

    @pytest.mark.parametrize(("now", "phase"), [(0, Phase.NOT_OPEN), (_CLOSES, Phase.CLOSED)])
    def test_the_window_goes_before_sold_out(self, now: Millis, phase: Phase) -> None:
        assert _view(now=now, accepted=10).phase is phase

    @pytest.mark.parametrize(("accepted", "remaining"), [(0, 10), (1, 9), (10, 0), (11, 0)])
    def test_remaining_is_never_below_zero(self, accepted: int, remaining: int) -> None:
        assert _view(accepted=accepted).remaining == remaining

    def test_every_phase_but_open_is_a_refusal_of_the_same_name(self) -> None:
        assert set(Phase) - {Phase.OPEN, Phase.UNAVAILABLE} <= set(Refusal)
