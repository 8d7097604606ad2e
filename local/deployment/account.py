"""An AWS account, or the local endpoint, as a deployment meets it: its clients, and the parameters of the stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse

from local.errors import LocalStackError
from local.services.processes import ROOT

LOCAL_SERVICES = frozenset({"sts", "lambda", "secretsmanager", "cloudformation"})
"""What the local endpoint answers truthfully; of the rest it makes something up, or nothing."""


@dataclass(frozen=True)
class Account:
    """Where the stack is to be, and how.

    Attributes:
        client: makes a client of a service.
        is_local: whether it is the endpoint of this machine.
        parameters: of the template, every one.
    """

    client: Callable[[str], Any]
    region: str
    stack_name: str
    is_local: bool
    parameters: Mapping[str, str]

    def is_given(self, *names: str) -> bool:
        """Whether any of these parameters has a value."""
        return any(self.parameters[name] for name in names)

    def listed(self, name: str) -> list[str]:
        """The members of a parameter that is a list."""
        return [member for member in self.parameters[name].split(",") if member]

    def size(self, name: str, parameter: str = "") -> str:
        """What the parameter says, or else the environment's size of that name."""
        given = self.parameters[parameter] if parameter else ""
        return given or str(template()["Mappings"]["Sizes"][self.parameters["Environment"]][name])


def template() -> dict[str, Any]:
    """The template, with its short forms read as their long ones."""
    read: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return read


def parse_parameters(text: str) -> dict[str, str]:
    """Parameters as make's PARAMS has them: `DrainConcurrency=4 AlarmEmail=you@example.com`."""
    pairs = [pair.partition("=") for pair in text.split()]
    if not all(equals for _, equals, _ in pairs):
        raise LocalStackError("PARAMS must be a list of NAME=VALUE, separated by spaces.")
    given = {name: value for name, _, value in pairs}
    unknown = sorted(given.keys() - template()["Parameters"].keys())
    if unknown:
        # SAM drops these without a word.
        raise LocalStackError(f"The template has no parameter called {', '.join(unknown)}.")
    return given


def all_parameters(given: Mapping[str, str], deployed: Mapping[str, str]) -> dict[str, str]:
    """Every parameter as `sam deploy` would take it: what is given, else as it is deployed, else its default."""
    defaults = {name: str(declared.get("Default", "")) for name, declared in template()["Parameters"].items()}
    return {**defaults, **deployed, **given}


def describe_stack(client: Callable[[str], Any], stack_name: str) -> dict[str, Any] | None:
    """The stack as CloudFormation describes it, if there is one."""
    try:
        described: dict[str, Any] = client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    return described


def pairs_of(stack: Mapping[str, Any] | None, kind: str) -> dict[str, str]:
    """The Outputs or the Parameters of a described stack."""
    key = kind.removesuffix("s")
    return {pair[f"{key}Key"]: pair[f"{key}Value"] for pair in (stack or {}).get(kind, [])}
