"""The user and the password of Redis from Secrets Manager: one signed request, when a connection first needs them.

Why not boto3: see `sqs_sender`; a cold start on the hot path waits for this.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from firstcome.adapters.http_post import connect_to
from firstcome.adapters.sigv4 import Credentials, Signer
from firstcome.domain.errors import GateUnavailableError, SettingsError

if TYPE_CHECKING:
    import ssl

    from firstcome.service.ports import Clock

REREAD_AFTER_MS = 5_000
"""How old a password must be to be read again when it is refused. So one that is wrong in the secret too is not read
for every application of a rush; and no call reads twice, because a refusal comes within a second of the reading."""

_HTTP_OK = 200
_DEFAULT_USER = "default"

type UserAndPassword = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SecretsEndpoint:
    """Where Secrets Manager is, who asks, and how long it may take.

    Attributes:
        url: of the service, without a path.
        connect_seconds: to connect.
        read_seconds: to wait for the reply.
        tls: makes the context that verifies a host.
    """

    url: str
    region: str
    credentials: Credentials
    connect_seconds: float
    read_seconds: float
    tls: "Callable[[str], ssl.SSLContext]"


class SecretLogin:
    """Logs in with what a secret says. Called with what was refused, it returns the same, or something newer.

    Args:
        secret_arn: of a secret with the JSON field `password`, and `username` if it is not Redis's default user.

    Raises, when it is called:
        GateUnavailableError: the secret could not be read.
        SettingsError: it has another form.
    """

    def __init__(self, endpoint: SecretsEndpoint, secret_arn: str, clock: "Clock") -> None:
        self._endpoint = endpoint
        self._secret_arn = secret_arn
        self._clock = clock
        self._known: UserAndPassword | None = None
        self._read_at = 0

    def __call__(self, refused: UserAndPassword | None) -> UserAndPassword:
        """Return what to log in with; it is kept for the life of the environment."""
        if self._known is None or (refused == self._known and self._is_old()):
            try:
                self._known = _parse(self._read())
            finally:
                self._read_at = self._clock.now()
        return self._known

    def _is_old(self) -> bool:
        return self._clock.now() - self._read_at >= REREAD_AFTER_MS

    def _read(self) -> bytes:
        where = self._endpoint
        address = urlsplit(where.url)
        target = "secretsmanager.GetSecretValue"
        signer = Signer(where.credentials, where.region, "secretsmanager", target, address.netloc)
        body = json.dumps({"SecretId": self._secret_arn}).encode()
        try:
            connection = connect_to(address, where.connect_seconds, where.read_seconds, where.tls)
            try:
                status, reply = connection.post(signer.headers(body, time.time()), body)
            finally:
                connection.close()
        except OSError as exc:
            raise GateUnavailableError("the gate's credentials could not be read") from exc
        if status != _HTTP_OK:
            # Not its text, which may name the secret or the caller.
            raise GateUnavailableError("the gate's credentials could not be read")
        return reply


def _parse(reply: bytes) -> UserAndPassword:
    try:
        secret = json.loads(json.loads(reply)["SecretString"])
        user, password = secret.get("username") or _DEFAULT_USER, secret["password"]
    except (AttributeError, KeyError, TypeError, ValueError):
        user, password = "", ""
    if not (isinstance(user, str) and isinstance(password, str) and password):
        # Without a cause, which may quote the secret.
        raise SettingsError("REDIS_SECRET_ARN must name a secret with the JSON field password, and username if needed")
    return user, password
