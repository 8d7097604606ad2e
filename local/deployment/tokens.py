"""Access tokens for the local stack, signed with the key its issuer publishes."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

KEY_FILE = "issuer-key.pem"
KEY_ID = "local-1"
AUDIENCE = "firstcome"
OPERATOR_SCOPE = "firstcome/operator"


def create_key(directory: Path) -> None:
    """Make the issuer's private key in `directory`, readable by its owner only."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / KEY_FILE
    path.touch(mode=0o600)
    path.write_bytes(pem)


def key_set(directory: Path) -> dict[str, Any]:
    """The public half of the key in `directory`, as a JWKS document."""
    private = serialization.load_pem_private_key((directory / KEY_FILE).read_bytes(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError(f"{KEY_FILE} holds no RSA key")
    public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}


def sign_token(  # noqa: PLR0913 - the claims of a token, each by its name
    directory: Path,
    issuer: str,
    sub: str | None,
    *,
    scope: str | None = None,
    ttl_seconds: int = 3600,
    audience: str = AUDIENCE,
    **overrides: Any,
) -> str:
    """A token signed with the key in `directory`.

    A negative `ttl_seconds` makes one that has expired; `sub=None` one without a subject. `overrides` sets further
    claims, or removes one with `None`. For a forged token, sign with another key: `create_key` in an empty directory.
    """
    now = int(time.time())
    # An expired token was valid once: its times stay in order.
    issued_at = min(now, now + ttl_seconds - 1)
    claims = {
        "iss": issuer,
        "sub": sub,
        "aud": audience,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": now + ttl_seconds,
        "jti": str(uuid.uuid4()),
        "scope": scope,
        **overrides,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, (directory / KEY_FILE).read_bytes(), algorithm="RS256", headers={"kid": KEY_ID})


class UserTokens:
    """Signs a token for each of many users, quickly."""

    def __init__(self, directory: Path, issuer: str, ttl_seconds: int) -> None:
        # Reading an RSA key checks it, 50 ms each time: too long for thousands of users, so the key is read once.
        self._key = serialization.load_pem_private_key((directory / KEY_FILE).read_bytes(), password=None)
        now = int(time.time())
        self._claims = {"iss": issuer, "aud": AUDIENCE, "iat": now, "exp": now + ttl_seconds}

    def sign(self, user: str) -> str:
        """The token of `user`."""
        claims = {**self._claims, "sub": user}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": KEY_ID})  # type: ignore[arg-type]
