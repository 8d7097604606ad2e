"""The pure parts of the long run: who asks what, in which order faults strike, and what counts as broken."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from local.errors import LocalStackError
from verify.chaos.__main__ import read_plan
from verify.chaos.clients import Reply, to_answer
from verify.chaos.faults import FAULTS
from verify.chaos.forwarder import Forwarder, Mode, body_length
from verify.chaos.outcome import LongOutcome, LongPlan, Struck, describe, summarise
from verify.chaos.population import Population, Task
from verify.chaos.schedule import steps, steps_a_round
from verify.rush.answers import Answer

ACCEPTED_AT = "2026-11-23T09:00:00.000Z"


def reply(status: int, number: int = 0, code: str = "") -> Reply:
    coupon = {"sequence": number, "coupon_code": f"CODE{number}", "accepted_at": ACCEPTED_AT}
    return Reply(status, coupon if number else {"code": code}, 1.0)


def answer(population: Population, task: Task, given: Reply, started: float = 100.0) -> Answer:
    made = to_answer(task, given, started, 500.0)
    population.take_in(task, made, given.retry_after)
    return made


def population(**changes: object) -> Population:
    return replace(Population(random.Random(1), ["one", "two"]), **changes)  # type: ignore[arg-type]


def next_task(users: Population, now: float = 0.0) -> Task:
    task = users.next_task(now)
    assert task is not None
    return task


def test_new_users_apply_and_a_user_without_a_clear_answer_asks_again_first() -> None:
    users = population()
    task = next_task(users)
    assert (task.kind, task.member.campaign) == ("apply", "one")

    made = answer(users, task, reply(503, code="unavailable"))
    assert (made.retried, made.fault) == (True, None)

    assert users.unclear == 1
    assert next_task(users, now=float("inf")) is task
    answer(users, task, reply(202, 1))
    assert users.unclear == 0


def test_once_it_no_longer_grows_only_the_unclear_are_asked() -> None:
    users = population()
    first, second = next_task(users), next_task(users)
    answer(users, first, reply(202, 1))
    answer(users, second, reply(0))
    users.is_growing = False

    assert users.next_task(float("inf")) is second
    assert users.next_task(float("inf")) is None


def test_a_sold_out_campaign_is_followed_by_the_next() -> None:
    users = population()
    first, second = next_task(users), next_task(users)
    assert users.unused_campaigns == 1
    answer(users, first, reply(409, code="sold_out"))
    # Of the same campaign, so it must not skip another one.
    answer(users, second, reply(409, code="sold_out"))

    assert users.unused_campaigns == 0
    assert [next_task(users).member.campaign for _ in range(3)].count("two") >= 2


def test_nobody_is_asked_for_twice_at_a_time() -> None:
    users = population()
    for number in range(1, 20):
        answer(users, next_task(users), reply(200, number))

    out = [next_task(users).member.user for _ in range(200)]

    assert len(set(out)) == len(out)


def test_an_acceptance_counts_from_when_it_was_asked_for() -> None:
    users = population()
    answer(users, next_task(users), reply(202, 1), started=10.0)
    answer(users, next_task(users), reply(202, 2), started=20.0)

    assert users.first_acceptance_since(10.2) == 20.5
    assert users.first_acceptance_since(20.1) is None
    assert users.accepted_between(10.0, 20.0) == 1


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (reply(200, 2), "another coupon than before"),
        (reply(409, code="sold_out"), "sold_out to a user who holds a coupon"),
        (reply(404, code="campaign_not_found"), "unexpected answer 404 campaign_not_found"),
        (reply(200, 1), None),
        (reply(500), None),
    ],
)
def test_an_answer_that_contradicts_the_last_is_a_fault(given: Reply, fault: str | None) -> None:
    users = population()
    task = next_task(users)
    answer(users, task, reply(202, 1))

    assert to_answer(Task("again", task.member), given, 0.0, 1.0).fault == fault


@pytest.mark.parametrize("minutes", [3, 15])
def test_every_kind_of_fault_is_made_in_a_round_and_a_seed_repeats_it(minutes: int) -> None:
    one, other = (list(islice(steps(random.Random(5), minutes * 60), 2 * steps_a_round())) for _ in range(2))

    assert one == other
    assert {step.kind for step in one[: steps_a_round()]} == set(FAULTS)
    by_hand = {step.kind for step in one if step.loses_the_gate and step.healed_by_operator}
    by_relay = {step.kind for step in one if step.loses_the_gate and not step.healed_by_operator}
    assert by_hand == {"redis-failed-over", "redis-flushed"}
    assert by_relay == (by_hand if minutes == 15 else set())


PLAN = LongPlan(minutes=3, concurrency=16, capacity=100, acks=1, seed=7)


def outcome(*struck: Struck, problems: dict[str, list[str]] | None = None, unclear: int = 0) -> LongOutcome:
    found = {"G1": [], "G2": [], **(problems or {})}
    return LongOutcome(PLAN, struck, found, 50, 20, 5, unclear, 1, 20, 0, 0, 12.3, 3, 200)


def test_the_result_has_the_faults_and_the_violations() -> None:
    fault = Struck("sqs-cut", "5.0 s", 10.04, 5.001, 0.456, 3)

    result = summarise(outcome(fault, problems={"G2": ["a", "b"]}))

    assert result["faults"] == [
        {
            "kind": "sqs-cut",
            "detail": "5.0 s",
            "at_s": 10.0,
            "lasted_s": 5.0,
            "recovery_s": 0.46,
            "accepted_meanwhile": 3,
        }
    ]
    assert result["violations"] == {"G1": 0, "G2": 2}
    assert not result["holds"]
    assert "G2 BROKEN" in describe(outcome(problems={"G2": ["a"]}))


def test_it_holds_only_if_every_fault_was_recovered_from_and_everybody_answered() -> None:
    fault = Struck("sqs-cut", "5.0 s", 10.0, 5.0, 0.4, 3)

    assert outcome(fault).holds
    assert not outcome(fault, unclear=1).holds
    assert not outcome(replace(fault, recovery=None)).holds


def test_the_environment_sets_the_plan() -> None:
    plan = read_plan({"MINUTES": "3", "ACKS": "0", "SEED": "9", "CONCURRENCY": "50"})

    assert plan == LongPlan(minutes=3, concurrency=50, capacity=2_000, acks=0, seed=9)
    assert (read_plan({}).minutes, read_plan({}).acks) == (15, 1)
    with pytest.raises(LocalStackError, match="ACKS=2"):
        read_plan({"ACKS": "2"})


def test_the_length_of_a_body_is_read_from_its_head() -> None:
    assert body_length(b"POST / HTTP/1.1\r\ncontent-LENGTH: 12\r\n\r\n") == 12
    assert body_length(b"GET / HTTP/1.1\r\n\r\n") == 0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(link: socket.socket) -> None:
            with link:
                while data := link.recv(100):
                    link.sendall(data)

        def accept() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(link,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def ask(link: socket.socket, text: bytes) -> bytes:
    try:
        link.sendall(text)
        return link.recv(1000)
    except TimeoutError:
        return b"(nothing)"
    except ConnectionError:
        return b""


def test_a_forwarder_forwards_holds_mutes_and_cuts(echo: int) -> None:
    with Forwarder(echo) as forwarder, socket.create_connection(("127.0.0.1", forwarder.port), 0.3) as link:
        assert ask(link, b"open") == b"open"

        forwarder.set(Mode.HELD)
        assert ask(link, b"held") == b"(nothing)"
        assert forwarder.held_clients == {link.getsockname()[1]}
        forwarder.set(Mode.OPEN)
        assert link.recv(100) == b"held"

        forwarder.set(Mode.MUTE)
        assert ask(link, b"mute") == b"(nothing)"

        forwarder.set(Mode.CUT)
        assert ask(link, b"cut") == b""


def test_a_forwarder_refuses_as_sqs_does_and_leads_elsewhere(echo: int) -> None:
    with Forwarder() as forwarder:
        forwarder.set(Mode.THROTTLED)
        with socket.create_connection(("127.0.0.1", forwarder.port), 2) as link:
            assert b"RequestThrottled" in ask(link, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")

        forwarder.lead_to(echo)
        with socket.create_connection(("127.0.0.1", forwarder.port), 2) as link:
            assert ask(link, b"open") == b"open"
