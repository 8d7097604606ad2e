"""The answer to CloudFormation's question about a custom resource.

By urllib3, which boto3 brings along: crhelper sends over https only, and so could not be tried on a local endpoint.
"""

from collections.abc import Callable, Mapping
from typing import Any

from firstcome.adapters.logs import logger

_SECONDS = 5.0
_REASON_MAX = 1_000
"""Characters; CloudFormation takes an answer of 4 kB."""


def is_question(event: Mapping[str, Any]) -> bool:
    """Return whether CloudFormation sent this event; nothing that comes through the API looks like it."""
    return "RequestType" in event and "ResponseURL" in event


def answer(event: Mapping[str, Any], work: Callable[[], None]) -> None:
    """Do the work, unless the resource is deleted, and say how it went; a failure takes the deployment back.

    CloudFormation waits for the answer until its timeout, so every error is one, with its sentence. May be repeated.

    Raises:
        urllib3.exceptions.HTTPError: the answer did not arrive; Lambda runs the function again.
    """
    status, reason = "SUCCESS", ""
    if event["RequestType"] != "Delete":
        try:
            work()
        except Exception as exc:  # noqa: BLE001 - see above
            logger().exception("custom resource failed")
            status, reason = "FAILED", f"{type(exc).__name__}: {exc}"[:_REASON_MAX]
    import urllib3  # noqa: PLC0415 - no request through the API needs it

    # Without a content type: the address is signed for none.
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    urllib3.request("PUT", event["ResponseURL"], json=body, headers={"Content-Type": ""}, timeout=_SECONDS, retries=2)
