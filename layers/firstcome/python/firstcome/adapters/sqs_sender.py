"""Sends single claims to SQS: one signed request on a connection that is kept.

Why not boto3: importing it and building its client is most of a cold start, and each `send_message` costs five times
the CPU; docs/decisions/0005-own-wire-on-the-hot-path.md has the figures. boto3 stays where nothing is hot, see `sqs`.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from firstcome.adapters.http_post import HttpConnection, connect_to
from firstcome.adapters.sigv4 import Credentials, Signer
from firstcome.domain.claim import Claim
from firstcome.domain.errors import QueueUnavailableError
from firstcome.domain.message import to_body

if TYPE_CHECKING:
    import ssl

_HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class SqsEndpoint:
    """Where SQS is, and who asks.

    Attributes:
        url: of the service, without a path: `https://sqs.eu-west-1.amazonaws.com`.
    """

    url: str
    region: str
    credentials: Credentials


class SqsSender:
    """Implements `ports.ClaimSender`.

    Args:
        connect_seconds: to connect.
        read_seconds: to wait for the reply.
        tls: makes the context that verifies a host.
    """

    def __init__(
        self,
        queue_url: str,
        endpoint: SqsEndpoint,
        connect_seconds: float,
        read_seconds: float,
        tls: "Callable[[str], ssl.SSLContext]",
    ) -> None:
        self._before_message = f'{{"QueueUrl":{encode_basestring_ascii(queue_url)},"MessageBody":'
        self._address = urlsplit(endpoint.url)
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._tls = tls
        self._signer = Signer(
            endpoint.credentials, endpoint.region, "sqs", "AmazonSQS.SendMessage", self._address.netloc
        )
        self._connection: HttpConnection | None = None

    def send(self, claim: Claim) -> None:
        """Implement `ClaimSender.send`."""
        message = to_body(claim)
        body = f"{self._before_message}{encode_basestring_ascii(message)}}}".encode()
        status, reply = self._post(body)
        if status != _HTTP_OK or not _confirms(reply, message):
            # Not its text, which may name the queue or the caller.
            raise QueueUnavailableError("the claim queue did not confirm a message")

    def _post(self, body: bytes) -> tuple[int, bytes]:
        """Post a request; a kept connection that SQS has closed meanwhile is replaced once."""
        is_kept = self._connection is not None
        try:
            try:
                return self._post_once(body)
            except TimeoutError:
                raise
            except OSError:
                if not is_kept:
                    raise
                # Sent twice at worst: the ledger's keys absorb it.
                return self._post_once(body)
        except OSError as exc:
            raise QueueUnavailableError("the claim queue did not answer") from exc

    def _post_once(self, body: bytes) -> tuple[int, bytes]:
        connection = self._connection or self._connect()
        # Kept only if all goes well: half a reply may be left in it.
        self._connection = None
        try:
            reply = connection.post(self._signer.headers(body, time.time()), body)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._connection = connection
        else:
            connection.close()
        return reply

    def _connect(self) -> HttpConnection:
        return connect_to(self._address, self._connect_seconds, self._read_seconds, self._tls)


def _confirms(reply: bytes, message: str) -> bool:
    """Whether SQS says that it has this very message: by the digest, which no other reply has."""
    digest = hashlib.md5(message.encode(), usedforsecurity=False).hexdigest()
    return b'"MessageId"' in reply and f'"{digest}"'.encode() in reply
