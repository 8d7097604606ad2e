"""A login in a secret, read from the endpoint's Secrets Manager as the functions read it."""

import json
import uuid
from collections.abc import Callable

from firstcome.adapters import aws
from local.services.ministack import client
from tests.e2e.conftest import Service


def test_it_reads_what_was_stored(service: Service, empty_environment: Callable[[str, str], None]) -> None:
    stack = service.stack
    secret = {"username": "team", "password": 'throwaway "\\ ä'}
    stored = client("secretsmanager", stack.aws_endpoint_url).create_secret(
        Name=f"test-{uuid.uuid4().hex}", SecretString=json.dumps(secret)
    )
    for name, text in {
        "AWS_ENDPOINT_URL": stack.aws_endpoint_url,
        "AWS_DEFAULT_REGION": stack.region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        empty_environment(name, text)

    assert aws.secret_login(stored["ARN"]) == ("team", 'throwaway "\\ ä')
