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


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs; `session_token` is empty for a long-lived key."""

    access_key_id: str
    secret_access_key: str
    session_token: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs POST requests to `/` of one service.

    Attributes:
        host: as in the request's Host header, with the port if it is not the usual one.
        json_version: of the service's protocol: 1.0 for SQS, 1.1 for Secrets Manager.
    """

    credentials: Credentials
    region: str
    service: str
    host: str
    json_version: str = "1.0"

    def headers(self, target: str, body: bytes, at: float) -> dict[str, str]:
        """Return all headers of a signed request.

        Args:
            target: the operation, such as `AmazonSQS.SendMessage`.
            at: seconds since the epoch; AWS takes five minutes more or less.
        """
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        date = timestamp[:8]
        headers = {
            "content-type": f"application/x-amz-json-{self.json_version}",
            "host": self.host,
            "x-amz-date": timestamp,
            "x-amz-target": target,
        }
        if self.credentials.session_token:
            headers["x-amz-security-token"] = self.credentials.session_token
        names = sorted(headers)
        signed_names = ";".join(names)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        request = f"POST\n/\n\n{lines}\n{signed_names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{date}/{self.region}/{self.service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = _signing_key(self.credentials.secret_access_key, date, self.region, self.service)
        signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key_id}/{scope}, "
            f"SignedHeaders={signed_names}, Signature={signature}"
        )
        return headers


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
    key = _signing_key(credentials.secret_access_key, timestamp[:8], region, "elasticache")
    return f"{cache}/?{query}&X-Amz-Signature={hmac.new(key, to_sign.encode(), 'sha256').hexdigest()}"


@lru_cache(maxsize=2)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the key of a day: four of the five hashes of a signature need not be made again for each request."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return key
