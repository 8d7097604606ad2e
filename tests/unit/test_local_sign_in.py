"""Signing in at the local issuer: whoever asks, a code goes to the stack's own pages only, and is good once."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from local.deployment.tokens import AUDIENCE, create_key
from local.services.sign_in import Refused, SignIn

_ORIGIN = "http://127.0.0.1:4000"
_PAGE = f"{_ORIGIN}/_aws/execute-api/abc/$default/console/signed-in.html"
_VERIFIER = "v" * 43
_CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(_VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("issuer")
    create_key(made)
    return made


@pytest.fixture
def issuer(folder: Path) -> SignIn:
    return SignIn(folder, "http://127.0.0.1:5000", _ORIGIN)


def _request(**changes: str) -> dict[str, str]:
    return {
        "client_id": AUDIENCE,
        "redirect_uri": _PAGE,
        "state": "s&t",
        "code_challenge": _CHALLENGE,
        "scope": "openid firstcome/operator",
        **changes,
    }


def _code(issuer: SignIn, **changes: str) -> str:
    back = issuer.allow(_request(**{"user": "olga", "operator": "yes"} | changes))
    assert isinstance(back, str)
    return parse_qs(urlsplit(back).query)["code"][0]


def _exchange(issuer: SignIn, code: str, **changes: str) -> dict[str, Any] | Refused:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": _PAGE, "code_verifier": _VERIFIER}
    return issuer.tokens({**form, **changes})


def _signed_in(issuer: SignIn, **changes: str) -> dict[str, Any]:
    tokens = _exchange(issuer, _code(issuer, **changes))
    assert isinstance(tokens, dict)
    return tokens


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_an_operator_signs_in(issuer: SignIn) -> None:
    claims = _claims(_signed_in(issuer)["access_token"])
    assert (claims["sub"], claims["aud"], claims["iss"]) == ("olga", AUDIENCE, "http://127.0.0.1:5000")
    assert claims["scope"].split() == ["firstcome/operator", "openid"]


def test_who_does_not_ask_to_be_an_operator_is_none(issuer: SignIn) -> None:
    form = _request(user="ann")
    back = issuer.allow(form)
    assert isinstance(back, str)
    tokens = _exchange(issuer, parse_qs(urlsplit(back).query)["code"][0])
    assert isinstance(tokens, dict)
    assert _claims(tokens["access_token"])["scope"] == "openid"


def test_nobody_becomes_an_operator_whose_page_did_not_ask_for_the_scope(issuer: SignIn) -> None:
    assert _claims(_signed_in(issuer, scope="openid")["access_token"])["scope"] == "openid"


def test_the_way_back_has_the_state_and_names_the_issuer(issuer: SignIn) -> None:
    back = issuer.allow(_request(user="ann"))
    assert isinstance(back, str)
    query = parse_qs(urlsplit(back).query)
    assert back.startswith(f"{_PAGE}?")
    assert (query["state"], query["iss"]) == (["s&t"], ["http://127.0.0.1:5000"])


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "http://evil.example/console/signed-in.html"},
        {"redirect_uri": "http://127.0.0.1:4001/console/signed-in.html"},
        {"redirect_uri": f"{_ORIGIN}/elsewhere"},
        {"redirect_uri": f"{_ORIGIN}@evil.example/console/signed-in.html"},
        {"redirect_uri": f"{_PAGE}?x=/console/signed-in.html"},
        {"redirect_uri": ""},
        {"client_id": "another"},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
    ],
    ids=str,
)
def test_a_code_goes_nowhere_else(issuer: SignIn, changes: dict[str, str]) -> None:
    assert isinstance(issuer.page(_request(**changes)), Refused)
    assert isinstance(issuer.allow(_request(user="olga", **changes)), Refused)


def test_a_user_has_a_name(issuer: SignIn) -> None:
    assert issuer.allow(_request(user=" ")) == Refused("invalid_request")


def test_a_code_is_good_once_and_with_its_verifier_only(issuer: SignIn) -> None:
    assert _exchange(issuer, _code(issuer), code_verifier="w" * 43) == Refused("invalid_grant")
    assert _exchange(issuer, _code(issuer), redirect_uri=f"{_ORIGIN}/x") == Refused("invalid_grant")
    code = _code(issuer)
    assert isinstance(_exchange(issuer, code), dict)
    assert _exchange(issuer, code) == Refused("invalid_grant")
    assert _exchange(issuer, "guessed") == Refused("invalid_grant")


def test_a_refresh_token_is_good_once_and_a_code_is_none(issuer: SignIn) -> None:
    refresh = {"grant_type": "refresh_token", "refresh_token": _signed_in(issuer)["refresh_token"]}
    again = issuer.tokens(refresh)
    assert isinstance(again, dict)
    assert _claims(again["access_token"])["sub"] == "olga"
    assert issuer.tokens(refresh) == Refused("invalid_grant")
    assert issuer.tokens({**refresh, "refresh_token": _code(issuer)}) == Refused("invalid_grant")


def test_another_grant_is_not_known(issuer: SignIn) -> None:
    assert issuer.tokens({"grant_type": "password"}) == Refused("unsupported_grant_type")


def test_what_the_page_carries_is_text(issuer: SignIn) -> None:
    page = issuer.page(_request(state='"><script>'))
    assert isinstance(page, str)
    assert "<script>" not in page


@pytest.mark.parametrize(("scope", "is_offered"), [("openid", False), ("openid firstcome/operator", True)])
def test_being_an_operator_is_offered_where_it_was_asked_for(issuer: SignIn, scope: str, *, is_offered: bool) -> None:
    page = issuer.page(_request(scope=scope))
    assert isinstance(page, str)
    assert ('name="operator"' in page) is is_offered
