"""The mutator itself: each mutant has one thing wrong, and is still a program."""

import ast

import pytest

from verify.mutation.lua_mutants import lua_mutants
from verify.mutation.mutants import Mutant
from verify.mutation.plan import PACKAGE, ROOT, TARGETS, Target, mutants
from verify.mutation.python_mutants import python_mutants

LUA = """-- Never 1 > 0.
local a, b = KEYS[1], KEYS[2]
if not a and b >= 10 then
  return 'sold_out'
end
redis.call('HSETNX', a,
  'x', b)
return {'done'}
"""

PYTHON = '''"""Never 1 > 0."""

from x import y


def f(a: int, b: str = "ä") -> int:
    """Say 1 < 2."""
    if a < 3 and b in "ä":
        y(a, b)
        return 0
    return -a if a else max(a, 1)
'''


def _changes(made: list[Mutant]) -> set[tuple[int, str]]:
    return {(mutant.line, mutant.new) for mutant in made}


def test_a_scripts_operators_bounds_words_keys_and_statements_are_changed() -> None:
    assert _changes(list(lua_mutants("x.lua", LUA))) == {
        (2, "local b, a = KEYS[1], KEYS[2]"),
        (3, "if a and b >= 10 then"),
        (3, "if not a or b >= 10 then"),
        (3, "if not a and b > 10 then"),
        (3, "if not a and b < 10 then"),
        (3, "if not a and b >= 11 then"),
        (3, "if true then"),
        (3, "if false then"),
        (4, "return 'MUTANT'"),
        (4, "do end"),
        (6, "redis.call('HSET', a,"),
        (6, "do end"),
        (7, "'MUTANT', b)"),
        (8, "return {'MUTANT'}"),
    }


def test_a_modules_behaviour_is_changed_and_nothing_else() -> None:
    assert _changes(list(python_mutants("x.py", PYTHON))) == {
        (6, "def f(a: int, b: str = 'MUTANT') -> int:"),
        (8, "if (a < 3 or b in 'ä'):"),
        (8, "if (a < 3):"),
        (8, "if (b in 'ä'):"),
        (8, 'if (a <= 3) and b in "ä":'),
        (8, 'if (a > 3) and b in "ä":'),
        (8, 'if a < 4 and b in "ä":'),
        (8, "if a < 3 and (b not in 'ä'):"),
        (8, "if a < 3 and b in 'MUTANT':"),
        (9, "y(b, a)"),
        (9, "pass"),
        (10, "return 1"),
        (10, "pass"),
        (11, "return (max(a, 1) if a else -a)"),
        (11, "return a if a else max(a, 1)"),
        (11, "return -a if a else min(a, 1)"),
        (11, "return -a if a else max(a, 2)"),
        (11, "pass"),
    }


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.file)
def test_every_file_has_mutants_that_are_one_change_each(target: Target) -> None:
    made = list(mutants(target))
    source = (PACKAGE / target.file).read_text(encoding="utf-8")
    assert len(made) >= 2
    assert len({mutant.source for mutant in made} | {source}) == len(made) + 1
    assert all((ROOT / test).exists() for test in target.tests)
    if target.file.endswith(".py"):
        for mutant in made[::10]:
            ast.parse(mutant.source)
