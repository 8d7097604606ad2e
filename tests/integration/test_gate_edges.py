"""The scripts by themselves: what each replies word for word, and what it does to the millisecond."""

from itertools import batched
from typing import Any

import pytest

from firstcome.adapters.redis.gate import GateKeys, _place
from firstcome.adapters.redis.scripts import KEY_NAMES, script, script_keys
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
}
"""


HOLD = 600
FENCE = (NOW, "server")
_CLAIMS_FROM = {"mark_issued": 0, "resend": 0, "restore": 1}
"""Where the claims begin among a script's arguments."""


class Scripts:
    """The scripts of one campaign, with the clock stopped."""

    def __init__(self, server: RedisTestServer) -> None:
        self.client = server.client
        self.keys = GateKeys("demo")
        self.now = NOW
        self.acks = 0
        self.remember = 0
        self.run_id = "server"

    def run(self, name: str, *arguments: str | int) -> Any:
        """Run a script; the place in the filter is put beside each claim. The clock stands just before the next ms."""
        given = _CLAIMS_FROM.get(name)
        if given is not None:
            claims = batched(arguments[given:], 2, strict=True)
            arguments = (
                *arguments[:given],
                *(one for user, claim in claims for one in (user, claim, *_place(str(user)))),
            )
        names = script_keys(name, "demo")
        clock = _STOPPED_CLOCK % (self.now // 1000, self.now % 1000 * 1000 + 998)
        source = clock + script(name).source
        command: tuple[str | int, ...] = ("EVAL", source, len(names), *names, self.run_id, *arguments)
        return self.client.execute_command(*command)

    def create(self, *, capacity: int = 9, opens_at: int = NOW, closes_at: int = NOW + 1, state: str = "active") -> Any:
        return self.run("configure", "create", "demo", capacity, opens_at, closes_at, state, 1, HOLD)

    def change(self, capacity: int, *, closes_at: int = NOW + 9_000, state: str = "active") -> Any:
        return self.run("configure", "change", "demo", capacity, NOW, closes_at, state, self.version() + 1, HOLD)

    def version(self) -> int:
        return int(self.client.hget(self.keys.campaign, "version") or 0)

    def apply(self, user: str = "ann") -> Any:
        return self.run("apply", user, self.acks, "CODE", self.remember, *_place(user))

    def find(self) -> Any:
        return self.run("find", "ann", self.acks)

    def fence(self, ledger_now: int | str = "", highest: int = 0) -> Any:
        *reply, run_id = self.run("fence", ledger_now, highest)
        assert run_id.decode() == self.run_id
        return reply

    def list_free(self, block: int = 8) -> Any:
        return self.run("list_free", *FENCE, block)

    def reopen(self, since: int = NOW, on: str = "server") -> Any:
        return self.run("reopen", since, on, "demo", 9, 1, 2, "paused", 3)

    def rebuild(self, *claims: str) -> Any:
        """Fence, restore these claims as issued, and reopen."""
        self.fence()
        self.run("prepare", *FENCE, "demo", 9, 1, 2, "paused", 3)
        if claims:
            self.run("restore", "issued", *claims)
        while self.list_free() == b"more":
            pass
        return self.reopen()

    def everything(self) -> dict[Any, Any]:
        return {key: self.client.dump(key) for key in self.client.keys("*")}


@pytest.fixture
def scripts(redis_server: RedisTestServer) -> Scripts:
    """Scripts on an empty Redis."""
    return Scripts(redis_server)


def test_it_opens_and_closes_to_the_millisecond(scripts: Scripts) -> None:
    scripts.create(opens_at=NOW, closes_at=NOW + 1)

    scripts.now = NOW - 1
    assert scripts.apply() == [b"not_open", str(NOW).encode(), NOW - 1]
    scripts.now = NOW + 1
    assert scripts.apply() == [b"closed"]
    scripts.now = NOW
    assert scripts.apply() == [b"accepted", CLAIM.encode(), 1, 0]
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
    scripts.run_id = "other"
    assert scripts.find() == [b"fenced"]


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
    scripts.run("outbox", 0, 0, 10)

    assert _changes(scripts) == before


def test_unsent_claims_are_written_again_for_the_replicas(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.apply("bob")
    before = _changes(scripts)

    assert scripts.run("outbox", 0, 1, 1) == [0, b"ann", CLAIM.encode()]

    assert _changes(scripts) == before + 1
    claims = {b"ann": CLAIM.encode(), b"bob": f"2:CODE:{NOW}".encode()}
    assert scripts.client.hgetall(scripts.keys.claims) == claims


@pytest.mark.parametrize(
    ("change", "reply"),
    [
        ({"state": "paused"}, [b"paused"]),
        ({"opens_at": NOW + 1, "closes_at": NOW + 2}, [b"not_open", str(NOW + 1).encode(), NOW]),
        ({"closes_at": NOW}, [b"closed"]),
        ({"taken": 9, "closes_at": NOW + 2}, [b"sold_out"]),
    ],
)
def test_a_refusal_writes_nothing(scripts: Scripts, change: dict[str, Any], reply: list[bytes]) -> None:
    taken = change.pop("taken", 0)
    scripts.create(**change)
    for number in range(taken):
        scripts.apply(f"user-{number}")
    before = scripts.everything()

    assert scripts.apply() == reply

    assert scripts.everything() == before


def test_a_gate_that_is_lost_or_not_this_servers_refuses(scripts: Scripts) -> None:
    assert scripts.apply() == [b"missing"]
    scripts.create()
    scripts.run_id = "other"
    assert scripts.apply() == [b"fenced"]
    scripts.run_id = "server"
    scripts.client.delete(scripts.keys.accepted)
    assert scripts.apply() == [b"lost"]
    assert set(scripts.client.keys("*")) == {scripts.keys.campaign.encode(), scripts.keys.winners.encode()}


def test_free_sequences_go_first_even_when_the_counter_has_reached_the_capacity(scripts: Scripts) -> None:
    scripts.create(capacity=5)
    scripts.rebuild("ann", "3:A:7", "bob", "5:B:7")
    scripts.client.hset(scripts.keys.campaign, mapping={"state": "active", "capacity": 5, "closes_at": NOW + 1})
    assert scripts.client.lrange(scripts.keys.free, 0, -1) == [b"1-2", b"4-4"]

    assert [scripts.apply(user)[0:2] for user in ("carl", "dora", "eve", "fred")] == [
        [b"accepted", f"1:CODE:{NOW}".encode()],
        [b"accepted", f"2:CODE:{NOW}".encode()],
        [b"accepted", f"4:CODE:{NOW}".encode()],
        [b"sold_out"],
    ]
    assert scripts.client.get(scripts.keys.accepted) == b"5"
    assert _hash(scripts)["free"] == "0"
    assert scripts.client.exists(scripts.keys.free) == 0


def test_configure_tells_what_it_did(scripts: Scripts) -> None:
    def configure(kind: str, *values: str | int) -> Any:
        return scripts.run("configure", kind, *values, HOLD)

    assert configure("change", "x", 2, 3, 4, "paused", 1) == b"lost"
    assert scripts.client.keys("*") == []
    assert configure("create", "x", 2, 3, NOW + 4, "active", 1) == b"done"
    scripts.apply("ann")
    scripts.apply("bob")
    fields = {"name": "x", "capacity": "2", "opens_at": "3", "closes_at": str(NOW + 4), "state": "active"}
    fields |= {"run_id": "server", "version": "1", "pages": "1", "free": "0", "surplus": "0", "newest_at": str(NOW)}
    assert _hash(scripts) == fields
    for kind in ("change", "create"):
        assert configure(kind, "y", 1, 3, 4, "active", 2) == b"below_accepted"
        assert configure(kind, "y", 3, 3, 4, "active", 1) == b"stale"
        assert configure(kind, "y", 3, 3, 4, "active", 0) == b"stale"
    scripts.run_id = "other"
    assert configure("change", "y", 2, 3, 4, "active", 2) == b"fenced"
    scripts.run_id = "server"
    assert _hash(scripts) == fields
    assert configure("change", "y", 2, 3, 4, "paused", 2) == b"done"
    fields |= {"name": "y", "closes_at": "4", "state": "paused", "version": "2"}
    assert _hash(scripts) == fields


def test_a_campaign_that_has_rows_is_not_made_anew_though_its_claims_are_not_restored_yet(scripts: Scripts) -> None:
    scripts.fence(highest=1)

    assert scripts.create() == b"fenced"
    assert scripts.apply() == [b"fenced"]


@pytest.mark.parametrize("gone", ["campaign", "accepted"])
def test_half_a_gate_is_no_gate(scripts: Scripts, gone: str) -> None:
    scripts.create()
    scripts.apply()
    scripts.client.delete(getattr(scripts.keys, gone))
    before = scripts.everything()

    for kind in ("create", "change"):
        assert scripts.run("configure", kind, "x", 9, 1, 2, "active", 2, HOLD) == b"lost"
    assert scripts.run("mark_issued", "ann", CLAIM) == b"missing"
    assert scripts.run("state") == b"lost"
    assert scripts.run("show")[0] == (b"missing" if gone == "campaign" else b"lost")
    assert scripts.apply("bob")[0] == (b"missing" if gone == "campaign" else b"lost")

    assert scripts.everything() == before


def test_a_gate_is_lost_as_soon_as_claims_or_free_sequences_are_missing(scripts: Scripts) -> None:
    scripts.create()
    scripts.rebuild("ann", "2:A:7", "bob", "3:B:7")
    assert scripts.run("state") == b"whole"
    claims = scripts.client.dump(scripts.keys.claims) or b""

    scripts.client.hdel(scripts.keys.claims, "ann")
    assert scripts.run("state") == b"lost"
    assert scripts.run("restore", "issued", "ann", "2:A:7") == b"not_fenced"
    scripts.client.restore(scripts.keys.claims, 0, claims, replace=True)
    assert scripts.run("state") == b"whole"
    scripts.client.delete(scripts.keys.free)
    assert scripts.run("state") == b"lost"


def test_a_gate_that_was_never_rebuilt_need_not_say_so(scripts: Scripts) -> None:
    """As one of a release that kept neither number."""
    scripts.create()
    scripts.client.hdel(scripts.keys.campaign, "free", "surplus")

    assert scripts.apply()[0] == b"accepted"
    assert scripts.run("show")[2:4] == [1, 1]


def test_state_is_whole_on_its_own_server_only(scripts: Scripts) -> None:
    scripts.create()

    assert scripts.run("state") == b"whole"
    scripts.run_id = "other"
    assert scripts.run("state") == b"fenced"


def test_a_fence_keeps_its_first_instant(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply()

    assert scripts.fence() == [NOW, 0, 1, b"", b""]
    scripts.now += 61_007
    assert scripts.fence() == [NOW, 61_007, 1, b"", b""]

    assert scripts.client.hgetall(scripts.keys.fence) == {
        b"since": b"%d" % NOW,
        b"on": b"server",
        b"ledger_since": b"",
    }
    assert _hash(scripts)["run_id"] == ""


def test_a_fence_is_as_old_as_the_clock_says_that_was_not_changed(scripts: Scripts) -> None:
    hour = 3_600_000
    assert scripts.fence(5_000) == [NOW, 0, 0, b"", b""]
    scripts.now += 60_000
    # Both went on; then the one was set forward by an hour, then the other.
    assert scripts.fence(65_000)[1] == 60_000
    assert scripts.fence(65_000 + hour)[1] == 60_000
    scripts.now += hour
    assert scripts.fence(65_000)[1] == 60_000
    # The ledger's was set back by an hour: it counts from there on.
    assert scripts.fence(65_000 - hour)[1] == 0
    assert scripts.fence(66_000 - hour)[1] == 1_000
    # The gate's was set back by an hour: the fence is another one.
    scripts.now = NOW - hour
    assert scripts.fence(67_000 - hour)[:2] == [scripts.now, 0]
    scripts.now += 500
    assert scripts.fence(67_500 - hour)[1] == 500


def test_a_fence_that_came_with_a_promoted_replica_begins_anew(scripts: Scripts) -> None:
    scripts.create()
    scripts.fence()
    scripts.run("advance", *FENCE, "issued", "7")
    scripts.run("restore", "issued", "ann", "1:A:7")
    scripts.now += 61_007

    scripts.run_id = "promoted"
    assert scripts.fence() == [scripts.now, 0, 1, b"", b""]
    assert scripts.client.exists(scripts.keys.taken) == 0
    scripts.now += 5
    assert scripts.fence() == [scripts.now - 5, 5, 1, b"", b""]


def test_a_fence_makes_a_lost_gate_anew_so_that_late_claims_are_kept(scripts: Scripts) -> None:
    assert scripts.fence(highest=7) == [NOW, 0, 7, b"", b""]

    assert scripts.run("mark_issued", "late", "9:L:7") == b"fenced"
    assert scripts.apply("late") == [b"replayed", b"9:L:7", 0, 1]
    assert scripts.apply("bob") == [b"fenced"]
    assert scripts.fence() == [NOW, 0, 9, b"", b""]


def test_a_rebuild_whose_counter_is_lost_begins_anew(scripts: Scripts) -> None:
    scripts.fence()
    scripts.run("restore", "issued", "ann", "5:A:7")
    scripts.run("advance", *FENCE, "overflow", "x")
    scripts.client.delete(scripts.keys.accepted)

    assert scripts.fence(highest=5) == [NOW, 0, 5, b"", b""]
    assert scripts.client.exists(scripts.keys.taken) == 0


def test_what_is_issued_is_noted_and_what_was_forgotten_closes_the_gate(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.apply("bob")

    assert scripts.run("mark_issued", "ann", CLAIM, "bob", "2:OTHER:7") == b"noted"
    assert scripts.client.hgetall(scripts.keys.claims) == {b"ann": CLAIM.encode(), b"bob": b"2:OTHER:7"}
    assert [scripts.client.getbit(scripts.keys.issued, bit) for bit in range(4)] == [0, 1, 1, 0]
    assert _hash(scripts)["run_id"] == "server"
    assert scripts.run("mark_issued", "carl", "3:C:8", "ann", CLAIM) == b"fenced"
    assert scripts.client.hget(scripts.keys.claims, "carl") == b"3:C:8"
    assert _hash(scripts)["run_id"] == ""


def test_a_claim_that_is_known_is_not_written_again(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    before = _changes(scripts)

    scripts.run("mark_issued", "ann", CLAIM)

    # The bit only.
    assert _changes(scripts) == before + 1


def test_a_claim_that_may_be_in_the_list_of_free_sequences_closes_the_gate(scripts: Scripts) -> None:
    scripts.create()
    scripts.rebuild("bob", "2:B:7")

    assert scripts.run("mark_issued", "bob", "2:B:7") == b"noted"
    assert scripts.run("mark_issued", "late", "1:L:7") == b"fenced"


def test_restoring_takes_the_ledgers_word_for_what_is_issued_only(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.apply("bob")
    scripts.fence()

    assert scripts.run("restore", "issued", "ann", "5:NEW:7", "carl", "6:C:8") == b"OK"
    assert scripts.run("restore", "overflow", "bob", "7:NEW:7", "dora", "8:D:9") == b"OK"

    claims = {b"ann": b"5:NEW:7", b"bob": f"2:CODE:{NOW}".encode(), b"carl": b"6:C:8", b"dora": b"8:D:9"}
    assert scripts.client.hgetall(scripts.keys.claims) == claims
    for bitmap in (scripts.keys.issued, scripts.keys.taken):
        assert [scripts.client.getbit(bitmap, bit) for bit in range(10)] == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert scripts.client.zrange(scripts.keys.outbox, 0, -1) == [b"bob"]
    assert scripts.client.get(scripts.keys.accepted) == b"6"


@pytest.mark.parametrize(
    ("taken", "highest", "free"),
    [
        ([], 0, []),
        ([], 20, ["1-7", "8-15", "16-20"]),
        ([1], 1, []),
        ([1, 2, 4, 7, 8, 9, 16], 0, ["3-3", "5-6", "10-15"]),
        ([8], 0, ["1-7"]),
        ([7], 0, ["1-6"]),
        ([7], 8, ["1-6", "8-8"]),
        ([15], 0, ["1-7", "8-14"]),
        ([16], 0, ["1-7", "8-15"]),
        ([17], 16, ["1-7", "8-15", "16-16"]),
    ],
)
def test_free_sequences_are_listed_block_by_block(
    scripts: Scripts, taken: list[int], highest: int, free: list[str]
) -> None:
    scripts.fence(highest=highest)
    for sequence in taken:
        scripts.run("restore", "issued", f"user-{sequence}", f"{sequence}:C:7")
    counter = max([highest, *taken])

    answers = [scripts.list_free() for _ in range(counter // 8 + 1)]

    assert answers == [b"more"] * (counter // 8) + [b"done"]
    assert scripts.client.lrange(scripts.keys.free, 0, -1) == [text.encode() for text in free]
    assert scripts.reopen() == [b"opened", counter, counter - len(taken)]
    assert _hash(scripts)["free"] == str(counter - len(taken))


def test_a_large_block_that_is_half_free_is_listed_in_one_call(scripts: Scripts) -> None:
    scripts.fence(highest=16_383)
    scripts.client.setrange(scripts.keys.taken, 0, b"\xaa" * 2_048)

    assert scripts.list_free(16_384) == b"done"

    assert scripts.client.llen(scripts.keys.free) == 8_192
    assert _hash(scripts)["free"] == "8192"


@pytest.mark.parametrize("change", ["since", "on", "server"])
def test_no_step_is_taken_behind_another_fence(scripts: Scripts, change: str) -> None:
    scripts.fence()
    since = NOW - 1 if change == "since" else NOW
    on = "other" if change == "on" else "server"
    scripts.run_id = "other" if change == "server" else "server"
    before = scripts.everything()

    campaign = ("demo", 9, 1, 2, "active", 1)
    assert scripts.run("advance", since, on, "issued", "1") == b"other_fence"
    assert scripts.run("prepare", since, on, *campaign) == b"other_fence"
    assert scripts.run("list_free", since, on, 8) == b"other_fence"
    assert scripts.run("reopen", since, on, *campaign) == [b"other_fence"]

    assert scripts.everything() == before


def test_reopening_writes_what_the_campaign_is_and_leaves_nothing_of_the_rebuild(scripts: Scripts) -> None:
    scripts.create(capacity=5)
    scripts.client.hset(scripts.keys.campaign, "held_until", NOW + HOLD)
    scripts.run("note", "position", "1")
    scripts.run("restore", "issued", "x", "1:X:7")

    assert scripts.rebuild("ann", "2:A:7", "bob", "3:B:7") == [b"opened", 3, 1]

    assert scripts.client.exists(scripts.keys.fence, scripts.keys.taken, scripts.keys.reconcile) == 0
    fields = {"name": "demo", "capacity": "9", "opens_at": "1", "closes_at": "2", "state": "paused", "version": "3"}
    assert _hash(scripts) == fields | {"run_id": "server", "free": "1", "surplus": "0", "pages": "1"}
    assert scripts.reopen() == [b"other_fence"]


@pytest.mark.parametrize("key", sorted({*KEY_NAMES} - {"erased", "reconcile"}))
def test_a_key_that_is_lost_during_the_rebuild_gives_no_seat_twice(scripts: Scripts, key: str) -> None:
    claims = ("ann", "2:A:7", "bob", "3:B:7")
    scripts.fence(highest=3)
    scripts.run("prepare", *FENCE, "demo", 9, 1, 2, "active", 3)
    scripts.run("restore", "issued", *claims)
    scripts.list_free()
    scripts.client.delete(getattr(scripts.keys, key))

    def rebuild() -> Any:
        """Go on as a rebuild does: at the start if the fence says so."""
        if scripts.fence(highest=3)[3] == b"":
            scripts.run("restore", "issued", *claims)
        scripts.run("advance", *FENCE, "free", "")
        while scripts.list_free() == b"more":
            pass
        return scripts.reopen()

    outcomes = [rebuild() for _ in range(3)]

    assert [b"opened", 3, 1] in outcomes
    assert all(outcome[0] != b"opened" or outcome == [b"opened", 3, 1] for outcome in outcomes)
    assert scripts.run("state") == b"whole"


@pytest.mark.parametrize("key", KEY_NAMES)
def test_a_key_that_is_lost_gives_no_seat_and_no_second_code(scripts: Scripts, key: str) -> None:
    scripts.create(closes_at=NOW + 9_000)
    scripts.rebuild("ann", "2:A:7", "bob", "3:B:7")
    scripts.run("configure", "change", "demo", 9, NOW, NOW + 9_000, "active", 4, HOLD)
    scripts.apply("carl")
    scripts.client.delete(getattr(scripts.keys, key))

    for user, claim in (("ann", b"2:A:7"), ("bob", b"3:B:7"), ("carl", f"1:CODE:{NOW}".encode())):
        assert scripts.apply(user)[0:2] in ([b"replayed", claim], [b"lost"], [b"missing"])
    for number in range(7):
        answer = scripts.apply(f"new-{number}")
        if answer[0] == b"accepted":
            assert int(answer[1].split(b":")[0]) == 4 + number
    is_lost = scripts.run("state") == b"lost"
    assert is_lost == (key in {"campaign", "accepted", "claims"})


def test_a_campaign_is_shown_as_of_one_instant(scripts: Scripts) -> None:
    scripts.create(opens_at=1)
    campaign = [b"demo", b"9", b"1", str(NOW + 1).encode(), b"active", b"1"]
    assert scripts.run("show") == [b"whole", NOW, 0, 0, b"", 0, b"", *campaign]
    scripts.apply("bob")
    scripts.now -= 1_000
    scripts.apply("ann")
    scripts.now = NOW + 5

    oldest = str(NOW - 1_000).encode()
    assert scripts.run("show") == [b"whole", NOW + 5, 2, 2, oldest, 2, oldest, *campaign]
    scripts.run_id = "other"
    assert scripts.run("show") == [b"fenced", NOW + 5, 2, 2, oldest, 2, oldest, *campaign]


def test_free_sequences_do_not_count_as_accepted(scripts: Scripts) -> None:
    scripts.rebuild("ann", "2:A:7", "bob", "3:B:7")

    assert scripts.run("show")[2:4] == [2, 3]


@pytest.mark.parametrize(
    ("capacity", "pages"), [(1, 1), (2_048, 1), (2_049, 2), (4_096, 2), (4_097, 3), (10_000_000, 2_048)]
)
def test_the_filter_is_laid_out_at_once(scripts: Scripts, capacity: int, pages: int) -> None:
    scripts.create(capacity=capacity)

    assert _hash(scripts)["pages"] == str(pages)
    # The last bit tells it from one that was lost and begun anew.
    assert scripts.client.strlen(scripts.keys.winners) == 4096 * pages + 1
    assert scripts.client.bitcount(scripts.keys.winners) == 1


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
    scripts.change(2)

    assert scripts.apply("bob")[:2] == [b"sold_out", 500]
    scripts.now += HOLD - 1
    assert scripts.apply("bob")[:2] == [b"sold_out", 1]
    scripts.now += 1
    assert scripts.apply("bob")[0] == b"accepted"


def test_every_raise_of_what_is_sold_out_is_held_back(scripts: Scripts) -> None:
    scripts.create(capacity=1, closes_at=NOW + 9_000)
    for capacity in (2, 3):
        assert scripts.apply(f"user-{capacity}")[0] == b"accepted"
        scripts.change(capacity)
        scripts.now += HOLD - 1
        assert scripts.apply("late") == [b"sold_out"]
        scripts.now += 1


@pytest.mark.parametrize(("accepted", "capacity"), [(1, 3), (2, 2)])
def test_only_a_raise_of_what_is_sold_out_is_held_back(scripts: Scripts, accepted: int, capacity: int) -> None:
    scripts.create(capacity=2)
    for number in range(accepted):
        scripts.apply(f"user-{number}")
    scripts.change(capacity)

    assert "held_until" not in _hash(scripts)


def test_a_winner_is_in_the_filter_and_hardly_anybody_else(scripts: Scripts) -> None:
    """On three pages: a number of which no digit of a user's digest is without influence on the page."""
    scripts.create(capacity=6_000)
    scripts.remember = 500
    memory = SoldOutMemory(FakeClock())
    winners = [f"winner-{number}" for number in range(2_000)]
    for user in winners:
        assert scripts.apply(user)[0] == b"accepted"
    scripts.client.hset(scripts.keys.campaign, "capacity", 2_000)

    losers = [f"loser-{number}" for number in range(2_000)]
    for user in losers[:40]:
        _, *seen = scripts.apply(user)
        assert (seen[2], len(seen[3])) == (3, 4096)
        memory.note("demo", user, SoldOut(*seen), NOW)

    assert not any(memory.refuses("demo", user) for user in winners)
    assert sum(memory.refuses("demo", user) for user in losers) > 1_950


def test_a_claim_that_comes_from_the_ledger_is_in_the_filter_too(scripts: Scripts) -> None:
    scripts.create(capacity=2)
    scripts.apply("ann")
    scripts.apply("bob")
    scripts.run("mark_issued", "carl", "1:OTHER:7")

    memory = _remembered(scripts, "late")

    assert memory.refuses("demo", "late")
    assert not any(memory.refuses("demo", user) for user in ("ann", "bob", "carl"))


def test_what_is_sold_out_is_remembered_after_a_rebuild_too(scripts: Scripts) -> None:
    scripts.create(capacity=9)
    scripts.apply("kept")
    scripts.fence()
    scripts.run("prepare", *FENCE, "demo", 9, 1, NOW + 9_000, "active", 3)
    scripts.run("restore", "issued", "ann", "2:A:7", "bob", "3:B:7")
    scripts.run("restore", "overflow", "dora", "8:D:9")
    scripts.run("resend", "kept", CLAIM)
    scripts.list_free()
    scripts.run("reopen", *FENCE, "demo", 3, 1, NOW + 9_000, "active", 3)

    memory = _remembered(scripts, "late")

    assert memory.refuses("demo", "late")
    assert not any(memory.refuses("demo", user) for user in ("ann", "bob", "dora", "kept"))
    # Raised, it is made no larger, nor does it forget.
    scripts.change(4)
    assert _hash(scripts)["pages"] == "1"


def test_a_rebuild_that_goes_on_does_not_lay_out_the_filter_anew(scripts: Scripts) -> None:
    scripts.fence()
    campaign = ("demo", 9, 1, 2, "active", 3)
    scripts.run("prepare", *FENCE, *campaign)
    scripts.run("restore", "issued", "ann", "1:A:7")
    scripts.run("advance", *FENCE, "overflow", "")
    before = scripts.client.get(scripts.keys.winners)

    scripts.run("prepare", *FENCE, *campaign)

    assert scripts.client.get(scripts.keys.winners) == before


def test_a_filter_that_was_lost_is_not_taken_for_one_that_is_complete(scripts: Scripts) -> None:
    scripts.create(capacity=2)
    scripts.apply("ann")
    scripts.client.delete(scripts.keys.winners)
    scripts.remember = 500
    # The next winner begins it anew.
    scripts.apply("bob")

    assert scripts.apply("late") == [b"sold_out"]


@pytest.mark.parametrize(("ahead", "is_held"), [(HOLD, True), (1_000, True), (1_001, False), (3_600_000, False)])
def test_a_hold_ends_although_the_clock_was_set_back(scripts: Scripts, ahead: int, *, is_held: bool) -> None:
    scripts.create(capacity=2)
    scripts.client.hset(scripts.keys.campaign, "held_until", NOW + ahead)

    assert scripts.apply()[0] == (b"sold_out" if is_held else b"accepted")


def test_claims_are_old_enough_to_be_sent_again_to_the_millisecond(scripts: Scripts) -> None:
    scripts.create(opens_at=1)
    for user, age in (("new", 0), ("ann", 60_000), ("bob", 60_001), ("carl", 59_999)):
        scripts.now = NOW - age
        scripts.apply(user)
    scripts.now = NOW

    found = scripts.run("outbox", 60_000, 0, 10)

    assert found == [0, b"bob", f"3:CODE:{NOW - 60_001}".encode(), b"ann", f"2:CODE:{NOW - 60_000}".encode()]
    assert scripts.run("outbox", 60_000, 0, 1) == found[:3]


def test_claims_from_the_future_are_due_though_their_clock_was_set_back(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.now = NOW - 1
    claim = CLAIM.encode()

    assert scripts.run("outbox", 60_000, 0, 10) == [0, b"ann", claim]
    # One that is just being sent is not.
    scripts.now = NOW
    assert scripts.run("outbox", 60_000, 0, 10) == [0]


def test_entries_without_their_claim_are_removed_and_counted(scripts: Scripts) -> None:
    scripts.create()
    scripts.apply("ann")
    scripts.apply("bob")
    scripts.client.hdel(scripts.keys.claims, "ann")

    assert scripts.run("outbox", 0, 0, 1) == [1]
    assert scripts.run("outbox", 0, 0, 1) == [0, b"bob", f"2:CODE:{NOW}".encode()]


def _changes(scripts: Scripts) -> int:
    return int(scripts.client.info("persistence")["rdb_changes_since_last_save"])


def _hash(scripts: Scripts) -> dict[str, str]:
    fields: dict[Any, Any] = scripts.client.hgetall(scripts.keys.campaign)
    return {name.decode(): value.decode() for name, value in fields.items()}


def _remembered(scripts: Scripts, user: str) -> SoldOutMemory:
    """Apply as a user who comes too late; returns what an environment remembers then."""
    memory = SoldOutMemory(FakeClock())
    scripts.remember = 500
    outcome, *seen = scripts.apply(user)
    assert outcome == b"sold_out"
    memory.note("demo", user, SoldOut(*seen), NOW)
    return memory
