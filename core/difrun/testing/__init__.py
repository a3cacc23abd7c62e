"""The conformance kit: one line in a plugin's tests checks everything that it offers against exact references.

    # tests/test_conformance.py
    from difrun.testing import conformance

    test_conformance = conformance("difrun-ou")

Every component of the distribution becomes one test per rule, ``process:ou-marginals_start_at_the_data``. The kind of a
component and the capabilities that it declares decide which rules are tested. A plugin is tested alone with the core.
If a component needs others, the kit provides them (`difrun.testing.references`). ``difrun check`` does the same without
pytest, and `check` takes a class or an object without a package. Only `conformance` imports pytest.
"""

from typing import Any

from difrun.testing.references import (
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
    "check",
    "conformance",
    "endpoint_errors",
    "observed_order",
    "probability_flow_endpoint",
    "two_classes",
    "two_gaussians",
]


def __getattr__(name: str) -> Any:
    """Import `conformance`, and with it pytest, and `check`, on first use."""
    if name == "conformance":
        from difrun.testing.collect import conformance

        return conformance
    if name == "check":
        from difrun.testing.own import check

        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
