"""What metrics and their floors say about samples: which metric is worst, and how far from its floor it is."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from difrun.report.floors import (
    Number,
    alone,
    at_floor,
    factor,
    has_exact,
    least,
    ratio,
    value_of,
)
from difrun.text import listed

WEAK = 1.5
"""A test that cannot detect samples this many times worse than the floor is said to have little power."""

FAR = {"higher": 1.25, "lower": 5.0}
"""The `factor` from which samples are far from the data: shares fall by a fifth, distances are five times the floor."""


def verdict(metrics: Mapping[str, Number]) -> str:
    """Say how samples compare with data, the worst number first; empty where there is no metric.

    The floor is the same number between two sets of real data. Numbers are ranked by `factor`, and `at_floor` says
    which of them are off their floor.
    """
    if not metrics:
        return ""
    names = short_names(metrics)
    broken = [names[name] for name, number in metrics.items() if not math.isfinite(value_of(number, "value"))]
    if broken:
        return f"{listed(broken, ' and ')}: not a finite number. Look at the samples."
    judged = {name: number for name, number in metrics.items() if not math.isnan(value_of(number, "floor"))}
    if not judged:
        name, number = next(iter(metrics.items()))
        return f"{names[name]} is {text(number['value'])}."
    off = [name for name, number in judged.items() if not at_floor(number)]
    if not off:
        return _all_at_floor(judged, names)
    if len(judged) == 1:
        return f"{_stands(off[0], names, judged)}{_side(judged[off[0]])}."
    return _worst_first(off, judged, names)


def _all_at_floor(judged: Mapping[str, Number], names: Mapping[str, str]) -> str:
    """The verdict if every number is at its floor."""
    if len(judged) > 1:
        marks = _marks(judged.values())
        text = f"All {len(judged)} numbers are at their {marks}, within two standard deviations."
    else:
        (name, number), *_ = judged.items()
        near = "within two standard deviations of it" if times(number) else "not distinguishable from it"
        text = f"{_stands(name, names, judged)}, {near}."
    return f"{text}{_weakness(judged, names)}"


def _worst_first(off: list[str], judged: Mapping[str, Number], names: Mapping[str, str]) -> str:
    """The verdict if the numbers in `off` are off their floors, the worst of them first."""
    worst, *others = sorted(off, key=lambda name: -factor(judged[name]))
    sentences = [f"Worst: {_stands(worst, names, judged)}{_side(judged[worst])}."]
    if others:
        marks = _marks([judged[name] for name in others])
        brief = [f"{names[name]} {times(judged[name])}".rstrip() for name in others]
        sentences.append(f"Also off their {marks}: {listed(brief, ' and ')}.")
    worse = set(off)
    fine = [name for name in judged if name not in worse]
    if fine:
        numbers = [judged[name] for name in fine]
        marks = f"its {_marks(numbers, single=True)}" if len(fine) == 1 else f"their {_marks(numbers)}"
        sentences.append(
            f"Not distinguishable from {marks}: {listed([names[name] for name in fine], ' and ')}."
        )
    return " ".join(sentences)


def suggestion(metrics: Mapping[str, Number], training: int, sampling: int) -> str:
    """Say what may help if samples of a trained model are far from the data; empty if they are not.

    Samples are far if a number is off its floor and its `factor` is at least `FAR`.

    Args:
        metrics: The numbers in metrics.json.
        training: The number of training steps.
        sampling: The number of sampling steps.
    """
    far = any(
        not at_floor(number)
        and ratio(number) is not None
        and factor(number) >= FAR.get(number.get("better") or "", math.inf)
        for number in metrics.values()
        if not math.isnan(value_of(number, "floor"))
    )
    if not far:
        return ""
    return (
        f"Samples this far from the data usually need longer training (--train.steps, {training} here), more sampling "
        f"steps (--steps, {sampling} here) or another sampler: 'difrun compare RUN --sampler all' shows which."
    )


def legend(metrics: Mapping[str, Number]) -> list[str]:
    """Explain how a table of these metrics is read: floor, direction, what bounds n, missing deviations, units."""
    names, sides = short_names(metrics), []
    if any(number.get("better") == "lower" for number in metrics.values()):
        sides.append("distances come down to it")
    if higher := [names[name] for name, number in metrics.items() if number.get("better") == "higher"]:
        sides.append(f"{listed(higher, ' and ')} up to it")
    sentences = [
        "floor: the same metric between two sets of real data (± standard deviation). "
        f"Best is a value equal to its floor{': ' if sides else ''}{listed(sides)}."
    ]
    if any(has_exact(number) for number in metrics.values()):
        sentences.append(
            "exact: the number for the distribution itself. Where it is known, the value is judged by it; the floor "
            "shows how near the same number of real examples comes."
        )
    bounds: dict[str, list[str]] = {}
    for name, number in metrics.items():
        if number.get("bound"):
            bounds.setdefault(f"{number['n']:.0f} by {number['bound']}", []).append(names[name])
    sentences += [f"n is {bound}: {listed(bounded, ' and ')}." for bound, bounded in bounds.items()]
    if any(alone(number, "value") or alone(number, "floor") for number in metrics.values()):
        sentences.append(
            "± –: the standard deviation is not known, because all examples of both sets are compared."
        )
    units = dict.fromkeys(number["units"] for number in metrics.values() if number.get("units"))
    return sentences + [f"Units: {unit}." for unit in units]


def times(number: Number) -> str:
    """Return value/floor as text, "1.2×"; empty where it means nothing."""
    quotient = ratio(number)
    if quotient is None:
        return ""
    if quotient >= 9999.5:
        return f"{text(float(f'{quotient:.2g}'))}×"
    return f"{quotient:.0f}×" if quotient >= 99.5 else f"{quotient:.2g}×"


def text(value: Any) -> str:
    """Return a value as text: floats with four digits, whole numbers in groups of three, the rest as it is."""
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
    """A warning if not even the sharpest number would detect samples that are `WEAK` times worse; else empty."""
    smallest_ratio = {
        name: smallest for name, number in metrics.items() if (smallest := least(number)) is not None
    }
    if not smallest_ratio or min(smallest_ratio.values()) < WEAK:
        return ""
    name = min(smallest_ratio, key=lambda name: smallest_ratio[name])
    high = metrics[name].get("better") == "higher"
    limit = 1 / smallest_ratio[name] if high else smallest_ratio[name]
    which = "it" if len(metrics) == 1 else f"{names[name]}, the sharpest,"
    return (
        f" This test has little power: {which} tells samples from data only {'below' if high else 'above'} "
        f"{text(float(f'{limit:.2g}'))}× the floor. More samples (--n) or another metric tell more."
    )


def _stands(name: str, names: Mapping[str, str], metrics: Mapping[str, Number]) -> str:
    number = metrics[name]
    if has_exact(number):
        return f"{names[name]} is {_beside_exact(number)}"
    value, floor = (text(float(f"{number[key]:.2g}")) for key in ("value", "floor"))
    if times(number):
        return f"{names[name]} is {value}, {times(number)} its floor {floor}"
    sd = value_of(number, "floor_sd")
    if not sd > 0:
        return f"{names[name]} is {value}, its floor {floor}"
    away = (number["value"] - number["floor"]) / sd
    where = "above" if away >= 0 else "below"
    far = text(float(f"{abs(away):.2g}"))
    return f"{names[name]} is {value}, {far} standard deviations {where} its floor {floor}"


def _beside_exact(number: Number) -> str:
    """The value and the exact value, with enough digits to tell them apart, and their distance in standard errors."""
    value, exact, sd = number["value"], number["exact"], value_of(number, "value_sd")
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
    words = {"exact value" if has_exact(number) else "floor" for number in numbers}
    return " or ".join(word if single else f"{word}s" for word in sorted(words))


def _side(number: Number) -> str:
    return " (higher is better)" if number.get("better") == "higher" else ""


def short_names(metrics: Iterable[str]) -> dict[str, str]:
    """Shorten density-coverage.density to density, and the like, where no other number has that name."""
    metrics = list(metrics)
    last = [name.rpartition(".")[2] for name in metrics]
    how_often = Counter(last)
    return {name: short if how_often[short] == 1 else name for name, short in zip(metrics, last, strict=True)}
