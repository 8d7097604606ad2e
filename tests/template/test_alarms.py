"""The alarms and the dashboard: each alarm has a section in docs/operations.md, and looks at what exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from firstcome.settings import mysql_connections_max
from tests.template.cloudformation import SERVICE, nested, template, variables

_ALARM = "AWS::CloudWatch::Alarm"
_NAMESPACE = {"Fn::Sub": "Firstcome/${AWS::StackName}"}
_PARAMETER = {"Ref": "MetricsNamespace"}
_ALARMS: dict[str, dict[str, Any]] = {
    name: resource["Properties"]
    for document in (template(), *map(nested, ("observability", "gate", "ledger")))
    for name, resource in document["Resources"].items()
    if resource["Type"] == _ALARM
}
_METRICS = {
    *(
        "Accepted",
        "Replayed",
        "Refused",
        "Unavailable",
        "Outbox",
        "Relayed",
        "RelayRefused",
        "GatesRebuilt",
        "GatesClosed",
        "RelayFailures",
        "Missing",
    ),
    *("Issued", "Reseated", "Overflow", "Quarantined", "AcceptToIssue", "Redelivered"),
}


def _sections(repository: Path) -> set[str]:
    text = (repository / "docs/operations.md").read_text(encoding="utf-8")
    (chapter,) = re.findall(r"^## Alarms$(.*?)^## ", text, flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^### (.+)$", chapter, flags=re.MULTILINE))


def test_each_alarm_has_its_section_and_each_section_its_alarm(repository: Path) -> None:
    assert _sections(repository) == _ALARMS.keys()


@pytest.mark.parametrize("name", _ALARMS)
def test_an_alarm_names_its_section_and_tells_somebody(name: str) -> None:
    alarm = _ALARMS[name]
    text = alarm["AlarmDescription"]["Fn::Sub"]
    if isinstance(text, list):
        text, values = text
        assert values == {"Runbook": {"Fn::If": ["HasRunbook", {"Ref": "RunbookUrl"}, "docs/operations.md"]}}
    # The address of the section, as GitHub makes it of its heading.
    assert text.endswith(f" See ${{Runbook}}#{name.lower()}")
    assert alarm["AlarmActions"]
    assert alarm["TreatMissingData"] in {"notBreaching", "breaching", "missing"}


def _metrics(alarm: dict[str, Any]) -> list[tuple[str, str]]:
    if "Metrics" not in alarm:
        return [(alarm["Namespace"], alarm["MetricName"])]
    found = [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]
    return [(metric["Namespace"], metric["MetricName"]) for metric in found]


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for part in node.values() for text in _texts(part)]
    if isinstance(node, list):
        return [text for part in node for text in _texts(part)]
    return [node] if isinstance(node, str) else []


def _told(name: str) -> dict[str, Any]:
    """Return what a nested stack is told."""
    told: dict[str, Any] = template()["Resources"][name]["Properties"]["Parameters"]
    return told


def test_the_alarms_look_at_metrics_that_there_are() -> None:
    own = {
        metric
        for alarm in _ALARMS.values()
        for namespace, metric in _metrics(alarm)
        if not str(namespace).startswith("AWS/")
    }
    assert own == {
        *("Overflow", "Accepted", "Replayed", "Refused", "Unavailable"),
        *("Missing", "RelayFailures", "GatesClosed"),
    }


@pytest.mark.parametrize("function", SERVICE)
def test_a_stacks_alarms_look_at_its_own_metrics(function: str) -> None:
    """Two stacks of one account would page for each other, and take back each other's versions."""
    told = _told("Observability")["MetricsNamespace"]
    assert told == variables(function)["POWERTOOLS_METRICS_NAMESPACE"] == _NAMESPACE
    namespaces = {str(namespace) for alarm in _ALARMS.values() for namespace, _ in _metrics(alarm)}
    assert {name for name in namespaces if not name.startswith("AWS/")} == {str(_NAMESPACE), str(_PARAMETER)}


def test_the_dashboard_shows_its_own_stack(dashboard: dict[str, Any]) -> None:
    shown = [text for text in _texts(dashboard) if "Firstcome" in text or "SEARCH" in text]
    assert shown
    assert all("${MetricsNamespace}" in text for text in shown)


@pytest.mark.parametrize("part", ["Gate", "Ledger", "Observability"])
def test_each_part_knows_the_runbook(part: str) -> None:
    assert _told(part)["Runbook"] == {"Fn::If": ["HasRunbook", {"Ref": "RunbookUrl"}, "docs/operations.md"]}


def test_the_functions_user_has_the_connections_that_the_alarm_reckons_with() -> None:
    expression = next(query["Expression"] for query in _ALARMS["LedgerConnections"]["Metrics"] if "Expression" in query)
    assert expression == {"Fn::Sub": "100 * used / (2 * ${ConnectionsOfDrain} + 10)"}
    assert mysql_connections_max({"DRAIN_CONCURRENCY": "7"}) == 2 * 7 + 10


def test_silence_is_an_alarm_only_for_what_runs_every_minute() -> None:
    assert [name for name, alarm in _ALARMS.items() if alarm["TreatMissingData"] == "breaching"] == ["RelayNotRunning"]


def test_one_overflow_and_one_dead_letter_are_enough() -> None:
    for name in ("Overflow", "DeadLetters"):
        alarm = _ALARMS[name]
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
        assert (alarm["Period"], alarm["EvaluationPeriods"]) == (60, 1)


def test_the_rate_of_unavailable_answers_is_of_all_applications() -> None:
    expressions = {query["Id"]: query.get("Expression", "") for query in _ALARMS["Unavailable"]["Metrics"]}
    summed = set(re.findall(r"FILL\((\w+), 0\)", expressions["asked"]))
    assert summed == {"accepted", "replayed", "refused", "unavailable"}


@pytest.fixture
def dashboard() -> dict[str, Any]:
    """The dashboard, with its names left as they are in the template."""
    body = nested("observability")["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    read: dict[str, Any] = json.loads(body)
    return read


def test_the_dashboard_answers_its_three_questions_in_their_order(dashboard: dict[str, Any]) -> None:
    texts = [widget for widget in dashboard["widgets"] if widget["type"] == "text"]
    questions = [re.findall(r"## (.+)", widget["properties"]["markdown"])[0] for widget in texts]
    assert questions == ["Is it exact?", "Is it late?", "Who is hurting?"]
    assert [widget["y"] for widget in texts] == sorted(widget["y"] for widget in texts)


def test_the_dashboard_shows_every_metric_there_is_and_no_other(dashboard: dict[str, Any]) -> None:
    text = json.dumps(dashboard)
    shown = {metric for metric in _METRICS if f'"{metric}"' in text or f'MetricName=\\"{metric}\\"' in text}
    assert shown == _METRICS
    asked = re.findall(r'MetricName=\\+"(\w+)', text)
    assert set(asked) <= _METRICS


def test_no_two_widgets_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
