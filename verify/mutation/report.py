"""What the run of all mutants found."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verify.mutation.mutants import Mutant

GOAL = 0.95
_EXPLANATIONS = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class Report:
    """Mutants, and those that no test noticed.

    Attributes:
        explained: survivors that behave like the original, each with its reason in survivors.toml.
        survived: the other survivors.
        stale: explanations of mutants that do not survive any more.
    """

    mutants: int
    survived: Sequence[Mutant]
    explained: Sequence[Mutant]
    stale: Sequence[tuple[str, str, str]]
    seconds: float

    @property
    def killed(self) -> int:
        """Mutants that a test noticed."""
        return self.mutants - len(self.survived) - len(self.explained)

    @property
    def score(self) -> float:
        """Share of the mutants killed, of those that can be."""
        return self.killed / max(1, self.mutants - len(self.explained))

    @property
    def is_good(self) -> bool:
        """Whether the goal is met, and every explanation is of use."""
        return self.score >= GOAL and not self.stale

    def lines(self) -> list[str]:
        """Say it to a person."""
        survivors = [
            f"survived  {mutant.file}:{mutant.line}\n  - {mutant.old}\n  + {mutant.new}" for mutant in self.survived
        ]
        stale = [f"explained, but does not survive: {file}\n  - {old}\n  + {new}" for file, old, new in self.stale]
        summary = (
            f"{self.mutants} mutants: {self.killed} killed, {len(self.survived)} survived, "
            f"{len(self.explained)} explained; score {self.score:.1%} in {self.seconds:.0f} s"
        )
        return [*survivors, *stale, summary]

    def write(self, path: Path) -> None:
        """Write it down for a program."""
        counts = {
            "mutants": self.mutants,
            "killed": self.killed,
            "survived": len(self.survived),
            "explained": len(self.explained),
            "score": round(self.score, 4),
            "seconds": round(self.seconds, 1),
            "survivors": [
                {"file": mutant.file, "line": mutant.line, "old": mutant.old, "new": mutant.new}
                for mutant in self.survived
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")


def explanations(path: Path = _EXPLANATIONS) -> dict[tuple[str, str, str], str]:
    """Read why some mutants cannot be noticed."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    return {(entry["file"], entry["old"], entry["new"]): entry["reason"] for entry in entries}


def make_report(mutants: Sequence[Mutant], survivors: Sequence[Mutant], seconds: float) -> Report:
    """Part the survivors into those explained and the others."""
    unused = explanations()
    survived: list[Mutant] = []
    explained: list[Mutant] = []
    for mutant in survivors:
        # One reason is for one mutant, though another line may read the same.
        (explained if unused.pop(mutant.key, None) else survived).append(mutant)
    files = {mutant.file for mutant in mutants}
    return Report(len(mutants), survived, explained, [key for key in unused if key[0] in files], seconds)
