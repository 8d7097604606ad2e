"""The boto3 client of strict queues: stands where the product expects `boto3.client("sqs")`.

It takes what SQS takes and refuses what SQS refuses, with the error codes of docs.aws.amazon.com/AWSSimpleQueueService,
"SendMessageBatch". Parameters that SQS does not know are a `ParamValidationError`, as boto3 makes it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from verify.fault_injection.strict_queue import StrictQueue

MESSAGE_BYTES_MAX = 1_048_576
BATCH_BYTES_MAX = 1_048_576
ENTRIES_MAX = 10

_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
# What XML 1.0 allows: SQS refuses a body with anything else.
_UNSENDABLE = re.compile("[^\t\n\r -\ud7ff\ue000-�\U00010000-\U0010ffff]")
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


@dataclass
class StrictSqs:
    """The client.

    Attributes:
        queues: by URL.
        refuses: names bodies that a batch fails for, each by itself, while HTTP says 200.
    """

    queues: Mapping[str, StrictQueue]
    refuses: Callable[[str], bool] = lambda _: False

    def send_message(self, **parameters: Any) -> dict[str, Any]:
        """Send one message."""
        _check("SendMessage", parameters, {"QueueUrl", "MessageBody"}, {"MessageAttributes"})
        queue = self._queue("SendMessage", parameters["QueueUrl"])
        fault = _fault_of(parameters)
        if fault:
            raise _error("SendMessage", fault)
        return _sent(queue, parameters)

    def send_message_batch(self, **parameters: Any) -> dict[str, Any]:
        """Send up to ten messages; each has its own outcome."""
        _check("SendMessageBatch", parameters, {"QueueUrl", "Entries"}, set())
        queue = self._queue("SendMessageBatch", parameters["QueueUrl"])
        entries: Sequence[Mapping[str, Any]] = parameters["Entries"]
        for entry in entries:
            _check("SendMessageBatch", entry, {"Id", "MessageBody"}, {"MessageAttributes"})
        fault = _batch_fault_of(entries)
        if fault:
            raise _error("SendMessageBatch", fault)
        reply: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in entries:
            code = "InternalError" if self.refuses(entry["MessageBody"]) else _fault_of(entry)
            if code:
                failure = {"Id": entry["Id"], "SenderFault": code != "InternalError", "Code": code}
                reply["Failed"].append(failure)
            else:
                reply["Successful"].append({"Id": entry["Id"], **_sent(queue, entry)})
        # SQS leaves out a list that is empty.
        return {name: outcomes for name, outcomes in reply.items() if outcomes}

    def get_queue_attributes(self, **parameters: Any) -> dict[str, Any]:
        """Tell about how many messages there are."""
        _check("GetQueueAttributes", parameters, {"QueueUrl"}, {"AttributeNames"})
        waiting, hidden = self._queue("GetQueueAttributes", parameters["QueueUrl"]).counts()
        told = {_COUNTS[0]: str(waiting), _COUNTS[1]: str(hidden), "ApproximateNumberOfMessagesDelayed": "0"}
        asked = parameters.get("AttributeNames", ())
        unknown = [name for name in asked if name not in told and name != "All"]
        if unknown:
            raise _error("GetQueueAttributes", "InvalidAttributeName")
        return {"Attributes": {name: value for name, value in told.items() if name in asked or "All" in asked}}

    def change_message_visibility_batch(self, **parameters: Any) -> dict[str, Any]:
        """Change how long up to ten deliveries stay hidden."""
        _check("ChangeMessageVisibilityBatch", parameters, {"QueueUrl", "Entries"}, set())
        queue = self._queue("ChangeMessageVisibilityBatch", parameters["QueueUrl"])
        entries: Sequence[Mapping[str, Any]] = parameters["Entries"]
        if not 1 <= len(entries) <= ENTRIES_MAX:
            raise _error("ChangeMessageVisibilityBatch", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
        for entry in entries:
            _check("ChangeMessageVisibilityBatch", entry, {"Id", "ReceiptHandle", "VisibilityTimeout"}, set())
            queue.hide(entry["ReceiptHandle"], entry["VisibilityTimeout"] * 1000)
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}

    def _queue(self, operation: str, url: str) -> StrictQueue:
        if url not in self.queues:
            raise _error(operation, "AWS.SimpleQueueService.NonExistentQueue")
        return self.queues[url]


def _sent(queue: StrictQueue, parameters: Mapping[str, Any]) -> dict[str, Any]:
    body = parameters["MessageBody"]
    attributes = {name: part["StringValue"] for name, part in parameters.get("MessageAttributes", {}).items()}
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    return {"MessageId": queue.send(body, attributes), "MD5OfMessageBody": digest}


def _fault_of(parameters: Mapping[str, Any]) -> str:
    """Name what is wrong with one message; empty for nothing."""
    body = parameters["MessageBody"]
    if not body:
        return "MissingParameter"
    if _UNSENDABLE.search(body):
        return "InvalidMessageContents"
    if _bytes_of(parameters) > MESSAGE_BYTES_MAX or len(parameters.get("MessageAttributes", {})) > ENTRIES_MAX:
        return "InvalidParameterValue"
    return ""


def _batch_fault_of(entries: Sequence[Mapping[str, Any]]) -> str:
    """Name what is wrong with a batch as a whole; empty for nothing."""
    ids = [entry["Id"] for entry in entries]
    faults = {
        "EmptyBatchRequest": not entries,
        "TooManyEntriesInBatchRequest": len(entries) > ENTRIES_MAX,
        "InvalidBatchEntryId": not all(_ENTRY_ID.fullmatch(name) for name in ids),
        "BatchEntryIdsNotDistinct": len(set(ids)) < len(ids),
        "BatchRequestTooLong": sum(_bytes_of(entry) for entry in entries) > BATCH_BYTES_MAX,
    }
    found = [name for name, is_so in faults.items() if is_so]
    return f"AWS.SimpleQueueService.{found[0]}" if found else ""


def _bytes_of(parameters: Mapping[str, Any]) -> int:
    """Count a message's bytes: its attributes count as well, with name, type and value."""
    size = len(parameters["MessageBody"].encode("utf-8", "surrogatepass"))
    for name, part in parameters.get("MessageAttributes", {}).items():
        size += len(f"{name}{part['DataType']}{part['StringValue']}".encode())
    return size


def _check(operation: str, parameters: Mapping[str, Any], needed: set[str], possible: set[str]) -> None:
    given = set(parameters)
    if needed - given or given - needed - possible:
        raise ParamValidationError(report=f"{operation}: {sorted(needed ^ given)}")


def _error(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "refused by the strict queue"}}, operation)
