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


@dataclass(frozen=True)
class Target:
    """A file, and the tests that are to notice a change in it, the quickest first."""

    file: str
    tests: tuple[str, ...]


TARGETS = (
    Target("service/drain.py", ("tests/unit/test_drain_handler.py", "tests/unit/test_drain_edges.py")),
    Target("service/rate_limit.py", ("tests/unit/test_pace.py", "tests/unit/test_drain_handler.py")),
    Target("domain/message.py", ("tests/unit/test_message.py",)),
    Target("service/apply.py", ("tests/unit/test_apply_handler.py",)),
    Target("service/relay.py", ("tests/unit/test_relay_handler.py", "tests/unit/test_rebuild.py")),
    Target("service/rebuild.py", ("tests/unit/test_rebuild_edges.py", "tests/unit/test_rebuild.py")),
    Target("adapters/mysql/ledger.py", _LEDGER),
    Target("adapters/mysql/seating.py", _LEDGER),
    *(
        Target(f"adapters/redis/lua/{name}.lua", _GATE)
        for name in (
            "apply",
            "configure",
            "fence",
            "find",
            "mark_issued",
            "reopen",
            "restore",
            "show",
            "state",
            "outbox",
        )
    ),
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
