"""How a number with its error is written, whatever a file of a run claims."""

import math

import pytest

from difrun.runs.report.likelihood import _with_error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.23456, 0.0123, "1.235 ± 0.012"),
        (-1.23456, 0.5, "−1.23 ± 0.50"),
        (1.5, 0.0, "1.5"),
        (1.5, -1.0, "1.5"),
        (1.5, math.inf, "1.5 ± inf"),
        (1.5, 1e-300, "1.5 ± 1e-300"),
    ],
)
def test_digits_follow_the_error(value, error, text):
    assert _with_error(value, error) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308])
def test_what_is_not_finite_or_huge_is_short(value):
    assert len(_with_error(value, 0.1)) < 30
