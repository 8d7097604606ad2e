"""What the stack makes itself: everything is wired in every form, and each part is as safe as its page says."""

import json
import re
from typing import Any

import pytest

from tests.template.cloudformation import FUNCTIONS, SERVICE, nested, template
from tests.template.forms import GIVEN, KEY, SECRET, Form

_PARTS = {
    "Network": "network",
    "Gate": "gate",
    "Ledger": "ledger",
    "Users": "users",
    "Operators": "operators",
    "Observability": "observability",
}
_MYSQL = {name: value for name, value in GIVEN.items() if name.startswith("Mysql")}
_VPC = {"VpcId": "vpc-1", "VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1"}

_MYSQL_IAM = {"MysqlIamUser": "ledger", "MysqlIamResourceId": "db-X"}
_REDIS_IAM = {"RedisIamUser": "gate", "RedisIamCache": "cache"}

_FORMS: dict[str, dict[str, str]] = {
    "everything is given": GIVEN,
    "everything is given, in a network": GIVEN | _VPC,
    "everything is made": {},
    "everything is made, in a given network": _VPC,
    "only MySQL is given": _MYSQL | _VPC,
    "only Redis is given": {"RedisHost": "redis.example"} | _VPC,
}
_MADE = {
    "everything is given": set(),
    "everything is given, in a network": set(),
    "everything is made": {"Network", "Gate", "Ledger", "Users", "Operators"},
    "everything is made, in a given network": {"Gate", "Ledger", "Users", "Operators"},
    "only MySQL is given": {"Gate", "Users", "Operators"},
    "only Redis is given": {"Ledger", "Users", "Operators"},
}


def _nodes(node: Any) -> list[Any]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [node, *(found for child in children for found in _nodes(child))]


def _named(document: Any) -> list[tuple[str, str]]:
    """Return the resources that a document refers to, each with the attribute that it asks for."""
    found = []
    for node in _nodes(document):
        match list(node.items()) if isinstance(node, dict) else []:
            case [("Ref", str(name))]:
                found.append((name, ""))
            case [("Fn::GetAtt", [str(name), str(attribute)])]:
                found.append((name, attribute))
            case [("Fn::Sub", str(text))]:
                named = [name.partition(".") for name in re.findall(r"\$\{([^}!]+)\}", text)]
                found += [(name, attribute) for name, _, attribute in named]
    return found


def test_a_rule_uses_only_what_rules_may_use() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-rules.html"""
    allowed = {f"Fn::{name}" for name in ("And", "Or", "Not", "Equals", "Contains", "EachMemberEquals", "EachMemberIn")}
    for document in (template(), nested("edge")):
        keys = {key for node in _nodes(document["Rules"]) if isinstance(node, dict) for key in node if "::" in key}
        assert keys <= allowed


@pytest.mark.parametrize("form", _FORMS)
def test_what_is_not_given_is_made(form: str) -> None:
    made = Form(**_FORMS[form]).resources.keys() & _PARTS.keys()
    assert made - {"Observability"} == _MADE[form]


_NETWORK = {"VpcSubnetIds": "subnet-1,subnet-2", "VpcSecurityGroupIds": "sg-1"}


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({}, []),
        (GIVEN, []),
        (GIVEN | _NETWORK, []),
        (GIVEN | {"VpcSubnetIds": "subnet-1"}, ["SubnetsComeWithSecurityGroups"]),
        (_NETWORK, ["OwnPartsInGivenSubnetsNeedTheirVpc"]),
        ({"GateReplicaAcks": "1"}, ["AcksNeedReplicas"]),
        ({"GateReplicaAcks": "1", "Environment": "prod"}, []),
        (GIVEN | {"GateReplicaAcks": "1"}, []),
        ({"RedisHost": "redis.example"}, ["RedisBesideOwnMysqlNeedsItsNetwork"]),
        ({"RedisHost": "redis.example"} | _VPC, []),
        ({"MysqlHost": "db.example", "MysqlSecretArn": SECRET}, ["MysqlBesideOwnRedisNeedsItsNetwork"]),
        (_MYSQL | _VPC, []),
        (GIVEN | {"MysqlSecretArn": ""}, ["MysqlComesWithALogin"]),
        ({"MysqlSecretArn": SECRET}, ["SecretComesWithItsMysql"]),
        ({"RedisSecretArn": SECRET}, ["RedisSecretComesWithItsRedis"]),
        (GIVEN | {"RedisSecretArn": SECRET, "RebuildQuietSeconds": "11"}, ["RebuildOutlastsApply"]),
        (GIVEN | {"RedisSecretArn": SECRET, "RebuildQuietSeconds": "12"}, []),
        (GIVEN | {"RedisMode": "cluster"}, []),
        ({"RedisMode": "cluster"}, ["ClustersAreGiven"]),
        (GIVEN | _MYSQL_IAM, ["MysqlComesWithALogin"]),
        (GIVEN | _MYSQL_IAM | {"MysqlSecretArn": ""}, []),
        (GIVEN | _MYSQL_IAM | {"MysqlSecretArn": "", "MysqlTls": "false"}, ["MysqlIamUserIsComplete"]),
        (GIVEN | _MYSQL_IAM | {"MysqlSecretArn": "", "MysqlIamResourceId": ""}, ["MysqlIamUserIsComplete"]),
        (_MYSQL_IAM, ["MysqlIamUserIsComplete"]),
        (GIVEN | _REDIS_IAM, []),
        (_REDIS_IAM, ["RedisIamUserIsComplete"]),
        (GIVEN | _REDIS_IAM | {"RedisIamCache": ""}, ["RedisIamUserIsComplete"]),
        (GIVEN | _REDIS_IAM | {"RedisTls": "false"}, ["RedisIamUserIsComplete"]),
        (GIVEN | _REDIS_IAM | {"RedisSecretArn": SECRET}, ["RedisIamUserIsComplete"]),
        (GIVEN | {"ApiDomainName": "api.example"}, ["DomainComesWithItsCertificate"]),
        (GIVEN | {"ApiCertificateArn": "arn:aws:acm:x"}, ["DomainComesWithItsCertificate"]),
        (GIVEN | {"ApiDomainName": "api.example", "ApiCertificateArn": "arn:aws:acm:x"}, []),
        (GIVEN | {"EdgeDigests": "0" * 64}, ["EdgeNeedsADomain"]),
        (GIVEN | {"RedisIamCache": "cache"}, ["IamPartsNeedTheirUser"]),
    ],
)
def test_what_does_not_fit_together_is_not_deployed(given: dict[str, str], broken: list[str]) -> None:
    assert Form(**given).broken_rules == broken


@pytest.mark.parametrize("environment", ["dev", "prod", "local"])
@pytest.mark.parametrize("form", _FORMS)
def test_nothing_refers_to_a_part_that_is_not_made(form: str, environment: str) -> None:
    known = Form(Environment=environment, **_FORMS[form])
    shared = known.resolve(template()["Globals"])
    for name, attribute in _named([known.resources, shared]):
        if (
            name.startswith(("AWS::", "ApplyFunctionAlias", "ApplyFunction.Version"))
            or name in template()["Parameters"]
        ):
            continue
        assert name in known.resources
        if name in _PARTS:
            assert attribute.removeprefix("Outputs.") in nested(_PARTS[name])["Outputs"]


@pytest.mark.parametrize("part", _PARTS)
def test_every_part_is_told_exactly_what_it_asks_for(part: str) -> None:
    properties = template()["Resources"][part]["Properties"]
    assert properties["TemplateURL"] == f"infra/{_PARTS[part]}.yaml"
    assert properties.get("Parameters", {}).keys() == nested(_PARTS[part]).get("Parameters", {}).keys()


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_no_value_of_a_part_is_a_list_which_a_nested_stack_does_not_take(environment: str) -> None:
    made = Form(Environment=environment, **_VPC).resources
    for part in _PARTS.keys() & made.keys():
        assert not [value for value in made[part]["Properties"]["Parameters"].values() if isinstance(value, list)]


@pytest.mark.parametrize("function", SERVICE)
def test_a_function_is_sent_to_the_own_stores_over_tls(function: str) -> None:
    told = Form(RedisTls="false", MysqlTls="false").variables(function)
    assert told["REDIS_HOST"] == "Gate.Outputs.Host"
    assert (told["REDIS_PORT"], told["REDIS_TLS"]) == ("6379", "true")
    assert told["REDIS_IAM_USER"] == "Gate.Outputs.UserId"
    if function != "ApplyFunction":
        assert told["MYSQL_HOST"] == "Ledger.Outputs.Host"
        assert (told["MYSQL_PORT"], told["MYSQL_TLS"]) == ("3306", "true")
        assert told["MYSQL_SECRET_ARN"] == "Ledger.Outputs.UserSecretArn"


def test_a_claim_has_a_second_home_in_prod() -> None:
    assert Form(Environment="prod").variables("ApplyFunction")["GATE_REPLICA_ACKS"] == "1"
    assert Form(Environment="dev").variables("ApplyFunction")["GATE_REPLICA_ACKS"] == "0"
    # What somebody says counts.
    assert Form(Environment="prod", GateReplicaAcks="2").variables("ApplyFunction")["GATE_REPLICA_ACKS"] == "2"
    assert Form(Environment="prod", **GIVEN).variables("ApplyFunction")["GATE_REPLICA_ACKS"] == "0"


def test_prod_is_safe_and_each_size_is_one_that_is_used() -> None:
    sizes = template()["Mappings"]["Sizes"]
    assert {frozenset(of_environment) for of_environment in sizes.values()} == {frozenset(sizes["prod"])}
    assert sizes["prod"]["GateNodes"] >= 3
    assert (sizes["prod"]["LedgerMultiAz"], sizes["prod"]["Protected"], sizes["prod"]["Canary"]) == (
        "true",
        "true",
        True,
    )
    assert sizes["prod"]["BackupDays"] >= 7
    assert sizes["local"]["Canary"] is False
    used = {
        node["Fn::FindInMap"][2] for node in _nodes(template()) if isinstance(node, dict) and "Fn::FindInMap" in node
    }
    assert used == set(sizes["prod"])


def test_the_default_environment_needs_no_canary_which_the_local_endpoint_does_not_know() -> None:
    """The local endpoint decides that by the parameter's default."""
    assert template()["Mappings"]["Sizes"][template()["Parameters"]["Environment"]["Default"]]["Canary"] is False


# --- the network ---


def _of_type(part: str, kind: str) -> list[dict[str, Any]]:
    return [found["Properties"] for found in nested(part)["Resources"].values() if found["Type"] == kind]


def test_there_is_no_way_to_or_from_the_internet() -> None:
    kinds = {resource["Type"] for resource in nested("network")["Resources"].values()}
    assert not kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route", "AWS::EC2::EIP"}
    assert all(subnet["MapPublicIpOnLaunch"] is False for subnet in _of_type("network", "AWS::EC2::Subnet"))


def test_the_subnets_are_in_two_zones() -> None:
    """The first two of the region, or those that are named: one may lack a node type."""
    found = [subnet["AvailabilityZone"]["Fn::If"] for subnet in _of_type("network", "AWS::EC2::Subnet")]
    assert [(condition, given, default["Fn::Select"][0]) for condition, given, default in found] == [
        ("HasZones", {"Ref": "ZoneA"}, 0),
        ("HasZones", {"Ref": "ZoneB"}, 1),
    ]


def test_the_endpoints_are_of_the_services_that_the_functions_may_call() -> None:
    names = [endpoint["ServiceName"]["Fn::Sub"] for endpoint in _of_type("network", "AWS::EC2::VPCEndpoint")]
    called = {
        action.split(":")[0]
        for function in FUNCTIONS
        for statement in Form().statements(function)
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    # The gate checks elasticache:Connect itself; Lambda writes logs and traces and keeps interfaces by its own way.
    expected = called - {"elasticache", "logs", "xray", "ec2"} | {"s3"}
    assert sorted(name.rsplit(".", 1)[1] for name in names) == sorted(expected)


def test_the_migrations_answer_leaves_a_closed_network_and_nothing_else_does() -> None:
    (gateway,) = [made for made in _of_type("network", "AWS::EC2::VPCEndpoint") if made["VpcEndpointType"] == "Gateway"]
    assert gateway["RouteTableIds"] == [{"Ref": "RouteTable"}]
    (statement,) = gateway["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:PutObject"
    text, values = statement["Resource"]["Fn::Sub"]
    assert text.endswith(":s3:::cloudformation-custom-resource-response-${Region}/*")
    assert values == {"Region": {"Fn::Join": ["", {"Fn::Split": ["-", {"Ref": "AWS::Region"}]}]}}


@pytest.mark.parametrize("part", ["network", "gate", "ledger"])
def test_no_group_lets_in_an_address_or_everybody_out(part: str) -> None:
    groups = _of_type(part, "AWS::EC2::SecurityGroup")
    rules_in = [rule for group in groups for rule in group.get("SecurityGroupIngress", [])]
    rules_in += _of_type(part, "AWS::EC2::SecurityGroupIngress")
    assert rules_in
    assert all("SourceSecurityGroupId" in rule and rule["FromPort"] == rule["ToPort"] for rule in rules_in)
    for group in groups:
        for rule in group["SecurityGroupEgress"]:
            is_to_s3 = (part, rule["Description"], rule["FromPort"], rule["ToPort"]) == ("network", "To S3", 443, 443)
            assert "DestinationSecurityGroupId" in rule or rule["CidrIp"] == "127.0.0.1/32" or is_to_s3


# --- the gate and the ledger ---


def test_the_gate_never_evicts_and_speaks_tls_to_its_user_only() -> None:
    (gate,) = _of_type("gate", "AWS::ElastiCache::ReplicationGroup")
    (parameters,) = _of_type("gate", "AWS::ElastiCache::ParameterGroup")
    assert parameters["Properties"] == {"maxmemory-policy": "noeviction"}
    assert gate["CacheParameterGroupName"] == {"Ref": "ParameterGroup"}
    assert (gate["TransitEncryptionEnabled"], gate["TransitEncryptionMode"]) == (True, "required")
    assert gate["AtRestEncryptionEnabled"] is True
    assert gate["UserGroupIds"] == [{"Ref": "UserGroup"}]
    assert gate["MultiAZEnabled"] == gate["AutomaticFailoverEnabled"] == {"Fn::If": ["HasReplicas", True, False]}
    (user,) = _of_type("gate", "AWS::ElastiCache::User")
    assert user["AuthenticationMode"] == {"Type": "iam"}
    assert user["UserId"] == user["UserName"]


def test_the_ledger_is_encrypted_backed_up_and_for_tls_clients_only() -> None:
    (instance,) = _of_type("ledger", "AWS::RDS::DBInstance")
    (parameters,) = _of_type("ledger", "AWS::RDS::DBParameterGroup")
    assert (instance["Engine"], instance["EngineVersion"]) == ("mysql", {"Ref": "EngineVersion"})
    assert parameters["Family"] == "mysql8.4"
    assert parameters["Parameters"]["require_secure_transport"] == "1"
    assert instance["StorageEncrypted"] is True
    assert instance["PubliclyAccessible"] is False
    assert instance["ManageMasterUserPassword"] is True
    assert nested("ledger")["Resources"]["Instance"]["DeletionPolicy"] == "Snapshot"
    assert instance["DeleteAutomatedBackups"] is False


def test_the_functions_user_gets_a_new_password_by_itself_once_it_exists() -> None:
    (rotation,) = _of_type("ledger", "AWS::SecretsManager::RotationSchedule")
    assert rotation["SecretId"] == {"Ref": "UserSecret"}
    assert rotation["RotationRules"]["AutomaticallyAfterDays"] <= 90
    assert rotation["RotateImmediatelyOnUpdate"] is False


def test_a_key_encrypts_all_that_the_stack_stores() -> None:
    for part, kind, name in (
        ("gate", "AWS::ElastiCache::ReplicationGroup", "KmsKeyId"),
        ("ledger", "AWS::RDS::DBInstance", "KmsKeyId"),
        ("ledger", "AWS::SecretsManager::Secret", "KmsKeyId"),
    ):
        (made,) = _of_type(part, kind)
        assert made[name] == {"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
    for part in ("Gate", "Ledger"):
        assert Form(KmsKeyArn=KEY).resources[part]["Properties"]["Parameters"]["KmsKeyArn"] == KEY


@pytest.mark.parametrize("part", ["users", "operators"])
def test_mail_is_sent_from_a_teams_own_identity_where_it_has_one(part: str) -> None:
    (pool,) = _of_type(part, "AWS::Cognito::UserPool")
    condition, own, otherwise = pool["EmailConfiguration"]["Fn::If"]
    assert condition == "HasEmailIdentity"
    assert own == {"EmailSendingAccount": "DEVELOPER", "SourceArn": {"Ref": "EmailIdentityArn"}}
    assert otherwise == {"EmailSendingAccount": "COGNITO_DEFAULT"}
    assert nested(part)["Resources"][next(iter(nested(part)["Resources"]))]["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize(
    ("issuer", "is_taken"),
    [
        ("https://issuer.example", True),
        ("", True),
        # A server of this machine, as the local stack has one.
        ("http://127.0.0.1:8080", True),
        ("http://issuer.example", False),
        ("issuer.example", False),
    ],
)
def test_an_issuer_is_asked_over_tls(issuer: str, *, is_taken: bool) -> None:
    assert bool(re.fullmatch(template()["Parameters"]["JwtIssuer"]["AllowedPattern"], issuer)) == is_taken


def test_an_app_may_be_where_a_sign_in_leads_back_to() -> None:
    pattern = template()["Parameters"]["SignInCallbackUrl"]["AllowedPattern"]
    assert re.fullmatch(pattern, "shop.example.app://signed-in")
    assert not re.fullmatch(pattern, "signed-in")
    assert _clients("users")["users"]["LogoutURLs"]["Fn::If"][1] == [{"Ref": "SignOutUrl"}]


def test_no_password_is_in_a_template() -> None:
    for part in _PARTS.values():
        assert not [node for node in _nodes(nested(part)) if isinstance(node, dict) and "MasterUserPassword" in node]


# --- the users ---


def _clients(part: str) -> dict[str, dict[str, Any]]:
    return {client["ClientName"]: client for client in _of_type(part, "AWS::Cognito::UserPoolClient")}


def test_the_users_pool_does_not_know_the_operators_scope() -> None:
    assert "firstcome/operator" not in str(nested("users"))
    assert _of_type("users", "AWS::Cognito::UserPoolResourceServer") == []
    assert _clients("users").keys() == {"users"}


def test_nobody_makes_themselves_an_operator() -> None:
    (pool,) = _of_type("operators", "AWS::Cognito::UserPool")
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("ON", ["SOFTWARE_TOKEN_MFA"])


def test_operators_sign_in_to_the_console_by_code_and_scripts_by_a_secret() -> None:
    (server,) = _of_type("operators", "AWS::Cognito::UserPoolResourceServer")
    assert f"{server['Identifier']}/{server['Scopes'][0]['ScopeName']}" == "firstcome/operator"
    console, machines = _clients("operators")["console"], _clients("operators")["machines"]
    assert (console["AllowedOAuthFlows"], console["GenerateSecret"]) == (["code"], False)
    assert console["AllowedOAuthScopes"] == ["openid", "firstcome/operator"]
    assert (machines["AllowedOAuthFlows"], machines["GenerateSecret"]) == (["client_credentials"], True)
    # No sign-in but by the page: it is what asks for the second factor.
    assert console["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]


@pytest.mark.parametrize("part", ["users", "operators"])
def test_the_pages_are_where_a_sign_in_leads_back_to(part: str) -> None:
    callbacks = [url for client in _clients(part).values() for url in client.get("CallbackURLs", [])]
    assert {"Fn::Sub": "${PagesUrl}/console/signed-in.html"} in callbacks


def test_the_api_takes_each_own_pools_tokens_on_its_own_routes() -> None:
    authorizers = Form().resources["HttpApi"]["Properties"]["Auth"]["Authorizers"]
    assert {name: authorizer["JwtConfiguration"] for name, authorizer in authorizers.items()} == {
        "Jwt": {
            "issuer": {"Fn::GetAtt": ["Users", "Outputs.Issuer"]},
            "audience": [{"Fn::GetAtt": ["Users", "Outputs.UserClientId"]}],
        },
        "Operators": {
            "issuer": {"Fn::GetAtt": ["Operators", "Outputs.Issuer"]},
            "audience": [
                {"Fn::GetAtt": ["Operators", "Outputs.ConsoleClientId"]},
                {"Fn::GetAtt": ["Operators", "Outputs.MachineClientId"]},
            ],
        },
    }


def test_the_console_is_told_where_operators_sign_in() -> None:
    told = Form().variables("ConsoleFunction")
    assert told["OIDC_OPERATOR_ISSUER"] == "Operators.Outputs.Issuer"
    assert told["OIDC_OPERATOR_CLIENT_ID"] == "Operators.Outputs.ConsoleClientId"
    assert told["OIDC_ORIGINS"] == "${Users.Outputs.SignInUrl} ${Operators.Outputs.SignInUrl}"


# --- around the functions ---


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_log_ends(function: str) -> None:
    made = Form(Environment="prod").resources
    group = made[function]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert made[group]["Properties"]["RetentionInDays"] == 90


def test_the_apis_log_tells_nothing_about_a_person() -> None:
    settings = template()["Resources"]["HttpApi"]["Properties"]["AccessLogSettings"]
    told = json.loads(settings["Format"])
    assert not re.findall(r"sourceIp|userAgent|claims|sub|\$context\.path", str(told))


def test_a_new_version_is_taken_back_by_alarms() -> None:
    apply = Form(Environment="prod").resources["ApplyFunction"]["Properties"]
    assert apply["AutoPublishAlias"] == "live"
    assert apply["DeploymentPreference"]["Enabled"] is True
    assert apply["DeploymentPreference"]["Alarms"] == [{"Ref": "Unavailable"}, {"Ref": "ApplyErrors"}]


def test_environments_are_warm_only_when_somebody_asks() -> None:
    assert "WarmApplyFunction" not in Form().resources
    opening = {"WarmFrom": "2026-12-01T08:55:00", "WarmUntil": "2026-12-01T09:30:00"}
    target = Form(WarmInstances="200", **opening).resources["WarmApplyFunction"]["Properties"]
    capacities = [action["ScalableTargetAction"]["MinCapacity"] for action in target["ScheduledActions"]]
    assert capacities == ["200", 0]
    assert target["ScalableDimension"] == "lambda:function:ProvisionedConcurrency"
