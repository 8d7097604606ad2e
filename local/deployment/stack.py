"""The local stack: everything started and deployed, and stopped again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.deployment.addresses import FunctionNames, MysqlAddress, Stack
from local.deployment.deploy import STACK_NAME, deploy, start_build, store_mysql_secret
from local.deployment.template_values import DeployedTemplate, deployed_template
from local.deployment.tokens import AUDIENCE
from local.deployment.workspace import Workspace
from local.errors import LocalStackError
from local.progress import Progress
from local.services.issuer import start_issuer
from local.services.mariadb_server import install_database, start_mariadb
from local.services.ministack import REGION, endpoint_failures, start_aws_endpoint
from local.services.ministack_gaps import complete_deployment
from local.services.ports import HOST, free_port
from local.services.processes import Processes
from local.services.redis_server import RedisServer, start_redis

__all__ = ["FunctionNames", "MysqlAddress", "Stack", "running_processes", "running_stack", "start_stack"]


@dataclass(frozen=True)
class _Services:
    """What the functions talk to."""

    redis: RedisServer
    mysql: MysqlAddress
    endpoint_url: str
    issuer: str


@contextmanager
def running_stack(
    directory: Path, progress: Progress, *, mysql: MysqlAddress | None = None, **parameters: str
) -> Iterator[Stack]:
    """Start and deploy a stack whose data, logs and key are under `directory`; stop all of it on the way out.

    `parameters` are template parameters that differ from their defaults: `DrainRowsPerSecond="100"`.
    `mysql` is a server that runs already, in place of a MariaDB of the stack's own.
    Tokens are signed with the key in `directory`: `sign_token(directory, stack.jwt_issuer, "alice")`.
    """
    with running_processes(directory, progress) as (processes, workspace):
        yield start_stack(processes, workspace, progress, parameters, mysql)


@contextmanager
def running_processes(
    directory: Path, progress: Progress, container_host: str = ""
) -> Iterator[tuple[Processes, Workspace]]:
    """An empty workspace under `directory`, and the programs to run in it; all are stopped on the way out."""
    workspace = Workspace(directory.resolve(), container_host)
    with workspace.locked():
        workspace.empty()
        processes = Processes()
        try:
            yield processes, workspace
        finally:
            with progress.step("Stopping everything"):
                processes.stop()
                workspace.discard_data()


def start_stack(
    processes: Processes,
    workspace: Workspace,
    progress: Progress,
    parameters: Mapping[str, str],
    mysql: MysqlAddress | None = None,
) -> Stack:
    """Start the services in an empty workspace, and deploy onto them, which migrates the ledger too."""
    extra = {**parameters_from_environment(), **parameters}
    build = start_build(processes, workspace)
    with progress.step("Starting Redis, MariaDB, the AWS endpoint and the token issuer"):
        services = _start_services(processes, workspace, mysql)
    with progress.step("Building the functions and layers (sam build)"):
        processes.finish(build)
    with progress.step("Deploying (sam deploy)"):
        template = _deploy(processes, workspace, services, extra)
    return _addresses(services, template)


def parameters_from_environment() -> dict[str, str]:
    """Template parameters of the user: `STACK_PARAMETERS="GateReplicaAcks=1 DrainRowsPerSecond=100"`."""
    pairs = [pair.partition("=") for pair in os.environ.get("STACK_PARAMETERS", "").split()]
    if not all(equals for _, equals, _ in pairs):
        raise LocalStackError("STACK_PARAMETERS must be a list of NAME=VALUE, separated by spaces.")
    return {name: value for name, _, value in pairs}


def _start_services(processes: Processes, workspace: Workspace, given: MysqlAddress | None) -> _Services:
    redis = start_redis(processes, workspace, free_port())
    mysql = given or _start_mariadb(processes, workspace)
    # The API answers there too, so it is the origin of the pages.
    endpoint_url = start_aws_endpoint(processes, workspace, free_port())
    issuer = start_issuer(processes, workspace, free_port(), endpoint_url)
    return _Services(redis, mysql, endpoint_url, issuer)


def _start_mariadb(processes: Processes, workspace: Workspace) -> MysqlAddress:
    install_database(processes, workspace)
    return start_mariadb(processes, workspace, free_port())


def _template_parameters(services: _Services) -> dict[str, str]:
    return {
        "Environment": "local",
        "LambdaArchitecture": "x86_64",
        "JwtIssuer": services.issuer,
        "JwtAudience": AUDIENCE,
        "RedisHost": HOST,
        "RedisPort": str(services.redis.port),
        "RedisTls": "false",
        "MysqlHost": services.mysql.host,
        "MysqlPort": str(services.mysql.port),
        "MysqlTls": "false",
        "MysqlDatabase": services.mysql.database,
        "MysqlSecretArn": store_mysql_secret(services.mysql, services.endpoint_url),
        # The local queue counts its messages exactly and the local relay is quick: only the apply timeout has to pass.
        "RebuildQuietSeconds": "8",
    }


def _deploy(
    processes: Processes, workspace: Workspace, services: _Services, extra: Mapping[str, str]
) -> DeployedTemplate:
    with endpoint_failures(workspace):
        deploy(processes, workspace, services.endpoint_url, {**_template_parameters(services), **extra})
        template = deployed_template(STACK_NAME, services.endpoint_url)
        complete_deployment(template)
    unknown = sorted(extra.keys() - template.references.keys())
    if unknown:
        # SAM drops these without a word.
        raise LocalStackError(f"The template has no parameter called {', '.join(unknown)}.")
    return template


def _addresses(services: _Services, template: DeployedTemplate) -> Stack:
    (api_id,) = template.of_type("AWS::ApiGatewayV2::Api")
    outputs = template.outputs
    return Stack(
        api_url=f"{services.endpoint_url}/_aws/execute-api/{api_id}/$default",
        redis_url=services.redis.url,
        mysql=services.mysql,
        claim_queue_url=outputs["ClaimQueueUrl"],
        dead_letter_queue_url=outputs["DeadLetterQueueUrl"],
        aws_endpoint_url=services.endpoint_url,
        region=REGION,
        functions=FunctionNames(
            apply=outputs["ApplyFunctionName"],
            drain=outputs["DrainFunctionName"],
            relay=outputs["RelayFunctionName"],
            admin=outputs["AdminFunctionName"],
        ),
        jwt_issuer=services.issuer,
    )
