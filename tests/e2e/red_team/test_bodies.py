"""Bodies that are too large, malformed or made to be misread: no 5xx, and nothing is made of them."""

import gzip
import json

import pytest

from tests.e2e.conftest import Answer, campaign_body
from tests.e2e.red_team.conftest import Target
from tests.e2e.red_team.raw import Headers, is_refused, send
from tests.e2e.red_team.routes import WITH_A_BODY
from tests.e2e.red_team.tokens import Forge, bearer
from tests.factories import a_campaign_id

pytestmark = pytest.mark.usefixtures("unchanged")

_GOOD = json.dumps(campaign_body())
_JSON: Headers = [("Content-Type", "application/json")]


def _field(name: str, value: str) -> bytes:
    """A campaign with this JSON text as the value of a field."""
    return json.dumps({**campaign_body(), name: "VALUE"}).replace('"VALUE"', value).encode()


_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a blank": b" ",
    "a NUL": b"\0",
    "a NUL after it": _GOOD.encode() + b"\0",
    "a NUL in a text": _field("name", '"a\\u0000b"'),
    "a bare NUL in a text": _field("name", '"a\0b"'),
    "half a surrogate pair": _field("name", '"\\ud800"'),
    "half a surrogate pair as bytes": _field("name", '"X"').replace(b"X", b"\xed\xa0\x80"),
    "half a surrogate pair as a field": _field("\ud800", "1"),
    "no UTF-8": _field("name", '"X"').replace(b"X", b"\xff\xfe\x80"),
    "an overlong NUL": _field("name", '"X"').replace(b"X", b"\xc0\x80"),
    "a line break in a text": _field("name", '"a\\nb"'),
    "right to left": _field("name", '"\\u202e"'),
    "deep lists": b"[" * 9_999,
    "deep objects": b'{"a":' * 1_999,
    "deep lists that end": b"[" * 4_900 + b"]" * 4_900,
    "deep lists in a field": _field("name", "[" * 4_000 + "]" * 4_000),
    "a field twice": _field("capacity", '1,"capacity":10000000'),
    "a field twice, once escaped": _field("capacity", '1,"c\\u0061pacity":10000000'),
    "a list": b"[" + _GOOD.encode() + b"]",
    "a text": json.dumps(_GOOD).encode(),
    "null": b"null",
    "two objects": _GOOD.encode() * 2,
    "a comment": _GOOD.encode() + b"/* */",
    "not a number": _field("capacity", "NaN"),
    "infinity": _field("capacity", "Infinity"),
    "minus infinity": _field("capacity", "-Infinity"),
    "an exponent without end": _field("capacity", "1e999999"),
    "a fraction": _field("capacity", "1e-1"),
    "too many as a float": _field("capacity", "1e8"),
    "5,000 digits": _field("capacity", "9" * 5_000),
    "more than 64 bits": _field("capacity", str(2**64)),
    "below zero": _field("capacity", "-9223372036854775808"),
    "minus zero": _field("capacity", "-0"),
    "a leading zero": _field("capacity", "010"),
    "hexadecimal": _field("capacity", "0x10"),
    "true": _field("capacity", "true"),
    "a list of numbers": _field("capacity", "[10]"),
    "an object of MongoDB": _field("capacity", '{"$gt":0}'),
    "a prototype": _field("__proto__", '{"isAdmin":true}'),
    "a year of five digits": _field("closes_at", '"99999-01-01T00:00:00Z"'),
    "a leap second": _field("opens_at", '"2016-12-31T23:59:60Z"'),
    "the year 0": _field("opens_at", '"0000-01-01T00:00:00Z"'),
    "SQL for a number": _field("capacity", '"10; DROP TABLE coupon"'),
    "SQL for a time": _field("opens_at", "\"' OR '1'='1\""),
    "Lua for a time": _field("closes_at", "\"redis.call('TIME')\""),
    "a time with a NUL": _field("opens_at", '"2020-01-01T00:00:00Z\\u0000"'),
    "a byte order mark": b"\xef\xbb\xbf" + _GOOD.encode(),
    "UTF-16": _GOOD.encode("utf-16"),
    "UTF-16 without a mark": _GOOD.encode("utf-16-le"),
    "UTF-32": _GOOD.encode("utf-32"),
    "gzip": gzip.compress(_GOOD.encode()),
    "a bomb": gzip.compress(b"[" * 5_000_000),
    "a form": b"name=x&capacity=10",
    "XML": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "a pickle": b"cos\nsystem\n(S'true'\ntR.",
    "10,001 bytes": b"x" * 10_001,
    "10,001 bytes that are a campaign": _GOOD.encode() + b" " * (10_001 - len(_GOOD)),
    "5 MB": b"x" * 5_000_000,
}

_OTHER_TYPES: dict[str, Headers] = {
    "JSON, compressed": [*_JSON, ("Content-Encoding", "gzip")],
    "UTF-16": [("Content-Type", "application/json; charset=utf-16")],
    "a form of parts": [("Content-Type", "multipart/form-data; boundary=x")],
    "no type": [("Content-Type", ";;=//")],
}

_OF_EVERY_KIND = ["a NUL", "no UTF-8", "deep lists", "UTF-16", "a bomb", "10,001 bytes", "5 MB"]


def _put(target: Target, forge: Forge, headers: Headers, body: bytes) -> Answer:
    path = f"/campaigns/{a_campaign_id()}"
    return send(target.service, "PUT", path, [*bearer(forge.good()), *headers], body)


@pytest.mark.parametrize("body", _BODIES)
def test_no_campaign_is_made_of_it(target: Target, forge: Forge, body: str) -> None:
    # Declared as JSON it reaches the function as a text, undeclared as base64.
    for headers in (_JSON, []):
        answer = _put(target, forge, headers, _BODIES[body])
        assert (answer.status, answer.code) in {(422, "invalid_campaign"), (413, "body_too_large")}, answer


@pytest.mark.parametrize("content_type", _OTHER_TYPES)
@pytest.mark.parametrize("body", ["UTF-16", "gzip", "a field twice", "a form"])
def test_no_campaign_is_made_of_it_whatever_it_is_called(
    target: Target, forge: Forge, content_type: str, body: str
) -> None:
    answer = _put(target, forge, _OTHER_TYPES[content_type], _BODIES[body])

    assert (answer.status, answer.code) == (422, "invalid_campaign"), answer


@pytest.mark.parametrize("body", _OF_EVERY_KIND)
def test_no_other_route_stumbles_over_it(target: Target, forge: Forge, body: str) -> None:
    for route in WITH_A_BODY:
        path = route.path(a_campaign_id())
        answer = send(target.service, route.method, path, [*bearer(forge.good()), *_JSON], _BODIES[body])
        assert is_refused(answer), (route, answer)


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "5"), ("Content-Length", "500")],
        [("Content-Length", "-1")],
        [("Content-Length", "1e3")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "4")],
        [("Transfer-Encoding", "chunked, identity")],
        [("Transfer-Encoding", "xchunked")],
        [("Transfer-Encoding", "chunked")],
    ],
    ids=str,
)
def test_a_length_that_is_not_the_bodys_makes_nothing(target: Target, forge: Forge, headers: Headers) -> None:
    """The gateway's to refuse; with 501 (RFC 9112, 6.1) an encoding that it does not know."""
    hidden = b"0\r\n\r\nPUT /campaigns/smuggled HTTP/1.1\r\n\r\n"

    answer = _put(target, forge, [*_JSON, *headers], hidden)

    assert is_refused(answer) or (answer.status, answer.text) == (501, ""), answer
