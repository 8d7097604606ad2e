"""The arithmetic of time: every client gives up before its function is ended, so that the function answers itself."""

import re
from inspect import signature

import pytest

from firstcome.adapters import aws
from firstcome.adapters.mysql import connect as mysql
from firstcome.adapters.mysql.ledger import MysqlLedger
from firstcome.adapters.redis import scripts as gate_scripts
from firstcome.adapters.redis.connect import Timeouts
from firstcome.service.rebuild import CLAIMS_A_ROUND
from firstcome.settings import SECONDS_A_ROW_MAX
from functions.admin import app as admin
from functions.drain import app as drain
from functions.relay import app as relay
from tests.template.cloudformation import template
from tests.template.forms import GIVEN, REDIS_SECRET, Form

_REDIS = Timeouts()
_REPLY = _REDIS.reply
_GATE = _REDIS.connect + 3 * _REDIS.first + 2 * _REPLY
"""A call of the gate at its slowest: connect, TLS, AUTH, INFO, and a script that Redis has to be sent again."""

_LOGIN = _REDIS.connect + 2 * _REDIS.first + aws.SECRET_CONNECT_TIMEOUT_SECONDS + aws.SECRET_READ_TIMEOUT_SECONDS
"""What a password adds at its slowest: after TLS it is refused, and the new one is read, once a call."""

_SQS = aws.SQS_CONNECT_TIMEOUT_SECONDS + aws.SQS_READ_TIMEOUT_SECONDS

_SECRET = 2 * (aws.SECRET_CONNECT_TIMEOUT_SECONDS + aws.SECRET_READ_TIMEOUT_SECONDS)
"""Reading the login of MySQL at its slowest: once, and again when it is refused."""

_MYSQL = mysql.CONNECT_TIMEOUT_SECONDS + mysql.READ_TIMEOUT_SECONDS

_MESSAGES_A_BATCH = 10


_WITH_PASSWORD = {**GIVEN, "RedisSecretArn": REDIS_SECRET}
_FORMS = [GIVEN, _WITH_PASSWORD, {}]


def _timeout(function: str, **parameters: str) -> int:
    timeout: int = Form(**parameters).resources[function]["Properties"]["Timeout"]
    return timeout


def test_apply_answers_503_itself_however_slow_redis_and_sqs_are() -> None:
    assert _timeout("ApplyFunction") > _GATE + _SQS + _REPLY


def test_apply_answers_503_itself_however_slow_a_login_is() -> None:
    assert _timeout("ApplyFunction", **_WITH_PASSWORD) > _LOGIN + _GATE + _SQS + _REPLY


def test_no_call_reads_the_password_twice() -> None:
    from_reading_to_refusal = _REDIS.connect + 2 * _REDIS.first
    assert from_reading_to_refusal < aws.SECRET_MAX_AGE_SECONDS


@pytest.mark.parametrize("form", _FORMS)
def test_the_relay_waits_for_twice_the_apply_timeout(form: dict[str, str]) -> None:
    waits = Form(**form).variables("RelayFunction")["RELAY_AFTER_SECONDS"]
    assert int(waits) == 2 * _timeout("ApplyFunction", **form)


def test_two_runs_of_the_relay_do_not_overlap() -> None:
    assert _timeout("RelayFunction") < 60


def test_the_relay_has_time_for_the_round_it_begins() -> None:
    round_at_its_slowest = _LOGIN + _GATE + CLAIMS_A_ROUND / _MESSAGES_A_BATCH * _SQS + _REPLY
    assert round_at_its_slowest * 1000 <= relay._RESERVE_MS < _timeout("RelayFunction") * 1000


def test_the_drain_has_time_for_the_chunk_it_begins() -> None:
    assert _MYSQL * 1000 <= drain._RESERVE_MS < _timeout("DrainFunction") * 1000


def test_admin_answers_503_itself_before_the_gateway_gives_up() -> None:
    assert _SECRET + _MYSQL + _LOGIN + _GATE + _SQS < _timeout("AdminFunction") < 30


def test_admin_has_time_for_the_wait_it_takes_upon_itself() -> None:
    assert _timeout("AdminFunction") > admin._PATIENCE_MS / 1000 + _MYSQL + _LOGIN + _GATE + _SQS


def test_no_gate_is_rebuilt_while_a_claim_may_still_be_sent_or_hidden_in_the_queue() -> None:
    """SQS may call a queue empty for a minute that is not."""
    quiet = int(template()["Parameters"]["RebuildQuietSeconds"]["Default"])
    assert quiet >= max(_timeout("ApplyFunction"), _timeout("RelayFunction")) + 60
    assert int(template()["Parameters"]["RebuildQuietSeconds"]["MinValue"]) >= _timeout("ApplyFunction")
    (rule,) = template()["Rules"]["RebuildOutlastsApply"]["Assertions"]
    too_short = [
        str(seconds) for seconds in range(_timeout("ApplyFunction"), _timeout("ApplyFunction", **_WITH_PASSWORD))
    ]
    assert rule["Assert"] == {"Fn::Not": [{"Fn::Contains": [too_short, {"Ref": "RebuildQuietSeconds"}]}]}


def test_a_replica_is_waited_for_within_the_time_of_a_reply() -> None:
    assert gate_scripts.WAIT_MS / 1000 < _REPLY


def test_mysql_gives_up_a_lock_before_its_client_gives_up_mysql() -> None:
    """The other way round the connection is lost with the lock, and the change is tried from the start."""
    (wait,) = re.findall(r"innodb_lock_wait_timeout = (\d+)", " ".join(mysql.SESSION_SQL))
    assert int(wait) < mysql.READ_TIMEOUT_SECONDS
    wait_seconds = signature(MysqlLedger.campaign_lock).parameters["wait_seconds"].default
    assert wait_seconds < mysql.READ_TIMEOUT_SECONDS


def test_at_the_slowest_pace_a_worker_has_time_for_one_row() -> None:
    assert _timeout("DrainFunction") * 1000 - drain._RESERVE_MS >= SECONDS_A_ROW_MAX * 1000


def test_at_the_default_pace_a_worker_writes_its_whole_batch_in_time() -> None:
    defaults = {name: parameter.get("Default") for name, parameter in template()["Parameters"].items()}
    seconds = defaults["DrainBatchSize"] * defaults["DrainConcurrency"] / defaults["DrainRowsPerSecond"]
    assert seconds * 1000 <= _timeout("DrainFunction") * 1000 - drain._RESERVE_MS
