"""The queue's message: what is a claim, and the reason each other thing is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstcome.domain.campaign import CAPACITY_MAX
from firstcome.domain.claim import Claim, is_user_id, new_coupon_code
from firstcome.domain.errors import UnreadableMessageError
from firstcome.domain.message import from_body, to_body
from firstcome.domain.times import from_rfc3339

_CLAIM = Claim("demo", "alice", 7, "0123456789ABCDEF", from_rfc3339("2026-11-23T09:00:00.123Z"))

_FIELDS: dict[str, object] = {
    "v": 1,
    "campaign_id": "demo",
    "user_id": "alice",
    "sequence": 7,
    "coupon_code": "0123456789ABCDEF",
    "accepted_at": "2026-11-23T09:00:00.123Z",
}

_NO_JSON = [
    "",
    " ",
    "claim",
    "{",
    '{"v":1',
    "{'v':1}",
    '{"v":1}{"v":1}',
    '{"v":01}',
    '{"v":1,}',
    "\ufeff{}",
    "\x00",
    '{"user_id":"a\nb"}',
    "[" * 100_000,
    '{"v":' * 100_000,
    '{"v":' + "9" * 5_000 + "}",
]

_NO_OBJECT = [
    "null",
    "true",
    "1",
    "1.5",
    "NaN",
    "-Infinity",
    '"claim"',
    "[]",
    '[{"v":1}]',
    json.dumps(json.dumps(_FIELDS)),
]

_OTHER_VERSIONS: list[object] = [None, 0, 2, -1, True, 1.0, "1", [1], {}, 10**400]

_INVALID: dict[str, list[object]] = {
    "campaign_id": [None, 1, True, [], {}, "", "-demo", "Demo", "de mo", "demo\n", "d" * 64, "{demo}"],
    "user_id": [None, 1, True, [], {}, "", "a\x00", "a\n", "\ud800", "u" * 129, "u" * 900_000],
    "sequence": [
        *(None, True, False, 0, -1, 1.0, 7.5, 1e3, "7", [7], {}, CAPACITY_MAX + 1, 10**400),
        *(float("nan"), float("inf"), float("-inf")),
    ],
    "coupon_code": [None, 1, True, [], {}, "", "0123456789ABCDE", "0123456789abcdef", "I" * 16],
    "accepted_at": [
        *(None, 1, True, 1.5, [], {}, "", "2026-11-23", "2026-11-23T09:00:00"),
        "1969-12-31T23:59:59.999Z",
        "2026-11-23T09:00:60Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ],
}

_NAMES = ["campaign_id", "user_id", "sequence", "coupon_code", "accepted_at"]


def _reason(body: str) -> str:
    with pytest.raises(UnreadableMessageError) as caught:
        from_body(body)
    return caught.value.reason


def test_a_claim_is_written_as_the_design_says() -> None:
    assert json.loads(to_body(_CLAIM)) == _FIELDS


def test_a_message_of_the_design_is_read() -> None:
    assert from_body(json.dumps(_FIELDS)) == _CLAIM


@given(
    user_id=st.text(min_size=1, max_size=128).filter(is_user_id),
    sequence=st.integers(1, CAPACITY_MAX),
    accepted_at=st.integers(0, from_rfc3339("9999-12-31T23:59:59.999Z")),
)
def test_what_is_written_is_read_back(user_id: str, sequence: int, accepted_at: int) -> None:
    claim = Claim("demo", user_id, sequence, new_coupon_code(), accepted_at)
    body = to_body(claim)
    assert from_body(body) == claim
    # SQS takes no control character, and counts bytes.
    assert body.isascii()
    assert body.isprintable()


@pytest.mark.parametrize("body", _NO_JSON, ids=lambda body: body[:12])
def test_what_is_no_json_says_so(body: str) -> None:
    assert _reason(body) == "not_json"


@pytest.mark.parametrize("body", _NO_OBJECT)
def test_what_is_no_object_says_so(body: str) -> None:
    assert _reason(body) == "not_an_object"


@pytest.mark.parametrize("version", _OTHER_VERSIONS, ids=lambda version: str(version)[:12])
def test_another_version_says_so_whatever_else_is_wrong(version: object) -> None:
    assert _reason(json.dumps({"v": version})) == "unknown_version"


def test_no_version_is_an_unknown_one() -> None:
    assert _reason("{}") == "unknown_version"


@pytest.mark.parametrize("name", _NAMES)
def test_a_missing_field_is_named(name: str) -> None:
    assert _reason(json.dumps({key: value for key, value in _FIELDS.items() if key != name})) == f"missing_{name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in _INVALID.items() for value in values],
    ids=lambda part: str(part)[:24],
)
def test_an_invalid_field_is_named(name: str, value: object) -> None:
    assert _reason(json.dumps(_FIELDS | {name: value})) == f"invalid_{name}"


def test_every_field_has_been_tried() -> None:
    assert _INVALID.keys() == set(_NAMES) == _FIELDS.keys() - {"v"}


def test_deep_nesting_in_a_field_is_that_fields_fault() -> None:
    deep = '{"v":1,"campaign_id":' + "[" * 500 + "]" * 500 + "}"
    assert _reason(deep) == "invalid_campaign_id"


def test_fields_of_later_writers_are_ignored() -> None:
    assert from_body(json.dumps(_FIELDS | {"trace": {"id": "x"}})) == _CLAIM


def test_of_a_field_given_twice_the_last_one_counts_and_is_checked() -> None:
    body = json.dumps(_FIELDS)[:-1]
    assert from_body(body + ',"sequence":8}').sequence == 8
    assert _reason(body + ',"sequence":0}') == "invalid_sequence"
    assert _reason(body + ',"v":2}') == "unknown_version"


def test_the_time_may_have_any_offset() -> None:
    assert from_body(json.dumps(_FIELDS | {"accepted_at": "2026-11-23T18:00:00.123+09:00"})) == _CLAIM


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_DOCUMENTS = st.recursive(
    _VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["v", *_NAMES]), inner)
)


@given(st.text() | _DOCUMENTS.map(json.dumps))
def test_nothing_makes_it_fail_in_any_other_way(body: str) -> None:
    with pytest.raises(UnreadableMessageError, match="^[a-z_]+$"):
        from_body(body)
