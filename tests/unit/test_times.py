"""Instants: what counts as RFC 3339, and what does not."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.domain.times import Millis, from_datetime, from_rfc3339, to_rfc3339, to_utc_datetime

_YEAR_2000 = 946_684_800_000
_LAST_INSTANT = 253_402_300_799_999
_FIRST_INSTANT = -62_135_596_800_000

_SAME_INSTANT = [
    "2026-11-23T09:00:00.123Z",
    "2026-11-23T09:00:00.123+00:00",
    "2026-11-23T09:00:00.123-00:00",
    "2026-11-23T18:00:00.123+09:00",
    "2026-11-22T22:30:00.123-10:30",
    "2026-11-24T08:59:00.123+23:59",
    "2026-11-23t09:00:00.123z",
    "2026-11-23 09:00:00.123Z",
    "2026-11-23T09:00:00.1239Z",
    "2026-11-23T09:00:00.123999999Z",
]

_MALFORMED = [
    pytest.param("", id="empty"),
    pytest.param("now", id="a word"),
    pytest.param("1795424400000", id="milliseconds"),
    pytest.param("2026-11-23", id="date alone"),
    pytest.param("20261123T090000Z", id="basic format"),
    pytest.param("2026-W48-1T09:00:00Z", id="week date"),
    pytest.param("2026-327T09:00:00Z", id="day of the year"),
    pytest.param("09:00:00Z", id="time alone"),
    pytest.param("2026-11-23T09:00Z", id="without seconds"),
    pytest.param("2026-11-23T09:00:00", id="without a zone"),
    pytest.param("2026-11-23T09:00:00 Z", id="blank before the zone"),
    pytest.param("2026-11-23T09:00:00+09", id="offset without minutes"),
    pytest.param("2026-11-23T09:00:00+0900", id="offset without a colon"),
    pytest.param("2026-11-23T09:00:00+09:00:30", id="offset with seconds"),
    pytest.param("2026-11-23T09:00:00Z+09:00", id="two zones"),
    pytest.param("2026-11-23T09:00:00 Europe/Berlin", id="zone by name"),
    pytest.param("2026-11-23T09:00:00.Z", id="fraction without digits"),
    pytest.param("2026-11-23T09:00:00.1234567890Z", id="ten digits of fraction"),
    pytest.param("2026-11-23T09:00:00,123Z", id="decimal comma"),
    pytest.param("2026-1-23T09:00:00Z", id="one-digit month"),
    pytest.param("2026/11/23T09:00:00Z", id="slashes"),
    pytest.param("2026-11-23_09:00:00Z", id="underscore"),
    pytest.param("12026-11-23T09:00:00Z", id="five-digit year"),
    pytest.param("-2026-11-23T09:00:00Z", id="negative year"),
    pytest.param(" 2026-11-23T09:00:00Z", id="blank in front"),
    pytest.param("2026-11-23T09:00:00Z ", id="blank behind"),
    pytest.param("2026-11-23T09:00:00Z\n", id="newline behind"),
    pytest.param("2026-11-23T09:00:00Z\x00", id="NUL behind"),
    pytest.param("２０２６-11-23T09:00:00Z", id="full-width digits"),  # noqa: RUF001
    pytest.param("٢٠٢٦-11-23T09:00:00Z", id="Arabic digits"),
    pytest.param("2026-11-23T09:00:00\N{MINUS SIGN}09:00", id="typographic minus"),
]

_NOT_IN_THE_CALENDAR = [
    pytest.param("2026-02-29T09:00:00Z", id="29 February of a common year"),
    pytest.param("2026-04-31T09:00:00Z", id="31 April"),
    pytest.param("2026-13-01T09:00:00Z", id="month 13"),
    pytest.param("2026-00-01T09:00:00Z", id="month 0"),
    pytest.param("2026-11-00T09:00:00Z", id="day 0"),
    pytest.param("2026-11-23T24:00:00Z", id="hour 24"),
    pytest.param("2026-11-23T09:60:00Z", id="minute 60"),
    pytest.param("2026-11-23T09:00:61Z", id="second 61"),
    pytest.param("2016-12-31T23:59:60Z", id="leap second"),
    pytest.param("0000-01-01T09:00:00Z", id="year 0"),
    pytest.param("2026-11-23T09:00:00+24:00", id="offset of a day"),
    pytest.param("2026-11-23T09:00:00+99:00", id="offset of four days"),
    pytest.param("2026-11-23T09:00:00+08:60", id="offset with 60 minutes"),
    pytest.param("9999-12-31T23:59:59.999-00:01", id="behind the last year, by its offset"),
    pytest.param("9999-12-31T00:01:00-23:59", id="behind the last year, by its offset of a day"),
    pytest.param("0001-01-01T00:00:00+00:01", id="before the first year, by its offset"),
]


@pytest.mark.parametrize("text", _SAME_INSTANT)
def test_every_offset_and_spelling_names_the_same_instant(text: str) -> None:
    assert to_rfc3339(from_rfc3339(text)) == "2026-11-23T09:00:00.123Z"


@pytest.mark.parametrize("text", _MALFORMED)
def test_a_text_that_is_no_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        from_rfc3339(text)


@pytest.mark.parametrize("text", _NOT_IN_THE_CALENDAR)
def test_an_instant_that_the_calendar_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="\\w"):
        from_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2000-01-01T00:00:00Z", _YEAR_2000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("9999-12-31T23:59:59.999999999Z", _LAST_INSTANT),
        ("0001-01-01T00:00:00Z", _FIRST_INSTANT),
    ],
)
def test_instants_count_milliseconds_since_the_epoch(text: str, instant: Millis) -> None:
    assert from_rfc3339(text) == instant


def test_digits_below_the_millisecond_are_cut_off_before_the_epoch_too() -> None:
    assert to_rfc3339(from_rfc3339("1969-12-31T23:59:59.9999Z")) == "1969-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (7, "1970-01-01T00:00:00.007Z"),
        (_YEAR_2000, "2000-01-01T00:00:00.000Z"),
        (_LAST_INSTANT, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_three_digits(instant: Millis, text: str) -> None:
    assert to_rfc3339(instant) == text


@given(st.integers(_FIRST_INSTANT, _LAST_INSTANT))
def test_writing_and_reading_gives_the_instant_back(instant: Millis) -> None:
    assert from_rfc3339(to_rfc3339(instant)) == instant
    assert from_datetime(to_utc_datetime(instant).replace(tzinfo=UTC)) == instant


@given(st.text(alphabet="0123456789-+:.TtZz ", max_size=35) | st.from_regex(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z"))
def test_whatever_can_be_read_can_be_written(text: str) -> None:
    try:
        instant = from_rfc3339(text)
    except ValueError:
        return
    assert from_rfc3339(to_rfc3339(instant)) == instant
