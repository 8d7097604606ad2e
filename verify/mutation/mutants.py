"""What a mutant is: a source with one small thing wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A changed source.

    Attributes:
        file: the file that is changed, below the layer's package.
        line: the first line that differs.
        old: what stood there, without indentation.
        new: what stands there now.
        source: the whole text with the change.
    """

    file: str
    line: int
    old: str
    new: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others, though lines move."""
        return self.file, self.old, self.new


def replaced(file: str, source: str, start: int, end: int, text: str) -> Mutant:
    """Make the mutant whose source has `text` between the offsets `start` and `end`."""
    changed = source[:start] + text + source[end:]
    first = source.rfind("\n", 0, start) + 1
    if source[first:end].strip().isidentifier():
        # A word alone says little: the line above it tells it from others.
        first = source.rfind("\n", 0, first - 1) + 1
    last = source.find("\n", end)
    last = len(source) if last < 0 else last
    return Mutant(
        file,
        source.count("\n", 0, start) + 1,
        " ".join(source[first:last].split()),
        " ".join(changed[first : last + len(changed) - len(source)].split()),
        changed,
    )
