"""Paths and headers that try to get around the authorizer: no success, no 5xx."""

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Service
from tests.e2e.red_team.conftest import Target
from tests.e2e.red_team.raw import Headers, is_refused, send, send_target
from tests.e2e.red_team.routes import OF_A_CAMPAIGN, OPERATORS, PROTECTED, Route
from tests.e2e.red_team.tokens import Forge, bearer

pytestmark = pytest.mark.usefixtures("unchanged")

_TRICKS: dict[str, Callable[[str], str]] = {
    "a slash more in front": lambda path: f"/{path}",
    "a slash more within": lambda path: path.replace("/campaigns/", "/campaigns//"),
    "a slash at the end": lambda path: f"{path}/",
    "two slashes at the end": lambda path: f"{path}//",
    "an encoded slash at the end": lambda path: f"{path}%2f",
    "an encoded slash within": lambda path: "%2F".join(path.rsplit("/", 1)),
    "a slash encoded twice": lambda path: "%252f".join(path.rsplit("/", 1)),
    "a backslash": lambda path: "\\".join(path.rsplit("/", 1)),
    "an encoded backslash": lambda path: "%5c".join(path.rsplit("/", 1)),
    "a slash of full width": lambda path: "%EF%BC%8F".join(path.rsplit("/", 1)),
    "an overlong slash": lambda path: "%c0%af".join(path.rsplit("/", 1)),
    "a dot": lambda path: f"/.{path}",
    "a dot at the end": lambda path: f"{path}/.",
    "two dots": lambda path: f"/console/..{path}",
    "two dots at the end": lambda path: f"{path}/x/..",
    "encoded dots": lambda path: f"/console/%2e%2e{path}",
    "encoded dots and slashes": lambda path: f"/console%2f%2e%2e{path}",
    "dots encoded twice": lambda path: f"/console/%252e%252e{path}",
    "dots and a semicolon": lambda path: f"/console/..;{path}",
    "a way round through a user's route": lambda path: f"/campaigns/x/coupons/../../..{path}",
    "a NUL": lambda path: f"{path}%00",
    "a NUL in front": lambda path: f"/%00{path}",
    "a line break": lambda path: f"{path}%0d%0aX-Injected:%20yes",
    "a blank": lambda path: f"{path}%20",
    "a semicolon": lambda path: f"{path};x=1",
    "an encoded question mark": lambda path: f"{path}%3fx=1",
    "an encoded hash": lambda path: f"{path}%23",
    "a suffix": lambda path: f"{path}.json",
    "upper case": lambda path: path.replace("campaigns", "CAMPAIGNS"),
    "an encoded letter": lambda path: path.replace("campaigns", "%63ampaigns"),
    "a stage": lambda path: f"/$default{path}",
    "half an escape": lambda path: f"{path}%",
    "an escape that is none": lambda path: f"{path}%zz",
    "8,000 characters": lambda path: f"{path}?{'x' * 8_000}",
    "64,000 characters": lambda path: f"{path}{'/x' * 32_000}",
    "10,000 parameters": lambda path: f"{path}?{'&'.join(['a=1'] * 10_000)}",
}

_HEADERS: dict[str, Headers] = {
    "who the user is": [(name, "victim") for name in ("X-User-Id", "X-Forwarded-User", "Remote-User", "X-Sub")],
    "what a gateway hands on": [
        ("X-Amzn-Oidc-Identity", "victim"),
        ("X-Amzn-Request-Context", '{"authorizer":{"jwt":{"claims":{"sub":"victim"}}}}'),
        ("X-Apigateway-Event", '{"requestContext":{}}'),
    ],
    "where it comes from": [
        (name, "127.0.0.1") for name in ("X-Forwarded-For", "X-Real-Ip", "True-Client-Ip", "Forwarded")
    ],
    "where it goes to": [
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/console"),
        ("X-Original-Url", "/console"),
        ("X-Rewrite-Url", "/console"),
    ],
    "another method": [
        (name, "OPTIONS") for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method")
    ],
    "a hop": [("Connection", "close, Authorization"), ("TE", "trailers")],
    "what leaves the cache": [("Cache-Control", "no-cache"), ("If-None-Match", "*"), ("Range", "bytes=0-1")],
    "one header twice": [("X-Twice", "one"), ("X-Twice", "two"), ("Accept", "*/*"), ("accept", "text/html")],
    "no ASCII": [("X-Name", "안녕 💥"), ("User-Agent", "\udcff\udcfe")],
    "Lua, SQL and a shell": [
        ("User-Agent", "'; DROP TABLE coupon; --"),
        ("Referer", "redis.call('FLUSHALL')"),
        ("Cookie", "() { :;}; echo"),
    ],
}

_LARGE: dict[str, Headers] = {
    "a header of 100,000 characters": [("X-Large", "x" * 100_000)],
    "10,000 headers": [(f"X-{number}", "x") for number in range(10_000)],
}


@pytest.mark.parametrize("trick", _TRICKS)
def test_no_path_leads_around_the_authorizer(target: Target, forge: Forge, trick: str) -> None:
    users = bearer(forge.good(scope=None))

    for route in PROTECTED:
        path = _TRICKS[trick](route.path(target.campaign_id))
        answer = send(target.service, route.method, path, body=route.body)
        assert is_refused(answer), (route, answer)
        assert target.coupon_code not in answer.text
    for route in OPERATORS:
        path = _TRICKS[trick](route.path(target.campaign_id))
        answer = send(target.service, route.method, path, users, route.body)
        assert is_refused(answer), (route, answer)


@pytest.mark.parametrize("headers", _HEADERS)
def test_no_header_stands_for_a_token(target: Target, forge: Forge, headers: str) -> None:
    users = bearer(forge.good(scope=None))

    for route in PROTECTED:
        answer = send(target.service, route.method, route.path(target.campaign_id), _HEADERS[headers], route.body)
        assert answer.status == 401, (route, answer)
    for route in OPERATORS:
        both = [*_HEADERS[headers], *users]
        answer = send(target.service, route.method, route.path(target.campaign_id), both, route.body)
        assert answer.status == 403, (route, answer)


@pytest.mark.parametrize("headers", _LARGE)
def test_headers_without_end_are_refused(target: Target, headers: str) -> None:
    for route in PROTECTED:
        answer = send(target.service, route.method, route.path(target.campaign_id), _LARGE[headers], route.body)
        assert is_refused(answer), (route, answer)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_a_method_in_a_header_is_none(target: Target, method: str) -> None:
    overrides = [(name, method) for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")]
    path = f"/campaigns/{target.campaign_id}"

    answer = send(target.service, "GET", f"{path}?_method={method}", overrides)

    assert (answer.status, answer.body) == (200, send(target.service, "GET", path).body)


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PROPFIND", "X", "TRACE", "CONNECT"])
def test_no_other_method_is_taken(target: Target, forge: Forge, method: str) -> None:
    for route in PROTECTED:
        answer = send(target.service, method, route.path(target.campaign_id), bearer(forge.good()), route.body)
        assert is_refused(answer), (route, answer)


def test_an_absolute_target_opens_nothing(target: Target, forge: Forge) -> None:
    for route in PROTECTED:
        for base in (target.service.stack.api_url, "http://127.0.0.1:1", "http://api.example@127.0.0.1"):
            address = base + route.path(target.campaign_id)
            answer = send_target(target.service, route.method, address, body=route.body)
            assert is_refused(answer), (route, answer)


_NO_CAMPAIGNS = {
    "dots": "..",
    "a way out": "..%2f..%2f..%2fetc%2fpasswd",
    "a NUL": "spring%00",
    "a line break": "spring%0d%0aFLUSHALL%0d%0a",
    "SQL": "x'%20OR%20'1'='1",
    "SQL with a comment": "x'--%20",
    "Lua": "x']]%20redis.call('FLUSHALL')%20--[[",
    "another hash tag": "%7Bx%7D:claims",
    "every key": "*",
    "a template": "$%7B7*7%7D%7B%7B7*7%7D%7D",
    "upper case": "SPRING",
    "not ASCII": "%F0%9F%92%A5",
    "no UTF-8": "%ff%fe",
    "half a surrogate pair": "%ED%A0%80",
    "64 characters": "x" * 64,
}


@pytest.mark.parametrize("name", _NO_CAMPAIGNS)
def test_a_campaign_of_an_impossible_name_is_refused_everywhere(target: Target, forge: Forge, name: str) -> None:
    for route in OF_A_CAMPAIGN:
        path = route.path(_NO_CAMPAIGNS[name])
        answer = send(target.service, route.method, path, bearer(forge.good()), route.body)
        # By the gateway as a path that is no route, or by the function.
        assert (answer.status, answer.code) in {(400, "invalid_campaign_id"), (404, "")}, (route, answer)


@pytest.mark.parametrize(
    "file",
    [
        *_NO_CAMPAIGNS.values(),
        "app.py",
        "console.html",
        "pages",
        "..%2fapp.py",
        "%2e%2e%2fapp.py",
        "....//app.py",
        "%2fetc%2fpasswd",
        "style.css%00.html",
        "STYLE.CSS",
        "style.css%20",
        "file:%2f%2f%2fetc%2fpasswd",
    ],
)
def test_no_file_is_given_but_the_pages_own(service: Service, file: str) -> None:
    answer = send(service, "GET", f"/console/{file}")

    assert (answer.status, answer.code) in {(404, "file_not_found"), (404, "")}, answer


_READING = [route for route in OPERATORS if route.method == "GET" and not route.template.endswith("/stats")]
"""The routes that read a query."""


@pytest.mark.parametrize("route", _READING, ids=str)
@pytest.mark.parametrize("value", ["'%20OR%201=1--", "1;DROP%20TABLE%20x", "redis.call()", "%00", "%ff", "1%0d%0a2"])
def test_a_query_made_of_metacharacters_is_refused(target: Target, forge: Forge, route: Route, value: str) -> None:
    for query in (f"after={value}", f"limit={value}"):
        path = f"{route.path(target.campaign_id)}?{query}"
        answer = send(target.service, route.method, path, bearer(forge.good()))
        assert (answer.status, answer.code) == (400, "invalid_parameter"), answer
