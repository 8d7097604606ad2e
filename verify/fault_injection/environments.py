"""Lambda's execution environments: each function's own clients, kept from call to call and gone when it is killed.

All functions run in one process here, so the caches of the modules that build clients are swapped before each
invocation: what an environment has built is its own, as on AWS.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any
from unittest.mock import patch

from firstcome import bootstrap
from firstcome.adapters import aws
from firstcome.domain.times import Millis
from verify.fault_injection.load import MysqlConnection


@dataclass(frozen=True)
class Builder:
    """A function that builds a client once an environment."""

    module: ModuleType
    name: str

    def fresh(self) -> Callable[..., Any]:
        """Make one that has built nothing yet."""
        return cache(getattr(self.module, self.name).__wrapped__)


BUILDERS = [
    Builder(module, name)
    for module in (bootstrap, aws)
    for name, part in vars(module).items()
    if hasattr(part, "cache_clear")
]


@dataclass
class Environment:
    """One execution environment of one function."""

    function: str
    busy_until: Millis = 0
    connections: list[MysqlConnection] = field(default_factory=list)
    _built: dict[Builder, Callable[..., Any]] = field(
        default_factory=lambda: {builder: builder.fresh() for builder in BUILDERS}
    )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let the modules build and find this environment's clients."""
        with ExitStack() as stack:
            for builder, part in self._built.items():
                stack.enter_context(patch.object(builder.module, builder.name, part))
            yield


@dataclass
class Environments:
    """All environments of all functions."""

    _alive: dict[str, list[Environment]] = field(default_factory=dict)

    def free_one(self, function: str, now: Millis) -> Environment:
        """Return an idle environment of the function, a new one if all are busy."""
        alive = self._alive.setdefault(function, [])
        for environment in alive:
            if environment.busy_until <= now:
                return environment
        alive.append(Environment(function))
        return alive[-1]

    def throw_away(self, environment: Environment) -> None:
        """Forget an environment that was killed; the system closes what its process had open."""
        for connection in environment.connections:
            connection._force_close()
        self._alive[environment.function] = [one for one in self._alive[environment.function] if one is not environment]

    def count(self, function: str) -> int:
        """Return how many environments the function has."""
        return len(self._alive.get(function, ()))


@contextmanager
def environment_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for as long as the context lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                del os.environ[name]
            else:
                os.environ[name] = text
