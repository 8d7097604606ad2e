"""The password of a team's own Redis, read from the endpoint's Secrets Manager as the functions read it."""

import json
import ssl
import uuid

from firstcome.adapters.secret_login import SecretLogin, SecretsEndpoint
from firstcome.adapters.sigv4 import Credentials
from firstcome.bootstrap import MonotonicClock
from local.services.ministack import client
from tests.e2e.conftest import Service


def test_it_reads_what_was_stored(service: Service) -> None:
    stack = service.stack
    secret = {"username": "team", "password": 'throwaway "\\ ä'}
    stored = client("secretsmanager", stack.aws_endpoint_url).create_secret(
        Name=f"test-{uuid.uuid4().hex}", SecretString=json.dumps(secret)
    )
    endpoint = SecretsEndpoint(
        url=stack.aws_endpoint_url,
        region=stack.region,
        credentials=Credentials("local", "local", ""),
        connect_seconds=5,
        read_seconds=5,
        tls=lambda _: ssl.create_default_context(),
    )

    assert SecretLogin(endpoint, stored["ARN"], MonotonicClock())(None) == ("team", 'throwaway "\\ ä')
