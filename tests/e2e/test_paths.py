"""The path from a claim to its row when parts of it fail: outbox claims, unreadable messages, direct invocations."""

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from firstcome.adapters.redis.gate import GateKeys
from firstcome.domain.claim import new_coupon_code
from local.deployment.workspace import search_path
from tests.e2e.conftest import Service, eventually
from tests.factories import a_user_id

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def _client(service: Service, name: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        name,
        endpoint_url=service.stack.aws_endpoint_url,
        region_name=service.stack.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def sqs(service: Service) -> "SQSClient":
    """SQS of the local stack."""
    client: SQSClient = _client(service, "sqs")
    return client


def _invoke(service: Service, function: str, event: object) -> Any:
    reply = _client(service, "lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    assert "FunctionError" not in reply, reply["Payload"].read()
    return json.loads(reply["Payload"].read())


def _unsent_claim(service: Service, campaign_id: str, user: str, age_ms: int) -> str:
    """Make a claim as a function does that is killed right after the gate answered."""
    keys, code = GateKeys(campaign_id), new_coupon_code()
    with service.redis() as client:
        seconds, micros = client.time()
        accepted_at = seconds * 1000 + micros // 1000 - age_ms
        sequence = client.incr(keys.accepted)
        client.hset(keys.claims, user, f"{sequence}:{code}:{accepted_at}")
        client.zadd(keys.outbox, {user: accepted_at})
    return code


def test_a_claim_left_behind_is_relayed_and_issued(service: Service) -> None:
    campaign_id = service.campaign()
    code = _unsent_claim(service, campaign_id, "ann", age_ms=60_000)

    _invoke(service, service.stack.functions.relay, {})

    eventually(lambda: service.rows(campaign_id), lambda rows: rows == [(1, "ann", code)])
    with service.redis() as client:
        assert client.zcard(GateKeys(campaign_id).outbox) == 0


def test_the_schedule_runs_the_relay_by_itself(service: Service) -> None:
    campaign_id = service.campaign()
    code = _unsent_claim(service, campaign_id, "ann", age_ms=60_000)

    # Every minute; a round may just have gone.
    for _ in range(2):
        try:
            eventually(lambda: service.rows(campaign_id), lambda rows: rows == [(1, "ann", code)])
        except AssertionError:
            continue
        return
    pytest.fail("no relay came by within two minutes")


def test_the_user_asking_again_sends_an_unsent_claim(service: Service) -> None:
    campaign_id = service.campaign()
    code = _unsent_claim(service, campaign_id, "ann", age_ms=0)

    answer = service.apply(campaign_id, "ann")

    assert (answer.status, answer.body["coupon_code"]) == (200, code)
    eventually(lambda: service.rows(campaign_id), lambda rows: rows == [(1, "ann", code)])


def test_a_queue_that_is_gone_answers_503_and_keeps_the_claim(service: Service, sqs: "SQSClient") -> None:
    campaign_id = service.campaign()
    with _without_the_right_to_send(service):
        answer = service.apply(campaign_id, "ann")
        assert (answer.status, answer.code) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0

    again = service.apply(campaign_id, "ann")

    assert (again.status, again.body["sequence"]) == (200, 1)
    eventually(lambda: service.rows(campaign_id), lambda rows: rows == [(1, "ann", again.body["coupon_code"])])


@contextmanager
def _without_the_right_to_send(service: Service) -> Iterator[None]:
    """Point the apply function at a queue that does not exist, for a while."""
    functions, name = _client(service, "lambda"), service.stack.functions.apply
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    broken = {**variables, "CLAIM_QUEUE_URL": service.stack.claim_queue_url + "-gone"}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": broken})
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def test_an_unreadable_message_is_dead_lettered_with_its_reason_and_the_rest_is_issued(
    service: Service, sqs: "SQSClient"
) -> None:
    campaign_id = service.campaign()
    rubbish = {f"rubbish {a_user_id()}": "not_json", '{"v":2}': "unknown_version", '{"v":1}': "missing_campaign_id"}
    for body in rubbish:
        sqs.send_message(QueueUrl=service.stack.claim_queue_url, MessageBody=body)
    service.apply(campaign_id, "ann")

    found: dict[str, str] = {}

    def receive() -> dict[str, str]:
        reply = sqs.receive_message(
            QueueUrl=service.stack.dead_letter_queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        for message in reply.get("Messages", []):
            found[message["Body"]] = message["MessageAttributes"]["reason"]["StringValue"]
        return found

    eventually(receive, lambda bodies: rubbish.items() <= bodies.items())
    eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) == 1)


def test_a_rush_ends_with_exactly_the_capacity(service: Service) -> None:
    campaign_id = service.campaign(capacity=20)
    users = [a_user_id() for _ in range(60)]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda user: service.apply(campaign_id, user), [*users, *users[:20]]))

    won = {answer.body["sequence"]: answer.body["coupon_code"] for answer in answers if answer.status in {200, 202}}
    assert sorted(won) == list(range(1, 21))
    assert sum(answer.status == 202 for answer in answers) == 20
    assert {answer.code for answer in answers if answer.status not in {200, 202}} == {"sold_out"}
    rows = eventually(lambda: service.rows(campaign_id), lambda rows: len(rows) >= 20)
    assert {sequence: code for sequence, _, code in rows} == won


@pytest.mark.parametrize(
    ("function", "event", "answers"),
    [
        ("AdminFunction", "put-campaign.json", {200, 201}),
        ("ApplyFunction", "apply.json", {200, 202}),
        ("AdminFunction", "stats.json", {200}),
    ],
)
def test_sam_remote_invoke_answers_the_events_of_the_repository(
    service: Service, repository: Path, function: str, event: str, answers: set[int]
) -> None:
    service.forget_demo()
    if event != "put-campaign.json":
        _sam_remote_invoke(service, repository, "AdminFunction", "put-campaign.json")

    reply = _sam_remote_invoke(service, repository, function, event)

    assert reply["statusCode"] in answers, reply


def _sam_remote_invoke(service: Service, repository: Path, function: str, event: str) -> Any:
    environment = {
        **os.environ,
        "PATH": search_path(),
        "AWS_ENDPOINT_URL": service.stack.aws_endpoint_url,
        "AWS_DEFAULT_REGION": service.stack.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "SAM_CLI_TELEMETRY": "0",
    }
    command = ["sam", "remote", "invoke", function, "--stack-name", "firstcome-local"]
    done = subprocess.run(
        [*command, "--event-file", f"events/{event}"],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])
