"""Sends single claims to SQS by the AWS Common Runtime: one signed request on a connection that is kept.

awscrt has no SQS client, so the one request is written out here; docs/decisions/0013-libraries-on-the-hot-path.md says
why it is not boto3's.
"""

import hashlib
import json
import time
from concurrent.futures import Future
from io import BytesIO
from urllib.parse import urlsplit

from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpClientConnection, HttpHeaders, HttpRequest

from firstcome.adapters import aws
from firstcome.domain.claim import Claim
from firstcome.domain.errors import QueueUnavailableError
from firstcome.domain.message import to_body

_HTTP_OK = 200

_CONNECTION_LOST = (AwsCrtError, RuntimeError)
"""What awscrt raises of a connection: the second, if it was closed before the request began."""


class SqsSender:
    """Implements `ports.ClaimSender`.

    Args:
        endpoint_url: of SQS, without a path: `https://sqs.eu-west-1.amazonaws.com`.
        connect_seconds: to connect, TLS included.
        read_seconds: to wait for the reply; a send takes no longer than both together.
    """

    def __init__(self, queue_url: str, endpoint_url: str, connect_seconds: float, read_seconds: float) -> None:
        self._queue_url = queue_url
        self._address = urlsplit(endpoint_url)
        self._connect_seconds = connect_seconds
        self._send_seconds = connect_seconds + read_seconds
        self._connection: HttpClientConnection | None = None

    def send(self, claim: Claim) -> None:
        """Implement `ClaimSender.send`."""
        message = to_body(claim)
        try:
            status, reply = self._post(json.dumps({"QueueUrl": self._queue_url, "MessageBody": message}).encode())
        except (*_CONNECTION_LOST, TimeoutError) as exc:
            raise QueueUnavailableError("the claim queue did not answer") from exc
        if status != _HTTP_OK or not _confirms(reply, message):
            # Not its text, which may name the queue or the caller.
            raise QueueUnavailableError(f"the claim queue did not confirm a message: HTTP status {status}")

    def _post(self, body: bytes) -> tuple[int, bytes]:
        ends_at = time.monotonic() + self._send_seconds
        request = aws.sign(self._request(body), "sqs", self._send_seconds)
        if self._connection:
            try:
                return self._exchange(self._connection, request, ends_at)
            except _CONNECTION_LOST:
                # SQS has closed it meanwhile, as it does while an environment is frozen. Sent twice at worst, which the
                # ledger's keys absorb. A timeout is not repeated.
                request.body_stream = BytesIO(body)
        self._connection = self._connect(min(self._connect_seconds, ends_at - time.monotonic()))
        return self._exchange(self._connection, request, ends_at)

    def _request(self, body: bytes) -> HttpRequest:
        headers = {
            "host": self._address.netloc,
            "content-type": "application/x-amz-json-1.0",
            "content-length": str(len(body)),
            "x-amz-target": "AmazonSQS.SendMessage",
        }
        return HttpRequest("POST", "/", HttpHeaders(list(headers.items())), BytesIO(body))

    def _connect(self, seconds: float) -> HttpClientConnection:
        is_secure = self._address.scheme == "https"
        host = self._address.hostname or ""
        connecting: Future[HttpClientConnection] = HttpClientConnection.new(
            host,
            self._address.port or (443 if is_secure else 80),
            aws.client_bootstrap(),
            tls_connection_options=aws.tls_options(host) if is_secure else None,
        )
        try:
            return connecting.result(max(seconds, 0))
        except TimeoutError:
            connecting.add_done_callback(_close)
            raise

    def _exchange(self, connection: HttpClientConnection, request: HttpRequest, ends_at: float) -> tuple[int, bytes]:
        reply = bytearray()
        try:
            stream = connection.request(request, on_body=lambda chunk, **_: reply.extend(chunk))
            stream.activate()
            status: int = stream.completion_future.result(max(ends_at - time.monotonic(), 0))
        except BaseException:
            # A reply may still come: the next request must not take it for its own.
            connection.close()
            raise
        return status, bytes(reply)


def _close(connecting: "Future[HttpClientConnection]") -> None:
    if not connecting.exception():
        connecting.result().close()


def _confirms(reply: bytes, message: str) -> bool:
    """Whether SQS says that it has this very message: by the digest, which no other reply has."""
    try:
        answer = json.loads(reply)
    except ValueError:
        return False
    digest = hashlib.md5(message.encode(), usedforsecurity=False).hexdigest()
    return isinstance(answer, dict) and bool(answer.get("MessageId")) and answer.get("MD5OfMessageBody") == digest
