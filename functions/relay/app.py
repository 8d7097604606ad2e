"""RelayFunction: sends the claims that were accepted but are not known to be queued."""

from typing import Any

from firstcome import bootstrap, settings
from firstcome.observability import logger
from firstcome.relay import Relay

_RESERVE_MS = 10_000
"""Time kept for a round under way: a read of the gate (1 s), three batches to the queue (2.5 s each), a note at the gate
(0.5 s)."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Run the relay once; returns what it did."""
    relay = Relay(
        gate=bootstrap.gate(),
        queue=bootstrap.claim_queue(),
        after_ms=settings.relay_after_seconds() * 1000,
        has_time=lambda: context.get_remaining_time_in_millis() > _RESERVE_MS,
    )
    report = relay.run()
    if report.sent or report.refused:
        logger().warning("relayed", extra={"sent": report.sent, "refused": report.refused})
    return {"sent": report.sent, "refused": report.refused}
