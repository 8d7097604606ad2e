"""The servers of the tests, for what proves the guarantees too."""

from tests.conftest import *  # noqa: F403 - fixtures are found by their names here
