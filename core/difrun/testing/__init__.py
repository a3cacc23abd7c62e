"""The conformance kit: one line in a plugin's tests checks everything that it offers against exact references.

    # tests/test_conformance.py
    from difrun.testing import conformance

    test_conformance = conformance("difrun-ou")

Every component of the distribution becomes one test per rule, ``process:ou-marginals_start_at_the_data``. The kind of a
component and the capabilities that it declares decide which rules are tested. A plugin is tested alone with the core.
If a component needs others, the kit provides them (`difrun.testing.references`).
"""

import pytest

REWRITTEN = ("check", "checks", "enumerated", "references")
pytest.register_assert_rewrite(*(f"difrun.testing.{name}" for name in REWRITTEN))

from difrun.testing.collect import conformance  # noqa: E402 (assertions are rewritten at import)
from difrun.testing.references import (  # noqa: E402
    ReferenceFlow,
    ReferenceVE,
    ReferenceVP,
    affine_moments,
    endpoint_errors,
    observed_order,
    probability_flow_endpoint,
    two_classes,
    two_gaussians,
)

__all__ = [
    "ReferenceFlow",
    "ReferenceVE",
    "ReferenceVP",
    "affine_moments",
    "conformance",
    "endpoint_errors",
    "observed_order",
    "probability_flow_endpoint",
    "two_classes",
    "two_gaussians",
]
