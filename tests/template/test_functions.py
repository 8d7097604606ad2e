"""The functions: what each may do, knows, and is told."""

from typing import Any

import pytest

from firstcome import settings
from firstcome.errors import SettingsError
from firstcome.settings import ConsoleSettings, MysqlSettings, PaceSettings, RedisSettings
from tests.template.cloudformation import FUNCTIONS, SERVICE, properties, template, variables
from tests.template.forms import GIVEN, REDIS_SECRET, SECRET, Form

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
    "DrainFunction": [("sqs:SendMessage", _DEAD_LETTER_QUEUE)],
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

_FORMS = [Form(**GIVEN), Form()]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _granted(form: Form, function: str) -> list[tuple[str, object]]:
    return [
        (action, resource)
        for statement in form.statements(function)
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    ]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_nothing_else(function: str) -> None:
    """Reading the claim queue is added to the drain's role by its mapping."""
    expected = [*_QUEUES[function], *_SECRETS[function]]
    assert sorted(_granted(Form(**GIVEN), function), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_with_a_password_at_redis_it_may_read_that_secret_too(function: str) -> None:
    password = [("secretsmanager:GetSecretValue", REDIS_SECRET)] if function in SERVICE else []
    expected = [*_QUEUES[function], *_SECRETS[function], *password]
    assert sorted(_granted(Form(**GIVEN, RedisSecretArn=REDIS_SECRET), function), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_with_stores_of_the_stacks_own_it_may_connect_to_them_and_nothing_else(function: str) -> None:
    connect = _CONNECT if function in SERVICE else []
    expected = [*connect, *_QUEUES[function], *_OWN_SECRETS[function]]
    assert sorted(_granted(Form(), function), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_right_is_given_by_a_wildcard_or_by_exclusion(function: str, form: Form) -> None:
    for statement in form.statements(function):
        assert statement["Effect"] == "Allow"
        assert not {"NotAction", "NotResource"} & statement.keys()
        assert "*" not in str(statement["Action"])
        assert "*" not in str(statement["Resource"])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_has_a_role_of_its_own(function: str) -> None:
    assert "Role" not in properties(function)
    assert "Policies" not in template()["Globals"]["Function"]
    assert all(
        isinstance(policy, dict) and policy.keys() == {"Statement"}
        for policy in properties(function).get("Policies", [])
    )


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
        "https://issuer.example", "firstcome", "firstcome", "openid", "", ("https://issuer.example",)
    )
    for function in ("DrainFunction", "RelayFunction", "AdminFunction"):
        assert MysqlSettings.from_env(_environment(function)).secret_arn == SECRET
    for function in ("DrainFunction", "AdminFunction"):
        assert settings.dead_letter_queue_url(_environment(function)) == "DeadLetterQueue"
    for function in ("ApplyFunction", "RelayFunction", "AdminFunction"):
        assert settings.claim_queue_url(_environment(function)) == "ClaimQueue"
    assert PaceSettings.from_env(_environment("DrainFunction")) == PaceSettings(rows_per_second=500, workers=2)
    for function, name in (
        ("RelayFunction", "RELAY_AFTER_SECONDS"),
        ("RelayFunction", "REBUILD_QUIET_SECONDS"),
        ("AdminFunction", "REBUILD_QUIET_SECONDS"),
    ):
        assert settings.whole_seconds(name, _environment(function)) >= 1


def test_the_way_of_the_rush_does_not_even_know_where_mysql_is() -> None:
    assert not [name for name in variables("ApplyFunction") if name.startswith("MYSQL_")]


def test_the_console_knows_who_signs_in_and_nothing_else() -> None:
    assert {name.split("_")[0] for name in variables("ConsoleFunction")} == {"OIDC", "RUNBOOK", "POWERTOOLS"}
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
        ("DrainConcurrency", PaceSettings.from_env),
        ("DrainRowsPerSecond", PaceSettings.from_env),
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
