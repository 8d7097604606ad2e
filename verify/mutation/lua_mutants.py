"""Mutants of a Lua script: dropped statements, swapped operators and keys, bounds off by one, other commands, words."""

import re
from collections.abc import Iterator

from verify.mutation.mutants import Mutant, replaced

_TOKEN = re.compile(r"--[^\n]*|'[^']*'|[^'-]+|-")
"""Comments, texts, and what lies between."""

_OPERATORS = {
    ">=": [">", "<"],
    "<=": ["<", ">"],
    ">": [">=", "<"],
    "<": ["<=", ">"],
    "==": ["~="],
    "~=": ["=="],
    "and": ["or"],
    "or": ["and"],
    "not": [""],
    "+": ["-"],
    "-": ["+"],
    "*": ["/"],
    "/": ["*"],
}
_OPERATOR = re.compile(r"(?<=\s)(>=|<=|==|~=|>|<|and|or|not|\+|-|\*|/)(?=\s)")
# An index is not a bound: swapped names stand for those.
_NUMBER = re.compile(r"(?<![\w.\[])\d+(?!\w)")
_BOUND = re.compile(r"math\.(max|min)\b")
_COMMANDS = {"HSETNX": "HSET", "SETNX": "SET", "HSET": "HSETNX", "SET": "SETNX", "LPOP": "RPOP", "INCR": "GET"}
_CONDITION = re.compile(r"^ *if (?P<condition>.*) then$", re.MULTILINE)
_LOOP = re.compile(r"^ *for .* do$")


def lua_mutants(file: str, source: str) -> Iterator[Mutant]:
    """Return all mutants of a script."""
    yield from _with_other_tokens(file, source)
    yield from _with_other_conditions(file, source)
    yield from _with_swapped_names(file, source)
    yield from _without_statements(file, source)


def _with_other_tokens(file: str, source: str) -> Iterator[Mutant]:
    for token in _TOKEN.finditer(source):
        if token[0].startswith("'"):
            yield from _with_another_word(file, source, token)
        elif not token[0].startswith("--"):
            yield from _with_another_operator(file, source, token)
            yield from _with_another_number(file, source, token)


def _with_another_word(file: str, source: str, token: re.Match[str]) -> Iterator[Mutant]:
    word = token[0][1:-1]
    # No server knows a made-up command: every test would notice that.
    if word in _COMMANDS or not source[: token.start()].endswith("redis.call("):
        yield replaced(file, source, *token.span(), f"'{_COMMANDS.get(word, 'MUTANT')}'")


def _with_another_operator(file: str, source: str, token: re.Match[str]) -> Iterator[Mutant]:
    # The space before or behind an operator may be the last of a text's neighbours.
    for found in _OPERATOR.finditer(source, token.start(), token.end() + 1):
        for other in _OPERATORS[found[0]]:
            yield replaced(file, source, *found.span(), other)
    for found in _BOUND.finditer(source, *token.span()):
        yield replaced(file, source, *found.span(1), "min" if found[1] == "max" else "max")


def _with_another_number(file: str, source: str, token: re.Match[str]) -> Iterator[Mutant]:
    for found in _NUMBER.finditer(source, *token.span()):
        line = source[source.rfind("\n", 0, found.start()) + 1 :].splitlines()[0]
        # A loop whose step is nothing would hold Redis for ever.
        if not _LOOP.match(line) or found[0] != "0":
            yield replaced(file, source, *found.span(), str(int(found[0]) + 1))


def _with_other_conditions(file: str, source: str) -> Iterator[Mutant]:
    for found in _CONDITION.finditer(source):
        for word in ("true", "false"):
            yield replaced(file, source, *found.span("condition"), word)


def _with_swapped_names(file: str, source: str) -> Iterator[Mutant]:
    """Swap each two names that stand side by side for KEYS, ARGV or fields."""
    for found in re.finditer(r"^ *local (\w+(?:, \w+)+) =", source, re.MULTILINE):
        names = found[1].split(", ")
        for number in range(len(names) - 1):
            swapped = [*names[:number], names[number + 1], names[number], *names[number + 2 :]]
            yield replaced(file, source, *found.span(1), ", ".join(swapped))


def _without_statements(file: str, source: str) -> Iterator[Mutant]:
    """Drop each statement that may be dropped without a syntax error: writes, assignments, early returns."""
    lines = source.splitlines(keepends=True)
    offset = 0
    for number, line in enumerate(lines):
        if re.match(r" *(redis\.call|claim = |outcome = |found\[|return )", line) and number < len(lines) - 1:
            end = offset + len(line)
            following = number
            while lines[following].rstrip().endswith((",", "{")) and following < len(lines) - 1:
                following += 1
                end += len(lines[following])
            indentation = len(line) - len(line.lstrip())
            yield replaced(file, source, offset + indentation, end - 1, "do end")
        offset += len(line)
