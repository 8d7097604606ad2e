"""AWS Signature Version 4 for a JSON request to one service, and for a connection to ElastiCache.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. The tests hold it to
botocore's own signer.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

_JSON_VERSIONS = {"sqs": "1.0", "secretsmanager": "1.1"}
"""Of the protocol that each service speaks: https://smithy.io/2.0/aws/protocols/."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs; `session_token` is empty for a long-lived key."""

    access_key_id: str
    secret_access_key: str
    session_token: str


class Signer:
    """Signs POST requests of one operation to `/` of one service.

    Args:
        service: `sqs` or `secretsmanager`.
        target: the operation, such as `AmazonSQS.SendMessage`.
        host: as in the request's Host header, with the port if it is not the usual one.
    """

    def __init__(self, credentials: Credentials, region: str, service: str, target: str, host: str) -> None:
        self._credentials = credentials
        self._region = region
        self._service = service
        # What is the same in each request is put together once. The names stand in the order that a signature wants.
        token = credentials.session_token
        self._before_date = f"content-type:application/x-amz-json-{_JSON_VERSIONS[service]}\nhost:{host}\nx-amz-date:"
        self._after_date = (f"\nx-amz-security-token:{token}" if token else "") + f"\nx-amz-target:{target}\n"
        self._names = f"content-type;host;x-amz-date;{'x-amz-security-token;' if token else ''}x-amz-target"

    def headers(self, body: bytes, at: float) -> str:
        """Return all headers of a signed request, a line each.

        Args:
            at: seconds since the epoch; AWS takes five minutes more or less.
        """
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        lines = f"{self._before_date}{timestamp}{self._after_date}"
        request = f"POST\n/\n\n{lines}\n{self._names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{timestamp[:8]}/{self._region}/{self._service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = _signed(to_sign, self._credentials.secret_access_key, timestamp[:8], self._region, self._service)
        return (
            f"{lines}authorization:AWS4-HMAC-SHA256 Credential={self._credentials.access_key_id}/{scope},"
            f" SignedHeaders={self._names}, Signature={signature}\n"
        )


def elasticache_token(credentials: Credentials, region: str, cache: str, user: str, at: float) -> str:
    """Make the password with which an IAM user of ElastiCache connects: a signed request that is never sent.

    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html.

    Args:
        cache: name of the replication group.
        user: id of the user, which is its name too.
        at: seconds since the epoch; the token is good for 15 minutes, and the connection for 12 hours.
    """
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    scope = f"{timestamp[:8]}/{region}/elasticache/aws4_request"
    fields = {
        "Action": "connect",
        "User": user,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": "900",
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session_token:
        fields["X-Amz-Security-Token"] = credentials.session_token
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(fields.items()))
    request = f"GET\n/\n{query}\nhost:{cache}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = _signed(to_sign, credentials.secret_access_key, timestamp[:8], region, "elasticache")
    return f"{cache}/?{query}&X-Amz-Signature={signature}"


def _signed(text: str, secret: str, date: str, region: str, service: str) -> str:
    # A copy, because to find the hash again by its name takes longer than to compute it.
    mac = _days_mac(secret, date, region, service).copy()
    mac.update(text.encode())
    return mac.hexdigest()


@lru_cache(maxsize=2)
def _days_mac(secret: str, date: str, region: str, service: str) -> hmac.HMAC:
    """Make what signs by the key of a day: four of the five hashes of a signature need not be made for each request."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")
