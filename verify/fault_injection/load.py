"""Counts what MySQL sees: connections open at a time, and rows written, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from tests.fakes import FakeClock
from verify.fault_injection.faults import Wire
from verify.guarantees import Load


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

    def reading(self, rows_per_second: int, workers: int) -> Load:
        """Return the load so far."""
        connections = {"drain": (self._most.get("drain", 0), workers), "apply": (self._most.get("apply", 0), 0)}
        # A worker that was killed does not wait for the time its rows are worth.
        rows = [] if self.wire.fired else list(self._rows)
        return Load(rows, rows_per_second, workers, connections)
