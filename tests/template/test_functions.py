"""The functions: what each may do, knows, and is told."""

from typing import Any

import boto3
import pytest

from firstcome import settings
from firstcome.domain.errors import SettingsError
from firstcome.settings import ConsoleSettings, MysqlSettings, RateLimitSettings, RedisSettings
from tests.template.cloudformation import FUNCTIONS, SERVICE, properties, template, variables
from tests.template.forms import GIVEN, KEY, REDIS_SECRET, SECRET, Form

_CLAIM_QUEUE = {"Fn::GetAtt": ["ClaimQueue", "Arn"]}
_DEAD_LETTER_QUEUE = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
_OWN_SECRET = {"Fn::GetAtt": ["Ledger", "Outputs.UserSecretArn"]}
_OWNERS_SECRET = {"Fn::GetAtt": ["Ledger", "Outputs.OwnerSecretArn"]}
_CONNECT = [
    ("elasticache:Connect", {"Fn::GetAtt": ["Gate", "Outputs.CacheArn"]}),
    ("elasticache:Connect", {"Fn::GetAtt": ["Gate", "Outputs.UserArn"]}),
]

_QUEUES: dict[str, list[tuple[str, object]]] = {
    "ApplyFunction": [("sqs:SendMessage", _CLAIM_QUEUE)],
    # The relay and the operators rebuild lost gates: from the ledger, once the queue is empty.
    "RelayFunction": [("sqs:SendMessage", _CLAIM_QUEUE), ("sqs:GetQueueAttributes", _CLAIM_QUEUE)],
    # The mapping of its queue reads with its role.
    "DrainFunction": [
        ("sqs:ReceiveMessage", _CLAIM_QUEUE),
        ("sqs:DeleteMessage", _CLAIM_QUEUE),
        ("sqs:GetQueueAttributes", _CLAIM_QUEUE),
        ("sqs:ChangeMessageVisibility", _CLAIM_QUEUE),
        ("sqs:SendMessage", _DEAD_LETTER_QUEUE),
    ],
    "AdminFunction": [
        ("sqs:SendMessage", _CLAIM_QUEUE),
        ("sqs:GetQueueAttributes", _CLAIM_QUEUE),
        ("sqs:GetQueueAttributes", _DEAD_LETTER_QUEUE),
    ],
    "ConsoleFunction": [],
}
_SECRETS: dict[str, list[tuple[str, object]]] = {
    function: [] if function in {"ApplyFunction", "ConsoleFunction"} else [("secretsmanager:GetSecretValue", SECRET)]
    for function in FUNCTIONS
}
_OWN_SECRETS: dict[str, list[tuple[str, object]]] = {
    function: [("secretsmanager:GetSecretValue", _OWN_SECRET)] if found else [] for function, found in _SECRETS.items()
}
# The migration makes the functions' user.
_OWN_SECRETS["AdminFunction"].append(("secretsmanager:GetSecretValue", _OWNERS_SECRET))

_LOGS: dict[str, list[tuple[str, object]]] = {
    function: [
        (action, {"Fn::GetAtt": [f"{function.removesuffix('Function')}Logs", "Arn"]})
        for action in ("logs:CreateLogStream", "logs:PutLogEvents")
    ]
    for function in FUNCTIONS
}
_TRACED = {"DrainFunction", "RelayFunction", "AdminFunction"}
_ALL_RESOURCES = {
    "xray:PutTraceSegments": "a trace belongs to no resource",
    "xray:PutTelemetryRecords": "nor do the figures about traces",
    "ec2:CreateNetworkInterface": "the interface is not there yet",
    "ec2:DescribeNetworkInterfaces": "EC2 knows no finer right",
    "ec2:DescribeSubnets": "EC2 knows no finer right",
    "ec2:DeleteNetworkInterface": "Lambda asks for all resources",
    "ec2:AssignPrivateIpAddresses": "Lambda asks for all resources",
    "ec2:UnassignPrivateIpAddresses": "Lambda asks for all resources",
}
"""Rights that are given on all resources, and why."""

_BY_CODE: dict[str, object] = {"Null": {"lambda:SourceFunctionArn": "false"}}
"""A call is made by the code of a function, and not by Lambda for it."""

_PASSWORD_FORM = GIVEN | {"RedisSecretArn": REDIS_SECRET}
_IN_VPC = {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1"}
_FORMS = [Form(**GIVEN), Form(), Form(**GIVEN | _IN_VPC), Form(**_PASSWORD_FORM)]


def _always(function: str) -> list[tuple[str, object]]:
    traces: list[tuple[str, object]] = [
        (action, "*") for action in _ALL_RESOURCES if action.startswith("xray:") and function in _TRACED
    ]
    return [*_LOGS[function], *traces]


def _in_a_network(function: str) -> list[tuple[str, object]]:
    return [(action, "*") for action in _ALL_RESOURCES if action.startswith("ec2:") and function in SERVICE]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _granted(form: Form, function: str) -> list[tuple[str, object]]:
    return [
        (action, resource)
        for statement in form.statements(function)
        if statement["Effect"] == "Allow"
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    ]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_nothing_else(function: str) -> None:
    expected = [*_always(function), *_QUEUES[function], *_SECRETS[function]]
    assert sorted(_granted(Form(**GIVEN), function), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_with_a_password_at_redis_it_may_read_that_secret_too(function: str) -> None:
    password = [("secretsmanager:GetSecretValue", REDIS_SECRET)] if function in SERVICE else []
    expected = [*_always(function), *_QUEUES[function], *_SECRETS[function], *password]
    assert sorted(_granted(Form(**_PASSWORD_FORM), function), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_in_a_network_lambda_may_keep_its_interfaces_and_its_code_may_not(function: str) -> None:
    form = Form(**GIVEN | _IN_VPC)
    expected = [*_always(function), *_in_a_network(function), *_QUEUES[function], *_SECRETS[function]]
    assert sorted(_granted(form, function), key=str) == sorted(expected, key=str)
    denied = [statement for statement in form.statements(function) if statement["Effect"] == "Deny"]
    assert len(denied) == (function in SERVICE)
    for statement in denied:
        assert (statement["Action"], statement["Resource"], statement["Condition"]) == ("ec2:*", "*", _BY_CODE)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_with_stores_of_the_stacks_own_it_may_connect_to_them_and_nothing_else(function: str) -> None:
    connect = _CONNECT if function in SERVICE else []
    expected = [*_always(function), *_in_a_network(function), *connect, *_QUEUES[function], *_OWN_SECRETS[function]]
    assert sorted(_granted(Form(), function), key=str) == sorted(expected, key=str)


_IAM = {name: value for name, value in GIVEN.items() if name != "MysqlSecretArn"} | {
    "RedisIamUser": "gate",
    "RedisIamCache": "cache",
    "MysqlIamUser": "ledger",
    "MysqlIamResourceId": "db-X",
}
_HERE = "${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}"


@pytest.mark.parametrize(("kind", "resource"), [("", "replicationgroup"), ("ServerlessCache", "serverlesscache")])
@pytest.mark.parametrize("function", SERVICE)
def test_with_iam_users_of_a_teams_own_it_may_log_in_as_them(function: str, kind: str, resource: str) -> None:
    form = Form(**_IAM, RedisIamResourceType=kind)
    (cache,) = [
        found for action, found in _granted(form, function) if "replicationgroup" in str(found) or "Kind" in str(found)
    ]
    assert cache == {"Fn::Sub": [f"arn:{_HERE % 'elasticache'}:${{Kind}}:${{RedisIamCache}}", {"Kind": resource}]}
    granted = _granted(form, function)
    assert ("elasticache:Connect", {"Fn::Sub": f"arn:{_HERE % 'elasticache'}:user:${{RedisIamUser}}"}) in granted
    to_mysql = (
        "rds-db:connect",
        {"Fn::Sub": f"arn:{_HERE % 'rds-db'}:dbuser:${{MysqlIamResourceId}}/${{MysqlIamUser}}"},
    )
    assert (to_mysql in granted) == (function != "ApplyFunction")
    assert "secretsmanager:GetSecretValue" not in {action for action, _ in granted}
    told = form.variables(function)
    redis = RedisSettings.from_env(told)
    assert (redis.iam_user, redis.iam_cache, redis.iam_resource_type) == ("gate", "cache", kind)
    if function != "ApplyFunction":
        assert MysqlSettings.from_env(told).iam_user == "ledger"


@pytest.mark.parametrize("function", SERVICE)
def test_with_a_key_it_may_use_that_key(function: str) -> None:
    granted = set(map(str, _granted(Form(**GIVEN, KmsKeyArn=KEY), function)))
    extra = granted - set(map(str, _granted(Form(**GIVEN), function)))
    assert extra == {str((action, KEY)) for action in ("kms:Decrypt", "kms:GenerateDataKey")}


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_right_is_given_by_a_wildcard_or_by_exclusion(function: str, form: Form) -> None:
    for statement in form.statements(function):
        assert statement["Effect"] == "Allow" or statement["Condition"] == _BY_CODE
        assert not {"NotAction", "NotResource", "NotPrincipal"} & statement.keys()
    for action, resource in _granted(form, function):
        assert "*" not in action
        assert "*" not in str(resource) or (resource == "*" and action in _ALL_RESOURCES)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_has_a_role_of_its_own_which_lambda_alone_may_take(function: str) -> None:
    role = Form(**GIVEN).resources[f"{function}Role"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Principal"], trust["Action"]) == ({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole")
    assert "Policies" not in template()["Globals"]["Function"]
    assert "Policies" not in properties(function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_all_but_the_hot_path_and_the_pages_are_traced(function: str) -> None:
    assert properties(function).get("Tracing", "PassThrough") == ("Active" if function in _TRACED else "PassThrough")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_is_its_own_folder_on_the_same_runtime_and_layers(function: str) -> None:
    own = properties(function)
    assert own["CodeUri"] == f"functions/{function.removesuffix('Function').lower()}"
    assert own["Handler"] == "app.lambda_handler"
    assert own["Runtime"] == "python3.13"
    assert own["Layers"] == [{"Ref": "DependenciesLayer"}, {"Ref": "FirstcomeLayer"}]
    assert isinstance(Form(**GIVEN).resources[function]["Properties"]["Timeout"], int)


def test_the_cloud_runs_on_arm() -> None:
    assert template()["Globals"]["Function"]["Architectures"] == [{"Ref": "LambdaArchitecture"}]
    assert template()["Parameters"]["LambdaArchitecture"]["Default"] == "arm64"


def _environment(function: str, **given: str) -> dict[str, str]:
    """Return what a function would find in its environment, parameters at their defaults unless given."""
    return Form(**GIVEN | given).variables(function)


def test_every_function_is_told_what_it_reads() -> None:
    for function in SERVICE:
        assert RedisSettings.from_env(_environment(function)).host == "redis.example"
        assert RedisSettings.from_env(_environment(function)).secret_arn == ""
        with_password = _environment(function, RedisSecretArn=REDIS_SECRET)
        assert RedisSettings.from_env(with_password).secret_arn == REDIS_SECRET
    assert ConsoleSettings.from_env(_environment("ConsoleFunction")) == ConsoleSettings(
        issuer="https://issuer.example",
        client_id="firstcome",
        operator_issuer="https://issuer.example",
        operator_client_id="firstcome",
        audience="firstcome",
        scopes="openid",
        runbook_url="",
        origins=("https://issuer.example",),
    )
    for function in ("DrainFunction", "RelayFunction", "AdminFunction"):
        assert MysqlSettings.from_env(_environment(function)).secret_arn == SECRET
    for function in ("DrainFunction", "AdminFunction"):
        assert settings.dead_letter_queue_url(_environment(function)) == "DeadLetterQueue"
    for function in ("ApplyFunction", "RelayFunction", "AdminFunction"):
        assert settings.claim_queue_url(_environment(function)) == "ClaimQueue"
    assert RateLimitSettings.from_env(_environment("DrainFunction")) == RateLimitSettings(
        rows_per_second=500, workers=2
    )
    for function, name in (
        ("RelayFunction", "RELAY_AFTER_SECONDS"),
        ("RelayFunction", "REBUILD_QUIET_SECONDS"),
        ("AdminFunction", "REBUILD_QUIET_SECONDS"),
    ):
        assert settings.whole_seconds(name, _environment(function)) >= 1


def test_the_way_of_the_rush_does_not_even_know_where_mysql_is() -> None:
    assert not [name for name in variables("ApplyFunction") if name.startswith("MYSQL_")]


def test_the_console_knows_who_signs_in_and_nothing_else() -> None:
    assert {name.split("_")[0] for name in variables("ConsoleFunction")} == {"OIDC", "RUNBOOK", "POWERTOOLS", "EDGE"}
    assert "VpcConfig" not in properties("ConsoleFunction")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_secret_is_in_the_environment(function: str) -> None:
    assert not [name for name in variables(function) if "PASSWORD" in name or "TOKEN" in name]
    assert "resolve:" not in str(variables(function))


@pytest.mark.parametrize(
    ("parameter", "read"),
    [
        ("RedisPort", RedisSettings.from_env),
        ("GateReplicaAcks", RedisSettings.from_env),
        ("MysqlPort", MysqlSettings.from_env),
        ("DrainConcurrency", RateLimitSettings.from_env),
        ("DrainRowsPerSecond", RateLimitSettings.from_env),
    ],
)
def test_the_template_takes_a_parameter_in_the_range_the_functions_take(parameter: str, read: Any) -> None:
    bounds = template()["Parameters"][parameter]
    # Many workers for few rows are refused together, see SECONDS_A_ROW_MAX.
    rest = {"DrainRowsPerSecond": "100000"} if parameter == "DrainConcurrency" else {}
    for inside in (bounds["MinValue"], bounds["MaxValue"]):
        read(_environment("DrainFunction", **rest, **{parameter: str(inside)}))
    for outside in (bounds["MinValue"] - 1, bounds["MaxValue"] + 1):
        with pytest.raises(SettingsError):
            read(_environment("DrainFunction", **rest, **{parameter: str(outside)}))


@pytest.mark.parametrize("parameter", ["RedisTls", "MysqlTls"])
def test_encryption_is_on_unless_it_is_turned_off(parameter: str) -> None:
    assert template()["Parameters"][parameter]["Default"] == "true"
    assert template()["Parameters"][parameter]["AllowedValues"] == ["true", "false"]


def test_the_relay_runs_every_minute() -> None:
    (event,) = properties("RelayFunction")["Events"].values()
    assert event["Type"] == "ScheduleV2"
    assert event["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    assert event["Properties"].get("State", "ENABLED") == "ENABLED"


_ENDPOINTS = {"AWS_ENDPOINT_URL_SQS": "SqsEndpointUrl", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "SecretsManagerEndpointUrl"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_services_that_functions_call_may_be_somewhere_else(function: str) -> None:
    # The console calls none.
    expected = _ENDPOINTS if function in SERVICE else {}
    declared = {name: value for name, value in _environment(function).items() if name.startswith("AWS_")}
    assert declared == dict.fromkeys(expected, "")
    given = {parameter: f"https://{parameter.lower()}.example" for parameter in _ENDPOINTS.values()}
    elsewhere = _environment(function, **given)
    assert {name: elsewhere[name] for name in declared} == {name: given[expected[name]] for name in expected}


def test_an_endpoint_that_is_not_given_leaves_boto3_in_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _ENDPOINTS:
        monkeypatch.setenv(name, _environment("AdminFunction")[name])
    for service in ("sqs", "secretsmanager"):
        client = boto3.session.Session().client(service, region_name="eu-west-1")
        assert client.meta.endpoint_url == f"https://{service}.eu-west-1.amazonaws.com"
