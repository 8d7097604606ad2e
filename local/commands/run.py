"""`make run`: a rush on this machine, from an empty stack to a checked result.

The environment variables CAPACITY, USERS and CONCURRENCY change it; FAULT=flushall wipes Redis in its middle.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from local.deployment.stack import running_stack
from local.deployment.workspace import Workspace
from local.errors import LocalStackError, run_command
from local.progress import Progress
from local.services.processes import ROOT
from verify.rush.flushed_rush import FAULT, run_flushed_rush
from verify.rush.result import Plan, describe, summarise
from verify.rush.rush import Files, Site, prepare_rush, run_rush

MOST_DIGITS = 12
DIRECTORY = ROOT / ".local" / "run"


@dataclass(frozen=True)
class Setting:
    """A number that the environment may set."""

    name: str
    default: int
    largest: int

    def read(self, environment: Mapping[str, str]) -> int:
        """The number to use; unset and empty mean the default."""
        text = environment.get(self.name, "").strip()
        if not text:
            return self.default
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0
        if not 1 <= number <= self.largest:
            raise LocalStackError(f"{self.name}={text[:40]}: give a whole number from 1 to {self.largest:,}.")
        return number


CAPACITY = Setting("CAPACITY", 100, 10_000_000)
USERS = Setting("USERS", 2_000, 100_000)
# Each one asking at the same time is a Lambda worker process on this machine.
CONCURRENCY = Setting("CONCURRENCY", 8, 50)


def read_plan(environment: Mapping[str, str]) -> Plan:
    """The rush that the environment asks for."""
    return Plan(CAPACITY.read(environment), USERS.read(environment), CONCURRENCY.read(environment))


def read_fault(environment: Mapping[str, str]) -> bool:
    """Whether to wipe Redis in the middle of the rush."""
    text = environment.get("FAULT", "").strip()
    if text not in ("", FAULT):
        raise LocalStackError(f"FAULT={text[:40]}: the only fault is {FAULT}.")
    return bool(text)


def main() -> None:
    """Run the rush, and leave with 0 only if everything holds."""
    plan = read_plan(os.environ)
    send_rush = run_flushed_rush if read_fault(os.environ) else run_rush
    files, result_path = Files(DIRECTORY / "answers.jsonl", DIRECTORY / "report.html"), DIRECTORY / "result.json"
    for outdated in (files.answers, files.report, result_path):
        outdated.unlink(missing_ok=True)
    progress = Progress()
    with running_stack(DIRECTORY, progress) as stack:
        site = Site(stack, Workspace(DIRECTORY))
        with progress.step("Opening a campaign and starting the functions' workers"):
            campaign = prepare_rush(site, plan)
        outcome = send_rush(site, plan, campaign, files, progress)
    result = summarise(outcome)
    result_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(describe(result, outcome.verdict))
    print(f"\n  {files.report.relative_to(ROOT)} has the plots, {result_path.relative_to(ROOT)} the numbers.")
    sys.exit(not result["holds"])


if __name__ == "__main__":
    run_command(main)
