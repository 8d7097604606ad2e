"""What fits an account for the stack, and what does not: read before a deployment, and once more after it.

Every check reads only. A check returns its findings; one that the account does not let us make is a finding too.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from local.deployment.account import LOCAL_SERVICES, Account, describe_stack, pairs_of
from local.services.processes import ROOT

RDS_ROOTS = ROOT / "layers/firstcome/python/firstcome/adapters/rds_roots.pem"
UNRESERVED_MIN = 100
"""Executions that Lambda keeps for functions without a reservation:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
ROOTS_DAYS_MIN = 365
EXECUTIONS_WANTED = 1000
ZONES = 2


class State(StrEnum):
    """How a finding is."""

    OK = "ok"
    ADVICE = "advice"
    WRONG = "wrong"
    NOT_ASKED = "not asked here"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        remedy: what to do about it.
    """

    subject: str
    state: State
    detail: str
    remedy: str = ""


type Check = Callable[[Account], Iterator[Finding]]


def examine(account: Account) -> list[Finding]:
    """Every finding; only the first where there are no credentials."""
    findings: list[Finding] = []
    for subject, services, check in CHECKS:
        if account.is_local and not services <= LOCAL_SERVICES:
            findings.append(Finding(subject, State.NOT_ASKED, "the local endpoint does not know"))
            continue
        try:
            findings += check(account)
        except NoCredentialsError:
            remedy = "Run `aws configure`, or set AWS_PROFILE."
            return [*findings, Finding(subject, State.WRONG, "there are no credentials", remedy)]
        except (ClientError, BotoCoreError) as error:
            findings.append(Finding(subject, State.WRONG, str(error), "Give the credentials the right to read this."))
    return findings


def _identity(account: Account) -> Iterator[Finding]:
    caller = account.client("sts").get_caller_identity()
    yield Finding("identity", State.OK, f"{caller['Arn']} in {account.region}")


def _stack(account: Account) -> Iterator[Finding]:
    stack = describe_stack(account.client, account.stack_name)
    status = stack["StackStatus"] if stack else "not deployed yet"
    if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        remedy = f"Its events say why. Delete it, then deploy again: sam delete --stack-name {account.stack_name}"
        yield Finding("stack", State.WRONG, f"{account.stack_name} is {status}", remedy)
    elif status.endswith("_IN_PROGRESS"):
        yield Finding("stack", State.WRONG, f"{account.stack_name} is {status}", "Wait until that has ended.")
    elif status.endswith("ROLLBACK_FAILED"):
        remedy = f"aws cloudformation continue-update-rollback --stack-name {account.stack_name}"
        yield Finding("stack", State.WRONG, f"{account.stack_name} is {status}", remedy)
    else:
        yield Finding("stack", State.OK, f"{account.stack_name}: {status}")


def _concurrency(account: Account) -> Iterator[Finding]:
    limit = account.client("lambda").get_account_settings()["AccountLimit"]
    quota, unreserved = int(limit["ConcurrentExecutions"]), int(limit["UnreservedConcurrentExecutions"])
    detail = f"{quota} concurrent executions, {unreserved} of them not reserved"
    wanted = int(account.parameters["DrainConcurrency"]) if account.parameters["ReserveDrain"] == "true" else 0
    is_deployed = describe_stack(account.client, account.stack_name) is not None
    if wanted and not is_deployed and unreserved - wanted < UNRESERVED_MIN:
        remedy = "Deploy with ReserveDrain=false, and ask AWS for more concurrent executions."
        yield Finding("Lambda quota", State.WRONG, f"{detail}: {wanted} cannot be reserved", remedy)
    elif quota < EXECUTIONS_WANTED:
        remedy = f"Ask AWS for {EXECUTIONS_WANTED} at least; it takes days."
        yield Finding("Lambda quota", State.ADVICE, detail, remedy)
    else:
        yield Finding("Lambda quota", State.OK, detail)


def _zones(account: Account) -> Iterator[Finding]:
    if account.is_given("VpcSubnetIds") or (account.is_given("RedisHost") and account.is_given("MysqlHost")):
        yield Finding("zones", State.OK, "the stack makes no network")
        return
    found = _zone_names(account)
    wanted = account.listed("Zones") or found[:ZONES]
    missing = sorted(set(wanted) - set(found))
    if missing or len(wanted) < ZONES:
        remedy = f"Name two of these by Zones: {', '.join(found)}"
        yield Finding("zones", State.WRONG, f"{', '.join(missing) or 'a second zone'} is not available", remedy)
    else:
        yield Finding("zones", State.OK, " and ".join(wanted))


def _zone_names(account: Account) -> list[str]:
    filters = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    zones = account.client("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    return sorted(zone["ZoneName"] for zone in zones)


def _ledger_class(account: Account) -> Iterator[Finding]:
    if account.is_given("MysqlHost"):
        yield Finding("MySQL class", State.OK, "MySQL is given")
        return
    wanted, version = account.size("LedgerClass", "LedgerInstanceClass"), account.parameters["LedgerEngineVersion"]
    options = account.client("rds").describe_orderable_db_instance_options(
        Engine="mysql", DBInstanceClass=wanted, Vpc=True
    )["OrderableDBInstanceOptions"]
    versions = {option["EngineVersion"].rpartition(".")[0] for option in options}
    offered = {zone["Name"] for option in options for zone in option["AvailabilityZones"]}
    if version not in versions:
        remedy = f"Choose LedgerInstanceClass or LedgerEngineVersion among {', '.join(sorted(versions)) or 'none'}."
        yield Finding("MySQL class", State.WRONG, f"{wanted} is not offered for MySQL {version} here", remedy)
        return
    lacking = sorted(set(account.listed("Zones")) - offered)
    if lacking:
        remedy = f"Choose Zones among {', '.join(sorted(offered))}."
        yield Finding("MySQL class", State.WRONG, f"{wanted} is not offered in {', '.join(lacking)}", remedy)
    else:
        yield Finding("MySQL class", State.OK, f"{wanted}, MySQL {version}")


def _gate_version(account: Account) -> Iterator[Finding]:
    if account.is_given("RedisHost"):
        yield Finding("Valkey", State.OK, "Redis is given")
        return
    version, wanted = account.parameters["GateEngineVersion"], account.size("GateNodeType", "GateNodeType")
    cache = account.client("elasticache")
    versions = [
        found["EngineVersion"] for found in cache.describe_cache_engine_versions(Engine="valkey")["CacheEngineVersions"]
    ]
    if version not in versions:
        remedy = f"Choose GateEngineVersion among {', '.join(versions)}."
        yield Finding("Valkey", State.WRONG, f"version {version} is not offered here", remedy)
    elif not cache.describe_reserved_cache_nodes_offerings(CacheNodeType=wanted)["ReservedCacheNodesOfferings"]:
        remedy = "Choose another GateNodeType: https://aws.amazon.com/elasticache/pricing/ lists those of each region."
        yield Finding("Valkey", State.WRONG, f"{wanted} is not offered here", remedy)
    else:
        yield Finding("Valkey", State.OK, f"{wanted}, Valkey {version}")


def _mail(account: Account) -> Iterator[Finding]:
    if account.is_given("JwtIssuer"):
        yield Finding("mail", State.OK, "the issuer is given")
        return
    arn = account.parameters["UsersEmailIdentityArn"]
    if not arn:
        remedy = "Name UsersEmailIdentityArn, a verified SES identity, or your own JwtIssuer."
        yield Finding("mail", State.ADVICE, "Cognito's own mail is 50 messages per day", remedy)
        return
    ses = account.client("sesv2")
    identity = arn.rpartition("identity/")[2]
    if not ses.get_email_identity(EmailIdentity=identity)["VerifiedForSendingStatus"]:
        remedy = "Complete its verification in SES first."
        yield Finding("mail", State.WRONG, f"{identity} is not verified", remedy)
    elif not ses.get_account()["ProductionAccessEnabled"]:
        remedy = "Ask AWS for production access of SES; it takes a day."
        yield Finding("mail", State.WRONG, "SES is in its sandbox: it sends to verified addresses only", remedy)
    else:
        yield Finding("mail", State.OK, identity)


def _secrets(account: Account) -> Iterator[Finding]:
    wanted = {"MysqlSecretArn": {"username", "password"}, "RedisSecretArn": {"password"}}
    for name, fields in wanted.items():
        arn = account.parameters[name]
        if not arn:
            yield Finding(name, State.OK, "not used")
            continue
        secrets = account.client("secretsmanager")
        try:
            text = secrets.get_secret_value(SecretId=arn)["SecretString"]
        except ClientError as error:
            remedy = "It must be in this account and region, and readable for the functions."
            yield Finding(name, State.WRONG, str(error), remedy)
            continue
        missing = sorted(fields - _keys(text))
        if missing:
            remedy = f"Store a JSON object with the fields {', '.join(sorted(fields))}."
            yield Finding(name, State.WRONG, f"the secret has no {' and no '.join(missing)}", remedy)
        else:
            yield Finding(name, State.OK, "readable, and of the right form")


def _keys(text: str) -> set[str]:
    try:
        read = json.loads(text)
    except ValueError:
        return set()
    return set(read) if isinstance(read, dict) else set()


def _network(account: Account) -> Iterator[Finding]:
    """Whether a given network leads to SQS, Secrets Manager and S3: by endpoints, or by a route to everywhere."""
    subnets = account.listed("VpcSubnetIds")
    if not subnets:
        yield Finding("network", State.OK, "none is given")
        return
    ec2 = account.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    tables = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    if _all_lead_out(tables, subnets):
        yield Finding("network", State.OK, f"{vpc} has a way out")
        return
    endpoints = ec2.describe_vpc_endpoints(Filters=of_vpc)["VpcEndpoints"]
    there = {endpoint["ServiceName"].rpartition(".")[2] for endpoint in endpoints if endpoint["State"] == "available"}
    missing = sorted({"sqs", "secretsmanager", "s3"} - there)
    if missing:
        remedy = "Make endpoints for them (for S3 a gateway, which costs nothing), or a route to a NAT gateway."
        yield Finding("network", State.WRONG, f"{vpc} leads neither out nor to {', '.join(missing)}", remedy)
    else:
        yield Finding("network", State.OK, f"{vpc} has endpoints of SQS, Secrets Manager and S3")


def _all_lead_out(tables: list[dict[str, object]], subnets: list[str]) -> bool:
    """Whether every subnet's table, or the main one where it has none, has a route to everywhere."""
    of_subnet: dict[str, bool] = {}
    main = False
    for table in tables:
        leads_out = "0.0.0.0/0" in json.dumps(table["Routes"], default=str)
        for association in table["Associations"]:  # type: ignore[attr-defined]
            if association.get("Main"):
                main = leads_out
            else:
                of_subnet[association.get("SubnetId", "")] = leads_out
    return all(of_subnet.get(subnet, main) for subnet in subnets)


def _certificates(account: Account) -> Iterator[Finding]:
    if account.is_given("MysqlHost") and account.parameters["MysqlTls"] == "false":
        yield Finding("RDS certificates", State.OK, "not used")
        return
    roots = ssl.create_default_context(cafile=RDS_ROOTS).get_ca_certs()
    ends = [datetime.fromtimestamp(ssl.cert_time_to_seconds(str(root["notAfter"])), UTC) for root in roots]
    days = (min(ends) - datetime.now(UTC)).days
    if days < ROOTS_DAYS_MIN:
        remedy = "Fetch AWS's present bundle into rds_roots.pem: see docs/deploy.md, Prerequisites."
        yield Finding("RDS certificates", State.WRONG, f"the first of the bundle ends in {days} days", remedy)
    else:
        yield Finding("RDS certificates", State.OK, f"{len(roots)} authorities, the first until {min(ends):%Y-%m-%d}")


def _stores(account: Account) -> Iterator[Finding]:
    """What AdminFunction says of its stores, from where the functions run."""
    outputs = pairs_of(describe_stack(account.client, account.stack_name), "Outputs")
    if "AdminFunctionName" not in outputs:
        yield Finding("stores", State.OK, "asked once the stack is deployed")
        return
    answer = account.client("lambda").invoke(
        FunctionName=outputs["AdminFunctionName"], Payload=json.dumps({"action": "check"})
    )
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        remedy = f"sam logs --name AdminFunction --stack-name {account.stack_name} --filter ERROR"
        yield Finding("stores", State.WRONG, str(told.get("errorMessage", told)), remedy)
        return
    for name, state in told.items():
        is_ok = state == "ok"
        yield Finding(name, State.OK if is_ok else State.WRONG, state, "" if is_ok else _REMEDIES[name])


_REMEDIES = {
    "redis": "Mend the network, the secret or maxmemory-policy (noeviction): see docs/deploy.md, Prerequisites.",
    "claim_queue": "Mend the network: the functions need a way to SQS.",
    "mysql": "Mend the network, the secret or MySQL's user: see docs/deploy.md, Prerequisites.",
    "migrations": "Deploy again; the migration is part of it.",
}


def _warm(account: Account) -> Iterator[Finding]:
    outputs = pairs_of(describe_stack(account.client, account.stack_name), "Outputs")
    if account.parameters["WarmInstances"] == "0" or "ApplyFunctionName" not in outputs:
        yield Finding("warm environments", State.OK, "none are asked for")
        return
    try:
        config = account.client("lambda").get_provisioned_concurrency_config(
            FunctionName=outputs["ApplyFunctionName"], Qualifier="live"
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ProvisionedConcurrencyConfigNotFoundException":
            raise
        yield Finding("warm environments", State.OK, "none now; from WarmFrom to WarmUntil there will be")
        return
    there, wanted = (
        config["AllocatedProvisionedConcurrentExecutions"],
        config["RequestedProvisionedConcurrentExecutions"],
    )
    if there < wanted:
        remedy = (
            "Wait some minutes; if it stays so, ask AWS for more concurrent executions, or set WarmInstances lower."
        )
        yield Finding("warm environments", State.WRONG, f"{there} of {wanted} are started", remedy)
    else:
        yield Finding("warm environments", State.OK, f"{there} are started")


CHECKS: list[tuple[str, frozenset[str], Check]] = [
    ("identity", frozenset({"sts"}), _identity),
    ("stack", frozenset({"cloudformation"}), _stack),
    ("Lambda quota", frozenset({"lambda", "cloudformation"}), _concurrency),
    ("zones", frozenset({"ec2"}), _zones),
    ("MySQL class", frozenset({"rds"}), _ledger_class),
    ("Valkey", frozenset({"elasticache"}), _gate_version),
    ("mail", frozenset({"sesv2"}), _mail),
    ("secrets", frozenset({"secretsmanager"}), _secrets),
    ("network", frozenset({"ec2"}), _network),
    ("RDS certificates", frozenset(), _certificates),
    ("warm environments", frozenset({"lambda", "application-autoscaling"}), _warm),
    ("stores", frozenset({"lambda", "cloudformation"}), _stores),
]
"""Each check, what it is about, and the services that it asks."""
