"""What any gate must do: the same tests on Redis and on the fake in memory."""

from dataclasses import replace
from typing import Any, Protocol

import pytest

from firstcome.adapters.redis.gate import GateKeys
from firstcome.domain.campaign import Campaign, Phase
from firstcome.domain.claim import Admission, Claim, Erasure, new_coupon_code
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import ClaimCounts, ConfigureResult, EraseResult, Fence, GateState, GateView, Reopened
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.ports import Gate
from tests.conftest import RedisTestServer
from tests.factories import FAR_AHEAD, LONG_AGO, a_campaign, a_campaign_id, a_claim, a_user_id
from tests.fakes import FakeClock, MemoryGate
from tests.gate_user import make_gate_user
from tests.redis_cluster import RedisTestCluster


class GateWorld(Protocol):
    """A gate, and the power to lose it."""

    gate: Gate

    def lose(self) -> None:
        """Wipe everything."""

    def lose_claims(self, campaign_id: str) -> None:
        """Lose a campaign's claims and nothing else."""


class MemoryWorld:
    """The fake."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = MemoryGate(self.clock)
        self.gate: Gate = self.memory

    def lose(self) -> None:
        self.memory.lose()

    def lose_claims(self, campaign_id: str) -> None:
        self.memory.lose_claims(campaign_id)


class RedisWorld:
    """The adapter on a real Redis."""

    def __init__(self, server: RedisTestServer, *, as_gate_user: bool = False) -> None:
        self.server = server
        self.gate: Gate = server.gate(credentials=make_gate_user(server) if as_gate_user else None)

    def lose(self) -> None:
        self.server.client.flushall()

    def lose_claims(self, campaign_id: str) -> None:
        self.server.client.delete(GateKeys(campaign_id).claims)


class ClusterWorld:
    """The adapter on a real cluster."""

    def __init__(self, cluster: RedisTestCluster) -> None:
        self.cluster = cluster
        self.gate: Gate = cluster.gate()

    def lose(self) -> None:
        self.cluster.flush()

    def lose_claims(self, campaign_id: str) -> None:
        self.cluster.owner(campaign_id).delete(GateKeys(campaign_id).claims)


@pytest.fixture(params=["memory", "redis", "redis as the user of the stack's own gate", "cluster"])
def world(request: pytest.FixtureRequest) -> GateWorld:
    """Each world, one after the other; the service has been set up, and has no campaign."""
    made: GateWorld
    if request.param == "memory":
        made = MemoryWorld()
    elif request.param == "cluster":
        made = ClusterWorld(request.getfixturevalue("redis_cluster"))
    else:
        made = RedisWorld(request.getfixturevalue("redis_server"), as_gate_user="user" in request.param)
    made.gate.register([])
    return made


def _open(world: GateWorld, capacity: int = 10, **changes: Any) -> Campaign:
    campaign = a_campaign(capacity=capacity, **({"version": 1} | changes))
    world.gate.register([campaign.campaign_id])
    assert world.gate.create(campaign) is ConfigureResult.DONE
    return campaign


def _apply(world: GateWorld, campaign: Campaign, user_id: str = "") -> Admission:
    answer = world.gate.apply(campaign.campaign_id, user_id or a_user_id(), new_coupon_code())
    assert isinstance(answer, Admission)
    return answer


def _find(world: GateWorld, campaign: Campaign, user_id: str) -> Admission:
    answer = world.gate.find(campaign.campaign_id, user_id)
    assert isinstance(answer, Admission)
    return answer


def _view(world: GateWorld, campaign: Campaign) -> GateView:
    view = world.gate.show(campaign.campaign_id)
    assert isinstance(view, GateView)
    return view


def _outbox(world: GateWorld, campaign: Campaign) -> list[Claim]:
    return world.gate.outbox(campaign.campaign_id, 0, 100)


def _change(world: GateWorld, campaign: Campaign, **changes: Any) -> Campaign:
    """Change a gate; returns the campaign as it now is."""
    changed = replace(campaign, version=campaign.version + 1, **changes)
    assert world.gate.change(changed) is ConfigureResult.DONE
    return changed


def _reopen(world: GateWorld, campaign: Campaign, fence: Fence) -> Reopened:
    while world.gate.list_free(fence):
        pass
    return world.gate.reopen(campaign, fence)


def test_sequences_run_from_one_without_a_gap(world: GateWorld) -> None:
    campaign = _open(world, capacity=3)

    assert [_apply(world, campaign).claim.sequence for _ in range(3)] == [1, 2, 3]


def test_a_new_claim_is_the_users_own_and_outbox(world: GateWorld) -> None:
    campaign = _open(world)
    code = new_coupon_code()

    answer = world.gate.apply(campaign.campaign_id, "ann", code)

    assert isinstance(answer, Admission)
    claim = Claim(campaign.campaign_id, "ann", 1, code, answer.claim.accepted_at)
    assert answer == Admission(claim, is_new=True, is_in_outbox=True, is_issued=False)
    assert answer.claim.accepted_at > LONG_AGO


def test_the_same_user_gets_the_same_claim_whatever_code_comes_with_the_request(world: GateWorld) -> None:
    campaign = _open(world)
    first = _apply(world, campaign, "ann")

    again = _apply(world, campaign, "ann")

    assert again.claim == first.claim
    assert not again.is_new
    assert _view(world, campaign).accepted == 1


@pytest.mark.parametrize("user_id", ["ann", "Ann", "ann ", "änn", "안녕", "a:b:c", "{x}", "'; DROP", "%s", "💥" * 128])
def test_users_are_told_apart_to_the_letter(world: GateWorld, user_id: str) -> None:
    campaign = _open(world)
    _apply(world, campaign, "someone-else")

    answer = _apply(world, campaign, user_id)

    assert answer.claim.user_id == user_id
    assert answer.claim.sequence == 2
    assert _apply(world, campaign, user_id).claim == answer.claim


def test_nothing_is_admitted_beyond_the_capacity(world: GateWorld) -> None:
    campaign = _open(world, capacity=2)

    answers = [world.gate.apply(campaign.campaign_id, a_user_id(), new_coupon_code()) for _ in range(4)]

    assert answers[2:] == [Refused(Refusal.SOLD_OUT)] * 2
    view = _view(world, campaign)
    assert (view.accepted, view.remaining, view.phase) == (2, 0, Phase.SOLD_OUT)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"opens_at": FAR_AHEAD - 1}, Refusal.NOT_OPEN),
        ({"closes_at": LONG_AGO + 1}, Refusal.CLOSED),
        ({"paused": True}, Refusal.PAUSED),
        ({"paused": True, "closes_at": LONG_AGO + 1}, Refusal.PAUSED),
    ],
)
def test_a_campaign_that_does_not_admit_says_why_and_shows_the_same_thing(
    world: GateWorld, changes: dict[str, Any], refusal: Refusal
) -> None:
    campaign = _open(world, **changes)

    answer = world.gate.apply(campaign.campaign_id, a_user_id(), new_coupon_code())

    assert isinstance(answer, Refused)
    assert answer.refusal is refusal
    view = _view(world, campaign)
    assert view.phase.value == refusal.value
    assert view.accepted == 0


def test_a_user_with_a_claim_gets_it_whatever_became_of_the_campaign(world: GateWorld) -> None:
    campaign = _open(world)
    claim = _apply(world, campaign, "ann").claim

    paused = _change(world, campaign, paused=True)
    assert _apply(world, campaign, "ann").claim == claim
    _change(world, paused, closes_at=LONG_AGO + 1)
    assert _apply(world, campaign, "ann").claim == claim


def test_not_open_says_when_it_opens_by_the_gates_clock(world: GateWorld) -> None:
    campaign = _open(world, opens_at=FAR_AHEAD - 5)

    answer = world.gate.apply(campaign.campaign_id, a_user_id(), new_coupon_code())

    assert isinstance(answer, Refused)
    assert answer.opens_at == FAR_AHEAD - 5
    assert LONG_AGO < answer.now < FAR_AHEAD - 5


def test_an_unknown_campaign_is_unknown(world: GateWorld) -> None:
    _open(world)

    assert world.gate.apply("nobody-made-it", "ann", new_coupon_code()) == Refused(Refusal.CAMPAIGN_NOT_FOUND)
    assert world.gate.show("nobody-made-it") is None
    assert world.gate.find("nobody-made-it", "ann") is None
    assert not world.gate.archived("nobody-made-it")


def _all_say_lost(world: GateWorld, campaign: Campaign) -> None:
    campaign_id = campaign.campaign_id
    for ask in (
        lambda: world.gate.apply(campaign_id, "nobody", new_coupon_code()),
        lambda: world.gate.find(campaign_id, "nobody"),
        lambda: world.gate.erase(campaign_id, "nobody", "x"),
    ):
        with pytest.raises(GateLostError):
            ask()
    view = _view(world, campaign)
    assert (view.is_available, view.phase, view.remaining) == (False, Phase.UNAVAILABLE, None)
    assert world.gate.state(campaign_id) is not GateState.WHOLE
    assert world.gate.change(replace(campaign, version=9)) in {ConfigureResult.LOST, ConfigureResult.FENCED}


def test_a_lost_gate_is_not_taken_for_an_unknown_campaign(world: GateWorld) -> None:
    campaign = _open(world)
    _apply(world, campaign)

    world.lose()

    _all_say_lost(world, campaign)
    assert _view(world, campaign).campaign is None


def test_a_gate_that_lost_its_claims_alone_is_lost(world: GateWorld) -> None:
    campaign = _open(world)
    _apply(world, campaign, "ann")

    world.lose_claims(campaign.campaign_id)

    _all_say_lost(world, campaign)
    assert _view(world, campaign).campaign == campaign
    # Nor do late notes hide it.
    world.gate.mark_issued([a_claim(campaign.campaign_id, 1, "ann")])
    assert world.gate.state(campaign.campaign_id) is GateState.LOST


def test_a_fenced_gate_is_shown_as_unavailable(world: GateWorld) -> None:
    campaign = _open(world)
    world.gate.fence(campaign.campaign_id)

    _all_say_lost(world, campaign)
    assert _view(world, campaign).campaign == campaign


def test_the_gate_of_a_registered_campaign_is_lost_though_another_one_is_there(world: GateWorld) -> None:
    _open(world)
    world.gate.register(["registered"])

    with pytest.raises(GateLostError):
        world.gate.apply("registered", "ann", new_coupon_code())


def test_a_lost_gate_is_not_half_remade_by_late_notes(world: GateWorld) -> None:
    campaign = _open(world)
    claim = _apply(world, campaign).claim
    world.lose()

    world.gate.mark_issued([claim])
    world.gate.remove_from_outbox([claim])
    world.gate.add_to_outbox([claim])
    world.gate.note_reconcile(campaign.campaign_id, {"position": "1"})
    for restore in (world.gate.restore_issued, world.gate.restore_overflow):
        with pytest.raises(GateUnavailableError):
            restore([claim])

    assert world.gate.state(campaign.campaign_id) is GateState.LOST
    view = _view(world, campaign)
    assert (view.campaign, view.accepted, view.outbox) == (None, 0, 0)
    assert world.gate.reconcile_notes(campaign.campaign_id) == {}


def test_a_capacity_below_what_was_accepted_changes_nothing(world: GateWorld) -> None:
    campaign = _open(world, capacity=5)
    for _ in range(3):
        _apply(world, campaign)

    refused = replace(campaign, capacity=2, name="other", version=2)
    assert world.gate.change(refused) is ConfigureResult.BELOW_ACCEPTED
    assert _view(world, campaign).campaign == campaign

    changed = _change(world, campaign, capacity=3)
    assert _view(world, campaign).campaign == changed


def test_an_older_version_changes_nothing_and_the_same_one_only_what_it_has_done(world: GateWorld) -> None:
    campaign = _change(world, _open(world), capacity=7)

    assert world.gate.change(campaign) is ConfigureResult.DONE
    assert world.gate.create(campaign) is ConfigureResult.DONE
    for version, capacity in ((1, 7), (1, 8), (2, 8)):
        stale = replace(campaign, version=version, capacity=capacity)
        assert world.gate.change(stale) is ConfigureResult.STALE
        assert world.gate.create(stale) is ConfigureResult.STALE
    assert _view(world, campaign).campaign == campaign


def test_what_is_not_confirmed_yet_has_version_0_and_may_be_made_again_with_another_content(world: GateWorld) -> None:
    campaign = _open(world, version=0, paused=True)

    assert world.gate.create(replace(campaign, capacity=7)) is ConfigureResult.DONE
    confirmed = _change(world, campaign, capacity=7, paused=False)

    assert _view(world, campaign).campaign == confirmed


def test_a_fenced_gate_is_not_changed_but_one_that_never_admitted_is_made_anew(world: GateWorld) -> None:
    campaign = _open(world, capacity=5)
    changed = replace(campaign, capacity=6, version=2)
    world.gate.fence(campaign.campaign_id)

    assert world.gate.change(changed) is ConfigureResult.FENCED
    assert world.gate.create(changed) is ConfigureResult.DONE
    assert _apply(world, campaign).claim.sequence == 1

    world.gate.fence(campaign.campaign_id)
    assert world.gate.create(changed) is ConfigureResult.FENCED


def test_a_raised_capacity_admits_again(world: GateWorld) -> None:
    campaign = _open(world, capacity=1)
    _apply(world, campaign)
    assert world.gate.apply(campaign.campaign_id, "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)

    _change(world, campaign, capacity=2)

    assert _apply(world, campaign, "late").claim.sequence == 2


def test_making_a_gate_that_is_there_never_resets_its_counter(world: GateWorld) -> None:
    campaign = _open(world, capacity=5)
    _apply(world, campaign)

    assert world.gate.create(campaign) is ConfigureResult.DONE

    assert _apply(world, campaign).claim.sequence == 2


def test_a_claim_is_in_the_outbox_until_the_queue_has_confirmed_it(world: GateWorld) -> None:
    campaign = _open(world)
    first, second = _apply(world, campaign, "ann").claim, _apply(world, campaign, "bob").claim
    assert _outbox(world, campaign) == sorted([first, second], key=lambda claim: (claim.accepted_at, claim.user_id))

    world.gate.remove_from_outbox([first])

    assert _outbox(world, campaign) == [second]
    assert not _apply(world, campaign, "ann").is_in_outbox
    assert _apply(world, campaign, "bob").is_in_outbox
    view = _view(world, campaign)
    assert (view.accepted, view.outbox) == (2, 1)
    assert view.oldest_outbox_ms >= 0


def test_young_claims_are_left_to_the_invocation_that_is_sending_them(world: GateWorld) -> None:
    campaign = _open(world)
    _apply(world, campaign)

    assert world.gate.outbox(campaign.campaign_id, 60_000, 10) == []


def test_the_outbox_is_returned_up_to_the_limit(world: GateWorld) -> None:
    campaign = _open(world)
    for _ in range(5):
        _apply(world, campaign)

    assert len(world.gate.outbox(campaign.campaign_id, 0, 3)) == 3


def test_an_entry_of_the_outbox_without_its_claim_is_removed(world: GateWorld) -> None:
    campaign = _open(world)
    _apply(world, campaign, "ann")
    world.lose_claims(campaign.campaign_id)

    assert _outbox(world, campaign) == []
    assert _view(world, campaign).outbox == 0


def test_an_issued_claim_is_shown_as_issued(world: GateWorld) -> None:
    campaign = _open(world)
    claim = _apply(world, campaign, "ann").claim
    _apply(world, campaign, "bob")

    world.gate.mark_issued([claim])

    assert _find(world, campaign, "ann").is_issued
    assert _apply(world, campaign, "ann").is_issued
    assert not _apply(world, campaign, "bob").is_issued


def test_the_ledgers_word_wins_over_what_the_gate_has(world: GateWorld) -> None:
    campaign = _open(world)
    claim = _apply(world, campaign, "ann").claim
    _apply(world, campaign, "bob")
    in_ledger = replace(claim, sequence=2, coupon_code=new_coupon_code())

    world.gate.mark_issued([in_ledger])

    found = _find(world, campaign, "ann")
    assert (found.claim, found.is_issued) == (in_ledger, True)
    assert world.gate.state(campaign.campaign_id) is GateState.WHOLE


def test_a_gate_that_has_not_given_an_issued_sequence_is_closed(world: GateWorld) -> None:
    campaign = _open(world)
    claim = _apply(world, campaign, "ann").claim

    world.gate.mark_issued([replace(claim, user_id="forgotten", sequence=2, coupon_code=new_coupon_code())])

    assert world.gate.state(campaign.campaign_id) is GateState.FENCED
    with pytest.raises(GateLostError):
        world.gate.apply(campaign.campaign_id, "bob", new_coupon_code())
    # Whoever has a claim still gets it.
    assert _apply(world, campaign, "ann").claim == claim
    assert _find(world, campaign, "forgotten").is_issued


def test_a_fence_closes_the_gate_and_tells_its_age(world: GateWorld) -> None:
    campaign = _open(world)
    _apply(world, campaign, "ann")
    assert world.gate.state(campaign.campaign_id) is GateState.WHOLE

    first, second = world.gate.fence(campaign.campaign_id), world.gate.fence(campaign.campaign_id)

    assert (first.campaign_id, first.highest) == (campaign.campaign_id, 1)
    assert 0 <= first.age_ms <= second.age_ms
    assert world.gate.state(campaign.campaign_id) is GateState.FENCED
    with pytest.raises(GateLostError):
        world.gate.apply(campaign.campaign_id, "bob", new_coupon_code())


def test_a_fence_is_as_old_as_the_clock_says_that_says_less(world: GateWorld) -> None:
    campaign = _open(world)
    assert world.gate.fence(campaign.campaign_id, ledger_now=5_000).age_ms == 0

    # The ledger's clock went on by an hour, or was set back by an hour: the gate's has not moved much.
    assert 0 <= world.gate.fence(campaign.campaign_id, ledger_now=3_605_000).age_ms < 60_000
    assert world.gate.fence(campaign.campaign_id, ledger_now=0).age_ms == 0
    assert world.gate.fence(campaign.campaign_id, ledger_now=1).age_ms <= 1


def test_a_rebuild_goes_on_where_it_stopped(world: GateWorld) -> None:
    campaign = _open(world)
    fence = world.gate.fence(campaign.campaign_id)
    assert (fence.phase, fence.position) == ("", "")

    world.gate.advance(fence, "issued", "1000")

    again = world.gate.fence(campaign.campaign_id)
    assert (again.phase, again.position, again.since) == ("issued", "1000", fence.since)


def test_a_lost_gate_comes_back_with_its_claims_and_gives_free_sequences_first(world: GateWorld) -> None:
    campaign = _open(world, capacity=5)
    campaign_id = campaign.campaign_id
    claims = [_apply(world, campaign, user).claim for user in ("ann", "bob", "carl")]
    world.lose()
    world.gate.register([campaign_id])
    assert world.gate.state(campaign_id) is GateState.LOST

    fence = world.gate.fence(campaign_id, highest=3)
    assert fence.highest == 3
    world.gate.prepare(campaign, fence)
    world.gate.restore_issued([claims[0], claims[2]])
    world.gate.restore_overflow([a_claim(campaign_id, 1, "dora")])
    with pytest.raises(GateLostError):
        world.gate.apply(campaign_id, "eve", new_coupon_code())
    assert _view(world, campaign).campaign == campaign
    assert _reopen(world, campaign, fence) == Reopened(highest=3, free=1)

    assert world.gate.state(campaign_id) is GateState.WHOLE
    view = _view(world, campaign)
    assert (view.campaign, view.accepted, view.is_available) == (campaign, 2, True)
    assert _find(world, campaign, "ann") == Admission(claims[0], is_new=False, is_in_outbox=False, is_issued=True)
    assert not _apply(world, campaign, "dora").is_new
    assert [_apply(world, campaign, user).claim.sequence for user in ("x", "y", "z")] == [2, 4, 5]
    assert world.gate.apply(campaign_id, "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)
    # The next fence is a new one.
    assert world.gate.fence(campaign_id).age_ms < 60_000
    world.lose_claims(campaign_id)


def test_a_claim_that_comes_while_the_gate_is_rebuilt_keeps_its_seat(world: GateWorld) -> None:
    campaign = _open(world, capacity=5)
    world.lose()
    world.gate.register([campaign.campaign_id])
    fence = world.gate.fence(campaign.campaign_id, highest=1)
    world.gate.restore_issued([a_claim(campaign.campaign_id, 1, "ann")])
    while world.gate.list_free(fence):
        pass

    world.gate.mark_issued([a_claim(campaign.campaign_id, 3, "late")])

    # What was listed as free no longer holds, and is listed once more.
    with pytest.raises(GateUnavailableError):
        world.gate.reopen(campaign, fence)
    assert _reopen(world, campaign, fence) == Reopened(highest=3, free=1)
    assert _find(world, campaign, "late").claim.sequence == 3
    assert [_apply(world, campaign).claim.sequence for _ in range(3)] == [2, 4, 5]


def test_a_claim_that_only_the_gate_has_is_kept_and_sent_again(world: GateWorld) -> None:
    campaign = _open(world, capacity=3)
    claims = [_apply(world, campaign).claim for _ in range(2)]
    world.gate.remove_from_outbox(claims)

    fence = world.gate.fence(campaign.campaign_id)
    world.gate.restore_issued(claims[:1])
    world.gate.add_to_outbox(claims[1:])

    assert _reopen(world, campaign, fence) == Reopened(highest=2, free=0)
    assert _outbox(world, campaign) == claims[1:]


def test_claims_that_are_lost_again_during_the_rebuild_are_restored_anew(world: GateWorld) -> None:
    campaign = _open(world, capacity=3)
    claim = _apply(world, campaign).claim
    fence = world.gate.fence(campaign.campaign_id)
    world.gate.restore_issued([claim])
    world.gate.advance(fence, "free", "")
    world.lose_claims(campaign.campaign_id)

    with pytest.raises(GateUnavailableError):
        _reopen(world, campaign, fence)

    assert world.gate.fence(campaign.campaign_id).phase == ""
    world.gate.restore_issued([claim])
    assert _reopen(world, campaign, fence) == Reopened(highest=1, free=0)


def test_a_gate_is_not_reopened_on_another_server_than_it_was_restored_on(world: GateWorld) -> None:
    campaign = _open(world)
    fence = replace(world.gate.fence(campaign.campaign_id), run_id="0123456789abcdef")

    for step in (
        lambda: world.gate.advance(fence, "issued", "1"),
        lambda: world.gate.prepare(campaign, fence),
        lambda: world.gate.list_free(fence),
        lambda: world.gate.reopen(campaign, fence),
    ):
        with pytest.raises(GateUnavailableError):
            step()

    assert world.gate.state(campaign.campaign_id) is GateState.FENCED


def test_a_second_rebuild_of_the_same_loss_opens_nothing_again(world: GateWorld) -> None:
    # As when the lock between two rebuilds was lost with its connection.
    campaign = a_campaign(capacity=3)
    world.gate.register([campaign.campaign_id])
    first, second = (world.gate.fence(campaign.campaign_id, highest=2) for _ in range(2))
    assert _reopen(world, campaign, first) == Reopened(highest=2, free=2)
    assert _apply(world, campaign, "ann").claim.sequence == 1

    with pytest.raises(GateUnavailableError):
        _reopen(world, campaign, second)

    assert [_apply(world, campaign, user).claim.sequence for user in ("bob", "carl")] == [2, 3]


def test_a_gate_that_loses_claims_after_it_was_rebuilt_is_lost(world: GateWorld) -> None:
    campaign = _open(world, capacity=5)
    claims = [_apply(world, campaign, user).claim for user in ("ann", "bob")]
    fence = world.gate.fence(campaign.campaign_id)
    world.gate.restore_issued(claims)
    world.gate.restore_overflow([a_claim(campaign.campaign_id, 1, "dora")])
    _reopen(world, campaign, fence)
    assert world.gate.state(campaign.campaign_id) is GateState.WHOLE

    world.lose_claims(campaign.campaign_id)

    assert world.gate.state(campaign.campaign_id) is GateState.LOST


def test_all_claims_of_a_gate_are_read_and_can_be_put_into_the_outbox_again(world: GateWorld) -> None:
    campaign = _open(world, capacity=30)
    claims = {_apply(world, campaign).claim for _ in range(30)}
    world.gate.remove_from_outbox(claims)

    found: set[Claim] = set()
    position: str | None = ""
    while position is not None:
        page, position = world.gate.claims_page(campaign.campaign_id, position)
        found.update(page)
    again = [*list(found)[:2], a_claim(campaign.campaign_id, 1, "not-here")]
    assert [world.gate.add_to_outbox(again) for _ in range(2)] == [2, 0]

    assert found == claims
    assert set(_outbox(world, campaign)) == set(list(found)[:2])


def test_claims_are_counted_as_they_go_their_way(world: GateWorld) -> None:
    campaign = _open(world, capacity=10)
    assert world.gate.claim_counts(campaign.campaign_id) == ClaimCounts(0, 0, 0, 0)
    claims = [_apply(world, campaign).claim for _ in range(5)]
    assert world.gate.claim_counts(campaign.campaign_id) == ClaimCounts(5, 5, 0, 0)
    world.gate.remove_from_outbox(claims[:4])
    world.gate.mark_issued([*claims[:2], claims[0]])
    world.gate.erase(campaign.campaign_id, claims[0].user_id, "erased-1")
    assert world.gate.claim_counts(campaign.campaign_id) == ClaimCounts(5, 1, 2, 1)
    assert world.gate.claim_counts("nobody-made-it") == ClaimCounts(0, 0, 0, 0)


def test_what_is_not_in_the_ledger_any_more_is_not_shown_as_issued_after_a_rebuild(world: GateWorld) -> None:
    campaign = _open(world)
    kept, gone = (_apply(world, campaign).claim for _ in range(2))
    world.gate.remove_from_outbox([kept, gone])
    world.gate.mark_issued([kept, gone])

    fence = world.gate.fence(campaign.campaign_id)
    world.gate.prepare(campaign, fence)
    world.gate.restore_issued([kept])
    world.gate.add_to_outbox([gone])
    _reopen(world, campaign, fence)

    assert [_find(world, campaign, claim.user_id).is_issued for claim in (kept, gone)] == [True, False]


def test_campaigns_are_registered_by_their_ids(world: GateWorld) -> None:
    ids = sorted(a_campaign_id() for _ in range(3))

    world.gate.register(ids[:2])
    world.gate.register(ids[1:])

    assert world.gate.campaign_ids() == ids


def test_an_archived_campaign_is_gone_for_good(world: GateWorld) -> None:
    campaign, other = _open(world), _open(world)
    claim = _apply(world, campaign, "ann").claim

    for _ in range(2):
        world.gate.archive(campaign.campaign_id)

    archived = Refused(Refusal.ARCHIVED)
    world.gate.mark_issued([claim])
    world.gate.add_to_outbox([claim])
    world.gate.add_answers(campaign.campaign_id, {"closed": 1})
    assert world.gate.answers(campaign.campaign_id) == {}
    with pytest.raises(GateLostError):
        world.gate.fence(campaign.campaign_id)
    assert world.gate.archived(campaign.campaign_id)
    assert world.gate.apply(campaign.campaign_id, "bob", new_coupon_code()) == archived
    assert world.gate.find(campaign.campaign_id, "ann") == archived
    assert world.gate.show(campaign.campaign_id) == archived
    assert world.gate.campaign_ids() == [other.campaign_id]

    world.lose()
    world.gate.register_archived([campaign.campaign_id])
    assert world.gate.show(campaign.campaign_id) == archived


def test_answers_are_added_up_by_code(world: GateWorld) -> None:
    campaign = _open(world)
    assert world.gate.answers(campaign.campaign_id) == {}
    for numbers in ({"sold_out": 2, "unavailable": 1}, {"sold_out": 3}):
        world.gate.add_answers(campaign.campaign_id, numbers)
    assert world.gate.answers(campaign.campaign_id) == {"sold_out": 5, "unavailable": 1}


def test_the_view_tells_how_far_the_counter_is_and_when_the_newest_claim_was_accepted(world: GateWorld) -> None:
    campaign = _open(world)
    before = world.gate.show(campaign.campaign_id)
    assert isinstance(before, GateView)
    assert (before.highest, before.newest_at) == (0, None)

    claims = [_apply(world, campaign, user).claim for user in ("ann", "bob")]

    after = world.gate.show(campaign.campaign_id)
    assert isinstance(after, GateView)
    assert (after.highest, after.newest_at) == (2, claims[1].accepted_at)


def test_an_erased_user_leaves_the_claim_behind(world: GateWorld) -> None:
    campaign = _open(world, capacity=2)
    claim = _apply(world, campaign, "ann").claim
    campaign_id = campaign.campaign_id
    assert world.gate.erase(campaign_id, "bob", "x") is EraseResult.NONE
    assert world.gate.erase(campaign_id, "ann", "x") is EraseResult.UNDER_WAY
    world.gate.remove_from_outbox([claim])

    assert world.gate.erase(campaign_id, "ann", "x") is EraseResult.DONE

    assert world.gate.find(campaign_id, "ann") is None
    assert _find(world, campaign, "x").claim == replace(claim, user_id="x")
    assert world.gate.erasures(campaign_id) == [Erasure(1, claim.coupon_code, "x")]
    # A late duplicate does not bring the id back, nor does erasing once more make a second pseudonym.
    world.gate.mark_issued([claim])
    assert world.gate.find(campaign_id, "ann") is None
    assert world.gate.erase(campaign_id, "x", "y") is EraseResult.DONE
    assert _find(world, campaign, "x").claim.sequence == 1
    assert world.gate.state(campaign_id) is GateState.WHOLE


def test_a_user_who_was_restored_beside_their_pseudonym_is_erased_from_a_fenced_gate(world: GateWorld) -> None:
    campaign = _open(world, capacity=2)
    claim = _apply(world, campaign, "ann").claim
    world.gate.remove_from_outbox([claim])
    fence = world.gate.fence(campaign.campaign_id)
    world.gate.restore_issued([replace(claim, user_id="x")])

    assert world.gate.erase(campaign.campaign_id, "ann", "x") is EraseResult.DONE
    _reopen(world, campaign, fence)

    assert world.gate.find(campaign.campaign_id, "ann") is None
    assert world.gate.state(campaign.campaign_id) is GateState.WHOLE


def test_the_queue_was_last_seen_empty_at_an_instant_of_the_gates_clock(world: GateWorld) -> None:
    assert world.gate.queue_empty_at() is None
    now = world.gate.now()

    world.gate.note_queue_empty(now)
    assert world.gate.queue_empty_at() == now
    # The clock was set back since.
    world.gate.note_queue_empty(now + 3_600_000)
    assert world.gate.queue_empty_at() is None


def test_notes_of_a_reconciliation_are_kept_until_the_gate_is_rebuilt(world: GateWorld) -> None:
    campaign = _open(world)
    world.gate.note_reconcile(campaign.campaign_id, {"position": "5", "compared": "7"})
    world.gate.note_reconcile(campaign.campaign_id, {"position": "6"})
    assert world.gate.reconcile_notes(campaign.campaign_id) == {"position": "6", "compared": "7"}

    _reopen(world, campaign, world.gate.fence(campaign.campaign_id))

    assert world.gate.reconcile_notes(campaign.campaign_id) == {}


def test_a_fenced_gate_does_not_deny_a_coupon_it_may_have_forgotten(world: GateWorld) -> None:
    campaign = _open(world)
    claim = _apply(world, campaign, "ann").claim
    world.gate.fence(campaign.campaign_id)

    assert _find(world, campaign, "ann").claim == claim
    with pytest.raises(GateLostError):
        world.gate.find(campaign.campaign_id, "bob")
