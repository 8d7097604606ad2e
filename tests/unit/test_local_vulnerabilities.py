"""pip-audit's answers: a look that did not happen is never taken for a clean one."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.commands.vulnerabilities import ARGUMENTS, REQUIREMENTS, judge

_CLEAN = {"name": "pymysql", "version": "1.2.4", "vulns": []}
_SKIPPED = {"name": "jmespath", "skip_reason": "Dependency not found on PyPI and could not be audited"}
_BAD = {
    "name": "pymysql",
    "version": "1.0.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.2.0", "1.1.9"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


def _output(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_clean_look_says_how_many_it_looked_at() -> None:
    found = judge(_output(_CLEAN, _CLEAN))
    assert found.lines == ["pip-audit: 2 looked at, 0 known vulnerabilities"]
    assert not found.is_bad


def test_each_vulnerability_is_named_and_stops() -> None:
    found = judge(_output(_BAD, _CLEAN))
    assert found.is_bad
    assert found.lines == [
        "pymysql 1.0.0: PYSEC-1, mended in 1.2.0, 1.1.9",
        "pymysql 1.0.0: PYSEC-2, mended in nothing yet",
        "pip-audit: 2 looked at, 2 known vulnerabilities",
    ]


@pytest.mark.parametrize("output", ["", "Traceback (most recent call last):", "[]", "{}", "null"])
def test_no_answer_is_said_to_be_none(output: str) -> None:
    found = judge(output)
    assert found.lines == ["pip-audit: not run: no vulnerability service answered"]
    assert not found.is_bad


def test_a_service_that_knows_no_package_has_not_looked() -> None:
    """A mirror of the packages answers so; pip-audit itself calls it a success."""
    assert judge(_output(_SKIPPED)).lines == ["pip-audit: not run: no vulnerability service knows jmespath"]


def test_a_package_that_was_not_looked_at_is_named() -> None:
    assert judge(_output(_CLEAN, _SKIPPED)).lines == [
        "pip-audit: not looked at, because no service knows them: jmespath",
        "pip-audit: 1 looked at, 0 known vulnerabilities",
    ]


def test_it_looks_at_what_is_shipped(repository: Path) -> None:
    assert ARGUMENTS[-1] == REQUIREMENTS
    assert (repository / REQUIREMENTS).is_file()
