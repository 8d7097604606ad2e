"""The AWS clients on the wire: SQS, Secrets Manager, and the mapping's own calls to SQS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from awscrt.exceptions import AwsCrtError, from_code
from awscrt.http import HttpRequest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ReadTimeoutError

from verify.fault_injection.faults import ALL_KINDS, WITHOUT_LATE, CallErrors, Kind, Wire
from verify.fault_injection.strict_queue import StrictQueue
from verify.fault_injection.strict_sqs import StrictSqs

DELETE_KINDS = (Kind.REQUEST_LOST, Kind.REFUSED, Kind.FAILED_AFTER, Kind.REPLY_LOST)

_URL = "https://aws.injected"

ERRORS = CallErrors(
    request_lost=lambda: EndpointConnectionError(endpoint_url=_URL),
    refused=lambda: ClientError({"Error": {"Code": "RequestThrottled", "Message": "injected"}}, "any"),
    failed_after=lambda: ClientError({"Error": {"Code": "InternalError", "Message": "injected"}}, "any"),
    reply_lost=lambda: ReadTimeoutError(endpoint_url=_URL),
)


@dataclass(frozen=True)
class WiredSqs:
    """An SQS client whose calls are calls on the wire."""

    wire: Wire
    client: StrictSqs

    def send_message(self, **parameters: Any) -> Any:
        """Send one message."""
        return self._call("SendMessage", lambda: self.client.send_message(**parameters))

    def send_message_batch(self, **parameters: Any) -> Any:
        """Send some."""
        return self._call("SendMessageBatch", lambda: self.client.send_message_batch(**parameters))

    def get_queue_attributes(self, **parameters: Any) -> Any:
        """Count."""
        return self._call("GetQueueAttributes", lambda: self.client.get_queue_attributes(**parameters))

    def change_message_visibility_batch(self, **parameters: Any) -> Any:
        """Hide deliveries for another time."""
        return self._call(
            "ChangeMessageVisibilityBatch", lambda: self.client.change_message_visibility_batch(**parameters)
        )

    def _call(self, name: str, do: Callable[[], Any]) -> Any:
        return self.wire.call(f"sqs {name}", ALL_KINDS, ERRORS, do, do)


def _connection_closed() -> Exception:
    closed: Exception = from_code(2058)
    return closed


HTTP_ERRORS = CallErrors(
    request_lost=_connection_closed,
    refused=lambda: ClientError({"Error": {"Code": "RequestThrottled", "Message": "injected"}}, "any"),
    failed_after=_connection_closed,
    reply_lost=lambda: TimeoutError("injected: no reply in time"),
)


@dataclass
class WiredStream:
    """One request of awscrt and its reply, which is one call on the wire."""

    wire: Wire
    client: Callable[[], StrictSqs]
    request: HttpRequest
    on_body: Callable[..., None]
    completion_future: Future[int] = field(default_factory=Future)

    def activate(self) -> None:
        """Send it."""
        parameters = json.loads(self.request.body_stream._stream.getvalue())

        def do() -> Any:
            return self.client().send_message(**parameters)

        try:
            self._answer(200, self.wire.call("sqs SendMessage", ALL_KINDS, HTTP_ERRORS, do, do))
        except ClientError as exc:
            self._answer(400, {"__type": exc.response["Error"]["Code"]})
        except (AwsCrtError, TimeoutError) as exc:
            self.completion_future.set_exception(exc)

    def _answer(self, status: int, body: object) -> None:
        self.on_body(chunk=json.dumps(body).encode())
        self.completion_future.set_result(status)


@dataclass(frozen=True)
class WiredConnection:
    """Stands for `awscrt.http.HttpClientConnection`."""

    wire: Wire
    client: Callable[[], StrictSqs]

    def new(self, *_: object, **__: object) -> Future[WiredConnection]:
        """Connect."""
        connected: Future[WiredConnection] = Future()
        connected.set_result(self)
        return connected

    def request(self, request: HttpRequest, on_body: Callable[..., None]) -> WiredStream:
        """Begin a request."""
        return WiredStream(self.wire, self.client, request, on_body)

    def close(self) -> None:
        """Close it."""


@dataclass(frozen=True)
class WiredSecrets:
    """A Secrets Manager client that knows one secret."""

    wire: Wire
    secret: Mapping[str, str]

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        """Read it."""
        answer = {"SecretString": json.dumps(self.secret)}
        return self.wire.call("secretsmanager GetSecretValue", WITHOUT_LATE, ERRORS, lambda: answer)


def delete_messages(wire: Wire, queue: StrictQueue, receipts: Sequence[str]) -> None:
    """Delete as the mapping does: what is not deleted is delivered again."""

    def do() -> None:
        for receipt in receipts:
            queue.delete(receipt)

    with suppress(ClientError, BotoCoreError):
        wire.call("sqs DeleteMessageBatch", DELETE_KINDS, ERRORS, do)
