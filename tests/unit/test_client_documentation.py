"""docs/client.md says what to do after each answer that docs/openapi.yaml has."""

import ast
import re
from pathlib import Path

import pytest

from tests.unit import documentation

_APPLY = "POST /campaigns/{campaign_id}/coupons"
_ABOUT_THE_REQUEST = {400, 403, 413, 422}
"""Not to be repeated, whatever their code is."""


@pytest.fixture
def text(repository: Path) -> str:
    """The document."""
    return (repository / "docs" / "client.md").read_text(encoding="utf-8")


def _rules(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("| "))


def test_each_answer_to_an_application_has_a_rule(text: str) -> None:
    rules = _rules(text)
    for status in documentation.responses(_APPLY):
        assert re.search(rf"\b{status}\b", rules), status


def test_each_code_that_a_client_decides_by_has_a_rule(text: str) -> None:
    rules = _rules(text)
    for route, operation in documentation.operations().items():
        if operation["tags"] == ["Pages"]:
            continue
        for status, codes in documentation.codes(route).items():
            for code in codes if status not in _ABOUT_THE_REQUEST else ():
                assert f"`{code}`" in rules, (route, code)


def test_its_code_is_python_and_uses_what_a_client_is_generated_with(text: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        imported = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
        assert "firstcome_client.api.users" in {node.module for node in imported}
        assert "apply_for_coupon" in block
    assert documentation.operations()[_APPLY]["operationId"] == "applyForCoupon"
