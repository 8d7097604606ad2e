"""`make deploy ENV=dev|prod`: look at the account, build, deploy, and look once more, from where the functions run.

PARAMS are the template's parameters: `PARAMS="AlarmEmail=you@example.com DrainRowsPerSecond=200"`. Those that are not
named stay as they are deployed. TAGS, such as `TAGS="team=shop cost=42"`, are given to every resource. SAM shows the
change set and asks before it changes anything.
"""

from __future__ import annotations

import os
import subprocess
import sys

from local.commands.doctor import CONFIGURATIONS, account_of, show
from local.deployment.account import Account, parse_parameters, template
from local.deployment.doctor import State, examine
from local.errors import LocalStackError, run_command
from local.services.processes import ROOT
from local.services.programs import find_program

STACK_POLICY = (ROOT / "infra" / "stack_policy.json").read_text(encoding="utf-8")
CLOUD = ("dev", "prod")


def main() -> None:
    """Deploy; leave with 1 if the account does not fit, or the stack does not work afterwards."""
    environment = os.environ.get("ENV", "")
    if environment not in CLOUD:
        raise LocalStackError("ENV must be dev or prod.", advice="For this machine there is `make up`.")
    given = parse_parameters(os.environ.get("PARAMS", ""))
    account = account_of(environment, given)
    refuse_small_prod(account, environment)
    _require_health(account)
    overrides = [f"{name}={value}" for name, value in {"Environment": environment, **given}.items()]
    tags = os.environ.get("TAGS", "").split()
    options_of_deploy = ["--parameter-overrides", *overrides, *(["--tags", *tags] if tags else [])]
    for action, options in (("build", []), ("deploy", options_of_deploy)):
        command = [find_program("sam"), action, "--config-env", CONFIGURATIONS[environment], *options]
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode:
            sys.exit(done.returncode)
    if environment == "prod":
        protect(account)
    _require_health(account_of(environment, given))


def refuse_small_prod(account: Account, environment: str) -> None:
    """Raise `LocalStackError` for a prod that is no prod, or has a part of dev's size."""
    if account.parameters["Environment"] != environment:
        raise LocalStackError(f"ENV={environment} does not go with Environment={account.parameters['Environment']}.")
    dev = template()["Mappings"]["Sizes"]["dev"]
    if environment == "prod":
        for size, parameter in (("GateNodeType", "GateNodeType"), ("LedgerClass", "LedgerInstanceClass")):
            if account.size(size, parameter) == dev[size]:
                text = f"{parameter}={dev[size]} is a size for development: prod is not deployed with it."
                raise LocalStackError(text, advice=f"Leave {parameter} out, or name a larger one.")


def protect(account: Account) -> None:
    """Refuse, from now on, to delete the stack, and to replace or remove what holds data."""
    cloudformation = account.client("cloudformation")
    cloudformation.update_termination_protection(StackName=account.stack_name, EnableTerminationProtection=True)
    resources = cloudformation.describe_stack_resources(StackName=account.stack_name)["StackResources"]
    nested = [
        found["PhysicalResourceId"] for found in resources if found["ResourceType"] == "AWS::CloudFormation::Stack"
    ]
    for stack in (account.stack_name, *nested):
        cloudformation.set_stack_policy(StackName=stack, StackPolicyBody=STACK_POLICY)


def _require_health(account: Account) -> None:
    findings = examine(account)
    show(findings)
    if any(finding.state is State.WRONG for finding in findings):
        raise LocalStackError("The account or the stack is not as it must be: see the table.")


if __name__ == "__main__":
    run_command(main)
