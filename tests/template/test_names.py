"""The names that others build on: those of DESIGN.md, section 8."""

from typing import Any

import pytest

from tests.template.cloudformation import FUNCTIONS, template

_FUNCTION = "AWS::Serverless::Function"


@pytest.mark.parametrize(
    ("logical_id", "kind"),
    [
        *((name, _FUNCTION) for name in FUNCTIONS),
        ("ClaimQueue", "AWS::SQS::Queue"),
        ("DeadLetterQueue", "AWS::SQS::Queue"),
        ("HttpApi", "AWS::Serverless::HttpApi"),
    ],
)
def test_the_documented_resources_are_there(logical_id: str, kind: str) -> None:
    assert template()["Resources"][logical_id]["Type"] == kind


def test_there_is_no_other_function() -> None:
    found = {name for name, resource in template()["Resources"].items() if resource["Type"] == _FUNCTION}
    assert found == {*FUNCTIONS, "CanaryFunction"}


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("ClaimQueueUrl", {"Ref": "ClaimQueue"}),
        ("DeadLetterQueueUrl", {"Ref": "DeadLetterQueue"}),
        *((f"{name}Name", {"Ref": name}) for name in FUNCTIONS),
    ],
)
def test_the_documented_outputs_name_their_resource(output: str, value: Any) -> None:
    assert template()["Outputs"][output]["Value"] == value


def test_the_address_of_the_api_is_an_output() -> None:
    condition, own, otherwise = template()["Outputs"]["ApiUrl"]["Value"]["Fn::If"]
    assert (condition, own) == ("HasDomain", {"Fn::Sub": "https://${ApiDomainName}"})
    address = otherwise["Fn::Sub"]
    assert address.startswith("https://${HttpApi}.execute-api.${AWS::Region}.")
    assert not address.endswith("/")
    pages = template()["Outputs"]["ConsoleUrl"]["Value"]["Fn::If"]
    assert pages == ["HasDomain", {"Fn::Sub": "https://${ApiDomainName}/console"}, {"Fn::Sub": f"{address}/console"}]


_PARAMETERS = [
    "JwtIssuer",
    "JwtAudience",
    "OidcClientId",
    "OidcScopes",
    "OidcOrigins",
    "RunbookUrl",
    "PagesUrl",
    "RedisHost",
    "RedisPort",
    "RedisTls",
    "RedisSecretArn",
    "MysqlHost",
    "MysqlPort",
    "MysqlDatabase",
    "MysqlSecretArn",
    "DrainConcurrency",
    "DrainBatchSize",
    "DrainRowsPerSecond",
    "GateReplicaAcks",
]


@pytest.mark.parametrize("name", _PARAMETERS)
def test_the_documented_parameters_are_there_and_used(name: str) -> None:
    assert name in template()["Parameters"]
    assert {"Ref": name} in _nodes({key: part for key, part in template().items() if key != "Rules"})


def test_every_parameter_has_its_place_in_the_form() -> None:
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert [name for group in groups for name in group["Parameters"]] == list(template()["Parameters"])
    assert all(group["Label"]["default"] for group in groups)


def test_no_parameter_that_could_hold_a_password_is_there() -> None:
    assert not [name for name in template()["Parameters"] if "password" in name.lower() or "token" in name.lower()]


def _nodes(node: Any) -> list[Any]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [node, *(found for child in children for found in _nodes(child))]
