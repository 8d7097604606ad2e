"""(f) SADD, then INCR, then a message by boto3; a consumer inserts ten at a time, as SQS hands them over by default.

A process that dies between the steps leaves a user who can never have a coupon, or a number without a coupon.
"""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING

from bench.rivals.rival import Apply, Campaign, Rival
from bench.rivals.tables import insert_coupons

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from bench.harness.servers import Servers

SQS_DEFAULT_BATCH = 10


def connect(servers: Servers, campaign: Campaign) -> Apply:
    """Open the connections to Redis and SQS."""
    client = servers.connect_to_redis()
    queue = _sqs(servers)
    url = servers.environment()["CLAIM_QUEUE_URL"]
    # The first call pays for the connection; the rush is to find it open.
    queue.send_message(QueueUrl=url, MessageBody="")
    users, counter = (f"rival:{{{campaign.campaign_id}}}:{name}" for name in ("users", "counter"))

    def apply(user_id: str) -> bool:
        if not client.sadd(users, user_id) or client.incr(counter) > campaign.capacity:
            return False
        queue.send_message(QueueUrl=url, MessageBody=user_id)
        return True

    return apply


def settle(servers: Servers, campaign: Campaign) -> None:
    """Insert what was queued."""
    user_ids = servers.take_messages()
    connection = servers.connect_to_mysql(autocommit=False)
    with connection, connection.cursor() as cursor:
        for batch in batched(user_ids, SQS_DEFAULT_BATCH, strict=False):
            insert_coupons(cursor, campaign, batch)
            connection.commit()


def _sqs(servers: Servers) -> SQSClient:
    import boto3  # noqa: PLC0415 - the other rivals do not need it

    environment = servers.environment()
    return boto3.client(
        "sqs",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


RIVAL = Rival("f", "SADD, INCR, then queue (boto3)", connect, settle=settle)
