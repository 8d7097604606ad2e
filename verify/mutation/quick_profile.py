"""A pytest plugin for runs that only want to know whether a test fails: Hypothesis looks for one failure and neither
makes it shorter nor keeps it, and thousands of connections to the worker's own MariaDB load no certificates.
"""

import pymysql.connections
from hypothesis import Phase, settings

settings.register_profile("mutation", database=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutation")

pymysql.connections.SSL_ENABLED = False
