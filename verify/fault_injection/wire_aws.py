"""The AWS clients on the wire: SQS, Secrets Manager, and the mapping's own calls to SQS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ReadTimeoutError

from firstcome.adapters.sqs_sender import SqsSender
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


HTTP_ERRORS = CallErrors(
    request_lost=lambda: ConnectionResetError("injected: before it was applied"),
    refused=lambda: ClientError({"Error": {"Code": "RequestThrottled", "Message": "injected"}}, "any"),
    failed_after=lambda: ConnectionResetError("injected: after it was applied"),
    reply_lost=lambda: TimeoutError("injected: no reply in time"),
)


class WiredSender(SqsSender):
    """The sender of single claims on the wire of its subclass: each request with its reply is one call."""

    wire: ClassVar[Wire]
    client: ClassVar[Callable[[], StrictSqs]]

    def _post_once(self, body: bytes) -> tuple[int, bytes]:
        parameters = json.loads(body)
        self._connection = None

        def do() -> Any:
            return type(self).client().send_message(**parameters)

        try:
            reply = self.wire.call("sqs SendMessage", ALL_KINDS, HTTP_ERRORS, do, do)
        except ClientError as exc:
            return 400, json.dumps({"__type": exc.response["Error"]["Code"]}).encode()
        # Kept, as far as the sender's next request is concerned.
        self._connection = cast(Any, "kept")
        return 200, json.dumps(reply).encode()


def wired_sender(wire: Wire, client: Callable[[], StrictSqs]) -> type[WiredSender]:
    """Make the class of senders on this wire."""
    return type("WiredSqsSender", (WiredSender,), {"wire": wire, "client": staticmethod(client)})


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
