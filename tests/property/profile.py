"""How the state machines run: the same examples each time, so that a failure is one for everybody, and few enough for
`make test`. `PROPERTY_EXAMPLES=500 pytest tests/property --timeout 0` looks further, and shortens what it finds.
"""

import os
from collections.abc import Callable
from typing import cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_machine(make: Callable[[], RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Run a state machine, made anew for each example."""
    wanted = int(os.environ.get("PROPERTY_EXAMPLES", examples))
    # Making a failure shorter takes minutes on real servers: longer than a test may.
    phases = [Phase.generate, Phase.shrink] if wanted > examples else [Phase.generate]
    how = settings(
        max_examples=wanted,
        stateful_step_count=steps,
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases,
        report_multiple_bugs=False,
        # A busy machine is no finding.
        suppress_health_check=[HealthCheck.too_slow],
    )
    # Anything that makes a machine will do; only the annotation wants a class.
    run_state_machine_as_test(cast(type[RuleBasedStateMachine], make), settings=how)
