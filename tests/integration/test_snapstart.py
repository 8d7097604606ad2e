"""Environments whose initialization no user waits for: what they import ahead, and what they must not have yet.

A fork stands for the restore of a snapshot: it copies the memory, and no thread but one.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sqs_server import QUEUE_URL, Sqs, credentials_endpoint, serving

_SETTINGS = {
    "REDIS_HOST": "127.0.0.1",
    "REDIS_PORT": "1",
    "REDIS_TLS": "false",
    "GATE_REPLICA_ACKS": "0",
    "AWS_DEFAULT_REGION": "eu-west-1",
}

_INITIALIZE = """
import json, os, sys
connected = []
sys.addaudithook(lambda event, args: connected.append(args[1]) if event == "socket.connect" else None)
import functions.apply.app
from firstcome import bootstrap
from firstcome.adapters import aws

built = [name for module in (bootstrap, aws) for name, part in vars(module).items()
         if hasattr(part, "cache_info") and part.cache_info().currsize]
print(json.dumps({
    "modules": sorted(sys.modules),
    "connected": connected,
    "threads": len(os.listdir("/proc/self/task")),
    "built": built,
}), flush=True)
"""

_RESTORE_TWICE = """
import snapshot_restore_py

for sequence, credentials in enumerate(sys.argv[1:], 1):
    if os.fork():
        os.wait()
        continue
    os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = credentials
    os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "restored"
    for hook, args, kwargs in snapshot_restore_py.get_after_restore():
        hook(*args, **kwargs)
    import random
    from firstcome.domain.claim import new_coupon_code
    from tests.factories import a_claim

    bootstrap.claim_sender().send(a_claim("demo", sequence))
    print(json.dumps([random.random(), new_coupon_code()]), flush=True)
    os._exit(0)
"""


def _run(repository: Path, initialization: str, script: str, *arguments: str, **settings: str) -> list[Any]:
    """Run a script in an interpreter of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=repository,
        env={
            "PYTHONPATH": f"{repository}:{repository / 'layers/firstcome/python'}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
            **_SETTINGS,
            **settings,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("initialization", ["snap-start", "provisioned-concurrency"])
def test_an_initialization_that_nobody_waits_for_imports_and_does_nothing_else(
    repository: Path, initialization: str
) -> None:
    (initialized,) = _run(repository, initialization, _INITIALIZE)

    assert {"awscrt.http", "awscrt.auth", "awscrt.io", "aws_lambda_powertools"} <= set(initialized["modules"])
    assert "boto3" not in initialized["modules"]
    assert (initialized["connected"], initialized["threads"], initialized["built"]) == ([], 1, [])


def test_what_reads_a_secret_is_imported_ahead_where_redis_has_one(repository: Path) -> None:
    (initialized,) = _run(repository, "snap-start", _INITIALIZE, REDIS_SECRET_ARN="arn:aws:secretsmanager:x")
    assert "boto3" in initialized["modules"]
    assert (initialized["connected"], initialized["threads"], initialized["built"]) == ([], 1, [])


def test_an_initialization_that_a_user_waits_for_imports_what_every_request_needs(repository: Path) -> None:
    (initialized,) = _run(repository, "on-demand", _INITIALIZE)
    assert {"awscrt", "aws_lambda_powertools", "boto3", "botocore"} & set(initialized["modules"]) == set()


def test_two_environments_of_one_snapshot_share_no_chance_no_credentials_and_no_connection(repository: Path) -> None:
    with serving(Sqs()) as sqs, credentials_endpoint("FIRST") as first, credentials_endpoint("SECOND") as second:
        settings = {"CLAIM_QUEUE_URL": QUEUE_URL, "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{sqs.port}"}
        script = _INITIALIZE + _RESTORE_TWICE
        urls = [f"http://127.0.0.1:{endpoint.port}/2021-01-01" for endpoint in (first, second)]
        _, one, other = _run(repository, "snap-start", script, *urls, **settings)

    assert set(one) & set(other) == set()
    signers = [headers["authorization"].split("Credential=")[1].split("/")[0] for headers in sqs.headers]
    assert signers == ["FIRST", "SECOND"]
    assert len(sqs.clients) == 2
