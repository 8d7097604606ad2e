"""Every program that the project starts is listed with its Debian package, and is asked for before anything starts."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_bash
from tree_sitter import Language, Parser, Query, QueryCursor

# Brought by packages of local/requirements, into .venv/bin.
OF_PYTHON_PACKAGES = {"cfn-lint", "python3.13", "sam", "st"}
# No Debian is without these; uv is used where it is.
_ALWAYS_THERE = """
    apt-cache apt-get awk bash cat chroot cksum cp cut dirname find flock grep id mkdir mktemp mount paste rm sed
    setpriv sort systemctl tail touch unshare uv wc xargs
"""
NOT_LISTED = OF_PYTHON_PACKAGES | set(_ALWAYS_THERE.split())
FINDERS = {"find_program", "shutil.which"}
# What takes a command, and where among its arguments.
_OF_SUBPROCESS = ("run", "Popen", "call", "check_call", "check_output")
LAUNCHERS = {"Program": 1, "Popen": 0, **{f"subprocess.{name}": 0 for name in _OF_SUBPROCESS}}
BASH = Language(tree_sitter_bash.language())


def listed(repository: Path) -> dict[str, str]:
    """The Debian package of each program."""
    lines = (repository / "local" / "programs.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return {program: package for programs, package, *_ in words for program in programs.split("|")}


def sources(repository: Path) -> list[Path]:
    """The project's files."""
    names = subprocess.run(["git", "ls-files"], cwd=repository, check=True, capture_output=True, text=True).stdout
    return [path for name in names.splitlines() if (path := repository / name).is_file()]


def first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def launched(tree: ast.Module) -> Iterator[str]:
    """The programs that a module names: to `find_program`, or as the first word of a command."""
    known = assignments(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in FINDERS:
            yield from (word for argument in node.args for word in words(argument, known))
        elif name in LAUNCHERS:
            named = [keyword.value for keyword in node.keywords if keyword.arg in {"args", "command"}]
            for argument in [*node.args[LAUNCHERS[name] :][:1], *named]:
                yield from first_words(argument, known)


def assignments(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """What each name of a module is set to, in any scope of it."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                values.setdefault(getattr(target, "id", ""), []).append(node.value)
    return values


def words(node: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name):
        for value in known.get(node.id, []):
            yield from words(value, {})


def first_words(node: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        yield from first_words(node.elts[0], known)
    elif isinstance(node, ast.Starred):
        yield from first_words(node.value, known)
    elif isinstance(node, ast.Name):
        for value in known.get(node.id, []):
            if isinstance(value, ast.List | ast.Tuple):
                yield from first_words(value, {})
    else:
        yield from words(node, known)


@pytest.mark.parametrize(
    ("source", "program"),
    [
        ("subprocess.run(['git', 'status'])", "git"),
        ("command = ('git', 'status')\nsubprocess.Popen([*command, '-s'])", "git"),
        ("subprocess.check_output(args=['git'])", "git"),
        ("Program('a', ['git'], {})", "git"),
        ("Program(name='a', command=[find_program('git')])", "git"),
        ("GIT = 'git'\nfind_program(GIT)", "git"),
    ],
)
def test_a_launched_program_is_found(source: str, program: str) -> None:
    assert list(launched(ast.parse(source))) == [program]


def test_every_program_that_python_starts_is_listed(repository: Path) -> None:
    known = listed(repository).keys() | NOT_LISTED
    scripts = [path for path in sources(repository) if path.suffix == ".py" or b"python" in first_line(path)]
    started = {path: set(launched(ast.parse(path.read_text(encoding="utf-8")))) for path in scripts}
    assert {path: unlisted for path, names in started.items() if (unlisted := names - known)} == {}


def commands(script: str) -> set[str]:
    """The programs that a script starts: neither its own functions, nor bash's, nor files of the clone."""
    names = Query(BASH, "(command_name (word) @started) (function_definition name: (word) @own)")
    found = QueryCursor(names).captures(Parser(BASH).parse(script.encode()).root_node)
    started, own = ({(node.text or b"").decode() for node in found.get(name, [])} for name in ("started", "own"))
    return {name for name in started - own - builtins() if "/" not in name}


def builtins() -> set[str]:
    listing = subprocess.run(["bash", "-c", "compgen -bk"], capture_output=True, text=True, check=True)
    return set(listing.stdout.split())


def recipes(makefile: Path) -> str:
    """What the targets of a Makefile run."""
    targets = re.findall(r"(?m)^([A-Za-z][\w-]*):(?!=)", makefile.read_text(encoding="utf-8"))
    if not targets:
        return ""
    command = ["make", "--file", makefile.name, "--dry-run", "--always-make", "--silent", *dict.fromkeys(targets)]
    return subprocess.run(command, cwd=makefile.parent, check=True, capture_output=True, text=True).stdout


def test_every_program_that_a_script_or_a_recipe_starts_is_listed(repository: Path) -> None:
    known = listed(repository).keys() | NOT_LISTED
    scripts = [path for path in sources(repository) if b"bash" in first_line(path)]
    makefiles = [path for path in sources(repository) if path.name == "Makefile" or path.suffix == ".mk"]
    texts = {path: path.read_text(encoding="utf-8") for path in scripts}
    texts |= {path: recipes(path) for path in makefiles}
    assert {path.name for path in texts} >= {"install", "bare", "run", "Makefile"}
    assert {path: unlisted for path, text in texts.items() if (unlisted := commands(text) - known)} == {}


def test_programs_that_a_program_starts_are_listed(repository: Path) -> None:
    # Found on bare machines: these are not seen from here.
    assert listed(repository).keys() >= {"my_print_defaults", "resolveip", "make", "gcc"}


def install_without(package: str, repository: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the installation as a user who is not root, on a machine that has not got this package."""
    shutil.copytree(repository / "local", folder / "local", ignore=shutil.ignore_patterns("__pycache__"))
    programs = folder / "local" / "programs.txt"
    of_package = [program for program, brought_by in listed(repository).items() if brought_by == package]
    text = programs.read_text(encoding="utf-8")
    for program in of_package:
        text = re.sub(rf"(?m)(^|\|){re.escape(program)}\b", r"\g<0>.missing", text)
    programs.write_text(text, encoding="utf-8")
    (folder / "bin").mkdir()
    (folder / "bin" / "id").write_text("#!/bin/sh\necho 1000\n", encoding="utf-8")
    (folder / "bin" / "id").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", str(folder / "local" / "install"), "check"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["git", "redis-server", "mariadb-client-core", "libc6-dev"])
def test_a_missing_program_is_named_with_its_package_before_anything_starts(
    package: str, repository: Path, tmp_path: Path
) -> None:
    done = install_without(package, repository, tmp_path)

    assert done.returncode == 1
    program = [program for program, brought_by in listed(repository).items() if brought_by == package][-1]
    assert f"{program}.missing, which the Debian package {package} brings" in done.stderr
    assert re.search(rf"sudo apt-get install .*\b{package}\b", done.stderr)
    assert not (tmp_path / ".venv").exists()
