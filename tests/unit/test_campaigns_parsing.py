"""A campaign in a request: every field that is wrong is named, all of them at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.domain.campaign import CAPACITY_MAX, Campaign
from firstcome.domain.campaign_input import InvalidCampaign, parse_campaign
from firstcome.domain.times import from_rfc3339

_OPENS_AT, _CLOSES_AT = "2026-11-23T09:00:00.000Z", "2026-11-30T09:00:00.000Z"

_FIELDS: dict[str, object] = {"name": "Spring sale", "capacity": 100, "opens_at": _OPENS_AT, "closes_at": _CLOSES_AT}

_NO_OBJECT = [
    pytest.param("", id="nothing"),
    pytest.param(" ", id="blank"),
    pytest.param("null", id="null"),
    pytest.param("true", id="a truth"),
    pytest.param("100", id="a number"),
    pytest.param("NaN", id="not a number"),
    pytest.param('"demo"', id="a text"),
    pytest.param("[]", id="an array"),
    pytest.param(json.dumps([_FIELDS]), id="an array of one"),
    pytest.param(json.dumps(json.dumps(_FIELDS)), id="an object within a text"),
    pytest.param("name=demo&capacity=100", id="a form"),
    pytest.param("<campaign/>", id="XML"),
    pytest.param("{", id="half an object"),
    pytest.param(json.dumps(_FIELDS) + "x", id="something behind"),
    pytest.param("\ufeff" + json.dumps(_FIELDS), id="byte order mark"),
    pytest.param("{'name': 'x'}", id="single quotes"),
    pytest.param("\x00", id="NUL"),
    pytest.param("[" * 9_999, id="deep nesting"),
    pytest.param('{"name":"\ufffd"}', id="what was no UTF-8"),
    pytest.param('{"capacity":' + "9" * 5_000 + "}", id="more digits than Python reads"),
]

_NOT_A_NAME: list[object] = [None, 1, True, [], {}, "", "a\nb", "\ud800", "\u202e", "n" * 201, "n" * 9_000]

_NOT_A_CAPACITY: list[object] = [
    None,
    True,
    False,
    "100",
    "",
    0,
    -1,
    -(10**30),
    0.5,
    0.0,
    100.5,
    1e8,
    1e400,
    float("nan"),
    [100],
    {"n": 100},
    CAPACITY_MAX + 1,
    10**400,
]

_NOT_AN_INSTANT: list[object] = [
    None,
    True,
    0,
    1_795_424_400_000,
    1.5,
    [],
    {},
    "",
    "now",
    "2026-11-23",
    "2026-11-23T09:00:00",
    "2026-11-23T09:00:00 UTC",
    "2026-02-30T09:00:00Z",
    "2016-12-31T23:59:60Z",
    "1999-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "9" * 9_000,
]


def _wrong(body: str) -> list[tuple[str, str]]:
    """Return the fields that are wrong, and the rules they break."""
    outcome = parse_campaign("demo", body)
    assert isinstance(outcome, InvalidCampaign)
    return [(violation.field, violation.rule) for violation in outcome.violations]


def _wrong_fields(**changes: object) -> list[str]:
    return [field for field, _ in _wrong(json.dumps(_FIELDS | changes))]


def test_a_campaign_is_read() -> None:
    assert parse_campaign("demo", json.dumps(_FIELDS)) == Campaign(
        "demo", "Spring sale", 100, from_rfc3339(_OPENS_AT), from_rfc3339(_CLOSES_AT), paused=False
    )


@pytest.mark.parametrize("body", _NO_OBJECT)
def test_a_body_that_is_no_json_object_says_so(body: str) -> None:
    assert _wrong(body) == [("body", "must be a JSON object in UTF-8 that gives each field once")]


@pytest.mark.parametrize("name", _NOT_A_NAME, ids=lambda value: repr(value)[:16])
def test_what_is_no_name_is_named(name: object) -> None:
    assert _wrong_fields(name=name) == ["name"]


@pytest.mark.parametrize("name", ["x", "🎟" * 200, " ", "\u3000", "\ufffd", "'; DROP TABLE coupon; --"])
def test_a_name_is_taken_as_it_is(name: str) -> None:
    campaign = parse_campaign("demo", json.dumps(_FIELDS | {"name": name}))
    assert isinstance(campaign, Campaign)
    assert campaign.name == name


@pytest.mark.parametrize("capacity", _NOT_A_CAPACITY, ids=lambda value: repr(value)[:16])
def test_a_capacity_is_a_whole_number_from_1_to_ten_million(capacity: object) -> None:
    assert _wrong_fields(capacity=capacity) == ["capacity"]


@pytest.mark.parametrize("capacity", [1, 2, CAPACITY_MAX, 1.0, 100.0, 1e3, float(CAPACITY_MAX)])
def test_a_capacity_in_range_is_taken_however_the_number_is_written(capacity: float) -> None:
    campaign = parse_campaign("demo", json.dumps(_FIELDS | {"capacity": capacity}))
    assert isinstance(campaign, Campaign)
    assert campaign.capacity == capacity
    assert type(campaign.capacity) is int


@pytest.mark.parametrize("field", ["opens_at", "closes_at"])
@pytest.mark.parametrize("instant", _NOT_AN_INSTANT, ids=lambda value: repr(value)[:26])
def test_a_time_is_an_rfc_3339_date_time_from_2000_on(field: str, instant: object) -> None:
    assert _wrong_fields(**{field: instant}) == [field]


@pytest.mark.parametrize(
    ("opens_at", "closes_at"),
    [
        ("2000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"),
        (_OPENS_AT, "2026-11-23T09:00:00.001Z"),
        ("2026-11-23T09:00:00+09:00", "2026-11-23T09:00:00Z"),
        ("2026-11-23T23:00:00+14:00", "2026-11-23T10:00:00+00:00"),
    ],
)
def test_a_window_of_a_millisecond_is_enough_and_offsets_count(opens_at: str, closes_at: str) -> None:
    campaign = parse_campaign("demo", json.dumps(_FIELDS | {"opens_at": opens_at, "closes_at": closes_at}))
    assert isinstance(campaign, Campaign)
    assert campaign.opens_at < campaign.closes_at


@pytest.mark.parametrize(
    "closes_at",
    [
        _OPENS_AT,
        "2026-11-23T08:59:59.999Z",
        "2020-01-01T00:00:00Z",
        "2026-11-23T18:00:00+09:00",
        "2026-11-23T09:00:00.000999Z",
    ],
)
def test_a_campaign_closes_after_it_opens(closes_at: str) -> None:
    assert _wrong(json.dumps(_FIELDS | {"closes_at": closes_at})) == [("closes_at", "must be later than opens_at")]


@pytest.mark.parametrize("field", _FIELDS)
def test_a_missing_field_is_named(field: str) -> None:
    assert [name for name, _ in _wrong(json.dumps({key: _FIELDS[key] for key in _FIELDS if key != field}))] == [field]


def test_all_wrong_fields_are_named_at_once_each_with_its_rule() -> None:
    wrong = _wrong('{"name":"","capacity":true,"opens_at":"soon","limit":5,"closes_at":null,"paused":true}')
    assert [field for field, _ in wrong] == ["name", "capacity", "opens_at", "closes_at", "limit", "paused"]
    rules = dict(wrong)
    assert "1 to 200" in rules["name"]
    assert "1 to 10,000,000" in rules["capacity"]
    assert "RFC 3339" in rules["opens_at"]
    assert "RFC 3339" in rules["closes_at"]
    assert rules["limit"] == rules["paused"] == "is not a field of a campaign"


def test_an_empty_object_misses_every_field() -> None:
    assert [field for field, _ in _wrong("{}")] == list(_FIELDS)


@pytest.mark.parametrize("field", ["campaign_id", "state", "Capacity", "", "name ", "__class__", "\x00", "\ud800"])
def test_a_field_nobody_knows_is_named_rather_than_ignored(field: str) -> None:
    """A misspelt field that is ignored would change less than the operator believes."""
    assert _wrong_fields(**{field: 1}) == [field]


def test_the_name_of_an_unknown_field_is_cut_short() -> None:
    assert _wrong_fields(**{"x" * 9_000: 1}) == ["x" * 64]


@pytest.mark.parametrize(
    "again", [',"capacity":7}', ',"capacity":100}', ',"name":{"a":1,"a":1}}', ',"\\u006eame":"x"}']
)
def test_a_field_given_twice_is_refused(again: str) -> None:
    """What checks a request on its way could read the other one."""
    assert [field for field, _ in _wrong(f"{json.dumps(_FIELDS)[:-1]},{again}")] == ["body"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*_FIELDS, "x"]), inner),
    )
)
def test_no_json_makes_it_fail_in_any_other_way(document: object) -> None:
    assert isinstance(parse_campaign("demo", json.dumps(document)), InvalidCampaign)


@given(st.text())
def test_no_text_makes_it_fail_in_any_other_way(body: str) -> None:
    assert isinstance(parse_campaign("demo", body), InvalidCampaign)
