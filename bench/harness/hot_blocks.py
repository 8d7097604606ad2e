"""The apply handler and its bare calls, block by block in turns, in a process of their own.

`python -m bench.harness.hot_blocks PLAN RESULT`: it has the function's environment variables, and its standard output
is the function's log.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
import redis

from bench.harness import campaigns
from bench.harness.captured import for_user, script_calls
from bench.harness.hot_plan import Block, Outcome, Plan
from functions.apply.app import lambda_handler
from local.services.ports import HOST

# As long as a claim of the product.
_MESSAGE = (
    '{"v":1,"campaign_id":"%s","user_id":"%s","sequence":4711,'
    '"coupon_code":"8Z3K5QW0XN4TB2RD","accepted_at":"2026-11-23T09:00:00.123Z"}'
)


class Context:
    """Lambda's context, with all the time there is."""

    aws_request_id = "4a139212-e867-487c-8235-eae586eba0be"
    function_name = "ApplyFunction"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:ApplyFunction"
    memory_limit_in_mb = "512"
    log_group_name = "/aws/lambda/ApplyFunction"
    log_stream_name = "$LATEST"

    def get_remaining_time_in_millis(self) -> int:
        """All the time there is."""
        return 6_000


class HandlerSide:
    """The handler, which must give the planned answer every time."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._event_of = campaigns.applications(plan.campaign.campaign_id)

    def apply(self, user: str) -> dict[str, Any]:
        """One request, whatever its answer."""
        return lambda_handler(self._event_of(user), Context())

    def block(self, users: Sequence[str]) -> Block:
        """One request a user."""
        events, context = [self._event_of(user) for user in users], Context()
        block, answers = _timed(lambda event: lambda_handler(event, context), events)
        for answer in answers:
            code = json.loads(answer["body"]).get("code", "")
            if (answer["statusCode"], code) != (self._plan.status, self._plan.code):
                raise ValueError(f"{self._plan.name}: the handler answered {answer}")
        return block


@dataclass(frozen=True)
class ScriptRequest:
    """What the bare side sends for one user."""

    sha: str
    keys: int
    arguments: Sequence[bytes]
    message: str


class BareSide:
    """The calls that nobody can do without, by redis-py and boto3 as they come, without a handler around them."""

    def __init__(self, plan: Plan, port: int, command: list[bytes], user: str) -> None:
        """Take over the script call that the handler made for `user`."""
        self._plan = plan
        self._redis = redis.Redis(host=HOST, port=port)
        self._sqs = boto3.client("sqs")
        self._queue_url = os.environ["CLAIM_QUEUE_URL"]
        self._command, self._user = command, user

    def block(self, users: Sequence[str]) -> Block:
        """One script call a user, and a message when the answer asks for one."""
        call = self._admit if self._plan.sends else self._ask
        block, replies = _timed(call, [self._request(user) for user in users])
        self._check(replies)
        return block

    def _request(self, user: str) -> ScriptRequest:
        _, sha, keys, *rest = for_user(self._command, self._user, user)
        return ScriptRequest(sha.decode(), int(keys), rest, _MESSAGE % (self._plan.campaign.campaign_id, user))

    def _ask(self, request: ScriptRequest) -> Any:
        return self._redis.evalsha(request.sha, request.keys, *request.arguments)

    def _admit(self, request: ScriptRequest) -> Any:
        reply = self._ask(request)
        self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=request.message)
        return reply

    def _check(self, replies: Sequence[Any]) -> None:
        """The script's words are its own affair: only that it says the same to all, and something else to a repeat."""
        outcomes = {reply[0] for reply in replies}
        repeated = self._ask(self._request(self._user))[0]
        if len(outcomes) != 1 or (self._plan.sends and repeated in outcomes):
            raise ValueError(f"{self._plan.name}: the script answered {outcomes}")


def _timed[T](call: Callable[[T], Any], requests: Sequence[T]) -> tuple[Block, list[Any]]:
    """Call with each request in turn."""
    took, answers = [], []
    clock = time.perf_counter_ns
    gc.collect()
    cpu = time.process_time_ns()
    for request in requests:
        started = clock()
        answer = call(request)
        took.append(clock() - started)
        answers.append(answer)
    return Block(took, time.process_time_ns() - cpu), answers


class Turns:
    """Both sides of one plan, taking turns."""

    def __init__(self, plan: Plan) -> None:
        """Bring the campaign into its state, and see what the handler sends to Redis meanwhile."""
        self._plan = plan
        self._port = int(os.environ["REDIS_PORT"])
        self._stats = redis.Redis(host=HOST, port=self._port)
        self._count = 0
        self._handler = HandlerSide(plan)
        (first,) = self._users(1)
        calls = script_calls(self._port, lambda: self._handler.apply(first))
        for user in self._users(plan.before - 1):
            self._handler.apply(user)
        self._bare = BareSide(plan, self._port, calls[0], first)

    def run(self) -> Outcome:
        """Run a block of each that does not count, then all blocks."""
        handler: list[Block] = []
        bare: list[Block] = []
        self._handler.block(self._users(self._plan.requests))
        self._bare.block(self._users(self._plan.requests))
        calls = logged = 0
        for number in range(self._plan.blocks):
            if number % 2:
                bare.append(self._bare.block(self._users(self._plan.requests)))
            before = self._script_calls(), _log_bytes()
            handler.append(self._handler.block(self._users(self._plan.requests)))
            calls, logged = calls + self._script_calls() - before[0], logged + _log_bytes() - before[1]
            if not number % 2:
                bare.append(self._bare.block(self._users(self._plan.requests)))
        return Outcome(handler, bare, calls, logged)

    def _users(self, count: int) -> list[str]:
        """Users who have not applied yet."""
        self._count += max(count, 0)
        return [f"user-{number:08}" for number in range(self._count - max(count, 0), self._count)]

    def _script_calls(self) -> int:
        stats: dict[str, dict[str, int]] = self._stats.info("commandstats")
        return sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)


def _log_bytes() -> int:
    sys.stdout.flush()
    return os.fstat(sys.stdout.fileno()).st_size


def main(plan_text: str, result: Path) -> None:
    """Run the plan, and write its outcome."""
    fields = json.loads(plan_text)
    plan = Plan(**{**fields, "campaign": campaigns.BenchCampaign(**fields["campaign"])})
    result.write_text(json.dumps(asdict(Turns(plan).run())), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
