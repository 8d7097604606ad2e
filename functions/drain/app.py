"""DrainFunction: batches of claims from the queue into the ledger."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from firstcome import bootstrap
from firstcome.adapters.logs import logger
from firstcome.adapters.metrics import Metric
from firstcome.service.drain import DrainReport, Message

_RESERVE_MS = 12_000
"""Time kept for the last chunk: connecting (3 s), a reply of MySQL (8 s), and the way back."""


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Drain one batch; returns the messages to deliver again (ReportBatchItemFailures).

    Raises:
        LedgerUnavailableError: MySQL does not take the batch, which comes back within seconds. It is raised on purpose:
            item failures would keep SQS polling at full speed, an error makes it back off.
    """
    messages = {record["messageId"]: _to_message(record) for record in event["Records"]}
    report = bootstrap.drain().drain(messages, context.get_remaining_time_in_millis() - _RESERVE_MS)
    logger().info(
        "drained",
        extra={
            "received": len(messages),
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


def _to_message(record: Mapping[str, Any]) -> Message:
    receive_count = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
    return Message(record["body"], record.get("receiptHandle", ""), receive_count)


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
