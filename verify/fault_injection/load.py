"""Counts what MySQL sees: connections open at a time, and rows written, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from tests.fakes import FakeClock
from verify.fault_injection.checker import Load
from verify.fault_injection.faults import Wire


class MysqlConnection(Protocol):
    """A connection as PyMySQL has it."""

    @property
    def open(self) -> bool:
        """Whether it is."""

    def _force_close(self) -> None:
        """Close the socket, as the system does when a process ends."""


@dataclass
class LoadMeter:
    """Reads the load of one run."""

    wire: Wire
    clock: FakeClock
    _open: dict[str, list[MysqlConnection]] = field(default_factory=dict)
    _most: dict[str, int] = field(default_factory=dict)
    _rows: list[tuple[int, int]] = field(default_factory=list)

    def begin(self) -> None:
        """Forget the run before."""
        self._open, self._most, self._rows = {}, {}, []

    def opened(self, connection: MysqlConnection) -> None:
        """Note a connection of the function at work."""
        function = self.wire.function
        alive = [other for other in self._open.get(function, []) if other.open]
        self._open[function] = [*alive, connection]
        self._most[function] = max(self._most.get(function, 0), len(self._open[function]))

    def is_connected(self, function: str) -> bool:
        """Whether the function has a connection open."""
        return any(connection.open for connection in self._open.get(function, ()))

    def committed(self, rows: int) -> None:
        """Note coupon rows that a commit wrote."""
        if rows:
            self._rows.append((self.clock.now(), rows))

    def reading(self) -> Load:
        """Return the load so far."""
        return Load(self._most.get("drain", 0), self._most.get("apply", 0), list(self._rows))
