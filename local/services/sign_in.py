"""Signing in at the local issuer: OpenID Connect's code flow with PKCE, for a user who only has to say a name."""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode, urlsplit

from local.deployment.tokens import AUDIENCE, sign_token

OPERATOR_SCOPE = "firstcome/operator"
SIGNED_IN_PATH = "/console/signed-in.html"

_CODE_SECONDS = 60.0
_SESSION_SECONDS = 3600
_CARRIED = ("client_id", "redirect_uri", "state", "code_challenge", "scope")


@dataclass(frozen=True)
class Refused:
    """A request that is not granted; the reason is one of OAuth's error codes."""

    reason: str


@dataclass(frozen=True)
class _Grant:
    """What a code or a refresh token stands for."""

    user: str
    scope: str
    seconds: int
    redirect_uri: str
    challenge: str
    expires: float


@dataclass
class SignIn:
    """Codes and refresh tokens given out, for the pages of one origin.

    Attributes:
        folder: where the issuer's key is.
        issuer: the `iss` of the tokens.
        origin: where the pages are; nothing is sent anywhere else.
    """

    folder: Path
    issuer: str
    origin: str
    _grants: dict[str, _Grant] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, query: Mapping[str, str]) -> str | Refused:
        """The form that asks who it is."""
        fault = self._fault(query)
        if fault:
            return fault
        carried = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(query.get(name, ""))}">' for name in _CARRIED
        )
        is_operator = OPERATOR_SCOPE in query.get("scope", "").split()
        return _PAGE.substitute(carried=carried, operator=_OPERATOR if is_operator else "")

    def allow(self, form: Mapping[str, str]) -> str | Refused:
        """The address to go back to, with a code, once the form was sent."""
        fault = self._fault(form)
        if fault:
            return fault
        user, seconds = form.get("user", "").strip(), form.get("seconds") or str(_SESSION_SECONDS)
        if not user or not seconds.isdecimal():
            return Refused("invalid_request")
        scopes = set(form.get("scope", "").split()) - ({OPERATOR_SCOPE} if "operator" not in form else set())
        code = self._remember(
            _Grant(
                user=user,
                scope=" ".join(sorted(scopes)),
                seconds=int(seconds),
                redirect_uri=form["redirect_uri"],
                challenge=form["code_challenge"],
                expires=time.monotonic() + _CODE_SECONDS,
            )
        )
        query = urlencode({"code": code, "state": form.get("state", ""), "iss": self.issuer})
        return f"{form['redirect_uri']}?{query}"

    def tokens(self, form: Mapping[str, str]) -> dict[str, Any] | Refused:
        """The tokens for a code and its verifier, or for a refresh token; each is good once."""
        match form.get("grant_type"):
            case "authorization_code":
                grant = self._take(form.get("code", ""))
                if grant is None or not _is_proven(grant, form):
                    return Refused("invalid_grant")
            case "refresh_token":
                grant = self._take(form.get("refresh_token", ""))
                # A code is not a refresh token: it has a challenge to be met.
                if grant is None or grant.challenge:
                    return Refused("invalid_grant")
            case _:
                return Refused("unsupported_grant_type")
        return self._signed(grant)

    def _signed(self, grant: _Grant) -> dict[str, Any]:
        token = sign_token(self.folder, self.issuer, grant.user, scope=grant.scope, ttl_seconds=grant.seconds)
        lasting = _Grant(grant.user, grant.scope, grant.seconds, "", "", float("inf"))
        return {
            "access_token": token,
            "id_token": token,
            "refresh_token": self._remember(lasting),
            "token_type": "Bearer",
            "expires_in": grant.seconds,
            "scope": grant.scope,
        }

    def _fault(self, request: Mapping[str, str]) -> Refused | None:
        # Another page that could have a code sent to itself would be whoever it likes.
        address = urlsplit(request.get("redirect_uri", ""))
        is_own_page = f"{address.scheme}://{address.netloc}" == self.origin and address.path.endswith(SIGNED_IN_PATH)
        if not is_own_page or address.query or address.fragment or request.get("client_id") != AUDIENCE:
            return Refused("unauthorized_client")
        if not request.get("code_challenge") or request.get("code_challenge_method", "S256") != "S256":
            return Refused("invalid_request")
        return None

    def _remember(self, grant: _Grant) -> str:
        name = secrets.token_urlsafe(24)
        with self._lock:
            self._grants = {known: kept for known, kept in self._grants.items() if kept.expires > time.monotonic()}
            self._grants[name] = grant
        return name

    def _take(self, name: str) -> _Grant | None:
        with self._lock:
            grant = self._grants.pop(name, None)
        return grant if grant and grant.expires > time.monotonic() else None


def _is_proven(grant: _Grant, form: Mapping[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return bool(grant.challenge) and challenge == grant.challenge and form.get("redirect_uri") == grant.redirect_uri


_STYLE = """<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 22rem; padding: 0 1rem; }
label { display: block; margin: 1rem 0; }
input[name=user] { display: block; width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; }
button { font: inherit; font-weight: 600; padding: .6rem 1.4rem; }
</style>"""

_HEAD = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign in, on this machine</title>{_STYLE}"""

REFUSED = Template(f"{_HEAD}<main><h1>Not signed in</h1><p>$reason</p></main>")

_OPERATOR = '<label><input type="checkbox" name="operator" value="yes" checked> as an operator</label>'

_PAGE = Template(f"""{_HEAD}<main>
<h1>Sign in</h1>
<p>This issuer is for this machine only. It takes any name and asks for no password.</p>
<form method="post" action="/authorize">
<label>Name<input name="user" required maxlength="128" autocomplete="username" autofocus></label>
$operator
$carried
<button>Sign in</button>
</form></main></html>""")
