"""DrainFunction: batches of claims from the queue into the ledger."""

import time
from collections import Counter
from typing import Any

from firstcome import bootstrap
from firstcome.adapters.logs import logger
from firstcome.adapters.metrics import Metric
from firstcome.service.drain import DrainReport

_RESERVE_MS = 12_000
"""Time kept for the last chunk: connecting (3 s), a reply of MySQL (8 s), and the way back."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Drain one batch; returns the messages to deliver again (ReportBatchItemFailures).

    Raises:
        LedgerUnavailableError: MySQL does not take the batch. It is raised on purpose: item failures would keep SQS
            polling at full speed, an error makes it back off.
    """
    bodies = {record["messageId"]: record["body"] for record in event["Records"]}
    report = bootstrap.drain().drain(bodies, context.get_remaining_time_in_millis() - _RESERVE_MS)
    logger().info(
        "drained",
        extra={
            "received": len(bodies),
            "issued": len(report.issued),
            "reseated": len(report.reseated),
            "overflow": len(report.overflow),
            "failed": len(report.failed),
            "is_marked": report.is_marked,
        },
    )
    for reason in report.unreadable:
        logger().error("unreadable message", extra={"reason": reason})
    for item in report.overflow:
        logger().error(
            "overflow",
            extra={"campaign_id": item.claim.campaign_id, "sequence": item.claim.sequence, "reason": item.reason.value},
        )
    _count(report)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in report.failed]}


def _count(report: DrainReport) -> None:
    metrics, now = bootstrap.metrics(), time.time_ns() // 1_000_000
    for metric, claims in (
        (Metric.ISSUED, report.issued),
        (Metric.RESEATED, report.reseated),
        (Metric.OVERFLOW, [item.claim for item in report.overflow]),
    ):
        for campaign_id, number in Counter(claim.campaign_id for claim in claims).items():
            metrics.count(metric, number, campaign_id=campaign_id)
    oldest: dict[str, int] = {}
    for claim in report.issued:
        oldest[claim.campaign_id] = min(claim.accepted_at, oldest.get(claim.campaign_id, now))
    for campaign_id, accepted_at in oldest.items():
        metrics.longest(now - accepted_at, campaign_id=campaign_id)
    metrics.count(Metric.QUARANTINED, len(report.unreadable))
    metrics.count(Metric.REDELIVERED, len(report.failed))
    metrics.write()
