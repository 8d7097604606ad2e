"""What is mutated, and which tests must notice."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verify.mutation.lua_mutants import lua_mutants
from verify.mutation.mutants import Mutant
from verify.mutation.python_mutants import python_mutants

ROOT = Path(__file__).resolve().parents[2]
LAYER = Path("layers/firstcome/python")
PACKAGE = ROOT / LAYER / "firstcome"

_GATE = (
    "tests/integration/test_gate_edges.py",
    "tests/contract/test_gate.py",
    "tests/integration/test_redis_gate.py",
    "tests/property/test_gate_machine.py",
)
_LEDGER = (
    "tests/contract/test_ledger.py",
    "tests/integration/test_mysql_ledger.py",
    "tests/integration/test_ledger_edges.py",
    "tests/integration/test_campaign_lock.py",
    "tests/property/test_ledger_machine.py",
)
_HEALING = ("tests/unit/test_relay_handler.py", "tests/unit/test_rebuild.py", "tests/unit/test_reconcile.py")
_DRAIN = ("tests/unit/test_pace.py", "tests/unit/test_drain_handler.py", "tests/unit/test_drain_edges.py")


@dataclass(frozen=True)
class Target:
    """A file below the package, and the tests that are to notice a change in it, the quickest first."""

    file: str
    tests: tuple[str, ...]


def _scripts() -> Iterator[str]:
    return (f"adapters/redis/lua/{path.name}" for path in sorted((PACKAGE / "adapters/redis/lua").glob("*.lua")))


TARGETS = (
    Target("domain/message.py", ("tests/unit/test_message.py",)),
    Target("service/apply.py", ("tests/unit/test_apply_handler.py",)),
    Target("service/drain.py", _DRAIN),
    Target("service/rate_limit.py", (*_DRAIN, *_HEALING)),
    *(Target(f"service/{name}.py", _HEALING) for name in ("relay", "rebuild", "reconcile")),
    Target("adapters/mysql/ledger.py", _LEDGER),
    Target("adapters/mysql/seating.py", _LEDGER),
    *(Target(script, _GATE) for script in _scripts()),
)


def mutants(target: Target) -> Iterator[Mutant]:
    """Return the mutants of a file, each once."""
    source = (PACKAGE / target.file).read_text(encoding="utf-8")
    make = lua_mutants if target.file.endswith(".lua") else python_mutants
    seen: set[str] = {source}
    for mutant in make(target.file, source):
        if mutant.source not in seen:
            seen.add(mutant.source)
            yield mutant
