"""Claims that were sent and are nowhere: a purged queue, rows that are gone. No operator asks for anything."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from tests.e2e.conftest import Service, eventually
from tests.factories import a_user_id

_CLAIMS = 100


def _client(service: Service, name: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        name,
        endpoint_url=service.stack.aws_endpoint_url,
        region_name=service.stack.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def _accept(service: Service, campaign_id: str) -> list[tuple[int, str, str]]:
    """Let users apply; returns the rows that they must get."""
    users = [a_user_id() for _ in range(_CLAIMS)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda user: service.apply(campaign_id, user), users))
    assert {answer.status for answer in answers} == {202}
    return sorted(
        (answer.body["sequence"], user, answer.body["coupon_code"]) for user, answer in zip(users, answers, strict=True)
    )


def _rows_after_a_relay(service: Service, campaign_id: str) -> list[tuple[int, str, str]]:
    """Run the relay as its schedule does, only more often."""
    reply = _client(service, "lambda").invoke(FunctionName=service.stack.functions.relay, Payload=b"{}")
    assert "FunctionError" not in reply, reply["Payload"].read()
    assert json.loads(reply["Payload"].read()).keys() == {"sent", "refused", "rebuilt", "closed", "reconciled"}
    return service.rows(campaign_id)


@pytest.fixture
def no_drain(service: Service) -> Any:
    """Stop the drain; returns a way to start it again."""
    functions = _client(service, "lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=service.stack.functions.drain)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    yield lambda: functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def test_what_was_in_a_purged_queue_is_issued_all_the_same(service: Service, no_drain: Any) -> None:
    campaign_id = service.campaign(capacity=_CLAIMS)
    accepted = _accept(service, campaign_id)
    _client(service, "sqs").purge_queue(QueueUrl=service.stack.claim_queue_url)
    assert service.rows(campaign_id) == []
    no_drain()

    eventually(lambda: _rows_after_a_relay(service, campaign_id), lambda rows: rows == accepted)


def test_rows_that_are_gone_are_written_again(service: Service) -> None:
    """A restore that takes back some rows, and not the counts that are kept of them."""
    campaign_id = service.campaign(capacity=_CLAIMS)
    accepted = _accept(service, campaign_id)
    eventually(lambda: service.rows(campaign_id), lambda rows: rows == accepted)
    service.execute("DELETE FROM coupon WHERE campaign_id = %s AND sequence %% 5 = 0", campaign_id)

    eventually(lambda: _rows_after_a_relay(service, campaign_id), lambda rows: rows == accepted)

    stats = service.as_operator("GET", f"/campaigns/{campaign_id}/stats").body
    assert (stats["accepted"], stats["overflow"]) == (_CLAIMS, 0)
