"""A metric beside its floor: whether it is at the floor, and how many times worse it is."""

import math
from collections.abc import Mapping
from typing import Any

Number = Mapping[str, Any]
"""What metrics.json holds about one number: "value", "value_sd", "floor", "floor_sd"; "exact" if the distribution
gives it; "better" and "ratio" if the metric declares them (`difrun.metric.Reading`). All but the value may be missing
or None."""

ERRORS = 2.0
"""Standard deviations within which a number is called equal to its floor. None of 36 sets of 1000 samples of a true
distribution (rings, blobs, checkerboard) was worse than the floor by more than that, in sliced-w2, energy or
density-coverage."""

ROUNDING = 1e-9
"""Difference from an exact value, as a fraction of it, that counts as rounding. Equal samples have no deviation that
would allow for it."""


def departure(number: Number) -> float:
    """Return how much worse than its floor a number is, in its units; at most 0 on the good side, NaN without a floor.

    If the metric does not say which side is good, both are bad, because samples of the true distribution lie at the
    floor. If the exact value is known, the difference is taken from it instead: floors are estimates of it.
    """
    value, floor = value_of(number, "value"), value_of(number, "exact" if has_exact(number) else "floor")
    difference = value - floor
    return {"lower": difference, "higher": -difference}.get(number.get("better") or "", abs(difference))


def has_exact(number: Number) -> bool:
    """Whether the exact value of a number is known."""
    return not math.isnan(value_of(number, "exact"))


def at_floor(number: Number) -> bool:
    """Whether a number is no worse than its floor, or by no more than 2 √(s_v² + s_f²), s the standard deviations."""
    rounding = ROUNDING * abs(number["exact"]) if has_exact(number) else 0.0
    return departure(number) <= ERRORS * combined_sd(number) + rounding


def ratio(number: Number) -> float | None:
    """Return value/floor; None without a floor, if an exact value is known, or if the floor is noise.

    A metric may declare that its floor is noise, as energy does. If it declares nothing, the floor counts as noise
    unless it is more than two of its standard deviations above 0.
    """
    value, floor, sd = (value_of(number, key) for key in ("value", "floor", "floor_sd"))
    if has_exact(number) or not (0 < floor < math.inf and math.isfinite(value)):
        return None
    means_something = number.get("ratio")
    if means_something is None:
        means_something = math.isnan(sd) or floor > 2 * sd
    return value / floor if means_something else None


def factor(number: Number) -> float:
    r"""Return how many times worse than its floor a number is; 1 at the floor and on its good side.

        value/floor if lower is better,    floor/value if higher is better,

    and the larger of both if the metric does not say. If the floor is noise of standard deviation s, as for a squared
    distance with mean 0, the factor is √(1 + Δ/s) for a departure Δ. That has the scale of a ratio of two distances,
    so numbers can be ranked by it.
    """
    quotient, worse = ratio(number), departure(number)
    if not worse > 0:
        return 1.0
    if quotient is not None:
        inverse = 1 / quotient if quotient > 0 else math.inf
        better = number.get("better")
        return {"lower": quotient, "higher": inverse}.get(better or "", max(quotient, inverse))
    for key in ("floor_sd", "value_sd"):
        if value_of(number, key) > 0:
            return math.sqrt(1 + worse / value_of(number, key))
    return math.inf


def least(number: Number) -> float | None:
    """Return the smallest `factor` at which a number is called off its floor; None if value/floor means nothing."""
    if ratio(number) is None:
        return None
    edge = ERRORS * combined_sd(number) / value_of(number, "floor")
    if number.get("better") == "higher":
        return 1 / (1 - edge) if edge < 1 else math.inf
    return 1 + edge


def alone(number: Number, key: str) -> bool:
    """Whether "value" or "floor" has no standard deviation, because all examples of both its sets are compared."""
    return number.get(key) is not None and number.get(f"{key}_sd", math.nan) is None


def combined_sd(number: Number) -> float:
    """Return √(s_v² + s_f²), from the standard deviations that are known."""
    deviations = [value_of(number, key) for key in ("value_sd", "floor_sd")]
    return math.hypot(*(sd for sd in deviations if not math.isnan(sd)))


def value_of(number: Number, key: str) -> float:
    """Return an entry of a number; NaN where it is missing or None."""
    value = number.get(key)
    return math.nan if value is None else float(value)
