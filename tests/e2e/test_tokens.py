"""Every fault a token can have, on every kind of route: the gateway lets none of them through."""

import base64
import json
from pathlib import Path

import jwt
import pytest

from local.tokens import create_key, sign_token
from tests.e2e.conftest import OPERATOR, Service, campaign_body
from tests.factories import a_campaign_id

USER_ROUTES = [("POST", "/campaigns/{}/coupons"), ("GET", "/campaigns/{}/coupons/mine")]
OPERATOR_ROUTES = [
    ("PUT", "/campaigns/{}"),
    ("GET", "/campaigns"),
    ("POST", "/campaigns/{}/pause"),
    ("POST", "/campaigns/{}/resume"),
    ("GET", "/campaigns/{}/stats"),
    ("GET", "/campaigns/{}/coupons"),
    ("POST", "/campaigns/{}/rebuild"),
]
FAULTS = ["missing", "garbage", "expired", "forged", "other-audience", "other-issuer", "unsigned"]


def _faulty(service: Service, fault: str, folder: Path) -> str:
    if fault == "forged":
        create_key(folder)
        return sign_token(folder, service.stack.jwt_issuer, "ann", scope=OPERATOR)
    if fault == "unsigned":
        genuine = service.token("ann", scope=OPERATOR)
        header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
        return f"{header}.{genuine.split('.')[1]}."
    return {
        "missing": "",
        "garbage": "not.a.token",
        "expired": service.token("ann", scope=OPERATOR, ttl_seconds=-60),
        "other-audience": service.token("ann", scope=OPERATOR, audience="somebody-else"),
        "other-issuer": sign_token(service.folder, "http://127.0.0.1:1/issuer", "ann", scope=OPERATOR),
    }[fault]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_token_opens_no_door(service: Service, fault: str, tmp_path: Path) -> None:
    campaign_id = service.campaign()
    token = _faulty(service, fault, tmp_path)

    for method, path in USER_ROUTES + OPERATOR_ROUTES:
        answer = service.call(method, path.format(campaign_id), token, campaign_body() if method == "PUT" else None)
        assert answer.status == 401, (method, path, answer)

    assert service.call("GET", f"/campaigns/{campaign_id}").body["remaining"] == 10


@pytest.mark.parametrize("scope", [None, "firstcome/user", "operator", "firstcome/operators"])
def test_a_token_without_the_scope_operates_nothing(service: Service, scope: str | None) -> None:
    campaign_id = service.campaign()
    token = service.token("ann", scope=scope)

    for method, path in OPERATOR_ROUTES:
        answer = service.call(method, path.format(campaign_id), token, campaign_body() if method == "PUT" else None)
        assert answer.status == 403, (method, path, answer)

    assert service.call("GET", f"/campaigns/{campaign_id}").body["state"] == "open"


@pytest.mark.parametrize("sub", [None, "", "x" * 129, "a\nb", "nul\x00", "\u200b"])
def test_a_token_without_a_usable_subject_is_refused(service: Service, sub: str | None) -> None:
    campaign_id = service.campaign()

    for method, path in USER_ROUTES:
        answer = service.call(method, path.format(campaign_id), service.token(sub))
        assert (answer.status, answer.code) == (403, "invalid_subject"), answer

    assert service.call("GET", f"/campaigns/{campaign_id}").body["remaining"] == 10


def test_a_subject_of_a_million_characters_changes_nothing(service: Service) -> None:
    campaign_id = service.campaign()

    # The gateway refuses the header itself, before anything else of ours sees it.
    try:
        answer = service.apply(campaign_id, "x" * 1_000_000)
    except ConnectionError:
        pass
    else:
        assert 400 <= answer.status < 500, answer

    assert service.call("GET", f"/campaigns/{campaign_id}").body["remaining"] == 10


@pytest.mark.parametrize("sub", ["안녕", "a:b:c", "ann ", "'; DROP TABLE coupon; --", "{x}", "💥" * 128])
def test_any_printable_subject_is_a_user_of_its_own(service: Service, sub: str) -> None:
    campaign_id = service.campaign()
    service.apply(campaign_id, "ann")

    first, again = service.apply(campaign_id, sub), service.apply(campaign_id, sub)

    assert (first.status, first.body["sequence"]) == (202, 2)
    assert again.body["coupon_code"] == first.body["coupon_code"]


def test_a_user_named_in_the_body_is_ignored(service: Service) -> None:
    campaign_id = service.campaign()

    answer = service.as_user("POST", f"/campaigns/{campaign_id}/coupons", "ann", {"user_id": "bob", "sub": "bob"})

    assert answer.status == 202
    mine = service.as_user("GET", f"/campaigns/{campaign_id}/coupons/mine", "bob")
    assert mine.status == 404


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(service: Service) -> None:
    claims = jwt.decode(service.token("ann"), options={"verify_signature": False})
    token = jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": "local-1"})

    answer = service.call("POST", f"/campaigns/{a_campaign_id()}/coupons", token)

    assert answer.status == 401
