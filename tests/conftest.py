"""Profiles of hypothesis: a fixed and short one, and a long one that HYPOTHESIS_PROFILE=long chooses."""

import os

from hypothesis import HealthCheck, settings

slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, max_examples=40, suppress_health_check=slow
)
settings.register_profile("long", deadline=None, max_examples=5000, suppress_health_check=slow)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
