"""RelayFunction: sends the claims that were accepted but are not known to be queued, and heals lost gates."""

from typing import Any

from firstcome import bootstrap
from firstcome.adapters.logs import logger
from firstcome.adapters.metrics import Metric

_RESERVE_MS = 13_000
"""Time kept for a round under way: a login at the gate with a password that was changed (2.5 s), a read of the gate
(2 s), three batches to the queue (2.5 s each), a note at the gate (0.5 s)."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Run the relay once; returns what it did."""
    try:
        report = bootstrap.relay(lambda: context.get_remaining_time_in_millis() > _RESERVE_MS).run()
    finally:
        # Opened only to heal a gate, and not kept: MySQL's connections belong to the drain.
        bootstrap.ledger().close()
    did = {"sent": report.sent, "refused": report.refused, "rebuilt": report.rebuilt, "closed": report.closed}
    if any(did.values()):
        logger().warning("relayed", extra=did)
    metrics = bootstrap.metrics()
    for campaign_id, relayed in report.relayed.items():
        metrics.count(Metric.OUTBOX, relayed.sent + relayed.refused, campaign_id=campaign_id)
        metrics.count(Metric.RELAYED, relayed.sent, campaign_id=campaign_id)
        metrics.count(Metric.RELAY_REFUSED, relayed.refused, campaign_id=campaign_id)
    metrics.count(Metric.GATES_REBUILT, len(report.rebuilt))
    metrics.count(Metric.GATES_CLOSED, len(report.closed))
    metrics.write()
    return did
