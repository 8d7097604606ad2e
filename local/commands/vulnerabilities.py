"""What pip-audit found in the functions' packages, or that it could not look.

pip-audit ends well where PyPI's vulnerability service does not know a package, or is only a mirror of the packages: it
calls them skipped. That is no answer, so it is said to be none here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

REQUIREMENTS = "layers/dependencies/requirements.txt"
ARGUMENTS = ["--format", "json", "--progress-spinner", "off", "--timeout", "15", "--requirement", REQUIREMENTS]


@dataclass(frozen=True)
class Findings:
    """What to print, and whether it is a reason to stop."""

    lines: list[str]
    is_bad: bool


def judge(output: str) -> Findings:
    """Read pip-audit's standard output; none at all is a service that did not answer."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Findings(["pip-audit: not run: no vulnerability service answered"], is_bad=False)
    bad = [_line(package, found) for package in packages for found in package.get("vulns", [])]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    looked = len(packages) - len(skipped)
    if skipped and not looked:
        return Findings([f"pip-audit: not run: no vulnerability service knows {', '.join(skipped)}"], is_bad=False)
    gaps = [f"pip-audit: not looked at, because no service knows them: {', '.join(skipped)}"] if skipped else []
    return Findings([*bad, *gaps, f"pip-audit: {looked} looked at, {len(bad)} known vulnerabilities"], is_bad=bool(bad))


def _line(package: dict[str, Any], found: dict[str, Any]) -> str:
    mended = ", ".join(found["fix_versions"]) or "nothing yet"
    return f"{package['name']} {package['version']}: {found['id']}, mended in {mended}"
