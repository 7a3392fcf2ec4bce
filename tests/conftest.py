"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# How long an example takes depends on the machine and what else it does: that is for the benchmarks to say.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-clock")
