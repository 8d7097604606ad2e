"""Lambda's execution environments: each function's own clients, kept from call to call and gone when it is killed.

All functions run in one process here, so the caches of the modules that build clients are swapped before each
invocation: what an environment has built is its own, as on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any
from unittest.mock import patch

import firstcome.adapters.mysql.connect
from firstcome import bootstrap
from firstcome.adapters import aws
from firstcome.domain.times import Millis

SHARED = ("client_bootstrap", "_tls_context")
"""awscrt's own thread and its certificates, which keep nothing of an environment."""

BUILDERS = [
    (module, name)
    for module in (bootstrap, aws, firstcome.adapters.mysql.connect)
    for name, part in vars(module).items()
    if hasattr(part, "cache_clear") and part.__module__ == module.__name__ and name not in SHARED
]


@dataclass
class Environment:
    """One execution environment of one function.

    Attributes:
        close: what the system does to the connections that the process had open.
    """

    function: str
    busy_until: Millis = 0
    close: list[Callable[[], object]] = field(default_factory=list)
    _built: dict[tuple[ModuleType, str], Any] = field(
        default_factory=lambda: {(module, name): cache(getattr(module, name).__wrapped__) for module, name in BUILDERS}
    )

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let the modules build and find this environment's clients."""
        with ExitStack() as stack:
            for (module, name), part in self._built.items():
                stack.enter_context(patch.object(module, name, part))
            yield


@dataclass
class Environments:
    """All environments of all functions."""

    _alive: list[Environment] = field(default_factory=list)

    def free_one(self, function: str, now: Millis) -> Environment:
        """Return an idle environment of the function, a new one if all are busy."""
        idle = [one for one in self._alive if one.function == function and one.busy_until <= now]
        if not idle:
            idle = [Environment(function)]
            self._alive += idle
        return idle[0]

    def throw_away(self, environment: Environment) -> None:
        """Forget an environment that was killed."""
        for close in environment.close:
            with suppress(Exception):
                close()
        self._alive.remove(environment)

    def count(self, function: str) -> int:
        """Return how many environments the function has."""
        return sum(one.function == function for one in self._alive)
