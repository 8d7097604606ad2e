"""Every route and every fault that a token can have: no success, no 5xx."""

import pytest

from tests.e2e.conftest import OPERATOR
from tests.e2e.red_team.conftest import Target
from tests.e2e.red_team.raw import is_refused, send
from tests.e2e.red_team.routes import OPERATORS, PROTECTED, PUBLIC, Route
from tests.e2e.red_team.tokens import BAD_SUBJECTS, FAULTS, WITHOUT_SCOPE, Forge, bearer
from tests.factories import a_campaign_id

pytestmark = pytest.mark.usefixtures("unchanged")

# Signed with the issuer's key, so nobody but the issuer can make these: the local endpoint (MiniStack 1.5.33) fails on
# them before it calls a function. API Gateway answers 401.
_FAILS_THE_ENDPOINT = {
    "a list as header": lambda forge: forge.with_header([]),
    "a text as header": lambda forge: forge.with_header("RS256"),
    "a list as claims": lambda forge: forge.signed([forge.claims()]),
    "an expiry that is no time": lambda forge: forge.signed(forge.claims(exp="soon")),
    "an expiry without end": lambda forge: forge.signed(forge.claims(exp=float("inf"))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_token_opens_no_route(target: Target, forge: Forge, fault: str) -> None:
    headers = FAULTS[fault](forge)

    for route in PROTECTED:
        answer = send(target.service, route.method, route.path(target.campaign_id), headers, route.body)
        assert answer.status == 401, (route, answer)
        assert target.coupon_code not in answer.text


@pytest.mark.parametrize("fault", _FAILS_THE_ENDPOINT)
def test_a_token_that_the_local_endpoint_fails_on_opens_no_route(target: Target, forge: Forge, fault: str) -> None:
    token = _FAILS_THE_ENDPOINT[fault](forge)

    for route in PROTECTED:
        answer = send(target.service, route.method, route.path(target.campaign_id), bearer(token), route.body)
        # Its own 500: a function's error would be a 502 here.
        assert answer.status in {401, 500}, (route, answer)
        assert answer.body.keys() == {"message"}


@pytest.mark.parametrize("route", PUBLIC, ids=str)
def test_a_faulty_token_changes_nothing_on_a_public_route(target: Target, forge: Forge, route: Route) -> None:
    path = route.path(target.campaign_id)
    without = send(target.service, route.method, path)

    for fault in ("garbage", "expired", "another key", "alg none"):
        answer = send(target.service, route.method, path, FAULTS[fault](forge))
        assert (answer.status, answer.text) == (200, without.text)


@pytest.mark.parametrize("name", ["access_token", "token", "jwt", "Authorization", "authorization"])
def test_a_good_token_in_the_query_is_none(target: Target, forge: Forge, name: str) -> None:
    for route in PROTECTED:
        path = f"{route.path(target.campaign_id)}?{name}=Bearer%20{forge.good()}"
        answer = send(target.service, route.method, path, body=route.body)
        assert answer.status == 401, (route, answer)


def test_a_good_token_in_the_body_is_none(target: Target, forge: Forge) -> None:
    body = {"access_token": forge.good(), "Authorization": f"Bearer {forge.good()}"}

    for route in PROTECTED:
        answer = send(target.service, route.method, route.path(target.campaign_id), body=body)
        assert answer.status == 401, (route, answer)


@pytest.mark.parametrize("claims", WITHOUT_SCOPE)
def test_a_token_without_the_scope_operates_nothing(target: Target, forge: Forge, claims: str) -> None:
    token = forge.signed(forge.claims(**WITHOUT_SCOPE[claims]))

    for route in OPERATORS:
        answer = send(target.service, route.method, route.path(target.campaign_id), bearer(token), route.body)
        assert answer.status == 403, (route, answer)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_users_token_and_a_forged_operators_operate_nothing(target: Target, forge: Forge, scheme: str) -> None:
    users = ("Authorization", f"{scheme} {forge.good(scope=None)}")
    forged = ("Authorization", f"{scheme} {forge.tampered(scope=OPERATOR)}")

    for route in OPERATORS:
        for headers in ([users], [users, forged], [forged, users]):
            answer = send(target.service, route.method, route.path(target.campaign_id), headers, route.body)
            assert answer.status in {401, 403}, (route, answer)


@pytest.mark.parametrize("subject", BAD_SUBJECTS)
def test_a_token_without_a_usable_subject_is_refused(target: Target, forge: Forge, subject: str) -> None:
    token = forge.good(sub=BAD_SUBJECTS[subject])

    for route in PROTECTED:
        answer = send(target.service, route.method, route.path(target.campaign_id), bearer(token), route.body)
        assert (answer.status, answer.code) == (403, "invalid_subject"), (route, answer)


def test_a_subject_of_a_million_characters_is_refused(target: Target, forge: Forge) -> None:
    token = forge.good(sub="x" * 1_000_000)

    for route in PROTECTED:
        answer = send(target.service, route.method, route.path(target.campaign_id), bearer(token), route.body)
        # The gateway takes no such header.
        assert is_refused(answer), (route, answer)


@pytest.mark.parametrize("subject", [["victim"], {"sub": "victim"}, True, 7, 1.5], ids=repr)
def test_a_subject_that_is_no_text_is_nobody_elses(target: Target, forge: Forge, subject: object) -> None:
    """API Gateway hands every claim over as a text, so the function cannot tell 7 from "7": users of their own."""
    token = bearer(forge.signed(forge.claims(sub=subject)))

    mine = send(target.service, "GET", f"/campaigns/{target.campaign_id}/coupons/mine", token)
    elsewhere = send(target.service, "POST", f"/campaigns/{a_campaign_id()}/coupons", token)

    assert (mine.status, mine.code) == (404, "no_coupon")
    assert (elsewhere.status, elsewhere.code) == (404, "campaign_not_found")
