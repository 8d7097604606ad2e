"""The local token issuer, on Authlib: OpenID Connect's authorization code flow with PKCE, and refresh tokens.

It asks for a name and no password. So it listens on 127.0.0.1 only, and sends codes to the pages of its own stack only.

Run as `python -m local.services.issuer FOLDER PORT ORIGIN`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authlib.common.security import generate_token
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, Response, render_template_string, request

from local.deployment.tokens import AUDIENCE, OPERATOR_SCOPE, create_key, key_set, sign_token
from local.deployment.workspace import Workspace
from local.services.ports import HOST
from local.services.processes import ROOT, Processes, Program

NAME = "issuer"
SIGNED_IN_PATH = "/console/signed-in.html"
SESSION_SECONDS = 3600


def start_issuer(processes: Processes, workspace: Workspace, port: int, origin: str) -> str:
    """Start the issuer with a new key, for the pages of `origin`; returns its address, the `iss` of its tokens."""
    create_key(workspace.folder)
    command = [sys.executable, "-m", "local.services.issuer", str(workspace.folder), str(port), origin]
    # Plain HTTP: browsers treat 127.0.0.1 as secure, Authlib does not.
    environment = {**workspace.service_environment(), "AUTHLIB_INSECURE_TRANSPORT": "1"}
    processes.start(Program(NAME, command, environment, ROOT, workspace.log(NAME), port))
    return f"http://{HOST}:{port}"


@dataclass(frozen=True)
class _Pages(ClientMixin):  # type: ignore[misc]
    """The one client: the pages of the stack."""

    origin: str

    def get_client_id(self) -> str:
        return AUDIENCE

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        # A foreign page that received a code would be signed in as anybody it likes.
        return redirect_uri.startswith(f"{self.origin}/") and redirect_uri.endswith(SIGNED_IN_PATH)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


@dataclass(frozen=True)
class _Grant(AuthorizationCodeMixin, TokenMixin):  # type: ignore[misc]
    """A user's consent, by a code or a refresh token; each is good once."""

    user: str
    scope: str
    redirect_uri: str = ""
    code_challenge: str = ""
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, _client: _Pages) -> bool:
        return True


class _Codes(AuthorizationCodeGrant):  # type: ignore[misc]
    """_Codes, kept in this process."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
    given: dict[str, _Grant] = {}

    def save_authorization_code(self, code: str, asked: Any) -> None:
        refused = set() if "operator" in request.form else {OPERATOR_SCOPE}
        scope = " ".join(name for name in _scopes(asked) if name not in refused)
        challenge = asked.payload.data.get("code_challenge", "")
        self.given[code] = _Grant(asked.user, scope, asked.payload.redirect_uri, challenge)

    def query_authorization_code(self, code: str, _client: _Pages) -> _Grant | None:
        # Good once, also for a wrong verifier.
        return self.given.pop(code, None)

    def delete_authorization_code(self, authorization_code: _Grant) -> None:
        """Done in `query_authorization_code`."""

    def authenticate_user(self, authorization_code: _Grant) -> str:
        return authorization_code.user


class _Refreshes(RefreshTokenGrant):  # type: ignore[misc]
    """Refresh tokens, kept in this process."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
    INCLUDE_NEW_REFRESH_TOKEN = True
    given: dict[str, _Grant] = {}

    def authenticate_refresh_token(self, refresh_token: str) -> _Grant | None:
        return self.given.pop(refresh_token, None)

    def authenticate_user(self, refresh_token: _Grant) -> str:
        return refresh_token.user

    def revoke_old_credential(self, refresh_token: _Grant) -> None:
        """Done in `authenticate_refresh_token`."""


def make_app(folder: Path, address: str, origin: str) -> Flask:
    """The issuer at `address`, with the key in `folder`."""
    app, pages = Flask(__name__), _Pages(origin)
    documents: dict[str, dict[str, Any]] = {
        "/.well-known/openid-configuration": {
            "issuer": address,
            "jwks_uri": f"{address}/.well-known/jwks.json",
            "authorization_endpoint": f"{address}/authorize",
            "token_endpoint": f"{address}/token",
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        },
        "/.well-known/jwks.json": key_set(folder),
    }

    def tokens(*, user: str, scope: str, **_: Any) -> dict[str, Any]:
        signed = sign_token(folder, address, user, scope=scope, ttl_seconds=SESSION_SECONDS)
        refresh_token = generate_token(48)
        _Refreshes.given[refresh_token] = _Grant(user, scope)
        return {
            "token_type": "Bearer",
            "access_token": signed,
            "id_token": signed,
            "refresh_token": refresh_token,
            "expires_in": SESSION_SECONDS,
            "scope": scope,
        }

    server = AuthorizationServer(app, query_client={AUDIENCE: pages}.get, save_token=lambda _token, _request: None)
    server.register_token_generator("default", tokens)
    server.register_grant(_Codes, [CodeChallenge(required=True)])
    server.register_grant(_Refreshes)

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        try:
            grant = server.get_consent_grant()
        except OAuth2Error as error:
            return render_template_string(_REFUSED, reason=error.description or error.error), 400
        user = request.form.get("user", "").strip()
        if not user:
            return render_template_string(_FORM, is_operator=OPERATOR_SCOPE in _scopes(grant.request))
        return server.create_authorization_response(grant_user=user, grant=grant)

    @app.post("/token")
    def exchange() -> Any:
        return server.create_token_response()

    @app.get("/.well-known/<name>")
    def document(name: str) -> Any:
        return documents[f"/.well-known/{name}"]

    @app.after_request
    def add_headers(response: Response) -> Response:
        # Only the stack's own pages may read an answer.
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return app


def _scopes(asked: Any) -> list[str]:
    return (asked.payload.scope or "").split()


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign in, on this machine</title><style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 22rem; padding: 0 1rem; }
label { display: block; margin: 1rem 0; }
input[name=user] { display: block; width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; }
button { font: inherit; font-weight: 600; padding: .6rem 1.4rem; }
</style>"""

_REFUSED = _HEAD + "<main><h1>Not signed in</h1><p>{{ reason }}</p></main></html>"

_FORM = (
    _HEAD
    + """<main>
<h1>Sign in</h1>
<p>This issuer is for this machine only. It accepts any name and asks for no password.</p>
<form method="post">
<label>Name<input name="user" required maxlength="128" autocomplete="username" autofocus></label>
{% if is_operator %}<label><input type="checkbox" name="operator" value="yes" checked> as an operator</label>{% endif %}
<button>Sign in</button>
</form></main></html>"""
)


if __name__ == "__main__":
    host_folder, host_port, host_origin = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    make_app(host_folder, f"http://{HOST}:{host_port}", host_origin).run(HOST, host_port, threaded=True)
