"""How long tests wait for Redis: test machines are busy."""

from firstcome.adapters.redis.connect import Timeouts

PATIENT = Timeouts(5, 5, 5)
