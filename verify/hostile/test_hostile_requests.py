"""Hostile requests against every route of docs/openapi.yaml: no success, no 5xx, nothing changed.

API Gateway verifies tokens; tried here is whether each route asks for one, and what the functions do behind it.
"""

import gzip
import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from firstcome.adapters.redis.gate import GateKeys
from tests.e2e.conftest import OPERATOR, Answer, Service, campaign_body, eventually
from tests.factories import a_campaign_id
from tests.unit.documentation import document, operations

type Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Route:
    """A route of the API; one that is added to docs/openapi.yaml is attacked by itself."""

    key: str
    security: list[dict[str, list[str]]]

    def __str__(self) -> str:
        return self.key

    @property
    def method(self) -> str:
        return self.key.partition(" ")[0]

    def path(self, campaign_id: str) -> str:
        return self.key.partition(" ")[2].replace("{campaign_id}", campaign_id).replace("{file}", "style.css")

    @property
    def body(self) -> dict[str, object] | None:
        return campaign_body() if self.method == "PUT" else None


_ALL = [Route(key, operation.get("security", document()["security"])) for key, operation in operations().items()]
PROTECTED = [route for route in _ALL if route.security]
OPERATORS = [route for route in PROTECTED if any(route.security[0].values())]


def bearer(token: str) -> Headers:
    return [("Authorization", f"Bearer {token}")]


def send(service: Service, method: str, path: str, headers: Headers, body: object = None) -> Answer:
    """Send a request with this very path and these headers, which an HTTP library would tidy up."""
    base = urlsplit(service.stack.api_url)
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection(base.hostname or "", base.port, timeout=60)
    try:
        connection.putrequest(method, base.path + path)
        for name, value in [*headers, ("Content-Length", str(len(content)))]:
            connection.putheader(name, value.encode())
        connection.endheaders(content)
        reply = connection.getresponse()
        text = reply.read().decode()
    except (http.client.HTTPException, ConnectionError):
        return Answer(400, {}, None, "")  # The gateway ended it without an answer.
    finally:
        connection.close()
    is_json = "json" in reply.getheader("content-type", "")
    return Answer(reply.status, dict(reply.getheaders()), json.loads(text) if is_json else None, text)


@dataclass(frozen=True)
class Target:
    """An open campaign in which `victim` has a coupon."""

    service: Service
    campaign_id: str
    coupon_code: str

    def state(self) -> dict[str, object]:
        """All that an attack could have changed."""
        with self.service.redis() as client:
            keys = sorted(client.keys(f"firstcome:{{{self.campaign_id}}}:*"))
            return {
                "campaigns": self.service.query("SELECT * FROM campaign ORDER BY campaign_id"),
                "rows": self.service.rows(self.campaign_id),
                "gate": {key: client.dump(key) for key in keys},
            }


@pytest.fixture(scope="module")
def target(service: Service) -> Target:
    campaign_id = service.campaign()
    code = service.apply(campaign_id, "victim").body["coupon_code"]
    with service.redis() as client:
        eventually(lambda: client.getbit(GateKeys(campaign_id).issued, 1), bool)
    return Target(service, campaign_id, code)


@pytest.fixture
def unchanged(target: Target) -> Iterator[None]:
    before = target.state()
    yield
    assert target.state() == before


def _refused_everywhere(target: Target, routes: list[Route], headers: Headers, statuses: set[int]) -> None:
    for route in routes:
        answer = send(target.service, route.method, route.path(target.campaign_id), headers, route.body)
        assert answer.status in statuses, (route, answer)
        assert target.coupon_code not in answer.text


def _signed_by_another_key(service: Service) -> str:
    claims = jwt.decode(service.token("mallory", scope=OPERATOR), options={"verify_signature": False})
    return jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", {"kid": "local-1"})


_TOKENS: dict[str, Callable[[Service], Headers]] = {
    "none": lambda _: [],
    "garbage": lambda _: bearer("garbage"),
    "expired": lambda service: bearer(service.token("mallory", scope=OPERATOR, ttl_seconds=-60)),
    "another key": lambda service: bearer(_signed_by_another_key(service)),
    "another scheme": lambda service: [("Authorization", f"Basic {service.token('mallory', scope=OPERATOR)}")],
    "another header": lambda service: [("X-Authorization", f"Bearer {service.token('mallory', scope=OPERATOR)}")],
    "a gateway's context": lambda _: [
        ("X-Amzn-Request-Context", '{"authorizer":{"jwt":{"claims":{"sub":"victim"}}}}'),
        ("X-User-Id", "victim"),
    ],
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("token", _TOKENS)
def test_no_route_opens_without_a_good_token(target: Target, token: str) -> None:
    _refused_everywhere(target, PROTECTED, _TOKENS[token](target.service), {401})


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("scope", ["", "openid", "firstcome/operatorX", "FIRSTCOME/OPERATOR", "* firstcome/*"])
def test_a_token_without_the_scope_operates_nothing(target: Target, scope: str) -> None:
    _refused_everywhere(target, OPERATORS, bearer(target.service.token("mallory", scope=scope)), {403})


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("subject", ["x" * 129, "victim\n", "victim\x00", "\u202emitciv", "victim\u2028"], ids=ascii)
def test_a_token_without_a_usable_subject_is_refused(target: Target, subject: str) -> None:
    _refused_everywhere(target, PROTECTED, bearer(target.service.token(subject, scope=OPERATOR)), {403})


_TRICKS: dict[str, Callable[[str], str]] = {
    "a slash more in front": lambda path: f"/{path}",
    "a slash more within": lambda path: path.replace("/campaigns/", "/campaigns//"),
    "a slash at the end": lambda path: f"{path}/",
    "an encoded slash at the end": lambda path: f"{path}%2f",
    "a slash of full width": lambda path: "%EF%BC%8F".join(path.rsplit("/", 1)),
    "an overlong slash": lambda path: "%c0%af".join(path.rsplit("/", 1)),
    "two dots": lambda path: f"/console/..{path}",
    "encoded dots": lambda path: f"/console/%2e%2e{path}",
    "encoded dots and slashes": lambda path: f"/console%2f%2e%2e{path}",
    "a way round through a user's route": lambda path: f"/campaigns/x/coupons/../../..{path}",
    "a NUL": lambda path: f"{path}%00",
    "a line break": lambda path: f"{path}%0d%0aX-Injected:%20yes",
    "an encoded question mark": lambda path: f"{path}%3fx=1",
    "upper case": lambda path: path.replace("campaigns", "CAMPAIGNS"),
    "an encoded letter": lambda path: path.replace("campaigns", "%63ampaigns"),
    "8,000 characters": lambda path: f"{path}?{'x' * 8_000}",
    "64,000 characters": lambda path: f"{path}{'/x' * 32_000}",
    "10,000 parameters": lambda path: f"{path}?{'&'.join(['a=1'] * 10_000)}",
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("trick", _TRICKS)
def test_no_path_leads_around_the_authorizer(target: Target, trick: str) -> None:
    user = bearer(target.service.token("mallory"))
    for routes, headers in ((PROTECTED, []), (OPERATORS, user)):
        for route in routes:
            path = _TRICKS[trick](route.path(target.campaign_id))
            answer = send(target.service, route.method, path, headers, route.body)
            assert 400 <= answer.status < 500, (route, answer)
            assert target.coupon_code not in answer.text


@pytest.mark.parametrize(
    "file",
    ["..", "..%2fapp.py", "%2e%2e%2fapp.py", "%2fetc%2fpasswd", "style.css%00.html", "STYLE.CSS", "app.py"],
)
def test_no_file_is_served_but_the_pages(service: Service, file: str) -> None:
    assert send(service, "GET", f"/console/{file}", []).status == 404


_READING = [route for route in OPERATORS if route.method == "GET" and not route.key.endswith(("/stats", "/lookup"))]


@pytest.mark.parametrize("route", _READING, ids=str)
@pytest.mark.parametrize("value", ["'%20OR%201=1--", "redis.call()", "%00", "%ff", "1%0d%0a2"])
def test_a_query_made_of_metacharacters_is_refused(target: Target, route: Route, value: str) -> None:
    operator = bearer(target.service.token("mallory", scope=OPERATOR))
    answer = send(target.service, "GET", f"{route.path(target.campaign_id)}?limit={value}", operator)
    assert (answer.status, answer.code) == (400, "invalid_parameter"), answer


_GOOD = json.dumps(campaign_body())


def _field(name: str, value: str) -> bytes:
    """A campaign with this JSON text as the value of a field."""
    return json.dumps({**campaign_body(), name: "VALUE"}).replace('"VALUE"', value).encode()


_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a NUL": b"\0",
    "a NUL in a text": _field("name", '"a\\u0000b"'),
    "a bare NUL in a text": _field("name", '"a\0b"'),
    "half a surrogate pair": _field("name", '"\\ud800"'),
    "half a surrogate pair as bytes": _field("name", '"X"').replace(b"X", b"\xed\xa0\x80"),
    "no UTF-8": _field("name", '"X"').replace(b"X", b"\xff\xfe\x80"),
    "a line break in a text": _field("name", '"a\\nb"'),
    "right to left": _field("name", '"\\u202e"'),
    "deep lists": b"[" * 9_999,
    "deep objects": b'{"a":' * 1_999,
    "a field twice": _field("capacity", '1,"capacity":10000000'),
    "a field twice, once escaped": _field("capacity", '1,"c\\u0061pacity":10000000'),
    "a list": b"[" + _GOOD.encode() + b"]",
    "two objects": _GOOD.encode() * 2,
    "not a number": _field("capacity", "NaN"),
    "infinity": _field("capacity", "Infinity"),
    "an exponent without end": _field("capacity", "1e999999"),
    "too many as a float": _field("capacity", "1e8"),
    "5,000 digits": _field("capacity", "9" * 5_000),
    "a prototype": _field("__proto__", '{"isAdmin":true}'),
    "a year of five digits": _field("closes_at", '"99999-01-01T00:00:00Z"'),
    "SQL for a time": _field("opens_at", "\"' OR '1'='1\""),
    "a byte order mark": b"\xef\xbb\xbf" + _GOOD.encode(),
    "UTF-16": _GOOD.encode("utf-16"),
    "gzip": gzip.compress(_GOOD.encode()),
    "a bomb": gzip.compress(b"[" * 5_000_000),
    "XML": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "10,001 bytes": b"x" * 10_001,
    "5 MB": b"x" * 5_000_000,
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("body", _BODIES)
@pytest.mark.parametrize("headers", [[("Content-Type", "application/json")], []], ids=["text", "base64"])
def test_no_campaign_is_made_of_a_malformed_body(target: Target, body: str, headers: Headers) -> None:
    operator = bearer(target.service.token("mallory", scope=OPERATOR))
    answer = send(target.service, "PUT", f"/campaigns/{a_campaign_id()}", [*operator, *headers], _BODIES[body])
    assert (answer.status, answer.code) in {(422, "invalid_campaign"), (413, "body_too_large")}, answer


_METACHARACTERS = [
    "victim' OR '1'='1",
    "victim'; DROP TABLE coupon; --",
    *("victim\\", "victim%", "vict_m", "v?ctim", "victim:1", "*", "victim}:claims", "{victim}"),
    "]] redis.call('FLUSHALL') --[[",
    *("%s%n", "%(user_id)s", "<script>alert(1)</script>", "VICTIM", "victim ", " victim", "ｖｉｃｔｉｍ", "víctim"),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("subject", _METACHARACTERS)
def test_no_name_reads_the_coupon_of_another_user(target: Target, subject: str) -> None:
    token = bearer(target.service.token(subject))
    mine = send(target.service, "GET", f"/campaigns/{target.campaign_id}/coupons/mine?sub=victim&user_id=victim", token)
    assert (mine.status, mine.code) == (404, "no_coupon")


@pytest.mark.parametrize("name", _METACHARACTERS[::3])
def test_metacharacters_are_characters(service: Service, name: str) -> None:
    campaign_id = service.campaign(name=name)
    claimed: Any = service.apply(campaign_id, name)
    assert (claimed.status, claimed.body["sequence"]) == (202, 1)
    assert service.call("GET", f"/campaigns/{campaign_id}").body["name"] == name
    with service.redis() as client:
        assert client.hkeys(GateKeys(campaign_id).claims) == [name.encode()]
