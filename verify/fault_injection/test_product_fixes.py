"""Faults that the suite found and the product did not bear, each in its smallest form."""

from typing import Any

import pymysql
import pytest

from firstcome import bootstrap
from verify.fault_injection.faults import Kind
from verify.fault_injection.world import World


@pytest.mark.parametrize("kind", [Kind.FAILED_AFTER, Kind.REFUSED])
def test_a_connection_whose_session_could_not_be_set_up_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """GIVEN a login whose first statement fails, WHEN it is tried again and again, THEN none stays open beside it."""
    opened: list[Any] = []
    connect = pymysql.connect

    def remember(**options: Any) -> Any:
        opened.append(connect(**options))
        return opened[-1]

    monkeypatch.setattr(pymysql, "connect", remember)
    world.wire.ambush = lambda call: kind if call.name == "mysql SET SESSION TRANSACTION" else None
    errors = []
    for _ in range(3):
        with pytest.raises(pymysql.OperationalError) as caught:
            bootstrap.ledger()._connect()
        # Kept, and with it whatever its frames refer to.
        errors.append(caught)
    assert [connection.open for connection in opened] == [False] * 3
