"""Values in a processed template, resolved against the stack that was deployed from it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from local.errors import LocalStackError
from local.services.ministack import REGION, client

NO_VALUE = object()
"""What `AWS::NoValue` comes to: a property with it is not there."""

PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


@dataclass(frozen=True)
class DeployedTemplate:
    """A stack's processed template and what its names stand for."""

    resources: dict[str, dict[str, Any]]
    conditions: dict[str, Any]
    references: dict[str, str]
    outputs: dict[str, str]
    endpoint_url: str

    def of_type(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """The properties of the deployed resources of one type, by physical ID."""
        return {
            self.references[name]: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == resource_type and name in self.references
        }

    def resolve(self, value: Any) -> Any:
        """`value` with its intrinsic functions replaced by what they stand for."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item != NO_VALUE}

    def _call(self, function: str, argument: Any) -> Any:
        match function, argument:
            case "Ref", "AWS::NoValue":
                return NO_VALUE
            case "Fn::Split", [str(separator), text]:
                return self.resolve(text).split(separator)
            case "Ref", str(name):
                return self._reference(name)
            case "Fn::GetAtt", [str(name), str(attribute)]:
                return self._reference(f"{name}.{attribute}")
            case "Fn::Sub", str(text):
                return PLACEHOLDER.sub(lambda match: self._reference(match[1]), text)
            case "Fn::If", [str(condition), if_true, if_false]:
                return self.resolve(if_true if self._holds(self.conditions[condition]) else if_false)
        raise LocalStackError(f"The local launcher cannot resolve `{function}` in an API or a function's limits.")

    def _holds(self, condition: Any) -> bool:
        match list(condition.items()):
            case [("Fn::Equals", [left, right])]:
                return str(self.resolve(left)) == str(self.resolve(right))
            case [("Fn::Not", [negated])]:
                return not self._holds(negated)
        raise LocalStackError("The local launcher cannot resolve this condition of an API or a function's limits.")

    def _reference(self, name: str) -> str:
        resource, _, attribute = name.partition(".")
        if attribute == "Arn" and self.resources.get(resource, {}).get("Type") == "AWS::Lambda::Function":
            functions = client("lambda", self.endpoint_url)
            return str(functions.get_function_configuration(FunctionName=self.references[resource])["FunctionArn"])
        if name not in self.references:
            raise LocalStackError(f"The local launcher cannot resolve `{name}` in the processed template.")
        return self.references[name]


def deployed_template(stack_name: str, endpoint_url: str) -> DeployedTemplate:
    """The processed template of the stack called `stack_name`."""
    cloudformation = client("cloudformation", endpoint_url)
    body = cloudformation.get_template(StackName=stack_name, TemplateStage="Processed")["TemplateBody"]
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    resources = cloudformation.describe_stack_resources(StackName=stack_name)["StackResources"]
    references = {
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack_name,
        "AWS::StackId": stack["StackId"],
        "AWS::AccountId": stack["StackId"].split(":")[4],
        **{parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack.get("Parameters", [])},
        **{resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources},
    }
    template = json.loads(body) if isinstance(body, str) else body
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return DeployedTemplate(template["Resources"], template.get("Conditions", {}), references, outputs, endpoint_url)
