"""Two stacks on one endpoint, as a rehearsal beside prod in one account: neither meets the other."""

from dataclasses import dataclass
from typing import Any

import pytest
import redis

from firstcome.adapters.redis.gate import CAMPAIGNS_KEY
from local.deployment.addresses import MysqlAddress
from local.deployment.deploy import STACK_NAME, deploy, store_mysql_secret
from local.deployment.template_values import DeployedTemplate, deployed_template
from local.deployment.workspace import Workspace
from local.services.ministack import client
from local.services.ministack_gaps import complete_deployment
from local.services.ports import HOST, free_port
from local.services.processes import Processes
from local.services.redis_server import start_redis
from tests.conftest import MysqlTestServer
from tests.e2e.conftest import Service, eventually

_SECOND = "firstcome-second"


@dataclass(frozen=True)
class Second:
    """A stack beside that of the service: its template as it is deployed, its own Redis and its own ledger."""

    template: DeployedTemplate
    redis_port: int
    ledger: MysqlTestServer


@pytest.fixture(scope="module")
def second(service: Service, processes: Processes, workspace: Workspace, migrated_address: MysqlAddress) -> Second:
    """The second stack, of the same build, with stores and a pace of its own."""
    endpoint = service.stack.aws_endpoint_url
    gate = start_redis(processes, workspace, free_port())
    parameters = {
        # The endpoint knows no metric math, which the alarms of dev and prod use.
        "Environment": "local",
        "LambdaArchitecture": "x86_64",
        "JwtIssuer": service.stack.jwt_issuer,
        "RedisHost": HOST,
        "RedisPort": str(gate.port),
        "RedisTls": "false",
        "MysqlHost": migrated_address.host,
        "MysqlPort": str(migrated_address.port),
        "MysqlTls": "false",
        "MysqlDatabase": migrated_address.database,
        "MysqlSecretArn": store_mysql_secret(migrated_address, endpoint, _SECOND),
        "RebuildQuietSeconds": "8",
        "DrainConcurrency": "3",
    }
    deploy(processes, Workspace(service.folder), endpoint, parameters, _SECOND)
    template = deployed_template(_SECOND, endpoint)
    complete_deployment(template)
    return Second(template, gate.port, MysqlTestServer(migrated_address))


def _made(service: Service, name: str, kind: str) -> set[str]:
    template = deployed_template(name, service.stack.aws_endpoint_url)
    return set(template.of_type(kind))


@pytest.mark.parametrize(
    "kind", ["AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm", "AWS::SQS::Queue", "AWS::Lambda::Function"]
)
def test_each_has_its_own(service: Service, second: Second, kind: str) -> None:
    first, other = _made(service, STACK_NAME, kind), _made(service, _SECOND, kind)
    assert first
    assert len(first) == len(other)
    assert not first & other


def test_each_has_its_own_metrics_and_pace(service: Service, second: Second) -> None:
    functions = client("lambda", service.stack.aws_endpoint_url)

    def told(name: str) -> dict[str, str]:
        variables: dict[str, str] = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        return variables

    first, other = told(service.stack.functions.drain), told(second.template.outputs["DrainFunctionName"])
    assert first["POWERTOOLS_METRICS_NAMESPACE"] == f"Firstcome/{STACK_NAME}"
    assert other["POWERTOOLS_METRICS_NAMESPACE"] == f"Firstcome/{_SECOND}"
    assert (first["DRAIN_CONCURRENCY"], other["DRAIN_CONCURRENCY"]) == ("2", "3")


def test_a_rush_in_one_shows_nothing_in_the_other(service: Service, second: Second) -> None:
    campaign = service.campaign(capacity=5)
    for number in range(10):
        service.apply(campaign, f"user-{number}")
    eventually(lambda: len(service.rows(campaign)), lambda found: found == 5)

    with redis.Redis(host=HOST, port=second.redis_port) as gate:
        members: Any = gate.smembers(CAMPAIGNS_KEY)
        assert members <= {b""}
        assert not gate.keys(f"firstcome:{{{campaign}}}:*")
    assert second.ledger.rows("SELECT COUNT(*) FROM campaign WHERE campaign_id = %s", campaign) == [(0,)]
    queue = client("sqs", service.stack.aws_endpoint_url).get_queue_attributes(
        QueueUrl=second.template.outputs["ClaimQueueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert queue["Attributes"]["ApproximateNumberOfMessages"] == "0"
