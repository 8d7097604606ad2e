"""No function's log holds a user, a coupon code, a token or a secret: a campaign with everything that can go wrong."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from firstcome.domain.claim import new_coupon_code
from firstcome.domain.message import to_body
from local.progress import Progress
from local.services.ministack import client
from tests.e2e.conftest import OPERATOR, Answer, Service, campaign_body, eventually
from tests.factories import a_claim, a_user_id
from verify.chaos.site import BreakableSite, breakable_site
from verify.tcp_proxy import Mode


@dataclass
class Run:
    """A stack whose parts can be broken, and all that was said to it and by it that nobody may read in a log."""

    site: BreakableSite
    service: Service
    private: set[str] = field(default_factory=set)

    def call(self, method: str, path: str, sub: str, body: object = None, **claims: Any) -> Answer:
        token = self.service.token(sub, **claims)
        self.private |= {sub, token}
        answer = self.service.call(method, path, token, body)
        if isinstance(answer.body, dict) and "coupon_code" in answer.body:
            self.private.add(answer.body["coupon_code"])
        return answer

    def apply(self, campaign_id: str, sub: str) -> Answer:
        return self.call("POST", f"/campaigns/{campaign_id}/coupons", sub)

    def operate(self, method: str, path: str, body: object = None) -> Answer:
        return self.call(method, path, f"operator-{self.service.folder.name}", body, scope=OPERATOR)

    def enqueue(self, body: str) -> None:
        queue_url = self.service.stack.claim_queue_url
        client("sqs", self.service.stack.aws_endpoint_url).send_message(QueueUrl=queue_url, MessageBody=body)

    def invoke(self, function: str, event: object) -> None:
        """Invoke a function directly; it may fail."""
        functions = client("lambda", self.service.stack.aws_endpoint_url)
        functions.invoke(FunctionName=function, Payload=json.dumps(event).encode())

    def logs(self) -> str:
        """All that all functions have logged."""
        logs = client("logs", self.service.stack.aws_endpoint_url)
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        pages = (
            page for name in groups for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name)
        )
        return "\n".join(event["message"] for page in pages for event in page["events"])


@pytest.fixture(scope="module")
def run(repository: Path) -> Iterator[Run]:
    folder = repository / ".local" / "test-logs"
    with breakable_site(folder, Progress(), acks=0) as site:
        service = Service(site.stack, folder)
        yield Run(site, service, {site.stack.mysql.password})


def _accept_replay_and_refuse(run: Run) -> str:
    campaign_id = run.service.campaign(capacity=3)
    winners = [a_user_id(), f"안녕 💥 {a_user_id()}", f"mail.{a_user_id()}@example.com"]
    for user in winners:
        assert run.apply(campaign_id, user).status == 202
        assert run.apply(campaign_id, user).status == 200
        assert run.call("GET", f"/campaigns/{campaign_id}/coupons/mine", user).status == 200
    assert run.apply(campaign_id, a_user_id()).code == "sold_out"
    assert run.call("GET", f"/campaigns/{campaign_id}/coupons/mine", a_user_id()).code == "no_coupon"
    assert run.apply(f"{campaign_id}-none", a_user_id()).code == "campaign_not_found"
    assert run.apply(campaign_id, f"{a_user_id()}\n").code == "invalid_subject"
    eventually(lambda: run.service.rows(campaign_id), lambda rows: len(rows) == 3)
    return campaign_id


def _operate(run: Run, campaign_id: str) -> None:
    path = f"/campaigns/{campaign_id}"
    ((_, user, _), *_) = run.service.rows(campaign_id)
    for method, rest in [
        ("POST", "pause"),
        ("POST", "resume"),
        ("GET", "stats"),
        ("GET", "coupons"),
        ("GET", "events"),
        ("GET", f"coupons/lookup?user_id={user}"),
        ("POST", "reconcile"),
        ("POST", "rebuild"),
    ]:
        assert run.operate(method, f"{path}/{rest}").status == 200
    assert run.operate("GET", "/campaigns").status == 200
    hostile = a_user_id()
    run.private.add(hostile)
    for body in (
        hostile,
        f'{{"{hostile}":1}}',
        campaign_body(name=f"{hostile}\0"),
        f'{{"name":"{hostile}',
        hostile * 999,
    ):
        assert run.operate("PUT", path, body).status in {413, 422}


def _quarantine_and_overflow(run: Run, campaign_id: str) -> None:
    late = a_claim(campaign_id, 2)
    run.private |= {late.user_id, late.coupon_code}
    run.enqueue(to_body(late))
    stats = f"/campaigns/{campaign_id}/stats"
    eventually(lambda: run.operate("GET", stats).body["overflow"], lambda found: found == 1)
    good = json.loads(to_body(a_claim(campaign_id, 3)))
    run.private |= {good["user_id"], good["coupon_code"]}
    unreadable = [
        f"{good['user_id']} {good['coupon_code']}",
        json.dumps([good]),
        json.dumps({**good, "v": 99}),
        json.dumps({**good, "sequence": good["user_id"]}),
        json.dumps({**good, "campaign_id": good["coupon_code"]}),
        json.dumps({**good, "user_id": f"{good['user_id']}\n"}),
        json.dumps({**good, "accepted_at": good["coupon_code"]}),
    ]
    for body in unreadable:
        run.enqueue(body)
    eventually(lambda: run.operate("GET", stats).body["dead_letters"], lambda found: found == len(unreadable))


def _lose_redis(run: Run, campaign_id: str) -> None:
    front = run.site.servers.front
    for mode in (Mode.CUT, Mode.MUTE):
        front.set(mode)
        assert run.apply(campaign_id, a_user_id()).status == 503
        assert run.call("GET", f"/campaigns/{campaign_id}/coupons/mine", a_user_id()).status == 503
        assert run.operate("POST", f"/campaigns/{campaign_id}/pause").status == 503
        run.invoke(run.service.stack.functions.relay, {})
        front.set(Mode.OPEN)
    assert run.operate("POST", f"/campaigns/{campaign_id}/resume").status == 200


def _lose_the_queue(run: Run) -> None:
    campaign_id, user = run.service.campaign(), a_user_id()
    run.site.sqs.set(Mode.CUT)
    assert run.apply(campaign_id, user).status == 503
    run.invoke(run.service.stack.functions.relay, {})
    with run.site.throttled_queue():
        assert run.apply(campaign_id, user).status == 503
        run.invoke(run.service.stack.functions.relay, {})
    assert run.call("GET", f"/campaigns/{campaign_id}/coupons/mine", user).status == 200
    run.site.sqs.set(Mode.CUT)
    assert run.apply(campaign_id, a_user_id()).status == 503
    run.site.sqs.set(Mode.OPEN)

    def relay() -> int:
        run.invoke(run.service.stack.functions.relay, {})
        return len(run.service.rows(campaign_id))

    # Whoever does not ask again is looked after by the relay.
    eventually(relay, lambda rows: rows == 2)


def _lose_mysql(run: Run) -> None:
    campaign_id, user = run.service.campaign(), a_user_id()
    with run.site.without_mariadb():
        accepted = run.apply(campaign_id, user)
        assert accepted.status == 202
        claim = {**accepted.body, "v": 1, "user_id": user}
        event = {"Records": [{"messageId": "m", "body": json.dumps(claim)}]}
        run.invoke(run.service.stack.functions.drain, event)
        assert run.operate("GET", f"/campaigns/{campaign_id}/stats").status == 503
        assert run.operate("PUT", f"/campaigns/{campaign_id}", campaign_body(name=user)).status == 503
    # The queue hides the message for three minutes after a drain that failed.
    run.invoke(run.service.stack.functions.drain, event)
    assert len(run.service.rows(campaign_id)) == 1


def _lose_a_gate(run: Run, campaign_id: str) -> None:
    run.site.servers.call("FLUSHALL")
    assert run.apply(campaign_id, a_user_id()).status == 503
    path = f"/campaigns/{campaign_id}/rebuild"
    eventually(lambda: run.operate("POST", path), lambda answer: answer.status == 200)
    assert run.apply(campaign_id, a_user_id()).code == "sold_out"


def _fail_unexpectedly(run: Run) -> None:
    """What nobody foresaw: the runtime logs the exception itself."""
    user, names = a_user_id(), run.service.stack.functions
    claim = a_claim(user, 1, user)
    run.private |= {user, claim.coupon_code}
    for function in (names.apply, names.drain, names.relay, names.admin):
        run.invoke(function, {"routeKey": "POST /campaigns/{campaign_id}/coupons", "headers": {"authorization": user}})
        run.invoke(function, {"Records": [{"messageId": user, "body": [to_body(claim)]}]})
        run.invoke(function, {"Records": [{"messageId": user, "content": to_body(claim)}]})
        run.invoke(function, [to_body(claim)])


def _break_the_secret(run: Run, campaign_id: str) -> None:
    secrets = client("secretsmanager", run.service.stack.aws_endpoint_url)
    (secret,) = secrets.list_secrets()["SecretList"]
    good = secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"]
    password = f"not-the-password-{new_coupon_code()}"
    run.private.add(password)
    user = run.service.stack.mysql.user
    for broken in (
        password,
        json.dumps({"user": user, "pass": password}),
        json.dumps({"username": user, "password": password}),
    ):
        secrets.put_secret_value(SecretId=secret["ARN"], SecretString=broken)
        _start_anew(run, run.service.stack.functions.admin)
        assert run.operate("GET", f"/campaigns/{campaign_id}/stats").status == 503
    secrets.put_secret_value(SecretId=secret["ARN"], SecretString=good)
    _start_anew(run, run.service.stack.functions.admin)


def _start_anew(run: Run, function: str) -> None:
    """Let the next call find a new environment, as after a deployment."""
    functions = client("lambda", run.service.stack.aws_endpoint_url)
    variables = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=function, Environment={"Variables": variables})


_WRITTEN = [
    *('"message":"drained"', '"message":"unreadable message"', '"message":"overflow"', '"message":"unavailable"'),
    *('"message":"relayed"', '"message":"misconfigured"', '"kind":"GateLostError"', '"kind":"LedgerUnavailableError"'),
    *('"kind":"GateUnavailableError"', '"kind":"QueueUnavailableError"', "the ledger did not confirm a transaction"),
    *('"Accepted":', '"Replayed":', '"Refused":', '"Unavailable":', '"Issued":', '"Overflow":', '"Quarantined":'),
    *('"Relayed":', '"AcceptToIssue":', "Traceback", "KeyError", "TypeError"),
]
"""What must be in the logs, or the search has looked at nothing."""


def _forms(text: str) -> set[str]:
    """How a text may be written."""
    return {text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text), text.encode().hex()}


@pytest.mark.timeout(300)
def test_no_log_holds_a_user_a_code_a_token_or_a_secret(run: Run) -> None:
    campaign_id = _accept_replay_and_refuse(run)
    _operate(run, campaign_id)
    _quarantine_and_overflow(run, campaign_id)
    _lose_redis(run, campaign_id)
    _lose_the_queue(run)
    _lose_a_gate(run, campaign_id)
    _lose_mysql(run)
    _fail_unexpectedly(run)
    _break_the_secret(run, campaign_id)

    def missing() -> list[str]:
        run.apply(campaign_id, a_user_id())  # Each call writes what was counted a second ago.
        logs = run.logs().replace('": ', '":')
        return [text for text in _WRITTEN if text not in logs]

    eventually(missing, lambda found: not found)
    logs = run.logs()
    assert len(run.private) > 50
    assert [text for text in run.private if any(form in logs for form in _forms(text))] == []
