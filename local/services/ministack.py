"""The local AWS endpoint: MiniStack, which runs the functions as child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.services.ports import HOST
from local.services.processes import Processes, Program

LOG = "aws-endpoint"
REGION = "us-east-1"
# Not secrets: MiniStack accepts any signature.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
# What the template uses, and what `sam deploy` needs around it.
SERVICES = "apigateway cloudformation events iam lambda logs monitoring s3 scheduler secretsmanager sns sqs ssm sts"


def start_aws_endpoint(processes: Processes, workspace: Workspace, port: int) -> str:
    """Start MiniStack; returns its address."""
    folder = workspace.data / "aws"
    folder.mkdir(exist_ok=True)
    settings = {
        "GATEWAY_PORT": str(port),
        # Otherwise it would open further ports, for IoT and SFTP.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "SERVICES": SERVICES.replace(" ", ","),
        "MINISTACK_REGION": REGION,
        # The host in the queues' addresses.
        "MINISTACK_HOST": HOST,
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        # With AUTH=true each call needs a right in its caller's IAM policies; the credentials below have all rights.
        "AUTH": os.environ.get("AUTH", "false"),
        **CREDENTIALS,
        **_no_other_account(workspace),
    }
    # Not `python -m ministack`, which listens on one address only. Without workers it serves in this one process.
    binds = [option for address in workspace.addresses for option in ("--bind", f"{address}:{port}")]
    command = [sys.executable, "-m", "hypercorn", "ministack.app:app", *binds, "--workers", "0", "--keep-alive", "75"]
    command += ["--graceful-timeout", "0"]
    environment = {**workspace.service_environment(), **settings}
    processes.start(Program(LOG, command, environment, folder, workspace.log(LOG), port))
    return f"http://{HOST}:{port}"


@cache
def client(service: str, endpoint_url: str) -> Any:
    """A client of `service` at the local endpoint; the user's own AWS settings do not count."""
    session = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return boto3.Session(botocore_session=session).client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        # No proxy for 127.0.0.1. No retry: an invocation must happen once.
        config=Config(proxies={}, read_timeout=120, retries={"total_max_attempts": 1}),
    )


@contextmanager
def endpoint_failures(workspace: Workspace) -> Iterator[None]:
    """Report what the endpoint refuses or leaves unanswered, with its log."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LocalStackError(f"The local AWS endpoint failed: {error}", workspace.log(LOG)) from error


def tool_settings(workspace: Workspace, endpoint_url: str) -> dict[str, str]:
    """The environment variables with which an AWS tool talks to the local endpoint."""
    return {
        **CREDENTIALS,
        **_no_other_account(workspace),
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }


def _no_other_account(workspace: Workspace) -> dict[str, str]:
    nothing = str(workspace.folder / "no-aws-configuration")
    return {"AWS_CONFIG_FILE": nothing, "AWS_SHARED_CREDENTIALS_FILE": nothing, "AWS_EC2_METADATA_DISABLED": "true"}
