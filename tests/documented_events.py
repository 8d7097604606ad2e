"""The table of events/README.md: what each event is answered, in the order of the story."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "events"

_ROW = re.compile(r"\| (\w+) \| \[([\w-]+)\.json\]\(\2\.json\) \| `(?:(\d{3}) ?)?({.*})?` \|")


@dataclass(frozen=True)
class Step:
    """One line of the table.

    Attributes:
        status: None for what is not called through the API.
        fields: what the answer says among other things; through the API, its body.
    """

    function: str
    event: str
    status: int | None
    fields: dict[str, Any]

    @property
    def text(self) -> str:
        """The event, as it stands in its file."""
        return (FOLDER / f"{self.event}.json").read_text(encoding="utf-8")


def steps() -> Iterator[Step]:
    """Read the table; every line of it must be understood."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and ".json" in line]
    for row in rows:
        found = _ROW.fullmatch(row)
        assert found, row
        function, event, status, fields = found.groups()
        assert status or fields, row
        yield Step(function, event, int(status) if status else None, json.loads(fields or "{}"))
