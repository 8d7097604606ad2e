"""The template as CloudFormation gets it: SAM's own translation, without a look at AWS, adds no right to a function."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from samtranslator.translator.transform import transform

from tests.template.cloudformation import FUNCTIONS, routes, template
from tests.template.forms import BOUNDARY, GIVEN, REDIS_SECRET, Form

_PROD = {"Environment": "prod"}
_FORMS = [{}, _PROD, GIVEN, GIVEN | _PROD]


class _NoManagedPolicies:
    """AWS's list of its managed policies, which nobody should have to ask for."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def _translated(environment: str) -> dict[str, Any]:
    return _translate(copy.deepcopy(template()), {"Environment": environment})


def _translate(document: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    for resource in document["Resources"].values():
        # As `sam package` would leave them.
        for code in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            if not str(resource["Properties"][code]).startswith("s3:"):
                resource["Properties"][code] = "s3://bucket/key"
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        translated: dict[str, Any] = transform(document, parameters, _NoManagedPolicies())
    return translated


class _Translated(Form):
    """A form of the translated template."""

    def __init__(self, **parameters: str) -> None:
        super().__init__(**parameters)
        self._document = _translated(parameters.get("Environment", "dev"))


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_role_is_what_is_written_and_nothing_else(function: str, form: dict[str, str]) -> None:
    translated = _Translated(**form)
    assert translated.resources[function]["Properties"]["Role"] == {"Fn::GetAtt": [f"{function}Role", "Arn"]}
    assert translated.resources[f"{function}Role"] == Form(**form).resources[f"{function}Role"]
    assert translated.statements(function) == Form(**form).statements(function)


@pytest.mark.parametrize("form", _FORMS)
def test_no_role_of_the_service_has_a_policy_of_awss_making(form: dict[str, str]) -> None:
    """CodeDeploy's has: it moves the alias, and no function runs with it."""
    roles = {
        name: resource["Properties"]
        for name, resource in _Translated(**form).resources.items()
        if resource["Type"] == "AWS::IAM::Role"
    }
    managed = {name for name, role in roles.items() if "iam::aws:policy" in str(role.get("ManagedPolicyArns"))}
    assert managed <= {"CodeDeployRole"}
    of_functions = {f"{function}Role" for function in [*FUNCTIONS, "CanaryFunction"]}
    assert roles.keys() - of_functions - managed == {"RelayFunctionEveryMinuteRole"}


@pytest.mark.parametrize("form", _FORMS)
def test_a_boundary_bounds_every_role(form: dict[str, str]) -> None:
    made = _Translated(**form, PermissionsBoundaryArn=BOUNDARY).resources
    roles = {name: found["Properties"] for name, found in made.items() if found["Type"] == "AWS::IAM::Role"}
    assert {name for name, role in roles.items() if role.get("PermissionsBoundary") != BOUNDARY} == set()
    without = _Translated(**form).resources
    assert not [name for name in roles if "PermissionsBoundary" in without[name]["Properties"]]


def test_the_schedule_may_start_the_relay_and_nothing_else() -> None:
    (policy,) = _Translated().resources["RelayFunctionEveryMinuteRole"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Action": "lambda:InvokeFunction",
        "Effect": "Allow",
        "Resource": {"Fn::GetAtt": ["RelayFunction", "Arn"]},
    }


def test_two_stacks_fit_into_one_account() -> None:
    """SAM's name for a schedule has no stack in it, so that a second stack would collide with the first."""
    assert "Name" not in _Translated().resources["RelayFunctionEveryMinute"]["Properties"]


@pytest.mark.parametrize(("reserve", "reserved"), [("true", 2), ("false", None)])
def test_an_account_with_a_small_quota_reserves_nothing(reserve: str, reserved: int | None) -> None:
    made = _Translated(ReserveDrain=reserve).resources["DrainFunction"]["Properties"]
    assert made.get("ReservedConcurrentExecutions") == reserved


def test_a_relay_that_failed_is_not_repeated_by_lambda() -> None:
    (config,) = [
        resource["Properties"]
        for resource in _Translated().resources.values()
        if resource["Type"] == "AWS::Lambda::EventInvokeConfig"
    ]
    assert config["FunctionName"] == {"Ref": "RelayFunction"}
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 60)


@pytest.mark.parametrize(
    "form",
    [{}, _PROD, {"LedgerInstanceClass": "db.t4g.small"}, _PROD | {"LedgerInstanceClass": "db.t4g.micro"}]
    + [{"LedgerInstanceClass": "db.r7g.large"}],
)
def test_insights_are_asked_for_only_of_a_class_that_has_them(form: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.Overview.Engines.html"""
    told = _Translated(**form).resources["Ledger"]["Properties"]["Parameters"]
    is_small = told["InstanceClass"] in {"db.t4g.micro", "db.t4g.small"}
    assert told["Insights"] == ("false" if is_small else "true")


def test_a_shop_may_call_the_api_from_its_pages() -> None:
    assert "x-amazon-apigateway-cors" not in _Translated().resources["HttpApi"]["Properties"]["Body"]
    body = _Translated(CorsOrigins="https://shop.example,https://b.example").resources["HttpApi"]["Properties"]["Body"]
    cors = body["x-amazon-apigateway-cors"]
    assert isinstance(cors["allowOrigins"], list)  # Split by CloudFormation: SAM writes a list parameter as one text.
    assert {"authorization", "if-match"} <= set(cors["allowHeaders"])


def _stage_of(form: dict[str, str]) -> dict[str, Any]:
    (stage,) = [made for made in _Translated(**form).resources.values() if made["Type"] == "AWS::ApiGatewayV2::Stage"]
    properties: dict[str, Any] = stage["Properties"]
    return properties


def test_the_api_takes_no_more_than_it_was_told_and_operators_leave_mysql_in_peace() -> None:
    stage = _stage_of({"ApiRequestsPerSecond": "200", "ApiBurst": "100"})
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "200", "ThrottlingBurstLimit": "100"}
    assert stage["RouteSettings"].keys() == routes("AdminFunction").keys()
    assert all(limit["ThrottlingRateLimit"] <= 100 for limit in stage["RouteSettings"].values())


@pytest.mark.parametrize(
    ("form", "is_closed"),
    [({}, False), ({"ApiDomainName": "api.example", "ApiCertificateArn": "arn:aws:acm:x"}, True)],
)
def test_with_a_domain_nobody_goes_past_the_edge(form: dict[str, str], *, is_closed: bool) -> None:
    made = _Translated(**form).resources
    (server,) = made["HttpApi"]["Properties"]["Body"]["servers"]
    assert server["x-amazon-apigateway-endpoint-configuration"] == {"disableExecuteApiEndpoint": is_closed}
    assert ("ApiDomain" in made) == ("ApiDomainMapping" in made) == is_closed


@pytest.mark.parametrize("queue", ["ClaimQueue", "DeadLetterQueue"])
def test_accepted_claims_outlive_the_stack(queue: str) -> None:
    made = _Translated().resources[queue]
    assert (made["DeletionPolicy"], made["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_ledger_is_migrated_before_anything_reads_or_writes_there() -> None:
    made = _Translated().resources
    assert made["Migration"]["Type"] == "Custom::Migration"
    assert made["Migration"]["Properties"]["ServiceToken"] == {"Fn::GetAtt": ["AdminFunction", "Arn"]}
    assert made["DrainFunction"]["DependsOn"] == made["RelayFunction"]["DependsOn"] == "Migration"
    # Three runs of the function at most, and Lambda's pauses between them, are over by then.
    timeout = made["AdminFunction"]["Properties"]["Timeout"]
    assert 3 * timeout + 60 + 120 < made["Migration"]["Properties"]["ServiceTimeout"] <= 600


@pytest.mark.parametrize(
    ("changed", "change"),
    [({}, "FirstcomeLayer"), ({"DrainConcurrency": "4"}, None), (GIVEN | {"MysqlHost": "other.example"}, None)],
    ids=["layer", "connections", "server"],
)
def test_what_the_schema_depends_on_runs_the_migration_again(changed: dict[str, str], change: str | None) -> None:
    document = copy.deepcopy(template())
    if change:
        _of_layer(change)(document["Resources"])
    after = _Translated(**changed)
    after._document = _translate(document, {"Environment": "dev"})  # noqa: SLF001 - a form of another document
    before = _Translated(**(GIVEN if "MysqlHost" in changed else {}))
    assert after.resources["Migration"]["Properties"] != before.resources["Migration"]["Properties"]


def _version(parameters: dict[str, str], change: Callable[[dict[str, Any]], None] = lambda _: None) -> tuple[str, str]:
    """Return what makes the published version: its logical id, and its description with the parameters' values."""
    document = copy.deepcopy(template())
    change(document["Resources"])
    translated = _Translated(**parameters)
    translated._document = _translate(document, parameters)  # noqa: SLF001 - a form of another document
    ((name, made),) = [
        (name, made) for name, made in translated.resources.items() if made["Type"] == "AWS::Lambda::Version"
    ]
    return name, str(made["Properties"]["Description"])


def _of_layer(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda resources: resources[name]["Properties"].update(ContentUri="s3://bucket/another-key")


def _other_timeout(resources: dict[str, Any]) -> None:
    resources["ApplyFunction"]["Properties"]["Timeout"] = 7


_RELEASES: dict[str, tuple[dict[str, str], Callable[[dict[str, Any]], None]]] = {
    "a file of our layer": ({}, _of_layer("FirstcomeLayer")),
    "a package": ({}, _of_layer("DependenciesLayer")),
    "a property": ({}, _other_timeout),
    "RedisHost": ({"RedisHost": "other.example"}, lambda _: None),
    "RedisPort": ({"RedisPort": "6380"}, lambda _: None),
    "RedisMode": ({"RedisMode": "cluster"}, lambda _: None),
    "RedisTls": ({"RedisTls": "false"}, lambda _: None),
    "RedisSecretArn": ({"RedisSecretArn": REDIS_SECRET}, lambda _: None),
    "GateReplicaAcks": ({"GateReplicaAcks": "1"}, lambda _: None),
    "WarmInstances": ({"WarmInstances": "200"}, lambda _: None),
}


@pytest.mark.parametrize("release", _RELEASES)
def test_every_change_gives_applications_a_new_version(release: str) -> None:
    changed, change = _RELEASES[release]
    assert _version(GIVEN | changed, change) != _version(GIVEN)


def test_no_change_gives_no_new_version() -> None:
    assert _version(GIVEN) == _version(GIVEN | {"DrainRowsPerSecond": "100"})


def test_the_description_of_a_version_fits() -> None:
    longest = GIVEN | {"RedisHost": "x" * 100, "RedisSecretArn": REDIS_SECRET + "x" * 60}
    assert len(_version(longest)[1]) <= 256


@pytest.mark.parametrize(
    ("warm", "snap_start"), [("0", {"ApplyOn": "PublishedVersions"}), ("200", None)], ids=["cold", "warm"]
)
def test_applications_start_from_a_snapshot_unless_environments_are_kept_warm(warm: str, snap_start: Any) -> None:
    """AWS takes one or the other: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"""
    made = _Translated(**GIVEN, WarmInstances=warm).resources
    assert made["ApplyFunction"]["Properties"].get("SnapStart") == snap_start
    assert ("WarmApplyFunction" in made) == (snap_start is None)


def _alias(form: dict[str, str]) -> dict[str, Any]:
    (alias,) = [made for made in _Translated(**form).resources.values() if made["Type"] == "AWS::Lambda::Alias"]
    return alias


def test_a_new_version_is_tried_before_users_meet_it() -> None:
    made = _Translated(**_PROD).resources
    canary = made["CanaryFunction"]["Properties"]
    update = _alias(_PROD)["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert update["BeforeAllowTrafficHook"] == {"Ref": "CanaryFunction"}
    # The role that SAM gives CodeDeploy may invoke no other names.
    text, _ = canary["FunctionName"]["Fn::Sub"]
    assert text.startswith("CodeDeployHook_")
    (version,) = [name for name, found in made.items() if found["Type"] == "AWS::Lambda::Version"]
    assert canary["Environment"]["Variables"]["APPLY_VERSION"] == {"Ref": version}
    assert "VpcConfig" not in canary
    assert (
        canary["Timeout"]
        > made["AdminFunction"]["Properties"]["Timeout"] + 2 * made["ApplyFunction"]["Properties"]["Timeout"]
    )


def test_the_canary_may_make_its_campaign_and_apply_and_nothing_else() -> None:
    role = _Translated(**_PROD).resources["CanaryFunctionRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    granted = {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}
    assert granted.keys() == {"WriteItsLog", "MakeItsCampaignAndApply", "TellCodeDeploy"}
    assert granted["MakeItsCampaignAndApply"]["Action"] == "lambda:InvokeFunction"
    assert granted["MakeItsCampaignAndApply"]["Resource"] == [
        {"Fn::GetAtt": ["AdminFunction", "Arn"]},
        {"Fn::Sub": "${ApplyFunction.Arn}:*"},
    ]
    assert granted["TellCodeDeploy"]["Action"] == "codedeploy:PutLifecycleEventHookExecutionStatus"
    assert granted["TellCodeDeploy"]["Resource"]["Fn::Sub"].endswith(":deploymentgroup:${AWS::StackName}-*/*")


@pytest.mark.parametrize("form", [{}, GIVEN])
def test_without_a_canary_there_is_nothing_of_it(form: dict[str, str]) -> None:
    assert not [name for name in _Translated(**form).resources if name.startswith("Canary")]
    assert "UpdatePolicy" not in _alias(form)


def test_a_region_without_snapshots_can_be_deployed_to() -> None:
    assert "SnapStart" not in _Translated(**GIVEN, SnapStart="false").resources["ApplyFunction"]["Properties"]
    assert _version(GIVEN | {"SnapStart": "false"}) != _version(GIVEN)


def test_a_version_that_is_replaced_is_not_kept_and_paid_for() -> None:
    (version,) = [made for made in _Translated().resources.values() if made["Type"] == "AWS::Lambda::Version"]
    assert version["DeletionPolicy"] == "Delete"
