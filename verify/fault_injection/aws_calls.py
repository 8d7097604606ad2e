"""boto3 and awscrt on the wire: each HTTP request with its reply is one call; so are the mapping's own calls to SQS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import awscrt.http
import boto3
from awscrt.exceptions import AwsCrtError, from_code
from awscrt.http import HttpRequest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from verify.fault_injection.faults import ANY_CALL, NEVER_LATE, CallErrors, Kind, Wire
from verify.fault_injection.sqs import AwsError, SqsApi, StandardQueue

DELETE_KINDS = (Kind.REQUEST_LOST, Kind.REFUSED, Kind.FAILED_AFTER, Kind.REPLY_LOST)
_URL = "https://aws.injected"
_OK = 200

BOTO3_ERRORS = CallErrors(
    request_lost=lambda: EndpointConnectionError(endpoint_url=_URL),
    refused=lambda: AwsError(400, "RequestThrottled"),
    failed_after=lambda: AwsError(500, "InternalError"),
    reply_lost=lambda: ReadTimeoutError(endpoint_url=_URL),
)


def _connection_closed() -> Exception:
    closed: Exception = from_code(2058)  # AWS_ERROR_HTTP_CONNECTION_CLOSED
    return closed


AWSCRT_ERRORS = CallErrors(
    request_lost=_connection_closed,
    refused=lambda: AwsError(400, "RequestThrottled"),
    failed_after=_connection_closed,
    reply_lost=lambda: TimeoutError("injected: no reply in time"),
)


@dataclass(frozen=True)
class AwsOnTheWire:
    """AWS as the functions reach it.

    Attributes:
        sqs: returns the queues of the run.
        secret: what Secrets Manager knows.
    """

    wire: Wire
    sqs: Callable[[], SqsApi]
    secret: Mapping[str, str]

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Put the wire under both libraries for as long as the context lasts."""
        real_client, clients = boto3.client, dict[str, Any]()

        def client(name: str, **options: Any) -> Any:
            # Making one takes milliseconds each time, and none has a connection.
            if name not in clients:
                clients[name] = real_client(name, **options)  # type: ignore[call-overload]
            return clients[name]

        with (
            patch.object(URLLib3Session, "send", lambda _, request: self._send(request)),
            patch.object(boto3, "client", client),
            patch.object(awscrt.http.HttpClientConnection, "new", self._connect),
        ):
            yield

    def answer(self, target: str, parameters: Mapping[str, Any], errors: CallErrors) -> tuple[int, dict[str, Any]]:
        """Answer one request: HTTP status and body."""
        service, operation = target.split(".")
        is_sqs = service == "AmazonSQS"

        def do() -> dict[str, Any]:
            return self.sqs().answer(operation, parameters) if is_sqs else {"SecretString": json.dumps(self.secret)}

        name, kinds = f"{'sqs' if is_sqs else service} {operation}", ANY_CALL if is_sqs else NEVER_LATE
        try:
            return _OK, self.wire.call(name, kinds, errors, do, do)
        except AwsError as exc:
            return exc.status, {"__type": f"com.amazonaws#{exc.code}", "message": "injected"}

    def _send(self, request: AWSPreparedRequest) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        target = target if isinstance(target, str) else target.decode()
        status, body = self.answer(target, json.loads(bytes(request.body)), BOTO3_ERRORS)  # type: ignore[arg-type]
        return AWSResponse(request.url, status, HTTPHeaders(), _Raw(json.dumps(body).encode()))

    def _connect(self, *_: object, **__: object) -> Future[_Connection]:
        connected: Future[_Connection] = Future()
        connected.set_result(_Connection(self))
        return connected


@dataclass(frozen=True)
class _Raw:
    """A reply's body, as botocore reads it."""

    body: bytes

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.body


@dataclass(frozen=True)
class _Connection:
    """Stands for `awscrt.http.HttpClientConnection`."""

    aws: AwsOnTheWire

    def request(self, request: HttpRequest, on_body: Callable[..., None], **_: object) -> _Stream:
        return _Stream(self.aws, request, on_body)

    def is_open(self) -> bool:
        return True

    def close(self) -> None:
        pass


@dataclass
class _Stream:
    """Stands for awscrt's stream: one request and its reply."""

    aws: AwsOnTheWire
    request: HttpRequest
    on_body: Callable[..., None]
    completion_future: Future[int] = field(default_factory=Future)

    def activate(self) -> None:
        target = self.request.headers.get("x-amz-target")
        # awscrt's own stream has no way back to what it was made of.
        parameters = json.loads(self.request.body_stream._stream.getvalue())
        try:
            status, body = self.aws.answer(str(target), parameters, AWSCRT_ERRORS)
        except (AwsCrtError, TimeoutError) as exc:
            self.completion_future.set_exception(exc)
        else:
            self.on_body(chunk=json.dumps(body).encode())
            self.completion_future.set_result(status)


def delete_messages(wire: Wire, queue: StandardQueue, receipts: Sequence[str]) -> None:
    """Delete as the mapping does: what is not deleted is delivered again."""

    def do() -> None:
        for receipt in receipts:
            queue.delete(receipt)

    with suppress(AwsError, EndpointConnectionError, ReadTimeoutError):
        wire.call("sqs DeleteMessageBatch", DELETE_KINDS, BOTO3_ERRORS, do)
