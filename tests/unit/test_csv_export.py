"""Coupons as CSV: read back as they were, and nothing in them runs in a spreadsheet."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.csv_export import coupons_as_csv, harmless
from firstcome.domain.claim import IssuedCoupon, is_user_id
from tests.factories import a_claim


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])  # noqa: RUF001
@pytest.mark.parametrize("before", ["", " ", "\u3000", "\u00a0"])
def test_a_formula_gets_a_mark_before_it(before: str, start: str) -> None:
    assert harmless(f"{before}{start}1+1") == f"'{before}{start}1+1"


@pytest.mark.parametrize("text", ["alice", "a=1", "1-1", "  ", "anna-lena@example.com"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@given(st.text().filter(is_user_id))
def test_taking_one_mark_away_gives_every_user_id_back(user_id: str) -> None:
    written = coupons_as_csv([IssuedCoupon(a_claim("demo", 7, user_id, "0123456789ABCDEF"), issued_at=1_000)])
    (read,) = csv.DictReader(io.StringIO(written, newline=""))
    assert read["user_id"].removeprefix("'") == user_id
    assert (read["sequence"], read["coupon_code"]) == ("7", "0123456789ABCDEF")
    assert (read["accepted_at"][-1], read["issued_at"]) == ("Z", "1970-01-01T00:00:01.000Z")


def test_without_coupons_there_are_the_names_of_the_columns() -> None:
    assert coupons_as_csv([]) == '"sequence","user_id","coupon_code","accepted_at","issued_at"\r\n'
