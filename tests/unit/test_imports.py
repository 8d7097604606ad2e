"""Which module imports what: domain and service know no driver, and importing a function does nothing but import."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_DRIVERS = ["boto3", "botocore", "redis", "pymysql", "aws_lambda_powertools"]

_FUNCTIONS = ["apply", "drain", "relay", "admin", "console", "canary"]

_IMPORT_MODULES = """
import importlib, json, sys
loaded = {}
for name in json.loads(sys.argv[1]):
    importlib.import_module(f"firstcome.{name}")
    loaded[name] = [driver for driver in json.loads(sys.argv[2]) if driver in sys.modules]
print(json.dumps(loaded))
"""

# `os.getenv` and `os.environ.get` both look `environ` up here, so whatever is read while importing is noted.
_IMPORT_A_FUNCTION = """
import importlib, json, os, sys
read, sockets = [], []

class Watched(dict):
    def __getitem__(self, name):
        read.append(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        read.append(name)
        return super().get(name, default)

    def __contains__(self, name):
        read.append(name)
        return super().__contains__(name)

    def __iter__(self):
        read.append("*")
        return super().__iter__()

os.environ = Watched(os.environ)
sys.addaudithook(lambda event, args: sockets.append(event) if event.startswith("socket.") else None)
module = importlib.import_module(f"functions.{sys.argv[1]}.app")
print(json.dumps({
    "read": read,
    "sockets": sockets,
    "modules": sorted(name for name in sys.modules if "." not in name),
    "has_handler": callable(module.lambda_handler),
}))
"""


def _run(script: str, repository: Path, *arguments: str) -> dict[str, Any]:
    """Run a script in an interpreter of its own, with the layer on its path and an empty environment."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=repository,
        env={"PYTHONPATH": str(repository / "layers/firstcome/python")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module", params=_FUNCTIONS)
def imported(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What importing a function did."""
    repository = Path(__file__).resolve().parents[2]
    return {"function": request.param} | _run(_IMPORT_A_FUNCTION, repository, request.param)


@pytest.mark.parametrize("folder", ["domain", "service"])
def test_domain_and_service_import_no_driver(folder: str, repository: Path) -> None:
    package = repository / "layers/firstcome/python/firstcome" / folder
    names = sorted(f"{folder}.{path.stem}" for path in package.glob("*.py") if path.stem != "__init__")
    loaded = _run(_IMPORT_MODULES, repository, json.dumps(names), json.dumps(_DRIVERS))
    assert loaded == {name: [] for name in names}


def test_the_migration_alone_imports_the_library_of_migrations(repository: Path) -> None:
    names = ["adapters.mysql.connect", "adapters.mysql.ledger", "adapters.mysql.migrate"]
    loaded = _run(_IMPORT_MODULES, repository, json.dumps(names), json.dumps(["yoyo"]))
    assert [name for name in names if loaded[name]] == ["adapters.mysql.migrate"]


def test_every_function_is_tried(repository: Path) -> None:
    assert {path.parent.name for path in (repository / "functions").glob("*/app.py")} == set(_FUNCTIONS)


def test_a_function_can_be_imported_without_any_setting(imported: dict[str, Any]) -> None:
    assert imported["has_handler"]


def test_importing_a_function_reads_no_setting(imported: dict[str, Any], repository: Path) -> None:
    """Third parties look up names of their own while they are imported; ours are those in template.yaml."""
    template = (repository / "template.yaml").read_text(encoding="utf-8")
    names = {name for name in imported["read"] if name != "*" and f" {name}:" in template}
    assert names == set()
    assert "*" not in imported["read"]


def test_importing_a_function_opens_no_socket(imported: dict[str, Any]) -> None:
    assert imported["sockets"] == []


def test_a_function_starts_without_the_drivers_it_does_not_need_at_once(imported: dict[str, Any]) -> None:
    """Each is imported where its client is built: a cold start pays for what the call uses."""
    assert {"boto3", "pymysql"} & set(imported["modules"]) == set()


def test_the_hot_path_starts_with_redis_and_the_console_without_any_library(imported: dict[str, Any]) -> None:
    """The rest comes when a claim is sent, or something is logged or counted."""
    if imported["function"] in {"apply", "console"}:
        heavy = {"aws_lambda_powertools", "boto3", "botocore", "awscrt", "redis"}
        assert heavy & set(imported["modules"]) == ({"redis"} if imported["function"] == "apply" else set())
