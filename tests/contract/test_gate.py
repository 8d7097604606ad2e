"""What any gate must do: the same tests on Redis and on the fake in memory."""

from dataclasses import replace
from typing import Any, Protocol

import pytest

from firstcome.adapters.redis.gate import RedisGate
from firstcome.domain.claim import Admission, Claim, new_coupon_code
from firstcome.domain.errors import GateLostError, GateUnavailableError
from firstcome.domain.gate import GateState, GateView
from firstcome.domain.refusal import Refusal, Refused
from firstcome.service.ports import Gate
from tests.conftest import RedisTestServer
from tests.factories import FAR_AHEAD, LONG_AGO, a_campaign, a_campaign_id, a_claim, a_user_id
from tests.fakes import FakeClock, MemoryGate
from tests.gate_user import connection_as_gate_user


class GateWorld(Protocol):
    """A gate, and the power to lose it."""

    gate: Gate

    def lose(self) -> None:
        """Wipe everything."""


class MemoryWorld:
    """The fake."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = MemoryGate(self.clock)
        self.gate: Gate = self.memory

    def lose(self) -> None:
        self.memory.lose()


class RedisWorld:
    """The adapter on a real Redis."""

    def __init__(self, server: RedisTestServer, *, as_gate_user: bool = False) -> None:
        self.server = server
        self.gate: Gate = RedisGate(connection_as_gate_user(server)) if as_gate_user else server.gate()

    def lose(self) -> None:
        self.server.client.flushall()


@pytest.fixture(params=["memory", "redis", "redis as the user of the stack's own gate"])
def world(request: pytest.FixtureRequest) -> GateWorld:
    """Each world, one after the other; the service has been set up, and has no campaign."""
    made: GateWorld
    if request.param == "memory":
        made = MemoryWorld()
    else:
        made = RedisWorld(request.getfixturevalue("redis_server"), as_gate_user="user" in request.param)
    made.gate.register([])
    return made


def _open(world: GateWorld, capacity: int = 10, **changes: Any) -> str:
    campaign = a_campaign(capacity=capacity, **changes)
    world.gate.register([campaign.campaign_id])
    assert world.gate.create(campaign)
    return campaign.campaign_id


def _apply(world: GateWorld, campaign_id: str, user_id: str = "") -> Admission:
    answer = world.gate.apply(campaign_id, user_id or a_user_id(), new_coupon_code())
    assert isinstance(answer, Admission)
    return answer


def test_sequences_run_from_one_without_a_gap(world: GateWorld) -> None:
    campaign_id = _open(world, capacity=3)

    assert [_apply(world, campaign_id).claim.sequence for _ in range(3)] == [1, 2, 3]


def test_a_new_claim_is_the_users_own_and_outbox(world: GateWorld) -> None:
    campaign_id = _open(world)
    code = new_coupon_code()

    answer = world.gate.apply(campaign_id, "ann", code)

    assert isinstance(answer, Admission)
    assert answer == Admission(
        Claim(campaign_id, "ann", 1, code, answer.claim.accepted_at), is_new=True, is_in_outbox=True, is_issued=False
    )
    assert answer.claim.accepted_at > LONG_AGO


def test_the_same_user_gets_the_same_claim_whatever_code_comes_with_the_request(world: GateWorld) -> None:
    campaign_id = _open(world)
    first = _apply(world, campaign_id, "ann")

    again = _apply(world, campaign_id, "ann")

    assert again.claim == first.claim
    assert not again.is_new
    view = world.gate.show(campaign_id)
    assert view
    assert view.accepted == 1


@pytest.mark.parametrize("user_id", ["ann", "Ann", "ann ", "änn", "안녕", "a:b:c", "{x}", "'; DROP", "%s", "💥" * 128])
def test_users_are_told_apart_to_the_letter(world: GateWorld, user_id: str) -> None:
    campaign_id = _open(world)
    _apply(world, campaign_id, "someone-else")

    answer = _apply(world, campaign_id, user_id)

    assert answer.claim.user_id == user_id
    assert answer.claim.sequence == 2
    assert _apply(world, campaign_id, user_id).claim == answer.claim


def test_nothing_is_admitted_beyond_the_capacity(world: GateWorld) -> None:
    campaign_id = _open(world, capacity=2)
    users = [a_user_id() for _ in range(4)]

    answers = [world.gate.apply(campaign_id, user, new_coupon_code()) for user in users]

    assert answers[2:] == [Refused(Refusal.SOLD_OUT)] * 2
    view = world.gate.show(campaign_id)
    assert view
    assert (view.accepted, view.remaining) == (2, 0)


def test_a_winner_still_gets_the_coupon_when_it_is_sold_out_paused_or_closed(world: GateWorld) -> None:
    campaign = a_campaign(capacity=1)
    world.gate.register([campaign.campaign_id])
    world.gate.create(campaign)
    won = _apply(world, campaign.campaign_id, "ann").claim

    assert _apply(world, campaign.campaign_id, "ann").claim == won
    world.gate.configure(replace(campaign, paused=True))
    assert _apply(world, campaign.campaign_id, "ann").claim == won
    world.gate.configure(replace(campaign, closes_at=LONG_AGO + 1))
    assert _apply(world, campaign.campaign_id, "ann").claim == won


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"paused": True}, Refusal.PAUSED),
        ({"closes_at": LONG_AGO + 1}, Refusal.CLOSED),
        ({"opens_at": FAR_AHEAD - 1}, Refusal.NOT_OPEN),
        # Paused is asked first: it is the operator's word.
        ({"paused": True, "closes_at": LONG_AGO + 1}, Refusal.PAUSED),
    ],
)
def test_a_campaign_that_is_not_open_refuses_and_counts_nothing(
    world: GateWorld, changes: dict[str, Any], refusal: Refusal
) -> None:
    campaign_id = _open(world, **changes)

    answer = world.gate.apply(campaign_id, a_user_id(), new_coupon_code())

    assert isinstance(answer, Refused)
    assert answer.refusal is refusal
    view = world.gate.show(campaign_id)
    assert isinstance(view, GateView)
    assert view.phase.value == refusal.value
    assert view.accepted == 0


def test_not_open_says_when_it_opens_by_the_gates_clock(world: GateWorld) -> None:
    campaign_id = _open(world, opens_at=FAR_AHEAD - 5)

    answer = world.gate.apply(campaign_id, a_user_id(), new_coupon_code())

    assert isinstance(answer, Refused)
    assert answer.opens_at == FAR_AHEAD - 5
    assert LONG_AGO < answer.now < FAR_AHEAD - 5


def test_an_unknown_campaign_is_unknown(world: GateWorld) -> None:
    _open(world)

    assert world.gate.apply("nobody-made-it", "ann", new_coupon_code()) == Refused(Refusal.CAMPAIGN_NOT_FOUND)
    assert world.gate.show("nobody-made-it") is None
    assert world.gate.find("nobody-made-it", "ann") is None


def test_a_lost_gate_is_not_taken_for_an_unknown_campaign(world: GateWorld) -> None:
    campaign_id = _open(world)
    _apply(world, campaign_id)

    world.lose()

    for ask in (
        lambda: world.gate.apply(campaign_id, "ann", new_coupon_code()),
        lambda: world.gate.show(campaign_id),
        lambda: world.gate.find(campaign_id, "ann"),
        lambda: world.gate.counts(campaign_id),
        lambda: world.gate.configure(a_campaign(campaign_id)),
    ):
        with pytest.raises(GateLostError):
            ask()


def test_the_gate_of_a_remembered_campaign_is_lost_though_another_one_is_there(world: GateWorld) -> None:
    _open(world)
    world.gate.register(["remembered"])

    with pytest.raises(GateLostError):
        world.gate.apply("remembered", "ann", new_coupon_code())


def test_a_claim_noted_as_sent_is_unsent_no_more(world: GateWorld) -> None:
    campaign_id = _open(world)
    claims = [_apply(world, campaign_id).claim for _ in range(2)]

    world.gate.remove_from_outbox_without_reply(claims[0])

    assert world.gate.outbox(campaign_id, 0, 10) == [claims[1]]


def test_a_lost_gate_is_not_half_remade_by_late_notes(world: GateWorld) -> None:
    campaign_id = _open(world)
    claim = _apply(world, campaign_id).claim
    world.lose()

    world.gate.mark_issued([claim])
    world.gate.remove_from_outbox([claim])
    world.gate.remove_from_outbox_without_reply(claim)

    with pytest.raises(GateLostError):
        world.gate.show(campaign_id)


def test_a_capacity_below_what_was_accepted_changes_nothing(world: GateWorld) -> None:
    campaign = a_campaign(capacity=5)
    world.gate.register([campaign.campaign_id])
    world.gate.create(campaign)
    for _ in range(3):
        _apply(world, campaign.campaign_id)

    assert not world.gate.configure(replace(campaign, capacity=2, name="other"))
    assert world.gate.configure(replace(campaign, capacity=3))

    view = world.gate.show(campaign.campaign_id)
    assert view
    assert view.campaign == replace(campaign, capacity=3)


def test_a_fenced_gate_may_have_forgotten_claims_so_its_capacity_is_not_lowered(world: GateWorld) -> None:
    campaign = a_campaign(capacity=5)
    world.gate.register([campaign.campaign_id])
    world.gate.create(campaign)
    assert world.gate.lower(replace(campaign, capacity=4))
    world.gate.fence(campaign.campaign_id)

    with pytest.raises(GateLostError):
        world.gate.lower(replace(campaign, capacity=3))
    view = world.gate.show(campaign.campaign_id)
    assert view
    assert view.campaign.capacity == 4
    assert world.gate.configure(replace(campaign, capacity=6, paused=True))


def test_a_raised_capacity_admits_again(world: GateWorld) -> None:
    campaign = a_campaign(capacity=1)
    world.gate.register([campaign.campaign_id])
    world.gate.create(campaign)
    _apply(world, campaign.campaign_id)
    assert world.gate.apply(campaign.campaign_id, "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)

    world.gate.configure(replace(campaign, capacity=2))

    assert _apply(world, campaign.campaign_id, "late").claim.sequence == 2


def test_making_a_gate_that_is_there_never_resets_its_counter(world: GateWorld) -> None:
    campaign = a_campaign(capacity=5)
    world.gate.register([campaign.campaign_id])
    world.gate.create(campaign)
    _apply(world, campaign.campaign_id)

    assert world.gate.create(campaign)

    assert _apply(world, campaign.campaign_id).claim.sequence == 2


def test_a_claim_is_unsent_until_the_queue_has_confirmed_it(world: GateWorld) -> None:
    campaign_id = _open(world)
    first, second = _apply(world, campaign_id, "ann").claim, _apply(world, campaign_id, "bob").claim
    assert world.gate.outbox(campaign_id, 0, 10) == sorted(
        [first, second], key=lambda claim: (claim.accepted_at, claim.user_id)
    )

    world.gate.remove_from_outbox([first])

    assert world.gate.outbox(campaign_id, 0, 10) == [second]
    assert not _apply(world, campaign_id, "ann").is_in_outbox
    assert _apply(world, campaign_id, "bob").is_in_outbox
    assert world.gate.counts(campaign_id).outbox == 1


def test_young_unsent_claims_are_left_to_whoever_is_sending_them(world: GateWorld) -> None:
    campaign_id = _open(world)
    _apply(world, campaign_id)

    assert world.gate.outbox(campaign_id, 60_000, 10) == []


def test_unsent_claims_are_returned_up_to_the_limit(world: GateWorld) -> None:
    campaign_id = _open(world)
    for _ in range(5):
        _apply(world, campaign_id)

    assert len(world.gate.outbox(campaign_id, 0, 3)) == 3


def test_an_issued_claim_is_shown_as_issued(world: GateWorld) -> None:
    campaign_id = _open(world)
    claim = _apply(world, campaign_id, "ann").claim
    _apply(world, campaign_id, "bob")

    world.gate.mark_issued([claim])

    found = world.gate.find(campaign_id, "ann")
    assert found
    assert found.is_issued
    assert _apply(world, campaign_id, "ann").is_issued
    assert not _apply(world, campaign_id, "bob").is_issued


def test_the_ledgers_word_wins_over_what_the_gate_has(world: GateWorld) -> None:
    campaign_id = _open(world)
    claim = _apply(world, campaign_id, "ann").claim
    _apply(world, campaign_id, "bob")
    in_ledger = replace(claim, sequence=2, coupon_code=new_coupon_code())

    world.gate.mark_issued([in_ledger])

    found = world.gate.find(campaign_id, "ann")
    assert found
    assert (found.claim, found.is_issued) == (in_ledger, True)
    assert world.gate.state(campaign_id) is GateState.WHOLE


def test_a_gate_that_has_not_given_an_issued_sequence_is_closed(world: GateWorld) -> None:
    campaign_id = _open(world)
    claim = _apply(world, campaign_id, "ann").claim

    world.gate.mark_issued([replace(claim, user_id="forgotten", sequence=2, coupon_code=new_coupon_code())])

    assert world.gate.state(campaign_id) is GateState.FENCED
    with pytest.raises(GateLostError):
        world.gate.apply(campaign_id, "bob", new_coupon_code())
    # Who has a claim still gets it.
    assert _apply(world, campaign_id, "ann").claim == claim
    found = world.gate.find(campaign_id, "forgotten")
    assert found
    assert found.is_issued


def test_a_fence_closes_the_gate_and_tells_its_age(world: GateWorld) -> None:
    campaign_id = _open(world)
    _apply(world, campaign_id, "ann")
    assert world.gate.state(campaign_id) is GateState.WHOLE

    first, second = world.gate.fence(campaign_id), world.gate.fence(campaign_id)

    assert (first.campaign_id, first.highest) == (campaign_id, 1)
    assert 0 <= first.age_ms <= second.age_ms
    assert world.gate.state(campaign_id) is GateState.FENCED
    with pytest.raises(GateLostError):
        world.gate.apply(campaign_id, "bob", new_coupon_code())


def test_a_lost_gate_comes_back_with_its_claims_and_gives_free_sequences_first(world: GateWorld) -> None:
    campaign = a_campaign(capacity=5)
    campaign_id = campaign.campaign_id
    world.gate.register([campaign_id])
    world.gate.create(campaign)
    claims = [_apply(world, campaign_id, user).claim for user in ("ann", "bob", "carl")]
    world.lose()
    world.gate.register([campaign_id])
    assert world.gate.state(campaign_id) is GateState.LOST

    fence = world.gate.fence(campaign_id)
    assert fence.highest == 0
    world.gate.restore_issued([claims[0], claims[2]])
    world.gate.restore_overflow([a_claim(campaign_id, 1, "dora")])
    with pytest.raises(GateLostError):
        world.gate.apply(campaign_id, "eve", new_coupon_code())
    world.gate.reopen(campaign, fence, 3, [(2, 2)])

    assert world.gate.state(campaign_id) is GateState.WHOLE
    view = world.gate.show(campaign_id)
    assert view
    assert (view.campaign, view.accepted) == (campaign, 2)
    ann = world.gate.find(campaign_id, "ann")
    assert ann == Admission(claims[0], is_new=False, is_in_outbox=False, is_issued=True)
    assert not _apply(world, campaign_id, "dora").is_new
    assert [_apply(world, campaign_id, user).claim.sequence for user in ("x", "y", "z")] == [2, 4, 5]
    assert world.gate.apply(campaign_id, "late", new_coupon_code()) == Refused(Refusal.SOLD_OUT)
    # The next fence is a new one.
    assert world.gate.fence(campaign_id).age_ms < 60_000


def test_a_gate_is_not_reopened_on_another_server_than_it_was_restored_on(world: GateWorld) -> None:
    campaign = a_campaign()
    world.gate.register([campaign.campaign_id])
    world.gate.create(campaign)
    fence = replace(world.gate.fence(campaign.campaign_id), run_id="0123456789abcdef")

    with pytest.raises(GateUnavailableError):
        world.gate.reopen(campaign, fence, 0, [])

    assert world.gate.state(campaign.campaign_id) is GateState.FENCED


def test_a_second_rebuild_of_the_same_loss_opens_nothing_again(world: GateWorld) -> None:
    # As when the lock between two rebuilds was lost with its connection.
    campaign = a_campaign(capacity=3)
    world.gate.register([campaign.campaign_id])
    first, second = world.gate.fence(campaign.campaign_id), world.gate.fence(campaign.campaign_id)
    world.gate.reopen(campaign, first, 2, [(1, 2)])
    assert _apply(world, campaign.campaign_id, "ann").claim.sequence == 1

    with pytest.raises(GateUnavailableError):
        world.gate.reopen(campaign, second, 2, [(1, 2)])

    assert [_apply(world, campaign.campaign_id, user).claim.sequence for user in ("bob", "carl")] == [2, 3]


def test_all_claims_of_a_gate_are_read_and_can_be_made_unsent_again(world: GateWorld) -> None:
    campaign_id = _open(world, capacity=30)
    claims = {_apply(world, campaign_id).claim for _ in range(30)}
    world.gate.remove_from_outbox(claims)

    found = {claim for page in world.gate.all_claims(campaign_id) for claim in page}
    world.gate.add_to_outbox(list(found)[:2])

    assert found == claims
    assert set(world.gate.outbox(campaign_id, 0, 100)) == set(list(found)[:2])


def test_counts_tell_how_far_the_claims_are(world: GateWorld) -> None:
    campaign_id = _open(world)
    for _ in range(3):
        _apply(world, campaign_id)

    counts = world.gate.counts(campaign_id)

    assert (counts.accepted, counts.outbox) == (3, 3)
    assert counts.oldest_outbox_ms >= 0


def test_campaigns_are_remembered_by_their_ids(world: GateWorld) -> None:
    ids = sorted(a_campaign_id() for _ in range(3))

    world.gate.register(ids[:2])
    world.gate.register(ids[1:])

    assert world.gate.campaign_ids() == ids


def test_a_fenced_gate_does_not_deny_a_coupon_it_may_have_forgotten(world: GateWorld) -> None:
    campaign_id = _open(world)
    claim = _apply(world, campaign_id, "ann").claim
    world.gate.fence(campaign_id)

    found = world.gate.find(campaign_id, "ann")
    assert found
    assert found.claim == claim
    with pytest.raises(GateLostError):
        world.gate.find(campaign_id, "bob")
