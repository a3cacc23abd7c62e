"""What metrics beside their floors say of samples: which of them is worst, and how far from its floor it is."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from difrun.text import listed

Number = Mapping[str, Any]
"""What metrics.json holds of one number: "value", "value_sd", "floor", "floor_sd"; "exact" where the distribution
gives it; "better" and "ratio" where the metric declares them (`difrun.metric.Reading`). All but the value may be
missing or None."""

ERRORS = 2.0
"""Standard deviations within which a number is called equal to its floor. Of 36 sets of 1000 samples of a true
distribution (rings, blobs, checkerboard) none was worse than the floor by more in sliced-w2, energy or
density-coverage."""

ROUNDING = 1e-9
"""Difference from an exact value, as a fraction of it, that is rounding: samples that are all alike have no spread."""

WEAK = 1.5
"""How many times worse than the floor samples may be before a test that misses it is said to have little power."""

FAR = {"higher": 1.25, "lower": 5.0}
"""The `factor` from which samples are far from the data: shares fall by a fifth, distances are five times the floor."""


def departure(number: Number) -> float:
    """How much worse than its floor a number is, in its own units; at most 0 on the good side, NaN without a floor.

    Where the metric does not say which side is good, either is bad: samples of the true distribution lie at the
    floor. A number whose exact value is known is measured from that: floors are estimates of it.
    """
    value, floor = _known(number, "value"), _known(number, "exact" if has_exact(number) else "floor")
    difference = value - floor
    return {"lower": difference, "higher": -difference}.get(number.get("better") or "", abs(difference))


def has_exact(number: Number) -> bool:
    """Whether the exact value of a number is known."""
    return not math.isnan(_known(number, "exact"))


def at_floor(number: Number) -> bool:
    """Whether a number is no worse than its floor, or by no more than 2 √(s_v² + s_f²), s the standard deviations."""
    rounding = ROUNDING * abs(number["exact"]) if has_exact(number) else 0.0
    return departure(number) <= ERRORS * _spread(number) + rounding


def ratio(number: Number) -> float | None:
    """value/floor; None where that means nothing: without a floor, beside an exact value, or where the floor is noise.

    A metric says itself that its floor is noise (energy). Where it says nothing, a floor is noise unless it is
    more than two of its standard deviations above 0.
    """
    value, floor, sd = (_known(number, key) for key in ("value", "floor", "floor_sd"))
    if has_exact(number) or not (0 < floor < math.inf and math.isfinite(value)):
        return None
    sure = number.get("ratio")
    if sure is None:
        sure = math.isnan(sd) or floor > 2 * sd
    return value / floor if sure else None


def factor(number: Number) -> float:
    r"""How many times worse than its floor a number is, by which numbers are ranked; 1 at the floor and beyond.

        value/floor where lower is better,    floor/value where higher is,

    the larger of both where the metric does not say. Where the floor is noise of standard deviation s, a squared
    distance with mean 0, it is √(1 + Δ/s) for a departure Δ: of the size that the ratio of two distances has.
    """
    quotient, worse = ratio(number), departure(number)
    if not worse > 0:
        return 1.0
    if quotient is not None:
        inverse = 1 / quotient if quotient > 0 else math.inf
        better = number.get("better")
        return {"lower": quotient, "higher": inverse}.get(better or "", max(quotient, inverse))
    spread = next((sd for key in ("floor_sd", "value_sd") if (sd := _known(number, key)) > 0), 0.0)
    return math.sqrt(1 + worse / spread) if spread else math.inf


def verdict(metrics: Mapping[str, Number]) -> str:
    """The metrics in words, the worst first: how it stands to its floor, then which others are off theirs.

    The floor is the same number between two sets of real data. Numbers are ranked by `factor`, those off their
    floor by `at_floor`. Empty when there is no metric.
    """
    if not metrics:
        return ""
    names = short_names(metrics)
    broken = [names[name] for name, number in metrics.items() if not math.isfinite(_known(number, "value"))]
    if broken:
        return f"{listed(broken, ' and ')}: not a finite number. Look at the samples."
    judged = {name: number for name, number in metrics.items() if not math.isnan(_known(number, "floor"))}
    if not judged:
        name, number = next(iter(metrics.items()))
        return f"{names[name]} is {text(number['value'])}."
    off = sorted((n for n in judged if not at_floor(judged[n])), key=lambda n: -factor(judged[n]))
    if not off:
        if len(judged) == 1:
            (name, number), *_ = judged.items()
            near = "within two standard deviations of it" if times(number) else "not told apart from it"
            return f"{_stands(name, names, judged)}, {near}.{_weakness(judged, names)}"
        return (
            f"All {len(judged)} numbers are at their {_marks(judged.values())}, within two standard deviations."
            f"{_weakness(judged, names)}"
        )
    worst, *others = off
    if len(judged) == 1:
        return f"{_stands(worst, names, judged)}{_side(judged[worst])}."
    said = [f"Worst: {_stands(worst, names, judged)}{_side(judged[worst])}."]
    if others:
        marks = _marks(judged[name] for name in others)
        said.append(f"Also off their {marks}: {listed([_brief(n, names, judged) for n in others], ' and ')}.")
    fine = [names[name] for name in judged if name not in off]
    if fine:
        marks = _marks([number for name, number in judged.items() if name not in off], single=len(fine) == 1)
        said.append(
            f"Not told apart from {'its' if len(fine) == 1 else 'their'} {marks}: {listed(fine, ' and ')}."
        )
    return " ".join(said)


def least(number: Number) -> float | None:
    """The smallest `factor` at which a number would be called off its floor; None where value/floor means nothing."""
    if ratio(number) is None:
        return None
    edge = ERRORS * _spread(number) / _known(number, "floor")
    if number.get("better") == "higher":
        return 1 / (1 - edge) if edge < 1 else math.inf
    return 1 + edge


def suggestion(metrics: Mapping[str, Number], training: int, sampling: int) -> str:
    """What may help where samples of a trained model are far from the data; empty where they are not.

    Far: a number off its floor whose `factor` is at least `FAR`. training, sampling: the steps of each.
    """
    far = any(
        not at_floor(number)
        and ratio(number) is not None
        and factor(number) >= FAR.get(number.get("better") or "", math.inf)
        for number in metrics.values()
        if not math.isnan(_known(number, "floor"))
    )
    if not far:
        return ""
    return (
        f"Samples so far from the data most often want longer training (--train.steps, {training} here), more "
        f"sampling steps (--steps, {sampling} here) or another sampler: 'difrun compare RUN --sampler all' tells which."
    )


def legend(metrics: Mapping[str, Number]) -> list[str]:
    """How a table of these metrics is read, in sentences: floor, direction, what bounds n, a missing spread, units."""
    names, sides = short_names(metrics), []
    if any(number.get("better") == "lower" for number in metrics.values()):
        sides.append("distances come down to it")
    if up := [names[name] for name, number in metrics.items() if number.get("better") == "higher"]:
        sides.append(f"{listed(up, ' and ')} up to it")
    said = [
        "floor: the same metric between two sets of real data (± standard deviation). "
        f"Best is a value equal to its floor{': ' if sides else ''}{listed(sides)}."
    ]
    if any(has_exact(number) for number in metrics.values()):
        said.append(
            "exact: the number for the distribution itself, by which it is judged where that is known; the floor shows "
            "how near as many real examples come."
        )
    bounds: dict[str, list[str]] = {}
    for name, number in metrics.items():
        if number.get("bound"):
            bounds.setdefault(f"{number['n']:.0f} by {number['bound']}", []).append(names[name])
    said += [f"n is {bound}: {listed(of, ' and ')}." for bound, of in bounds.items()]
    if any(alone(number, "value") or alone(number, "floor") for number in metrics.values()):
        said.append(
            "± –: no spread is known, as there is one pairing only: all examples of both sets are compared."
        )
    return said + [
        f"Units: {unit}." for unit in dict.fromkeys(m["units"] for m in metrics.values() if m.get("units"))
    ]


def alone(number: Number, key: str) -> bool:
    """Whether the "value" or the "floor" of a number has no spread, as its sets can be paired in one way only."""
    return number.get(key) is not None and number.get(f"{key}_sd", math.nan) is None


def times(number: Number) -> str:
    """value/floor as text, "1.2×"; empty where it means nothing."""
    quotient = ratio(number)
    if quotient is None:
        return ""
    if quotient >= 9999.5:
        return f"{text(float(f'{quotient:.2g}'))}×"
    return f"{quotient:.0f}×" if quotient >= 99.5 else f"{quotient:.2g}×"


def text(value: Any) -> str:
    """A value as text: floats with four digits, whole numbers in groups of three, the rest as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    mantissa = mantissa.replace("-", "−")
    if not exponent:
        return mantissa
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{raised}"


def _weakness(metrics: Mapping[str, Number], names: Mapping[str, str]) -> str:
    """That numbers at their floors tell little, where not even the sharpest would tell samples `WEAK` times worse."""
    known = {name: found for name, number in metrics.items() if (found := least(number)) is not None}
    if not known or min(known.values()) < WEAK:
        return ""
    name = min(known, key=lambda name: known[name])
    high = metrics[name].get("better") == "higher"
    limit = 1 / known[name] if high else known[name]
    which = "it" if len(metrics) == 1 else f"{names[name]}, the sharpest,"
    return (
        f" This test has little power: {which} tells samples from data only {'below' if high else 'above'} "
        f"{text(float(f'{limit:.2g}'))}× the floor. More samples (--n) or another metric tell more."
    )


def _spread(number: Number) -> float:
    """√(s_v² + s_f²), of the standard deviations that are known."""
    return math.hypot(*(sd for sd in (_known(number, "value_sd"), _known(number, "floor_sd")) if sd == sd))


def _stands(name: str, names: Mapping[str, str], metrics: Mapping[str, Number]) -> str:
    number = metrics[name]
    if has_exact(number):
        return f"{names[name]} is {_beside_exact(number)}"
    value, floor = (text(float(f"{number[key]:.2g}")) for key in ("value", "floor"))
    if times(number):
        return f"{names[name]} is {value}, {times(number)} its floor {floor}"
    sd = _known(number, "floor_sd")
    if not sd > 0:
        return f"{names[name]} is {value}, its floor {floor}"
    away = (number["value"] - number["floor"]) / sd
    where = "above" if away >= 0 else "below"
    far = text(float(f"{abs(away):.2g}"))
    return f"{names[name]} is {value}, {far} standard deviations {where} its floor {floor}"


def _beside_exact(number: Number) -> str:
    """The value and the exact value, with as many digits as tell them apart, and their distance in standard errors."""
    value, exact, sd = number["value"], number["exact"], _known(number, "value_sd")
    gap = abs(value - exact)
    digits = 2
    if gap > 0:
        digits = max(2, 2 + math.floor(math.log10(max(abs(value), abs(exact)))) - math.floor(math.log10(gap)))
    near, far = (text(float(f"{x:.{min(digits, 6)}g}")) for x in (value, exact))
    if not sd > 0:
        return f"{near}, its exact value {far}"
    where = "above" if value >= exact else "below"
    return f"{near}, {text(float(f'{gap / sd:.2g}'))} standard errors {where} its exact value {far}"


def _marks(numbers: Iterable[Number], single: bool = False) -> str:
    """What numbers are judged by: floors, exact values, or both."""
    known = [has_exact(number) for number in numbers]
    said = ["exact value"] * any(known) + ["floor"] * (not all(known))
    return " or ".join(word if single else f"{word}s" for word in said)


def _side(number: Number) -> str:
    return " (higher is better)" if number.get("better") == "higher" else ""


def _brief(name: str, names: Mapping[str, str], metrics: Mapping[str, Number]) -> str:
    return f"{names[name]} {times(metrics[name])}".rstrip()


def short_names(metrics: Iterable[str]) -> dict[str, str]:
    """density-coverage.density -> density, where no other number is called so."""
    metrics = list(metrics)
    last = [name.rpartition(".")[2] for name in metrics]
    return {
        name: short_names if last.count(short_names) == 1 else name
        for name, short_names in zip(metrics, last, strict=True)
    }


def _known(number: Number, key: str) -> float:
    value = number.get(key)
    return math.nan if value is None else float(value)
