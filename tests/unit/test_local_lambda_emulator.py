"""Running a built function as Lambda does: reading the build, the reply and the log."""

from pathlib import Path

import pytest

from local.deployment.lambda_emulator import (
    BuiltFunction,
    built_functions,
    emulator,
    function_lines,
    read_reply,
)
from local.errors import LocalStackError

_TEMPLATE = """
Globals:
  Function:
    Handler: app.lambda_handler
    Runtime: python3.13
    MemorySize: 512
    Layers: [{Ref: SharedLayer}]
Resources:
  SharedLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: SharedLayer, CompatibleRuntimes: [python3.13]}
  OwnLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: OwnLayer, CompatibleRuntimes: [python3.13]}
  ApplyFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ApplyFunction
      Timeout: 6
      Layers: [{Ref: OwnLayer}]
"""

_LOG = """\
23 Nov 2026 11:06:17,501 [INFO] (rapid) INIT START(type: on-demand, phase: init)
START RequestId: 4a139212-e867-487c-8235-eae586eba0be Version: $LATEST
{"level":"INFO","message":"drained"}
END RequestId: 4a139212-e867-487c-8235-eae586eba0be
REPORT RequestId: 4a139212-e867-487c-8235-eae586eba0be\tInit Duration: 0.33 ms\tDuration: 63.50 ms
"""


def test_a_built_function_has_the_properties_in_the_template(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(_TEMPLATE, encoding="utf-8")
    assert built_functions(tmp_path) == {
        "ApplyFunction": BuiltFunction(
            name="ApplyFunction",
            folder=tmp_path / "ApplyFunction",
            handler="app.lambda_handler",
            layers=[tmp_path / "SharedLayer", tmp_path / "OwnLayer"],
            timeout_seconds=6,
            memory_mb=512,
        )
    }


def test_without_a_build_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="nothing built"):
        built_functions(tmp_path)


def test_an_answer_is_read() -> None:
    done = read_reply(200, '{"statusCode": 202}')
    assert (done.answer, done.failed) == ({"statusCode": 202}, False)
    assert not read_reply(200, "null").failed


@pytest.mark.parametrize(
    ("status", "payload"),
    [
        (200, '{"errorMessage": "no", "errorType": "ValueError", "requestId": "1", "stackTrace": []}'),
        (200, "Task timed out after 2.00 seconds"),
        (502, '{"errorMessage": "Unable to import module", "errorType": "Runtime.ImportModuleError"}'),
    ],
    ids=["exception", "timeout", "import"],
)
def test_a_failure_is_no_answer(status: int, payload: str) -> None:
    assert read_reply(status, payload).failed


def test_only_the_function_s_own_lines_are_its_log() -> None:
    assert function_lines(_LOG) == '{"level":"INFO","message":"drained"}\n'


def test_the_emulator_comes_with_aws_sam_cli() -> None:
    assert emulator().is_file()
