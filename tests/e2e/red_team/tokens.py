"""Tokens with every fault: what `Authorization` says, and where else a token may be hidden."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from local.deployment.tokens import KEY_FILE, KEY_ID, create_key, key_set
from tests.e2e.conftest import OPERATOR, Service
from tests.e2e.red_team.raw import Headers

SUBJECT = "mallory"


class Forge:
    """Makes tokens; `folder` is an empty one, for a key that is not the issuer's."""

    def __init__(self, service: Service, folder: Path) -> None:
        create_key(folder)
        self._folder = folder
        # Read once: reading a key checks it, which takes longer than to sign.
        self._own_key, self._issuers_key = _read_key(folder), _read_key(service.folder)
        self._claims = jwt.decode(service.token(SUBJECT, scope=OPERATOR), options={"verify_signature": False})
        self.issuer = service.stack.jwt_issuer

    def good(self, **changes: Any) -> str:
        """A token of the issuer with all rights, its claims changed as given; a claim of None is left out."""
        return self.signed({name: value for name, value in self.claims(**changes).items() if value is not None})

    def claims(self, **changes: Any) -> dict[str, Any]:
        return {**self._claims, **changes}

    def signed(self, claims: object, *, own_key: bool = False, **header: Any) -> str:
        """Sign any JSON at all, with any header; a header field of None is left out."""
        fields = {"typ": "JWT", "alg": "RS256", "kid": KEY_ID, **header}
        return self._sign({name: value for name, value in fields.items() if value is not None}, claims, own_key=own_key)

    def with_header(self, header: object) -> str:
        """Sign with a header that is any JSON at all."""
        return self._sign(header, self.claims(), own_key=False)

    def tampered(self, **changes: Any) -> str:
        """A good token whose claims were changed after it was signed."""
        header, _, signature = self.good(scope=None).split(".")
        return f"{header}.{encode(self.claims(**changes))}.{signature}"

    def unsigned(self, algorithm: str, signature: str = "") -> str:
        return f"{encode({'typ': 'JWT', 'alg': algorithm, 'kid': KEY_ID})}.{encode(self.claims())}.{signature}"

    def by_secret(self, secret: bytes) -> str:
        """HS256: a service that let the token choose the algorithm would take its public key as the secret."""
        text = f"{encode({'typ': 'JWT', 'alg': 'HS256', 'kid': KEY_ID})}.{encode(self.claims())}"
        return f"{text}.{_base64(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    def public_key(self, form: serialization.PublicFormat) -> bytes:
        return self._issuers_key.public_key().public_bytes(serialization.Encoding.PEM, form)

    @property
    def own_jwk(self) -> dict[str, Any]:
        """The public half of the key that is not the issuer's."""
        return dict(key_set(self._folder)["keys"][0])

    def _sign(self, header: object, claims: object, *, own_key: bool) -> str:
        text = f"{encode(header)}.{encode(claims)}"
        key = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        return f"{text}.{_base64(key.sign(text.encode(), self._own_key if own_key else self._issuers_key))}"


def encode(part: object) -> str:
    return _base64(json.dumps(part).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read_key(folder: Path) -> RSAPrivateKey:
    key = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def _seconds(ahead: int) -> int:
    return int(time.time()) + ahead


def bearer(token: str) -> Headers:
    return [("Authorization", f"Bearer {token}")]


_TOKENS: dict[str, Callable[[Forge], str]] = {
    "empty": lambda _: "",
    "garbage": lambda _: "garbage",
    "two parts": lambda forge: forge.good().rpartition(".")[0],
    "five parts": lambda forge: forge.good() + ".e30.e30",
    "three empty parts": lambda _: "..",
    "not base64": lambda _: "!.?.#",
    "not JSON": lambda _: "bm8.bm8.bm8",
    "not ASCII": lambda _: "ünï.cödé.💥",
    "expired": lambda forge: forge.good(exp=_seconds(-60)),
    "expired this second": lambda forge: forge.good(exp=_seconds(0)),
    "expired in 1970": lambda forge: forge.signed(forge.claims(exp=0)),
    "not yet valid": lambda forge: forge.good(nbf=_seconds(3600)),
    "issued in the future": lambda forge: forge.good(iat=_seconds(3600)),
    "another issuer": lambda forge: forge.good(iss="http://127.0.0.1:1/issuer"),
    "the issuer and more": lambda forge: forge.good(iss=f"{forge.issuer}.example"),
    "the issuer with a slash": lambda forge: forge.good(iss=f"{forge.issuer}/"),
    "no issuer": lambda forge: forge.good(iss=None),
    "another audience": lambda forge: forge.good(aud="somebody-else"),
    "the audience and more": lambda forge: forge.good(aud="firstcomes"),
    "another client": lambda forge: forge.good(aud=None, client_id="somebody-else"),
    "no audience": lambda forge: forge.good(aud=None),
    "another key": lambda forge: forge.signed(forge.claims(), own_key=True),
    "no kid": lambda forge: forge.signed(forge.claims(), kid=None),
    "an unknown kid": lambda forge: forge.signed(forge.claims(), kid="local-2"),
    "a kid that is a path": lambda forge: forge.signed(forge.claims(), kid="../../../../dev/null"),
    "a kid that is SQL": lambda forge: forge.signed(forge.claims(), kid="' UNION SELECT 'x"),
    "a key of its own in the header": lambda forge: forge.signed(forge.claims(), own_key=True, jwk=forge.own_jwk),
    "a key of its own elsewhere": lambda forge: forge.signed(
        forge.claims(), own_key=True, jku="http://127.0.0.1:1/keys", x5u="http://127.0.0.1:1/keys"
    ),
    "alg none": lambda forge: forge.unsigned("none"),
    "alg nOnE": lambda forge: forge.unsigned("nOnE"),
    "alg none with a signature": lambda forge: forge.unsigned("none", forge.good().rpartition(".")[2]),
    "RS256 without a signature": lambda forge: forge.unsigned("RS256"),
    "half a signature": lambda forge: forge.good()[:-171],
    "HS256 with the public key": lambda forge: forge.by_secret(
        forge.public_key(serialization.PublicFormat.SubjectPublicKeyInfo)
    ),
    "HS256 with the public key as PKCS 1": lambda forge: forge.by_secret(
        forge.public_key(serialization.PublicFormat.PKCS1)
    ),
    "HS256 with an empty secret": lambda forge: forge.by_secret(b""),
    "tampered scope": lambda forge: forge.tampered(scope=OPERATOR),
    "tampered subject": lambda forge: forge.tampered(sub="victim"),
    "tampered times": lambda forge: forge.tampered(exp=4_000_000_000),
}

FAULTS: dict[str, Callable[[Forge], Headers]] = {
    "none": lambda _: [],
    "an empty header": lambda _: [("Authorization", "")],
    "the scheme alone": lambda _: [("Authorization", "Bearer")],
    "another scheme": lambda _: [("Authorization", f"Basic {_base64(b'operator:operator')}")],
    "a good token in another scheme": lambda forge: [("Authorization", f"Basic {forge.good()}")],
    "a good token and more": lambda forge: [("Authorization", f"Bearer {forge.good()}, Bearer {forge.good()}")],
    "a lower-case scheme, expired": lambda forge: [("authorization", f"bearer {forge.good(exp=_seconds(-60))}")],
    "an upper-case scheme, forged": lambda forge: [
        ("AUTHORIZATION", f"BEARER {forge.signed(forge.claims(), own_key=True)}")
    ],
    "two headers, both forged": lambda forge: [
        *bearer(forge.unsigned("none")),
        *bearer(forge.signed(forge.claims(), own_key=True)),
    ],
    "a good token in another header": lambda forge: [
        (name, f"Bearer {forge.good()}")
        for name in ("Proxy-Authorization", "X-Authorization", "X-Forwarded-Authorization", "X-Amz-Security-Token")
    ],
    "a good token in a cookie": lambda forge: [
        ("Cookie", f"Authorization=Bearer {forge.good()}; access_token={forge.good()}")
    ],
    **{name: lambda forge, make=make: bearer(make(forge)) for name, make in _TOKENS.items()},  # type: ignore[misc]
}
"""Every one is answered 401 on every route that asks for a token."""

WITHOUT_SCOPE: dict[str, dict[str, Any]] = {
    "none": {"scope": None},
    "empty": {"scope": ""},
    "another": {"scope": "openid firstcome/user"},
    "the scope and more": {"scope": "firstcome/operatorX"},
    "more and the scope": {"scope": "Xfirstcome/operator"},
    "its first half": {"scope": "firstcome firstcome/"},
    "its second half": {"scope": "operator /operator"},
    "upper case": {"scope": "FIRSTCOME/OPERATOR"},
    "a comma": {"scope": "openid,firstcome/operator"},
    "a zero-width space": {"scope": "firstcome/operator\u200b"},
    "escaped": {"scope": "firstcome%2Foperator"},
    "a wildcard": {"scope": "* firstcome/*"},
    "a list": {"scope": [["firstcome/operator"]]},
    "an object": {"scope": {"firstcome/operator": True}},
    "true": {"scope": True},
    "in other claims": {
        "scope": None,
        "roles": [OPERATOR],
        "permissions": [OPERATOR],
        "scopes": OPERATOR,
        "cognito:groups": [OPERATOR],
    },
}
"""Claims of a token that lacks the operator's scope: each is answered 403 on every operator's route."""

BAD_SUBJECTS: dict[str, str | None] = {
    "missing": None,
    "empty": "",
    "129 characters": "x" * 129,
    "10,000 characters": "x" * 10_000,
    "a line feed": "victim\n",
    "a NUL": "victim\x00",
    "a zero-width space": "vic\u200btim",
    "a byte order mark": "\ufeffvictim",
    "right to left": "\u202emitciv",
    "half a surrogate pair": "victim\ud800",
}
"""Each is answered 403 `invalid_subject`, or refused by the gateway, on every route that asks for a token."""
