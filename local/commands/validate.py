"""`make validate`: check the templates with `sam validate --lint` and cfn-lint, without a look at the internet."""

from __future__ import annotations

import subprocess
import sys

from local.deployment.deploy import sam_environment
from local.deployment.state_files import FOLDER
from local.deployment.workspace import Workspace
from local.errors import run_command
from local.services.processes import ROOT
from local.services.programs import find_program

ENVIRONMENTS = ("dev", "prod", "local")
FORMS = (
    # Everything is made; everything is given.
    (),
    (
        "RedisHost=redis.example",
        "RedisSecretArn=arn:aws:secretsmanager:eu-west-1:123456789012:secret:y",
        "MysqlHost=mysql.example",
        "MysqlSecretArn=arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
        "JwtIssuer=https://issuer.example",
        "VpcSubnetIds=subnet-1,subnet-2",
        "VpcSecurityGroupIds=sg-1",
    ),
)


def main() -> None:
    """Run the checks, and leave with 1 if any of them failed."""
    workspace = Workspace(FOLDER / "validate")
    workspace.temporary.mkdir(parents=True, exist_ok=True)
    environment = sam_environment(workspace)
    commands = [
        [find_program("sam"), "validate", "--lint"],
        [find_program("cfn-lint"), *map(str, ROOT.glob("infra/*.yaml"))],
        # The root template in each of its forms; above it was checked with the defaults.
        *(
            [find_program("cfn-lint"), "--parameters", f"Environment={name}", *form, "--", "template.yaml"]
            for name in ENVIRONMENTS
            for form in FORMS
        ),
    ]
    checks = [subprocess.run(command, cwd=ROOT, env=environment, check=False) for command in commands]
    sys.exit(1 if any(check.returncode for check in checks) else 0)


if __name__ == "__main__":
    run_command(main)
