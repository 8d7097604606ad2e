"""The layer of third-party packages, as `sam build` makes it for either processor, whatever this machine has."""

import subprocess
from pathlib import Path

import pytest

from local.deployment.deploy import sam_environment
from local.deployment.workspace import Workspace
from local.services.programs import find_program

_ELF_MACHINE = slice(18, 20)
_MACHINES = {"arm64": 183, "x86_64": 62}
"""EM_AARCH64 and EM_X86_64 of the ELF header."""


@pytest.mark.parametrize("architecture", _MACHINES)
def test_compiled_packages_are_for_the_functions_processor(
    architecture: str, repository: Path, workspace: Workspace, tmp_path: Path
) -> None:
    command = [find_program("sam"), "build", "DependenciesLayer", "--build-dir", str(tmp_path / "build")]
    command += ["--no-cached", "--parameter-overrides", f"LambdaArchitecture={architecture}"]
    subprocess.run(command, cwd=repository, env=sam_environment(workspace), check=True, capture_output=True)

    libraries = list((tmp_path / "build" / "DependenciesLayer").rglob("*.so*"))
    assert "_awscrt.abi3.so" in {library.name for library in libraries}
    for library in libraries:
        head = library.read_bytes()[: _ELF_MACHINE.stop]
        assert head.startswith(b"\x7fELF")
        assert int.from_bytes(head[_ELF_MACHINE], "little") == _MACHINES[architecture]
