"""`make bench`: measures, prints tables, and writes `.local/bench/result.json` and `report.html`.

`make bench PARTS="rivals drain"` runs some parts only; the result then holds their figures and no others.
QUICK=1 runs everything at a tenth of the size, to see that it works: its figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from bench.harness.machine import describe_machine, load
from bench.harness.numbers import is_quick
from bench.harness.part import Part
from bench.harness.result import a_console, figures_table, shown_table, to_result
from bench.harness.servers import FOLDER
from bench.parts import PARTS
from local.errors import run_command
from local.progress import Progress
from local.services.processes import ROOT


def main(names: Sequence[str]) -> None:
    """Run the parts and publish what they found."""
    from bench.harness.report import write_report  # noqa: PLC0415 - the tests do not need matplotlib

    FOLDER.mkdir(parents=True, exist_ok=True)
    result_path, report_path = FOLDER / "result.json", FOLDER / "report.html"
    for outdated in (result_path, report_path):
        outdated.unlink(missing_ok=True)
    machine = describe_machine() | ({"quick": "a trial run: the figures say nothing"} if is_quick() else {})
    parts: dict[str, Part] = {}
    progress = Progress()
    for name in names:
        with progress.step(f"Measuring: {name}"):
            parts[name] = PARTS[name]()
    result = to_result(parts, machine | {"load_at_end": load()})
    result_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console = a_console(record=True)
    tables = [table for part in parts.values() for table in part.tables]
    for table in (*tables, figures_table(result["figures"])):
        console.print(shown_table(table))
    write_report(report_path, console, [chart for part in parts.values() for chart in part.charts])
    print(f"\n  {report_path.relative_to(ROOT)} has the plots, {result_path.relative_to(ROOT)} the numbers.")


def parse(arguments: Sequence[str]) -> list[str]:
    """The parts to run, in their own order; all when none is named."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named")
    named = parser.parse_args(arguments).parts
    unknown = [name for name in named if name not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return [name for name in PARTS if name in named or not named]


if __name__ == "__main__":
    chosen = parse(sys.argv[1:])
    run_command(lambda: main(chosen))
