"""A user who wants another's coupon, or the operator's view of it; and names made of SQL, Lua and Redis."""

import pytest

from tests.e2e.conftest import OPERATOR, Service, campaign_body
from tests.e2e.red_team.conftest import Target
from tests.e2e.red_team.raw import Headers, send
from tests.e2e.red_team.routes import OPERATORS, PROTECTED
from tests.e2e.red_team.tokens import Forge, bearer

_METACHARACTERS = [
    "victim' OR '1'='1",
    "victim'; DROP TABLE coupon; --",
    'victim" -- ',
    "victim\\",
    "victim%",
    "vict_m",
    "victim*",
    "v?ctim",
    "[a-z]*",
    "victim:1",
    "victim}:claims",
    "{victim}",
    "*",
    "]] redis.call('FLUSHALL') --[[",
    "victim$1",
    "${jndi:ldap://127.0.0.1/x}",
    "{{7*7}}",
    "%s%n",
    "%(user_id)s",
    "<script>alert(1)</script>",
    "VICTIM",
    "victim ",
    " victim",
    "ｖｉｃｔｉｍ",
    "víctim",
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("subject", _METACHARACTERS)
def test_no_name_reads_anothers_coupon(target: Target, forge: Forge, subject: str) -> None:
    token = bearer(forge.good(sub=subject, scope=None))

    mine = send(target.service, "GET", f"/campaigns/{target.campaign_id}/coupons/mine", token)

    assert (mine.status, mine.code) == (404, "no_coupon")
    assert target.coupon_code not in mine.text


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?sub=victim&user_id=victim&user=victim", []),
        ("?after=0&limit=100", []),
        ("", [(name, "victim") for name in ("X-User-Id", "X-Sub", "X-Amzn-Oidc-Identity", "Remote-User")]),
        ("", [("Cookie", "sub=victim; user_id=victim")]),
        ("", [("If-None-Match", "*"), ("Cache-Control", "only-if-cached")]),
    ],
    ids=str,
)
def test_nothing_in_a_request_names_another_user(target: Target, forge: Forge, query: str, headers: Headers) -> None:
    path = f"/campaigns/{target.campaign_id}/coupons/mine{query}"
    body = {"sub": "victim", "user_id": "victim"}

    answer = send(target.service, "GET", path, [*bearer(forge.good(scope=None)), *headers], body)

    assert (answer.status, answer.code) == (404, "no_coupon")


@pytest.mark.usefixtures("unchanged")
def test_a_user_reads_no_coupon_on_any_route(target: Target, forge: Forge) -> None:
    for route in PROTECTED:
        if (route.method, route.template) == ("POST", "/campaigns/{campaign_id}/coupons"):
            continue  # It would be mallory's own.
        headers = bearer(forge.good(scope=None))
        answer = send(target.service, route.method, route.path(target.campaign_id), headers, route.body)
        assert answer.status == (403 if route in OPERATORS else 404), (route, answer)
        assert target.coupon_code not in answer.text
        assert target.victim not in answer.text


@pytest.mark.parametrize("name", _METACHARACTERS[::2])
def test_metacharacters_in_a_users_and_a_campaigns_name_are_characters(
    service: Service, target: Target, forge: Forge, name: str
) -> None:
    before = target.state()["claims"]
    campaign_id = service.campaign(name=name)

    claimed = send(service, "POST", f"/campaigns/{campaign_id}/coupons", bearer(forge.good(sub=name)))
    listed = send(service, "GET", f"/campaigns/{campaign_id}", bearer(forge.good(scope=OPERATOR)))
    changed = service.as_operator("PUT", f"/campaigns/{campaign_id}", campaign_body(name=name, capacity=11))

    assert (claimed.status, claimed.body["sequence"]) == (202, 1)
    assert (listed.body["name"], changed.status, changed.body["name"]) == (name, 200, name)
    assert target.state()["claims"] == before
    with service.redis() as client:
        assert client.hkeys(f"firstcome:{{{campaign_id}}}:claims") == [name.encode()]
