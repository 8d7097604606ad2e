"""The queue and its drain: what holds G3, G6 and G7 in the template."""

import pytest

from tests.template.cloudformation import properties, template
from tests.template.forms import KEY, Form

_DAY = 86_400
_QUEUES = ["ClaimQueue", "DeadLetterQueue"]

_MAPPING = properties("DrainFunction")["Events"]["Claims"]


def test_a_message_stays_hidden_for_six_drain_timeouts() -> None:
    assert properties("ClaimQueue")["VisibilityTimeout"] >= 6 * properties("DrainFunction")["Timeout"]


def test_the_drain_reads_the_claim_queue_and_nothing_else_does() -> None:
    assert _MAPPING["Type"] == "SQS"
    assert _MAPPING["Properties"]["Queue"] == {"Fn::GetAtt": ["ClaimQueue", "Arn"]}
    types = [
        event["Type"]
        for name in ("ApplyFunction", "RelayFunction", "AdminFunction")
        for event in properties(name)["Events"].values()
    ]
    assert "SQS" not in types


def test_one_number_bounds_the_drain_and_its_polling_and_is_2_at_least() -> None:
    condition, reserved, otherwise = properties("DrainFunction")["ReservedConcurrentExecutions"]["Fn::If"]
    assert (condition, otherwise) == ("ReservesDrain", {"Ref": "AWS::NoValue"})
    assert reserved == _MAPPING["Properties"]["ScalingConfig"]["MaximumConcurrency"] == {"Ref": "DrainConcurrency"}
    parameter = template()["Parameters"]["DrainConcurrency"]
    assert parameter["MinValue"] == 2
    assert parameter["Default"] >= 2


def test_no_other_function_is_reserved_for() -> None:
    """A bound on the others would throttle users, not MySQL."""
    for name in ("ApplyFunction", "RelayFunction", "AdminFunction"):
        assert "ReservedConcurrentExecutions" not in properties(name)


def test_a_message_that_fails_comes_again_alone() -> None:
    assert _MAPPING["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_mapping_is_on_and_reads_whatever_is_there() -> None:
    assert _MAPPING["Properties"].get("Enabled", True) is True
    assert "FilterCriteria" not in _MAPPING["Properties"]


def test_a_batch_above_ten_has_the_window_that_sqs_asks_for() -> None:
    parameter = template()["Parameters"]["DrainBatchSize"]
    assert _MAPPING["Properties"]["BatchSize"] == {"Ref": "DrainBatchSize"}
    assert (parameter["MinValue"], parameter["MaxValue"]) == (1, 10_000)
    assert _MAPPING["Properties"]["MaximumBatchingWindowInSeconds"] >= 1


@pytest.mark.parametrize("queue", _QUEUES)
def test_messages_are_kept_for_14_days_and_encrypted(queue: str) -> None:
    assert properties(queue)["MessageRetentionPeriod"] == 14 * _DAY
    made = Form().resources[queue]["Properties"]
    assert (made["SqsManagedSseEnabled"], made.get("KmsMasterKeyId")) == (True, None)
    with_key = Form(KmsKeyArn=KEY).resources[queue]["Properties"]
    assert (with_key["SqsManagedSseEnabled"], with_key["KmsMasterKeyId"]) == (False, KEY)


@pytest.mark.parametrize("queue", _QUEUES)
def test_both_are_standard_queues_without_a_delay_or_a_name_of_their_own(queue: str) -> None:
    assert not {"FifoQueue", "DelaySeconds", "QueueName"} & properties(queue).keys()


def test_an_outage_of_48_hours_dead_letters_nothing() -> None:
    redrive = properties("ClaimQueue")["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert redrive["maxReceiveCount"] * properties("ClaimQueue")["VisibilityTimeout"] >= 2 * _DAY
    # The most SQS takes.
    assert redrive["maxReceiveCount"] <= 1_000


def test_dead_letters_stay_where_they_are() -> None:
    assert "RedrivePolicy" not in properties("DeadLetterQueue")
