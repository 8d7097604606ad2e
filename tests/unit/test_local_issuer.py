"""The local issuer: a code goes to the stack's pages only, and each code and refresh token is good once."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from flask.testing import FlaskClient

from local.deployment.tokens import AUDIENCE, OPERATOR_SCOPE, create_key
from local.services.issuer import make_app

_ADDRESS, _ORIGIN = "http://127.0.0.1:5000", "http://127.0.0.1:4000"
_PAGE = f"{_ORIGIN}/_aws/execute-api/abc/$default/console/signed-in.html"
_VERIFIER = "v" * 43
_CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(_VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("issuer")
    create_key(made)
    return made


@pytest.fixture
def issuer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    return make_app(folder, _ADDRESS, _ORIGIN).test_client()


def _query(**changes: str) -> dict[str, str]:
    return {
        "response_type": "code",
        "client_id": AUDIENCE,
        "redirect_uri": _PAGE,
        "state": "s&t",
        "code_challenge": _CHALLENGE,
        "code_challenge_method": "S256",
        "scope": f"openid {OPERATOR_SCOPE}",
        **changes,
    }


def _answer(issuer: FlaskClient, form: dict[str, str], **changes: str) -> dict[str, list[str]]:
    reply = issuer.post("/authorize", query_string=_query(**changes), data=form)
    assert reply.status_code == 302
    assert reply.location.startswith(f"{_PAGE}?")
    return parse_qs(urlsplit(reply.location).query)


def _code(issuer: FlaskClient) -> str:
    return _answer(issuer, {"user": " olga ", "operator": "yes"})["code"][0]


def _exchange(issuer: FlaskClient, code: str, **changes: str) -> Any:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": _PAGE, "code_verifier": _VERIFIER}
    return issuer.post("/token", data={"client_id": AUDIENCE, **form, **changes})


def _renew(issuer: FlaskClient, refresh_token: str) -> Any:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": AUDIENCE}
    return issuer.post("/token", data=form).json


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_an_operator_signs_in_and_the_session_is_renewed(issuer: FlaskClient) -> None:
    reply = _exchange(issuer, _code(issuer))

    assert reply.headers["Access-Control-Allow-Origin"] == _ORIGIN
    claims = _claims(reply.json["access_token"])
    assert (claims["sub"], claims["aud"], claims["iss"]) == ("olga", AUDIENCE, _ADDRESS)
    assert claims["scope"] == f"openid {OPERATOR_SCOPE}"
    renewed = _renew(issuer, reply.json["refresh_token"])
    assert _claims(renewed["access_token"])["scope"] == claims["scope"]
    assert _renew(issuer, reply.json["refresh_token"])["error"] == "invalid_grant"


def test_the_key_is_published(issuer: FlaskClient) -> None:
    described = issuer.get("/.well-known/openid-configuration").json
    assert described is not None
    keys = issuer.get(urlsplit(described["jwks_uri"]).path).json
    token = _exchange(issuer, _code(issuer)).json["access_token"]

    key = jwt.PyJWKSet.from_dict(keys or {})[jwt.get_unverified_header(token)["kid"]]

    assert jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=described["issuer"])


def test_the_scope_of_operators_is_given_only_where_the_form_says_so(issuer: FlaskClient) -> None:
    answer = _answer(issuer, {"user": "ann"})
    assert answer["state"] == ["s&t"]
    assert _claims(_exchange(issuer, answer["code"][0]).json["access_token"])["scope"] == "openid"
    assert b'name="operator"' in issuer.get("/authorize", query_string=_query()).data
    assert b'name="operator"' not in issuer.get("/authorize", query_string=_query(scope="openid")).data


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "http://evil.example/console/signed-in.html"},
        {"redirect_uri": "http://127.0.0.1:4001/console/signed-in.html"},
        {"redirect_uri": f"{_ORIGIN}/elsewhere"},
        {"redirect_uri": f"{_ORIGIN}@evil.example/console/signed-in.html"},
        {"redirect_uri": ""},
        {"client_id": "another"},
    ],
    ids=str,
)
def test_a_code_goes_nowhere_else(issuer: FlaskClient, changes: dict[str, str]) -> None:
    for ask in (issuer.get, issuer.post):
        assert ask("/authorize", query_string=_query(**changes), data={"user": "olga"}).status_code == 400


@pytest.mark.parametrize(
    "changes", [{"code_verifier": "w" * 43}, {"code_verifier": ""}, {"redirect_uri": f"{_ORIGIN}/x"}], ids=str
)
def test_a_code_is_good_with_its_verifier_and_its_page_only(issuer: FlaskClient, changes: dict[str, str]) -> None:
    assert _exchange(issuer, _code(issuer), **changes).status_code == 400


def test_a_code_without_a_challenge_is_worth_nothing(issuer: FlaskClient) -> None:
    answer = _answer(issuer, {"user": "olga"}, code_challenge="", code_challenge_method="")
    assert _exchange(issuer, answer["code"][0]).status_code == 400


def test_a_code_is_good_once_and_is_no_refresh_token(issuer: FlaskClient) -> None:
    code = _code(issuer)
    assert _exchange(issuer, code).status_code == 200
    assert _exchange(issuer, code).json["error"] == "invalid_grant"
    assert _renew(issuer, _code(issuer))["error"] == "invalid_grant"
