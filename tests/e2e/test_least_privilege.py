"""What each function's own role may do in the deployed stack, whose endpoint enforces IAM; and what it may not.

tests/template/test_functions.py holds the same for what the template says.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.deployment.stack import running_stack
from local.progress import Progress
from local.services.ministack import client
from tests.e2e.conftest import Service


@pytest.fixture(scope="module")
def enforced(repository: Path) -> Iterator[Service]:
    """A stack of its own, whose endpoint enforces IAM.

    Not the one of the other tests, which enforces it too: what is received here would be hidden from its drain.
    """
    folder = repository / ".local" / "test-iam"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AUTH", "true")
        with running_stack(folder, Progress()) as stack:
            yield Service(stack, folder)


_DENIED = {"AccessDenied", "AccessDeniedException"}
_LET_IN = "InvalidParameterValue"

_MAY = {
    "apply": {"send a claim"},
    # Receiving, and counting what is in a queue, are for the mapping of its queue.
    "drain": {"receive a claim", "hide a claim", "count claims", "send a dead letter", "read the secret"},
    "relay": {"send a claim", "count claims", "read the secret"},
    "admin": {"send a claim", "count claims", "count dead letters", "read the secret"},
}


class Caller:
    """Somebody with the rights of one function."""

    def __init__(self, service: Service, function: str) -> None:
        self._stack = service.stack
        endpoint = service.stack.aws_endpoint_url
        name = getattr(service.stack.functions, function)
        role = client("lambda", endpoint).get_function_configuration(FunctionName=name)["Role"]
        assumed = client("sts", endpoint).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        self._settings: dict[str, Any] = {
            "endpoint_url": endpoint,
            "region_name": service.stack.region,
            "aws_access_key_id": assumed["AccessKeyId"],
            "aws_secret_access_key": assumed["SecretAccessKey"],
            "aws_session_token": assumed["SessionToken"],
            "config": Config(proxies={}, retries={"total_max_attempts": 1}),
        }
        (self._secret,) = client("secretsmanager", endpoint).list_secrets()["SecretList"]

    def actions(self) -> "dict[str, Callable[[], object]]":
        """Return what it could try.

        What is sent has a delay that SQS does not take, so that whoever may send is refused for that and leaves nothing
        behind; what is received comes back at once.
        """
        sqs = boto3.client("sqs", **self._settings)
        secrets = boto3.client("secretsmanager", **self._settings)
        functions = boto3.client("lambda", **self._settings)
        iam = boto3.client("iam", **self._settings)
        claims, dead_letters = self._stack.claim_queue_url, self._stack.dead_letter_queue_url
        secret = self._secret["ARN"]
        return {
            "send a claim": lambda: sqs.send_message(QueueUrl=claims, MessageBody="{}", DelaySeconds=901),
            "receive a claim": lambda: sqs.receive_message(QueueUrl=claims, VisibilityTimeout=0),
            "count claims": lambda: sqs.get_queue_attributes(QueueUrl=claims, AttributeNames=["All"]),
            "hide a claim": lambda: sqs.change_message_visibility_batch(
                QueueUrl=claims, Entries=[{"Id": "0", "ReceiptHandle": "none", "VisibilityTimeout": 0}]
            ),
            "purge the claims": lambda: sqs.purge_queue(QueueUrl=claims),
            "delete the queue": lambda: sqs.delete_queue(QueueUrl=claims),
            "send a dead letter": lambda: sqs.send_message(QueueUrl=dead_letters, MessageBody="{}", DelaySeconds=901),
            "receive a dead letter": lambda: sqs.receive_message(QueueUrl=dead_letters, VisibilityTimeout=0),
            "count dead letters": lambda: sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["All"]),
            "purge the dead letters": lambda: sqs.purge_queue(QueueUrl=dead_letters),
            "read the secret": lambda: secrets.get_secret_value(SecretId=secret),
            "change the secret": lambda: secrets.put_secret_value(SecretId=secret, SecretString="{}"),
            "list secrets": secrets.list_secrets,
            "migrate": lambda: functions.invoke(FunctionName=self._stack.functions.admin, Payload="{}"),
            "change a function": lambda: functions.update_function_configuration(
                FunctionName=self._stack.functions.apply, Timeout=1
            ),
            "make a user": lambda: iam.create_user(UserName="intruder"),
        }


def _is_allowed(action: Callable[[], object]) -> bool:
    try:
        action()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in {*_DENIED, _LET_IN}:
            raise
        return code == _LET_IN
    return True


@pytest.mark.parametrize("function", sorted(_MAY))
def test_a_function_can_do_what_it_does_and_nothing_else(enforced: Service, function: str) -> None:
    actions = Caller(enforced, function).actions()
    allowed = {name for name, action in actions.items() if _is_allowed(action)}
    assert allowed == _MAY[function]
