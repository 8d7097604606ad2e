"""The apply function as it is usually written: clients at module level, Powertools as its documentation shows it.

It admits by an atomic script keyed by user and then sends to the queue, as Firstcome does, and leaves out what else
Firstcome guarantees: a claim that could not be sent is lost.
"""

import json
import os
import secrets
from http import HTTPStatus
from typing import Any

import boto3
import redis
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

ADMIT = """
local claim = redis.call('HGET', KEYS[2], ARGV[1])
if claim then return {'replayed', claim} end
local capacity = tonumber(redis.call('GET', KEYS[3]) or '0')
if tonumber(redis.call('GET', KEYS[1]) or '0') >= capacity then return {'sold_out'} end
claim = redis.call('INCR', KEYS[1]) .. ':' .. ARGV[2]
redis.call('HSET', KEYS[2], ARGV[1], claim)
return {'accepted', claim}
"""

logger = Logger()
tracer = Tracer()
metrics = Metrics(namespace="Conventional")
app = APIGatewayHttpResolver()

gate = redis.Redis(
    host=os.environ["REDIS_HOST"],
    port=int(os.environ["REDIS_PORT"]),
    ssl=os.environ["REDIS_TLS"] == "true",
    decode_responses=True,
    socket_timeout=1,
)
admit = gate.register_script(ADMIT)
sqs = boto3.client("sqs")


@app.post("/campaigns/<campaign_id>/coupons")
@tracer.capture_method
def apply(campaign_id: str) -> Response[str]:
    """Admit a user, and queue the claim."""
    user = app.current_event.request_context.authorizer.jwt_claim["sub"]
    keys = [f"coupons:{{{campaign_id}}}:{name}" for name in ("accepted", "claims", "capacity")]
    outcome, *claim = admit(keys=keys, args=[user, secrets.token_hex(8)])
    if outcome == "sold_out":
        metrics.add_metric(name="SoldOut", unit=MetricUnit.Count, value=1)
        return _answer(HTTPStatus.CONFLICT, {"code": "sold_out"})
    sequence, code = claim[0].split(":")
    coupon = {"campaign_id": campaign_id, "user_id": user, "sequence": int(sequence), "coupon_code": code}
    if outcome == "accepted":
        sqs.send_message(QueueUrl=os.environ["CLAIM_QUEUE_URL"], MessageBody=json.dumps(coupon))
        metrics.add_metric(name="Accepted", unit=MetricUnit.Count, value=1)
        logger.info("accepted", campaign_id=campaign_id)
    return _answer(HTTPStatus.ACCEPTED, {"status": "accepted", **coupon})


def _answer(status: HTTPStatus, body: dict[str, Any]) -> Response[str]:
    return Response(status_code=status, content_type=content_types.APPLICATION_JSON, body=json.dumps(body))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return app.resolve(event, context)
