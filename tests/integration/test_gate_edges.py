"""The scripts by themselves: what each replies word for word, and what it does to the millisecond."""

from typing import Any

import pytest

from firstcome.adapters.redis.gate import GateKeys
from firstcome.adapters.redis.scripts import script
from firstcome.domain.refusal import SoldOut
from firstcome.service.sold_out import SoldOutMemory
from tests.conftest import RedisTestServer
from tests.fakes import FakeClock

NOW = 1_795_000_000_999
CLAIM = f"1:CODE:{NOW}"

_STOPPED_CLOCK = """
local real = redis
local redis = {
  call = function(name, ...)
    if name == 'TIME' then return {'%d', '%d'} end
    return real.call(name, ...)
  end,
  status_reply = real.status_reply,
  sha1hex = real.sha1hex,
}
"""


CONFIGURE = "campaign accepted winners"
HOLD = 600


class Scripts:
    """The scripts of one campaign, with the clock stopped."""

    def __init__(self, server: RedisTestServer) -> None:
        self.client = server.client
        self.keys = GateKeys("demo")
        self.now = NOW
        self.acks = 0
        self.remember = 0

    def run(self, name: str, keys: str, *arguments: str | int) -> Any:
        """Run a script; `keys` names the keys it takes. The clock stands just before the next millisecond."""
        names = [getattr(self.keys, key) for key in keys.split()]
        clock = _STOPPED_CLOCK % (self.now // 1000, self.now % 1000 * 1000 + 998)
        command: tuple[str | int, ...] = ("EVAL", clock + script(name).source, len(names), *names, *arguments)
        return self.client.execute_command(*command)

    def create(self, *, capacity: int = 9, opens_at: int = NOW, closes_at: int = NOW + 1, state: str = "active") -> Any:
        return self.run("configure", CONFIGURE, "demo", capacity, opens_at, closes_at, state, "create", HOLD, "server")

    def apply(self, user: str = "ann", run_id: str = "server") -> Any:
        names = "campaign accepted claims outbox issued free winners"
        return self.run("apply", names, user, "CODE", self.acks, self.remember, run_id)

    def find(self, run_id: str = "server") -> Any:
        return self.run("find", "campaign claims outbox issued", "ann", self.acks, run_id)

    def mark_issued(self, *pairs: str) -> Any:
        return self.run("mark_issued", "campaign accepted claims issued", *pairs)

    def fence(self, run_id: str = "server") -> Any:
        return self.run("fence", "campaign accepted fenced_at fenced_on", run_id)

    def reopen(self, highest: int, *free: int, restored_on: str = "server", since: int = NOW) -> Any:
        keys = "campaign accepted fenced_at fenced_on free"
        settings = ("demo", 9, 1, 2, "paused")
        return self.run("reopen", keys, *settings, highest, restored_on, since, *free, "server")

    def everything(self) -> dict[Any, Any]:
        return {key: self.client.dump(key) for key in self.client.keys("*")}


@pytest.fixture
def scripts(redis_server: RedisTestServer) -> Scripts:
    """Scripts on an empty Redis."""
    return Scripts(redis_server)


def test_it_opens_and_closes_to_the_millisecond(scripts: Scripts) -> None:
    scripts.create(opens_at=NOW, closes_at=NOW + 1)

    scripts.now = NOW - 1
    assert scripts.apply() == [b"not_open", str(NOW).encode(), str(NOW - 1).encode()]
    scripts.now = NOW + 1
    assert scripts.apply() == [b"closed"]
    scripts.now = NOW
    assert scripts.apply() == [b"accepted", CLAIM.encode()]
    assert scripts.client.zscore(scripts.keys.outbox, "ann") == NOW


def test_a_replay_says_how_far_the_claim_is(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply()

    assert scripts.apply() == scripts.find() == [b"replayed", CLAIM.encode(), 1, 0]
    scripts.client.zrem(scripts.keys.outbox, "ann")
    scripts.client.setbit(scripts.keys.issued, 1, 1)
    assert scripts.apply() == scripts.find() == [b"replayed", CLAIM.encode(), 0, 1]


def test_who_has_no_claim_is_told_so_unless_there_is_no_gate(scripts: Scripts) -> None:
    assert scripts.find() == [b"missing"]
    scripts.create()
    assert scripts.find() == [b"none"]
    assert scripts.find(run_id="other") == [b"fenced"]


def test_only_a_replay_that_is_unsent_is_written_again(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply()
    scripts.acks = 1
    before = _changes(scripts)

    assert scripts.apply() == scripts.find()
    assert _changes(scripts) == before + 2
    scripts.client.zrem(scripts.keys.outbox, "ann")
    assert scripts.apply() == scripts.find()

    # The ZREM itself is one.
    assert _changes(scripts) == before + 3


def test_nothing_is_written_again_when_no_replica_is_asked(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply()
    before = _changes(scripts)

    scripts.apply()
    scripts.find()
    scripts.run("outbox", "outbox claims", 0, 10, 0)

    assert _changes(scripts) == before


def test_unsent_claims_are_written_again_for_the_replicas(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.apply("bob")
    before = _changes(scripts)

    assert scripts.run("outbox", "outbox claims", 0, 1, 1) == [b"ann", CLAIM.encode()]

    assert _changes(scripts) == before + 1
    claims = {b"ann": CLAIM.encode(), b"bob": f"2:CODE:{NOW}".encode()}
    assert scripts.client.hgetall(scripts.keys.claims) == claims


@pytest.mark.parametrize(
    ("change", "reply"),
    [
        ({"state": "paused"}, [b"paused"]),
        ({"opens_at": NOW + 1, "closes_at": NOW + 2}, [b"not_open", str(NOW + 1).encode(), str(NOW).encode()]),
        ({"closes_at": NOW}, [b"closed"]),
        ({"taken": 9}, [b"sold_out"]),
    ],
)
def test_a_refusal_writes_nothing(scripts: Scripts, change: dict[str, Any], reply: list[bytes]) -> None:
    taken = change.pop("taken", 0)
    scripts.create(**change)
    scripts.client.set(scripts.keys.accepted, taken)
    before = scripts.everything()

    assert scripts.apply() == reply

    assert scripts.everything() == before


def test_a_gate_that_is_lost_or_not_this_servers_refuses(scripts: Scripts) -> None:
    assert scripts.apply() == [b"missing"]
    scripts.create()
    assert scripts.apply(run_id="other") == [b"fenced"]
    scripts.client.delete(scripts.keys.accepted)
    assert scripts.apply() == [b"lost"]
    assert set(scripts.client.keys("*")) == {scripts.keys.campaign.encode(), scripts.keys.winners.encode()}


def test_free_sequences_go_first_even_when_the_counter_has_reached_the_capacity(scripts: Scripts) -> None:
    scripts.create(capacity=5)
    scripts.client.set(scripts.keys.accepted, 5)
    scripts.client.rpush(scripts.keys.free, 2, 4)

    assert [scripts.apply(user)[0:2] for user in ("ann", "bob", "carl")] == [
        [b"accepted", f"2:CODE:{NOW}".encode()],
        [b"accepted", f"4:CODE:{NOW}".encode()],
        [b"sold_out"],
    ]
    assert scripts.client.get(scripts.keys.accepted) == b"5"


def test_configure_tells_what_it_did(scripts: Scripts) -> None:
    names = CONFIGURE
    values = ("x", 2, 3, 4, "paused")
    assert scripts.run("configure", names, *values, "change", HOLD, "server") == [b"missing"]
    assert scripts.client.keys("*") == []
    assert scripts.run("configure", names, *values, "create", HOLD, "server") == [b"done"]
    scripts.client.set(scripts.keys.accepted, 2)
    assert scripts.run("configure", names, *values, "change", HOLD, "other") == [b"done"]
    fields = {"name": "x", "capacity": "2", "opens_at": "3", "closes_at": "4", "state": "paused", "run_id": "server"}
    fields["pages"] = "1"
    assert _hash(scripts) == fields
    for change in ("change", "lower", "create"):
        assert scripts.run("configure", names, "y", 1, 3, 4, "active", change, HOLD, "server") == [b"below_accepted"]
    assert scripts.run("configure", names, "y", 2, 3, 4, "active", "lower", HOLD, "other") == [b"fenced"]
    assert _hash(scripts) == fields
    assert scripts.run("configure", names, "y", 2, 3, 4, "active", "lower", HOLD, "server") == [b"done"]
    assert _hash(scripts) == fields | {"name": "y", "state": "active"}


@pytest.mark.parametrize("gone", ["campaign", "accepted"])
def test_half_a_gate_is_no_gate(scripts: Scripts, gone: str) -> None:
    scripts.create()
    scripts.client.delete(getattr(scripts.keys, gone))
    before = scripts.everything()

    assert scripts.run("configure", CONFIGURE, "x", 9, 1, 2, "active", "change", HOLD, "server") == [b"missing"]
    assert scripts.mark_issued("ann", CLAIM) == b"missing"
    assert scripts.run("state", "campaign accepted", "server") == b"lost"
    assert scripts.run("show", "campaign accepted outbox free") == [b"missing" if gone == "campaign" else b"lost"]

    assert scripts.everything() == before


def test_state_is_whole_on_its_own_server_only(scripts: Scripts) -> None:
    scripts.create()

    assert scripts.run("state", "campaign accepted", "server") == b"whole"
    assert scripts.run("state", "campaign accepted", "other") == b"fenced"


def test_a_fence_keeps_its_first_instant(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply()

    assert scripts.fence() == [0, 1, b"%d" % NOW]
    scripts.now += 61_007
    assert scripts.fence() == [61_007, 1, b"%d" % NOW]

    assert scripts.client.get(scripts.keys.fenced_at) == str(NOW).encode()
    assert _hash(scripts)["run_id"] == ""


def test_a_fence_that_came_with_a_promoted_replica_begins_anew(scripts: Scripts) -> None:
    scripts.create()
    scripts.fence()
    scripts.now += 61_007

    assert scripts.fence(run_id="promoted") == [0, 0, b"%d" % scripts.now]
    scripts.now += 5
    assert scripts.fence(run_id="promoted") == [5, 0, b"%d" % (scripts.now - 5)]


def test_a_fence_round_nothing_makes_no_campaign(scripts: Scripts) -> None:
    assert scripts.fence() == [0, 0, b"%d" % NOW]
    assert set(scripts.client.keys("*")) == {scripts.keys.fenced_at.encode(), scripts.keys.fenced_on.encode()}


def test_what_is_issued_is_noted_and_what_was_forgotten_closes_the_gate(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.apply("bob")

    assert scripts.mark_issued("ann", CLAIM, "bob", "2:OTHER:7") == b"noted"
    assert scripts.client.hgetall(scripts.keys.claims) == {b"ann": CLAIM.encode(), b"bob": b"2:OTHER:7"}
    assert [scripts.client.getbit(scripts.keys.issued, bit) for bit in range(4)] == [0, 1, 1, 0]
    assert _hash(scripts)["run_id"] == "server"
    assert scripts.mark_issued("carl", "3:C:8", "ann", CLAIM) == b"fenced"
    assert scripts.client.hget(scripts.keys.claims, "carl") == b"3:C:8"
    assert _hash(scripts)["run_id"] == ""


def test_a_claim_that_is_known_is_not_written_again(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    before = _changes(scripts)

    scripts.mark_issued("ann", CLAIM)

    # The bit only.
    assert _changes(scripts) == before + 1


def test_restoring_takes_the_ledgers_word_for_what_is_issued_only(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.apply("bob")
    names = "claims issued outbox"

    assert scripts.run("restore", names, "issued", "ann", "5:NEW:7", "carl", "6:C:8") == b"OK"
    assert scripts.run("restore", names, "overflow", "bob", "7:NEW:7", "dora", "8:D:9") == b"OK"

    claims = {b"ann": b"5:NEW:7", b"bob": f"2:CODE:{NOW}".encode(), b"carl": b"6:C:8", b"dora": b"8:D:9"}
    assert scripts.client.hgetall(scripts.keys.claims) == claims
    assert [scripts.client.getbit(scripts.keys.issued, bit) for bit in range(10)] == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert scripts.client.zrange(scripts.keys.outbox, 0, -1) == [b"bob"]


@pytest.mark.parametrize(("counter", "highest", "goes_on_at"), [(None, 3, b"3"), (5, 3, b"5"), (3, 5, b"5")])
def test_reopening_never_sets_the_counter_back(
    scripts: Scripts, counter: int | None, highest: int, goes_on_at: bytes
) -> None:
    scripts.fence()
    if counter:
        scripts.client.set(scripts.keys.accepted, counter)
    scripts.client.rpush(scripts.keys.free, 7)

    assert scripts.reopen(highest, restored_on="other") == b"other_server"
    assert scripts.client.exists(scripts.keys.campaign) == 0
    assert scripts.reopen(highest, since=NOW - 1) == b"other_fence"
    assert scripts.client.exists(scripts.keys.campaign) == 0
    assert scripts.client.exists(scripts.keys.fenced_at) == 1
    assert scripts.reopen(highest, 2, 2, 4, 6) == b"opened"

    assert scripts.client.lrange(scripts.keys.free, 0, -1) == [b"2", b"4", b"5", b"6"]
    assert scripts.client.get(scripts.keys.accepted) == goes_on_at
    assert scripts.client.exists(scripts.keys.fenced_at, scripts.keys.fenced_on) == 0
    fields = {"name": "demo", "capacity": "9", "opens_at": "1", "closes_at": "2", "state": "paused"}
    assert _hash(scripts) == fields | {"run_id": "server"}


def test_a_campaign_is_shown_as_of_one_instant(scripts: Scripts) -> None:
    scripts.create(opens_at=1)
    shown = [b"found", b"demo", b"9", b"1", str(NOW + 1).encode(), b"active"]
    assert scripts.run("show", "campaign accepted outbox free") == [*shown, 0, str(NOW).encode(), 0, b""]
    scripts.apply("bob")
    scripts.now -= 1_000
    scripts.apply("ann")
    scripts.now = NOW + 5
    scripts.client.rpush(scripts.keys.free, 1)

    # Two were given, one of them is to be given again.
    oldest = str(NOW - 1_000).encode()
    assert scripts.run("show", "campaign accepted outbox free") == [*shown, 1, str(NOW + 5).encode(), 2, oldest]


@pytest.mark.parametrize(("capacity", "pages"), [(1, 1), (2_048, 1), (2_049, 2), (4_096, 2), (4_097, 3)])
def test_the_filter_is_laid_out_at_once(scripts: Scripts, capacity: int, pages: int) -> None:
    scripts.create(capacity=capacity)

    assert _hash(scripts)["pages"] == str(pages)
    assert scripts.client.strlen(scripts.keys.winners) == 4096 * pages
    assert scripts.client.bitcount(scripts.keys.winners) == 0


def test_sold_out_may_be_remembered_until_the_end_at_most(scripts: Scripts) -> None:
    scripts.create(capacity=1, closes_at=NOW + 800)
    scripts.apply("ann")
    scripts.remember = 500

    (outcome, for_ms, claims, pages, page) = scripts.apply("bob")

    assert (outcome, for_ms, claims, pages, len(page)) == (b"sold_out", 500, 1, 1, 4096)
    scripts.now += 301
    assert scripts.apply("bob")[1] == 499
    scripts.remember = 0
    assert scripts.apply("bob") == [b"sold_out"]


def test_a_raise_of_what_is_sold_out_is_held_back_to_the_millisecond(scripts: Scripts) -> None:
    scripts.create(capacity=1, closes_at=NOW + 9_000)
    scripts.apply("ann")
    scripts.remember = 500
    scripts.run("configure", CONFIGURE, "demo", 2, NOW, NOW + 9_000, "active", "change", HOLD, "server")

    assert scripts.apply("bob")[:2] == [b"sold_out", 500]
    scripts.now += HOLD - 1
    assert scripts.apply("bob")[:2] == [b"sold_out", 1]
    scripts.now += 1
    assert scripts.apply("bob")[0] == b"accepted"


def test_every_raise_of_what_is_sold_out_is_held_back(scripts: Scripts) -> None:
    scripts.create(capacity=1, closes_at=NOW + 9_000)
    for capacity in (2, 3):
        assert scripts.apply(f"user-{capacity}")[0] == b"accepted"
        scripts.run("configure", CONFIGURE, "demo", capacity, NOW, NOW + 9_000, "active", "change", HOLD, "server")
        scripts.now += HOLD - 1
        assert scripts.apply("late") == [b"sold_out"]
        scripts.now += 1


@pytest.mark.parametrize(("accepted", "capacity"), [(1, 3), (2, 2)])
def test_only_a_raise_of_what_is_sold_out_is_held_back(scripts: Scripts, accepted: int, capacity: int) -> None:
    scripts.create(capacity=2)
    for number in range(accepted):
        scripts.apply(f"user-{number}")
    values = ("demo", capacity, NOW, NOW + 9_000, "active")
    scripts.run("configure", CONFIGURE, *values, "change", HOLD, "server")

    assert "held_until" not in _hash(scripts)


def test_a_winner_is_in_the_filter_and_hardly_anybody_else(scripts: Scripts) -> None:
    """On three pages: a number of which no digit of a user's digest is without influence on the page."""
    scripts.create(capacity=6_000)
    scripts.remember = 500
    memory = SoldOutMemory(FakeClock())
    winners = [f"winner-{number}" for number in range(2_000)]
    for user in winners:
        assert scripts.apply(user)[0] == b"accepted"
    scripts.client.set(scripts.keys.accepted, 6_000)

    losers = [f"loser-{number}" for number in range(2_000)]
    for user in losers[:40]:
        _, *seen = scripts.apply(user)
        assert (seen[2], len(seen[3])) == (3, 4096)
        memory.note("demo", user, SoldOut(*seen), NOW)

    assert not any(memory.refuses("demo", user) for user in winners)
    assert sum(memory.refuses("demo", user) for user in losers) > 1_950


def test_the_filter_is_given_up_when_a_claim_appears_that_it_may_lack(scripts: Scripts) -> None:
    scripts.create(capacity=1)
    scripts.apply("ann")
    scripts.remember = 500
    assert len(scripts.apply("bob")) == 5
    scripts.mark_issued("ann", CLAIM)
    assert len(scripts.apply("bob")) == 5

    scripts.mark_issued("carl", "1:OTHER:7")

    assert scripts.apply("bob") == [b"sold_out"]


def test_a_rebuilt_gate_keeps_no_filter(scripts: Scripts) -> None:
    scripts.create(capacity=1)
    scripts.client.hset(scripts.keys.campaign, "held_until", NOW + HOLD)
    scripts.fence()
    scripts.reopen(9)

    assert {"pages", "held_until"} & set(_hash(scripts)) == set()
    # Nor does a change bring one back, which would lack everybody who had a claim before.
    scripts.run("configure", CONFIGURE, "demo", 9, 1, 2, "active", "change", HOLD, "server")
    assert "pages" not in _hash(scripts)


def test_unsent_claims_are_old_enough_to_the_millisecond(scripts: Scripts) -> None:
    scripts.create(opens_at=1)
    for user, age in (("new", 0), ("ann", 60_000), ("bob", 60_001), ("carl", 59_999)):
        scripts.now = NOW - age
        scripts.apply(user)
    scripts.now = NOW

    found = scripts.run("outbox", "outbox claims", 60_000, 10, 0)

    assert found == [b"bob", f"3:CODE:{NOW - 60_001}".encode(), b"ann", f"2:CODE:{NOW - 60_000}".encode()]
    assert scripts.run("outbox", "outbox claims", 60_000, 1, 0) == found[:2]


def _changes(scripts: Scripts) -> int:
    return int(scripts.client.info("persistence")["rdb_changes_since_last_save"])


def _hash(scripts: Scripts) -> dict[str, str]:
    fields: dict[Any, Any] = scripts.client.hgetall(scripts.keys.campaign)
    return {name.decode(): value.decode() for name, value in fields.items()}
