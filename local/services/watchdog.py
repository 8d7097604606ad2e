"""Stops a launcher's programs when the launcher is gone without having stopped them, killed for instance.

Run by `processes.py` in a session of its own. Standard input is a pipe from the launcher: `+7` says that process group
7 is to be stopped when the pipe closes, `-7` that it no longer is. The kernel's parent-death signal would not do: it
reaches the program only, not the Lambda workers below it, and is bound to the launcher's thread, not to the launcher.
"""

from __future__ import annotations

import sys

from local.services.groups import stop_groups


def main() -> None:
    """Note groups until the pipe closes, then stop those that are left."""
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    stop_groups(groups)


if __name__ == "__main__":
    main()
