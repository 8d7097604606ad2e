"""samconfig.toml: the environments a deployment may name."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from local.services.ministack import REGION

_ENVIRONMENTS = ["default", "local", "prod"]


@pytest.fixture
def samconfig(repository: Path) -> dict[str, Any]:
    """The file's content."""
    return tomllib.loads((repository / "samconfig.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("environment", _ENVIRONMENTS)
def test_every_environment_can_be_built_and_deployed(samconfig: dict[str, Any], environment: str) -> None:
    commands = samconfig[environment]
    assert commands["global"]["parameters"]["stack_name"]
    assert "build" in commands
    assert commands["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
    assert commands["deploy"]["parameters"]["fail_on_empty_changeset"] is False
    assert commands["validate"]["parameters"]["lint"] is True


def test_there_are_no_others_and_each_has_a_stack_of_its_own(samconfig: dict[str, Any]) -> None:
    assert samconfig.pop("version") == 0.1
    assert sorted(samconfig) == _ENVIRONMENTS
    names = {environment["global"]["parameters"]["stack_name"] for environment in samconfig.values()}
    assert len(names) == len(_ENVIRONMENTS)


def test_only_the_local_stack_is_changed_without_being_asked(samconfig: dict[str, Any]) -> None:
    asks = {name: samconfig[name]["deploy"]["parameters"]["confirm_changeset"] for name in _ENVIRONMENTS}
    assert asks == {"default": True, "local": False, "prod": True}


def test_only_the_local_stack_is_built_for_the_machine_at_hand(samconfig: dict[str, Any]) -> None:
    overrides = {name: samconfig[name]["build"]["parameters"].get("parameter_overrides") for name in _ENVIRONMENTS}
    assert overrides == {"default": None, "local": "Environment=local LambdaArchitecture=x86_64", "prod": None}


@pytest.mark.parametrize("command", ["local_invoke", "local_start_api"])
def test_functions_in_containers_are_this_machines_and_call_the_local_stacks_region(
    samconfig: dict[str, Any], command: str
) -> None:
    parameters = samconfig["default"][command]["parameters"]
    assert parameters["parameter_overrides"] == "LambdaArchitecture=x86_64"
    assert parameters["region"] == REGION


def test_prod_is_prod_without_a_word_more(samconfig: dict[str, Any]) -> None:
    assert samconfig["prod"]["deploy"]["parameters"]["parameter_overrides"] == "Environment=prod"
