"""Every single fault at every call of the apply, drain and relay path; the whole suite is `make faults`."""

from collections import Counter

import pytest

from verify.fault_injection import naive, scenarios
from verify.fault_injection.client import APPLY, Client
from verify.fault_injection.faults import Kind
from verify.fault_injection.scenarios import Scenario
from verify.fault_injection.strict_queue import QueueRules
from verify.fault_injection.suite import Tally, singles, tell
from verify.fault_injection.world import QUEUE, Servers, World

UNKIND = QueueRules(visibility_ms=QUEUE.visibility_ms, max_receives=QUEUE.max_receives, duplicate_rate=0.5)


@pytest.mark.parametrize(
    "scenario", [scenarios.RUSH, scenarios.LEFT_BEHIND, scenarios.UNREADABLE], ids=lambda it: it.name
)
def test_every_single_fault_is_survived(world: World, scenario: Scenario) -> None:
    tally = Tally()
    for told in singles(world, scenario):
        assert told.violations == {}, f"{told.fired}"
        tally.add(told)
    assert tally.runs == len(tally.points) + 1
    assert tally.fired == len(tally.points)


def test_every_external_call_of_the_path_is_among_them(world: World) -> None:
    told = tell(world, scenarios.RUSH, {})
    assert {call.function for call in told.calls} == {"client", "apply", "drain", "mapping", "relay"}
    systems = Counter(call.name.split()[0] for call in told.calls)
    assert systems.keys() == {"http", "redis", "sqs", "mysql", "secretsmanager"}
    assert {kind for call in told.calls for kind in call.kinds} == set(Kind)


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda it: it.name)
def test_every_story_ends_well_without_faults_on_an_unkind_queue(world: World, scenario: Scenario) -> None:
    for seed in range(3):
        assert tell(world, scenario, {}, seed, UNKIND).violations == {}


@pytest.mark.parametrize("name", naive.RIVALS)
def test_the_naive_rivals_fail_the_same_suite(servers: Servers, name: str) -> None:
    world = World(servers, naive.handlers_of(naive.RIVALS[name](2)))
    world.rows(naive.MAKE_TABLE)
    world.table, world.has_gate = naive.TABLE, False
    tally = Tally()
    with world.running():
        for told in singles(world, scenarios.NAIVE):
            tally.add(told)
    world.rows(f"DROP TABLE {naive.TABLE}")
    world.close()
    broken = {guarantee for guarantee, count in tally.by_guarantee().items() if count}
    expected = {"count, then insert": {"G1", "G2", "G4", "G6"}, "INCR, send, insert": {"G1", "G2", "G3", "G4"}}
    assert broken >= expected[name]


def test_a_killed_process_does_nothing_any_more(world: World) -> None:
    client = Client(world)
    scenarios.two_coupons(world, client)
    begun = len(world.wire.calls)
    world.wire.ambush = lambda call: Kind.KILLED_BEFORE if call.name == "sqs SendMessage" else None
    assert client.ask_as("alice", "apply", APPLY).status == 0
    assert [call.name for call in world.wire.calls[begun:]][-1] == "sqs SendMessage"
    assert world.environments.count("apply") == 0
    world.wire.ambush = lambda _: None
    world.settle()
    assert [row.user for row in world.issued()] == ["alice"]
    assert world.violations() == {}
