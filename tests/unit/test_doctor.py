"""`make doctor` and `make deploy` against accounts as AWS would describe them: each fault is named, with its remedy."""

import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from local.commands.deploy import protect, refuse_small_prod
from local.commands.doctor import show
from local.deployment.account import Account, all_parameters, parse_parameters
from local.deployment.doctor import Finding, State, examine
from local.errors import LocalStackError

_REGION = "eu-west-1"
_GIVEN = {
    "JwtIssuer": "https://issuer.example",
    "RedisHost": "redis.example",
    "MysqlHost": "mysql.example",
    "MysqlSecretArn": f"arn:aws:secretsmanager:{_REGION}:123456789012:secret:mysql",
}
_IN_A_NETWORK = {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1"}
_MAIL = {"UsersEmailIdentityArn": f"arn:aws:ses:{_REGION}:123456789012:identity/shop.example"}
_STACK = {"StackName": "firstcome", "StackStatus": "UPDATE_COMPLETE", "CreationTime": "2026-11-01T00:00:00Z"}
_OUTPUTS = [
    {"OutputKey": "AdminFunctionName", "OutputValue": "admin"},
    {"OutputKey": "ApplyFunctionName", "OutputValue": "apply"},
]

type Answers = dict[tuple[str, str], dict[str, Any] | str]
"""What AWS answers, by service and operation; a text is the code of an error."""


def _lambda_limit(total: int, unreserved: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}}


def _orderable(version: str, *zones: str) -> dict[str, Any]:
    zone_names = [{"Name": zone} for zone in zones]
    return {"OrderableDBInstanceOptions": [{"EngineVersion": f"{version}.5", "AvailabilityZones": zone_names}]}


_HEALTHY: Answers = {
    ("sts", "get_caller_identity"): {"Arn": "arn:aws:iam::123456789012:user/olga", "Account": "123456789012"},
    ("cloudformation", "describe_stacks"): "ValidationError",
    ("lambda", "get_account_settings"): _lambda_limit(1000, 1000),
    ("ec2", "describe_availability_zones"): {
        "AvailabilityZones": [{"ZoneName": f"{_REGION}{letter}"} for letter in "abc"]
    },
    ("rds", "describe_orderable_db_instance_options"): _orderable("8.4", f"{_REGION}a", f"{_REGION}b"),
    ("elasticache", "describe_cache_engine_versions"): {"CacheEngineVersions": [{"EngineVersion": "8.0"}]},
    ("elasticache", "describe_reserved_cache_nodes_offerings"): {
        "ReservedCacheNodesOfferings": [{"CacheNodeType": "cache.t4g.micro"}]
    },
    ("sesv2", "get_email_identity"): {"VerifiedForSendingStatus": True},
    ("sesv2", "get_account"): {"ProductionAccessEnabled": True},
    ("secretsmanager", "get_secret_value"): {"SecretString": '{"username": "firstcome", "password": "x"}'},
    ("ec2", "describe_subnets"): {"Subnets": [{"VpcId": "vpc-1"}]},
    ("ec2", "describe_route_tables"): {"RouteTables": [{"Routes": [], "Associations": [{"Main": True}]}]},
    ("ec2", "describe_vpc_endpoints"): {
        "VpcEndpoints": [
            {"ServiceName": f"com.amazonaws.{_REGION}.{name}", "State": "available"}
            for name in ("sqs", "secretsmanager", "s3")
        ]
    },
    ("lambda", "get_provisioned_concurrency_config"): {
        "AllocatedProvisionedConcurrentExecutions": 200,
        "RequestedProvisionedConcurrentExecutions": 200,
    },
}


def _account(answers: Answers, **parameters: str) -> Account:
    """An account that answers so; each client answers one operation, as often as it is asked."""

    def client(service: str) -> Any:
        made = boto3.client(  # type: ignore[call-overload]
            service, region_name=_REGION, aws_access_key_id="x", aws_secret_access_key="x"
        )
        stubber = Stubber(made)
        operations = [(operation, answer) for (owner, operation), answer in answers.items() if owner == service]
        return _Stubbed(made, stubber, dict(operations))

    return Account(client, _REGION, "firstcome", is_local=False, parameters=all_parameters(parameters, {}))


class _Stubbed:
    """A client of botocore whose answers are checked against AWS's own model, in whatever order they are asked for."""

    def __init__(self, client: Any, stubber: Stubber, answers: dict[str, dict[str, Any] | str]) -> None:
        self._client, self._stubber, self._answers = client, stubber, answers

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        answer = self._answers[operation]

        def ask(**given: Any) -> Any:
            if isinstance(answer, str):
                self._stubber.add_client_error(operation, answer, expected_params=given)
            else:
                self._stubber.add_response(operation, _fresh(answer), dict.fromkeys(given, ANY))
            with self._stubber:
                return getattr(self._client, operation)(**given)

        return ask


def _fresh(answer: dict[str, Any]) -> dict[str, Any]:
    """A body can be read once."""
    if "Payload" not in answer:
        return answer
    body = json.dumps(answer["Payload"]).encode()
    return {**answer, "Payload": StreamingBody(io.BytesIO(body), len(body))}


def _deployed(check: dict[str, str], **more: Any) -> Answers:
    return {
        **_HEALTHY,
        ("cloudformation", "describe_stacks"): {"Stacks": [{**_STACK, "Outputs": _OUTPUTS}]},
        ("lambda", "invoke"): {"Payload": check, **more},
    }


def _wrong(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings if finding.state is State.WRONG}


@pytest.mark.parametrize("parameters", [{}, _MAIL, _GIVEN, _GIVEN | _IN_A_NETWORK], ids=["own", "mail", "given", "vpc"])
def test_an_account_that_fits_has_no_fault(parameters: dict[str, str]) -> None:
    assert _wrong(examine(_account(_HEALTHY, **parameters))) == {}


def test_a_stack_that_works_has_no_fault() -> None:
    answers = _deployed(dict.fromkeys(("redis", "claim_queue", "mysql", "migrations"), "ok"))
    findings = examine(_account(answers, **_GIVEN, WarmInstances="200"))
    assert _wrong(findings) == {}
    assert [one.state for one in findings if one.subject == "redis"] == [State.OK]


_FAULTS: dict[str, tuple[str, str, Answers, dict[str, str]]] = {
    "no executions to reserve": (
        "Lambda quota",
        "ReserveDrain=false",
        _HEALTHY | {("lambda", "get_account_settings"): _lambda_limit(10, 10)},
        {},
    ),
    "a zone that is not there": (
        "zones",
        "Zones",
        _HEALTHY | {("rds", "describe_orderable_db_instance_options"): _orderable("8.4", f"{_REGION}a", f"{_REGION}x")},
        {"Zones": f"{_REGION}a,{_REGION}x"},
    ),
    "a class that is not offered": (
        "MySQL class",
        "LedgerInstanceClass",
        _HEALTHY | {("rds", "describe_orderable_db_instance_options"): {"OrderableDBInstanceOptions": []}},
        {"LedgerInstanceClass": "db.x9.huge"},
    ),
    "a class that a zone lacks": ("MySQL class", "Zones", _HEALTHY, {"Zones": f"{_REGION}a,{_REGION}c"}),
    "a version of Valkey that is retired": (
        "Valkey",
        "GateEngineVersion",
        _HEALTHY | {("elasticache", "describe_cache_engine_versions"): {"CacheEngineVersions": []}},
        {},
    ),
    "a node type that is not offered": (
        "Valkey",
        "GateNodeType",
        _HEALTHY | {("elasticache", "describe_reserved_cache_nodes_offerings"): {"ReservedCacheNodesOfferings": []}},
        {"GateNodeType": "cache.x9.huge"},
    ),
    "mail from the sandbox": (
        "mail",
        "production access",
        _HEALTHY | {("sesv2", "get_account"): {"ProductionAccessEnabled": False}},
        _MAIL,
    ),
    "an address that is not verified": (
        "mail",
        "verification",
        _HEALTHY | {("sesv2", "get_email_identity"): {"VerifiedForSendingStatus": False}},
        _MAIL,
    ),
    "a secret without a password": (
        "MysqlSecretArn",
        "password",
        _HEALTHY | {("secretsmanager", "get_secret_value"): {"SecretString": '{"username": "x"}'}},
        _GIVEN,
    ),
    "a secret that is not there": (
        "MysqlSecretArn",
        "account and region",
        _HEALTHY | {("secretsmanager", "get_secret_value"): "ResourceNotFoundException"},
        _GIVEN,
    ),
    "a network without S3": (
        "network",
        "gateway",
        _HEALTHY | {("ec2", "describe_vpc_endpoints"): {"VpcEndpoints": []}},
        _GIVEN | _IN_A_NETWORK,
    ),
    "a stack that could not be made": (
        "stack",
        "sam delete",
        _HEALTHY
        | {("cloudformation", "describe_stacks"): {"Stacks": [{**_STACK, "StackStatus": "ROLLBACK_COMPLETE"}]}},
        {},
    ),
    "a Redis that evicts": (
        "redis",
        "noeviction",
        _deployed({"redis": "GateUnavailableError: maxmemory-policy is allkeys-lru", "mysql": "ok"}),
        _GIVEN,
    ),
    "a migration that is missing": ("migrations", "Deploy again", _deployed({"migrations": "not applied: 7"}), _GIVEN),
    "a check that fails": ("stores", "sam logs", _deployed({"errorMessage": "x"}, FunctionError="Unhandled"), _GIVEN),
    "environments that are not warm": (
        "warm environments",
        "WarmInstances",
        _deployed({})
        | {
            ("lambda", "get_provisioned_concurrency_config"): {
                "AllocatedProvisionedConcurrentExecutions": 20,
                "RequestedProvisionedConcurrentExecutions": 200,
            }
        },
        _GIVEN | {"WarmInstances": "200"},
    ),
    "no right to read": ("Lambda quota", "right", _HEALTHY | {("lambda", "get_account_settings"): "AccessDenied"}, {}),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_is_named_with_its_remedy(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    subject, remedy, answers, parameters = _FAULTS[fault]
    wrong = _wrong(examine(_account(answers, **parameters)))
    assert wrong.keys() == {subject}
    assert remedy in wrong[subject].remedy
    show([wrong[subject]])
    assert subject in capsys.readouterr().out


def test_without_credentials_that_is_all_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session: Any = boto3.Session(region_name=_REGION)
    account = Account(session.client, _REGION, "firstcome", is_local=False, parameters=all_parameters({}, {}))
    (finding,) = examine(account)
    assert (finding.state, finding.detail) == (State.WRONG, "there are no credentials")
    assert "aws configure" in finding.remedy


def test_prod_is_not_deployed_with_dev_sizes() -> None:
    for parameter in ("GateNodeType=cache.t4g.micro", "LedgerInstanceClass=db.t4g.micro", "Environment=dev"):
        account = _account({}, **{"Environment": "prod", **parse_parameters(parameter)})
        with pytest.raises(LocalStackError):
            refuse_small_prod(account, "prod")
    refuse_small_prod(_account({}, Environment="prod"), "prod")
    refuse_small_prod(_account({}, Environment="dev"), "dev")


def test_a_parameter_that_the_template_does_not_have_is_refused() -> None:
    with pytest.raises(LocalStackError, match="DrainConcurency"):
        parse_parameters("DrainConcurency=4")


def test_prod_is_protected_with_its_nested_stacks() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    class CloudFormation:
        def __getattr__(self, operation: str) -> Callable[..., Any]:
            def ask(**given: Any) -> dict[str, Any]:
                asked.append((operation, given))
                return {
                    "StackResources": [
                        {"ResourceType": "AWS::CloudFormation::Stack", "PhysicalResourceId": "arn:ledger"},
                        {"ResourceType": "AWS::SQS::Queue", "PhysicalResourceId": "queue"},
                    ]
                }

            return ask

    protect(Account(lambda _: CloudFormation(), _REGION, "firstcome-prod", is_local=False, parameters={}))

    policies = [given for operation, given in asked if operation == "set_stack_policy"]
    assert [given["StackName"] for given in policies] == ["firstcome-prod", "arn:ledger"]
    deny = json.loads(policies[0]["StackPolicyBody"])["Statement"][1]
    assert deny["Action"] == ["Update:Replace", "Update:Delete"]
    assert "AWS::RDS::DBInstance" in deny["Condition"]["StringEquals"]["ResourceType"]
    assert asked[0] == (
        "update_termination_protection",
        {"StackName": "firstcome-prod", "EnableTerminationProtection": True},
    )
