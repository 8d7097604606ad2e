"""`make doctor`: say in one table what of an account, or of the local stack, fits the stack and what does not.

ENV is dev or prod, or local for the stack of `make up`; PARAMS are the template's parameters as `make deploy`
takes them.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import NoCredentialsError
from rich import box
from rich.console import Console
from rich.table import Table

from local.deployment.account import Account, all_parameters, describe_stack, pairs_of, parse_parameters
from local.deployment.addresses import Stack
from local.deployment.doctor import Finding, State, examine
from local.deployment.state_files import ADDRESSES, require_stack
from local.errors import LocalStackError, run_command
from local.services.ministack import client as local_client
from local.services.processes import ROOT

CONFIGURATIONS = {"dev": "default", "prod": "prod", "local": "local"}
"""The section of samconfig.toml for each environment."""
_COLOURS = {State.OK: "green", State.ADVICE: "yellow", State.WRONG: "red", State.NOT_ASKED: "dim"}


def main() -> None:
    """Examine the account; leave with 1 if something is wrong."""
    account = account_of(os.environ.get("ENV") or "dev", parse_parameters(os.environ.get("PARAMS", "")))
    findings = examine(account)
    show(findings)
    sys.exit(any(finding.state is State.WRONG for finding in findings))


def account_of(environment: str, given: dict[str, str]) -> Account:
    """The account that an environment is deployed to, with the parameters as a deployment would take them."""
    if environment not in CONFIGURATIONS:
        raise LocalStackError(f"ENV must be one of {', '.join(CONFIGURATIONS)}.")
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))[CONFIGURATIONS[environment]]
    stack_name = settings["global"]["parameters"]["stack_name"]
    client, region = _local_endpoint() if environment == "local" else _cloud()
    try:
        deployed = pairs_of(describe_stack(client, stack_name), "Parameters")
    except NoCredentialsError:
        # The first check says so.
        deployed = {}
    parameters = all_parameters({"Environment": environment, **given}, deployed)
    return Account(client, region, stack_name, environment == "local", parameters)


def _local_endpoint() -> tuple[Callable[[str], Any], str]:
    require_stack()
    stack = Stack.load(ADDRESSES)
    return lambda service: local_client(service, stack.aws_endpoint_url), stack.region


def _cloud() -> tuple[Callable[[str], Any], str]:
    # boto3 itself reads AWS_DEFAULT_REGION only.
    session: Any = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if not session.region_name:
        raise LocalStackError("No region is set.", advice="Set AWS_REGION, or run `aws configure`.")
    return session.client, session.region_name


def show(findings: list[Finding]) -> None:
    """Print the table."""
    table = Table(box=box.SIMPLE)
    for heading in ("", "", "", "What to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.state]
        table.add_row(finding.subject, f"[{colour}]{finding.state}[/]", finding.detail, finding.remedy)
    Console(soft_wrap=False).print(table)


if __name__ == "__main__":
    run_command(main)
