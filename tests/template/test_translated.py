"""The template as CloudFormation gets it: SAM's own translation, without a look at AWS, adds no right to a function."""

import copy
from functools import cache
from typing import Any

import pytest
from samtranslator.translator.transform import transform

from tests.template.cloudformation import FUNCTIONS, template
from tests.template.forms import GIVEN, Form

_PROD = {"Environment": "prod"}
_FORMS = [{}, _PROD, GIVEN, GIVEN | _PROD]


class _NoManagedPolicies:
    """AWS's list of its managed policies, which nobody should have to ask for."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def _translated(environment: str) -> dict[str, Any]:
    document = copy.deepcopy(template())
    for resource in document["Resources"].values():
        # As `sam package` would leave them.
        for code in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            resource["Properties"][code] = "s3://bucket/key"
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        translated: dict[str, Any] = transform(document, {"Environment": environment}, _NoManagedPolicies())
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
    assert managed <= {"CodeDeployServiceRole"}
    assert roles.keys() - {f"{function}Role" for function in FUNCTIONS} - managed == {"RelayFunctionEveryMinuteRole"}


def test_the_schedule_may_start_the_relay_and_nothing_else() -> None:
    (policy,) = _Translated().resources["RelayFunctionEveryMinuteRole"]["Properties"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Action": "lambda:InvokeFunction",
        "Effect": "Allow",
        "Resource": {"Fn::GetAtt": ["RelayFunction", "Arn"]},
    }
