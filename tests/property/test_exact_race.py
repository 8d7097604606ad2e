"""N coupons, 10 x N users, all at once: exactly N are told yes, and their sequences are 1 to N."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched

import pytest

from firstcome.adapters.redis.gate import GateKeys, _place
from firstcome.adapters.redis.scripts import script
from firstcome.domain.claim import Admission, new_coupon_code
from firstcome.domain.refusal import Refusal, Refused
from tests.conftest import RedisTestServer
from tests.factories import a_campaign

THREADS = 8


def _open(server: RedisTestServer, capacity: int) -> str:
    campaign = a_campaign(capacity=capacity)
    gate = server.gate()
    gate.register([campaign.campaign_id])
    assert gate.create(campaign)
    return campaign.campaign_id


def _shares(users: int) -> list[list[str]]:
    """Part the users among the threads."""
    return [[f"user-{number}" for number in range(users)][start::THREADS] for start in range(THREADS)]


@pytest.mark.parametrize("capacity", [1, 2, 100])
def test_exactly_n_users_win(redis_server: RedisTestServer, capacity: int) -> None:
    campaign_id = _open(redis_server, capacity)
    start = threading.Barrier(THREADS)

    def rush(users: Sequence[str]) -> list[Admission | Refused]:
        gate = redis_server.gate()
        gate.show(campaign_id)
        start.wait(timeout=30)
        return [gate.apply(campaign_id, user, new_coupon_code()) for user in users]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for some in pool.map(rush, _shares(10 * capacity)) for answer in some]

    won = [answer.claim for answer in answers if isinstance(answer, Admission)]
    assert sorted(claim.sequence for claim in won) == list(range(1, capacity + 1))
    assert len({claim.user_id for claim in won}) == len({claim.coupon_code for claim in won}) == capacity
    assert [answer for answer in answers if isinstance(answer, Refused)] == [Refused(Refusal.SOLD_OUT)] * 9 * capacity


def test_exactly_ten_thousand_of_a_hundred_thousand_users_win(redis_server: RedisTestServer) -> None:
    """The script itself, many calls at a time: a gate of one call at a time needs longer than a test should take."""
    capacity = 10_000
    campaign_id = _open(redis_server, capacity)
    keys = GateKeys(campaign_id)
    run_id = redis_server.client.info("server")["run_id"]
    sha = redis_server.client.script_load(script("apply").source)
    names = [keys.campaign, keys.accepted, keys.claims, keys.outbox, keys.issued, keys.free, keys.winners]
    fixed = ["EVALSHA", sha, len(names), *names]
    start = threading.Barrier(THREADS)

    def rush(users: Sequence[str]) -> list[list[bytes]]:
        start.wait(timeout=30)
        answers: list[list[bytes]] = []
        for some in batched(users, 500, strict=False):
            pipeline = redis_server.client.pipeline(transaction=False)
            for user in some:
                pipeline.execute_command(*fixed, run_id, user, 0, f"CODE-{user}", 0, *_place(user))
            answers += pipeline.execute()
        return answers

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [answer for some in pool.map(rush, _shares(10 * capacity)) for answer in some]

    claims = [answer[1].split(b":") for answer in answers if answer[0] == b"accepted"]
    assert sorted(int(sequence) for sequence, _, _ in claims) == list(range(1, capacity + 1))
    assert len({code for _, code, _ in claims}) == capacity
    assert [answer for answer in answers if answer[0] != b"accepted"] == [[b"sold_out"]] * 9 * capacity
    assert redis_server.client.hlen(keys.claims) == redis_server.client.zcard(keys.outbox) == capacity
