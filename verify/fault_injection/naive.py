"""Two rivals as one finds them in tutorials, behind the same API: the suite must show what they get wrong.

`Counting` counts rows and then inserts. `Incrementing` asks Redis for a number with INCR, sends a message, and a
consumer inserts it. Both are written with care for what they do check: they refuse when sold out, they answer only what
they know, and an error is a 503 or a redelivery. What they lack is on purpose: no replay, no outbox, no unique keys.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import boto3
import pymysql
import redis
from botocore.exceptions import BotoCoreError, ClientError
from redis.backoff import NoBackoff
from redis.retry import Retry

from firstcome.domain.claim import new_coupon_code
from firstcome.domain.times import to_rfc3339
from tests.fakes import NOW
from verify.fault_injection.world import CAMPAIGN, CLAIMS_URL, Handler

TABLE = "naive_coupon"
MAKE_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (id INT AUTO_INCREMENT PRIMARY KEY, campaign_id VARCHAR(63), sequence INT,"
    " user_id VARCHAR(128), coupon_code VARCHAR(32))"
)
_ERRORS = (pymysql.MySQLError, redis.RedisError, BotoCoreError, ClientError)


class Counting:
    """COUNT, then INSERT, each committed by itself."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity

    def apply(self, user: str) -> tuple[int, dict[str, Any]]:
        """Count the rows, and insert one if there is room."""
        count = int(_rows(f"SELECT COUNT(*) FROM {TABLE}")[0][0])
        if count >= self.capacity:
            return 409, {"code": "sold_out"}
        code = new_coupon_code()
        _insert(count + 1, user, code)
        return 202, _coupon(count + 1, code)

    def mine(self, user: str) -> tuple[int, dict[str, Any]]:
        """Look into the table."""
        rows = _rows(f"SELECT sequence, coupon_code FROM {TABLE} WHERE user_id = %s ORDER BY id", user)
        return (200, _coupon(int(rows[0][0]), str(rows[0][1]))) if rows else (404, {"code": "no_coupon"})

    def drain(self, bodies: Sequence[str]) -> None:
        """There is no queue."""


class Incrementing(Counting):
    """INCR, then SendMessage; the consumer inserts row by row."""

    def apply(self, user: str) -> tuple[int, dict[str, Any]]:
        """Take the next number, and send it if it is one of the first."""
        retry = Retry(NoBackoff(), 0)
        with redis.Redis(os.environ["REDIS_HOST"], int(os.environ["REDIS_PORT"]), retry=retry) as client:
            sequence = client.incr("naive:accepted")
        if sequence > self.capacity:
            return 409, {"code": "sold_out"}
        code = new_coupon_code()
        body = json.dumps({"sequence": sequence, "user": user, "code": code})
        boto3.client("sqs").send_message(QueueUrl=CLAIMS_URL, MessageBody=body)
        return 202, _coupon(sequence, code)

    def drain(self, bodies: Sequence[str]) -> None:
        """Insert what was sent."""
        for claim in map(json.loads, bodies):
            _insert(claim["sequence"], claim["user"], claim["code"])


RIVALS: Mapping[str, Callable[[int], Counting]] = {"count, then insert": Counting, "INCR, send, insert": Incrementing}


def handlers_of(rival: Counting) -> dict[str, Handler]:
    """Make the four functions of a rival."""

    def apply(event: Any, _: Any) -> Any:
        user = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
        answer = rival.mine if event["routeKey"].endswith("/mine") else rival.apply
        try:
            status, body = answer(user)
        except _ERRORS:
            status, body = 503, {"code": "unavailable"}
        return {"statusCode": status, "body": json.dumps(body)}

    def drain(event: Any, _: Any) -> Any:
        rival.drain([record["body"] for record in event["Records"]])
        return {}

    def admin(event: Any, _: Any) -> Any:
        if event.get("routeKey", "").startswith("PUT"):
            rival.capacity = json.loads(event["body"])["capacity"]
        return {"statusCode": 200, "body": "{}"}

    return {"apply": apply, "drain": drain, "relay": lambda *_: {}, "admin": admin}


def _coupon(sequence: int, code: str) -> dict[str, Any]:
    fields = {"sequence": sequence, "coupon_code": code, "accepted_at": to_rfc3339(NOW)}
    return {"status": "accepted", "campaign_id": CAMPAIGN, **fields}


def _insert(sequence: int, user: str, code: str) -> None:
    names = "campaign_id, sequence, user_id, coupon_code"
    _rows(f"INSERT INTO {TABLE} ({names}) VALUES (%s, %s, %s, %s)", CAMPAIGN, sequence, user, code)


def _rows(statement: str, *values: object) -> Sequence[Sequence[Any]]:
    env = os.environ
    # What the suite's secret holds; to read it is not what is compared here.
    secret = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId="ledger")["SecretString"])
    connection = pymysql.connect(
        host=env["MYSQL_HOST"],
        port=int(env["MYSQL_PORT"]),
        user=secret["username"],
        password=secret["password"],
        database=env["MYSQL_DATABASE"],
        autocommit=True,
        ssl_disabled=True,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
