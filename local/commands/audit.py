"""`make audit`: look for what is unsafe in the templates (checkov), the sources (bandit) and the functions' packages
(pip-audit), and for secrets.

Only pip-audit asks anybody on the internet; where nobody answers, it says so. A check that does not apply is skipped
beside its resource, with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from local.commands import vulnerabilities
from local.deployment.state_files import FOLDER
from local.deployment.workspace import Workspace
from local.errors import LocalStackError, run_command
from local.services.processes import ROOT

_PROGRAMS = ROOT / ".local" / "audit" / "bin"
_FOUND = 1

# What is no secret: the alphabet of the coupon codes, and the addresses that say how to write an address.
_NO_SECRETS = ["--exclude-secrets", "^[0-9A-Z]{32}$", "--exclude-lines", "mysql://user:password@host:port/"]
# These two take every digest of a public certificate, and every variable called `password`, for a secret.
_TOO_EAGER = ["--disable-plugin", "HexHighEntropyString", "--disable-plugin", "KeywordDetector"]


def templates() -> list[str]:
    """Every template, the root first."""
    return ["template.yaml", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("infra/*.yaml"))]


def main() -> None:
    """Run them all; leave with 1 if any of them found something."""
    workspace = Workspace(FOLDER / "validate")
    workspace.temporary.mkdir(parents=True, exist_ok=True)
    found = [
        _run(
            "checkov", ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "-f", *templates()]
        ),
        # Low severities are asserts and the like, which ruff's S rules look at, with a reason at each exception.
        _run("bandit", ["--quiet", "-ll", "--recursive", "layers", "functions", "local"]),
        _find_secrets(),
        _find_vulnerabilities(),
    ]
    sys.exit(_FOUND if any(found) else 0)


def _run(program: str, arguments: Sequence[str]) -> bool:
    return subprocess.run([_path(program), *arguments], cwd=ROOT, check=False).returncode != 0


def _find_secrets() -> bool:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    command = [str(_path("detect-secrets")), "scan", "--no-verify", *_TOO_EAGER, *_NO_SECRETS, *files]
    scanned = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    results = json.loads(scanned.stdout)["results"]
    for path, secrets in results.items():
        for secret in secrets:
            print(f"{path}:{secret['line_number']}: {secret['type']}")
    return bool(results)


def _find_vulnerabilities() -> bool:
    command = [str(_path("pip-audit")), *vulnerabilities.ARGUMENTS]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode not in {0, _FOUND}:
        raise LocalStackError("pip-audit did not understand its arguments.")
    findings = vulnerabilities.judge(done.stdout)
    print("\n".join(findings.lines))
    return findings.is_bad


def _path(program: str) -> Path:
    path = _PROGRAMS / program
    if not path.exists():
        raise LocalStackError(f"`{program}` is not installed.", advice="Run `local/install audit`.")
    return path


if __name__ == "__main__":
    run_command(main)
