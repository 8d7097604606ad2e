"""Values in a processed template, resolved against the stack that was deployed from it, by SAM's own resolver."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from samcli.lib.intrinsic_resolver.intrinsic_property_resolver import IntrinsicResolver
from samcli.lib.intrinsic_resolver.intrinsics_symbol_table import IntrinsicsSymbolTable

from local.services.ministack import REGION, client

FUNCTION = "AWS::Lambda::Function"


class Resolver(IntrinsicResolver):  # type: ignore[misc]
    """SAM's resolver, but for a condition: the branch that is not taken may name resources that do not exist."""

    def handle_fn_if(self, intrinsic_value: list[Any], ignore_errors: bool) -> Any:  # noqa: FBT001 - SAM's signature
        """Resolve the branch that the condition takes."""
        condition, if_true, if_false = intrinsic_value
        holds = self.intrinsic_property_resolver(self._conditions[condition], ignore_errors)
        return self.intrinsic_property_resolver(if_true if holds else if_false, ignore_errors)


@dataclass(frozen=True)
class DeployedTemplate:
    """A stack's processed template, and the physical IDs and values of its names."""

    template: dict[str, Any]
    references: dict[str, str]
    outputs: dict[str, str]
    endpoint_url: str

    def of_type(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """The properties of the deployed resources of one type, by physical ID."""
        return {
            self.references[name]: resource.get("Properties", {})
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == resource_type and name in self.references
        }

    def resolve(self, value: Any) -> Any:
        """`value` with its intrinsic functions replaced by their values."""
        return _present(self._resolver.intrinsic_property_resolver(value, ignore_errors=False))

    @cached_property
    def _resolver(self) -> Resolver:
        functions = client("lambda", self.endpoint_url)
        arns = {
            name: functions.get_function_configuration(FunctionName=self.references[name])["FunctionArn"]
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == FUNCTION and name in self.references
        }
        symbols = {
            name: {"Ref": value, "Arn": arns[name]} if name in arns else value
            for name, value in self.references.items()
        }
        return Resolver(self.template, IntrinsicsSymbolTable(self.template, symbols))


def _present(value: Any) -> Any:
    """`value` without what `AWS::NoValue` leaves out."""
    if isinstance(value, dict):
        return {key: _present(item) for key, item in value.items() if item is not None}
    return [_present(item) for item in value if item is not None] if isinstance(value, list) else value


def deployed_template(stack_name: str, endpoint_url: str) -> DeployedTemplate:
    """The processed template of the stack called `stack_name`."""
    cloudformation = client("cloudformation", endpoint_url)
    body = cloudformation.get_template(StackName=stack_name, TemplateStage="Processed")["TemplateBody"]
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    resources = cloudformation.describe_stack_resources(StackName=stack_name)["StackResources"]
    references = {
        "AWS::Region": REGION,
        "AWS::StackName": stack_name,
        "AWS::StackId": stack["StackId"],
        "AWS::AccountId": stack["StackId"].split(":")[4],
        **{parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack.get("Parameters", [])},
        **{resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources},
    }
    template = json.loads(body) if isinstance(body, str) else body
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return DeployedTemplate(template, references, outputs, endpoint_url)
