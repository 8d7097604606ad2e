"""RelayFunction: sends claims that are not known to be queued, heals gates, and compares them with the ledger."""

import traceback
from typing import Any

from firstcome import bootstrap
from firstcome.adapters.logs import logger
from firstcome.adapters.metrics import Metric
from firstcome.service.relay import RelayReport

_RESERVE_MS = 12_000
"""Time kept for what was begun last: a login at the gate with a password that was changed (4 s), a read of the gate
(4.5 s), a batch to the queue (2.5 s), a note at the gate (0.5 s)."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Run the relay once; returns what it did."""
    try:
        report = bootstrap.relay(lambda: context.get_remaining_time_in_millis() - _RESERVE_MS).run()
    finally:
        # Not kept for the next minute: MySQL's connections belong to the drain.
        bootstrap.ledger().close()
    did = {
        "sent": report.sent,
        "refused": report.refused,
        "rebuilt": report.rebuilt,
        "closed": report.closed,
        "reconciled": report.reconciled,
    }
    if any(did.values()):
        logger().warning("relayed", extra=did)
    for campaign_id, number in report.missing.items():
        logger().warning("claims are missing from the ledger", extra={"campaign_id": campaign_id, "missing": number})
    for failure in report.failures:
        # Without its message, which may name a user.
        where = traceback.extract_tb(failure.error.__traceback__)[-1]
        told = {
            "campaign_id": failure.campaign_id,
            "kind": type(failure.error).__name__,
            "cause": type(failure.error.__cause__).__name__,
            "where": f"{where.name}, line {where.lineno}",
        }
        logger().error("a campaign failed", extra=told)
    _count(report)
    return did


def _count(report: RelayReport) -> None:
    metrics = bootstrap.metrics()
    for campaign_id, relayed in report.relayed.items():
        metrics.count(Metric.OUTBOX, relayed.found, campaign_id=campaign_id)
        metrics.count(Metric.RELAYED, relayed.sent, campaign_id=campaign_id)
        metrics.count(Metric.RELAY_REFUSED, relayed.refused, campaign_id=campaign_id)
    for campaign_id, number in report.missing.items():
        metrics.count(Metric.MISSING, number, campaign_id=campaign_id)
    metrics.count(Metric.GATES_REBUILT, len(report.rebuilt))
    metrics.count(Metric.GATES_CLOSED, len(report.closed))
    metrics.count(Metric.RELAY_FAILURES, len(report.failures))
    metrics.write()
