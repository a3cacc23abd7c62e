"""The conformance kit on the distribution."""

from difrun.testing import conformance

test_conformance = conformance("difrun-mlflow")
