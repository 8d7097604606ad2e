"""The tools of the bench that meet real servers: the commands seen on Redis, and the stand-in for SQS."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bench.harness.commands import commands_of, with_other
from local.deployment.workspace import Workspace
from local.services.aws_stub import COUNTS, TAKE, ask, start_aws_stub
from local.services.processes import Processes
from tests.conftest import RedisTestServer


def test_the_commands_of_a_user_are_seen_as_they_were_sent(redis_server: RedisTestServer) -> None:
    client = redis_server.client
    sha = client.script_load("return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])")

    def act() -> None:
        client.set("other", "x")
        client.evalsha(sha, 1, "k", "ann", "")

    (command,) = commands_of(client, "ann", act)

    assert command == ("EVALSHA", sha, "1", "k", "ann", "")
    assert with_other(command, {"ann": "bob"})[4] == "bob"


def test_boto3_accepts_the_answers_of_the_stand_in(processes: Processes, workspace: Workspace) -> None:
    port = start_aws_stub(processes, workspace, '{"username": "ann"}')
    endpoint = f"http://127.0.0.1:{port}"
    session = boto3.Session("local", "local", region_name="eu-west-1")
    sqs = session.client("sqs", endpoint_url=endpoint)
    secrets = session.client("secretsmanager", endpoint_url=endpoint)
    url = f"{endpoint}/0/claims"

    # boto3 compares the digest itself, and raises when it differs.
    sqs.send_message(QueueUrl=url, MessageBody='{"a":"ü"}')
    entries: list[Any] = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(10)]
    reply = sqs.send_message_batch(QueueUrl=url, Entries=entries)

    assert [entry["Id"] for entry in reply["Successful"]] == [str(number) for number in range(10)]
    assert ask(port, TAKE) == ['{"a":"ü"}', *(f"body {number}" for number in range(10))]
    assert ask(port, TAKE) == []
    assert ask(port, COUNTS) == {"SendMessage": 1, "SendMessageBatch": 1}
    assert secrets.get_secret_value(SecretId="mysql")["SecretString"] == '{"username": "ann"}'
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        sqs.purge_queue(QueueUrl=url)
