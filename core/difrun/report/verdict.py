"""What metrics and their floors say about samples: whether they can be told from data, and what may help."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from difrun.report.floors import (
    ERRORS,
    Number,
    alone,
    at_floor,
    combined_sd,
    departure,
    factor,
    has_exact,
    least,
    ratio,
    value_of,
)
from difrun.text import listed

WEAK = 1.5
"""A test that cannot detect samples this many times worse than the floor is said to be weak."""

FEW = 100
"""Fewer samples than this are a weak test where no number has a ratio to its floor, which would tell its power."""

CLOSE = 1.25
"""The `factor` below which samples that can be told from the data are called close to them."""

CLOSE_TO_EXACT = 0.02
"""The same for a number whose exact value is known: its difference, as a fraction of that."""

FAR = {"higher": 1.25, "lower": 5.0}
"""The `factor` from which samples are far from the data: shares fall by a fifth, distances are five times the floor."""


def verdict(metrics: Mapping[str, Number]) -> str:
    """Say whether samples can be told from real data, by which number, and how sharp that test was.

    The floor is the same number between two sets of real data. Numbers are ranked by `factor`, and `at_floor` says
    which of them are off their floor. Empty where there is no metric.
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
    return _told_apart(off, judged, names) if off else _not_told_apart(judged, names)


def _not_told_apart(judged: Mapping[str, Number], names: Mapping[str, str]) -> str:
    """The verdict if every number is at its floor: what that is worth comes first if it is worth little."""
    if len(judged) > 1:
        every = "both" if len(judged) == 2 else f"all {len(judged)}"
        found = f"{every} numbers are at their {_marks(judged.values())}"
    else:
        found = _stands(next(iter(judged)), names, judged)
    sharpest = _sharpest(judged)
    number = judged[sharpest]
    limit, n = least(number), number.get("n")
    samples = f"{n:.0f} samples" if n else ""
    subject = "it" if len(judged) == 1 else f"the sharpest, {names[sharpest]},"
    if limit is None:
        if n and n < FEW:
            return f"Too weak a test to tell: only {samples} were compared, and {found}. Draw more (--n)."
        edge = ERRORS * combined_sd(number)
        seen = f"a difference of {text(float(f'{edge:.1g}'))}" if edge > 0 else "any difference"
    elif limit >= WEAK:
        few = f"with {samples} " if samples else ""
        return (
            f"Too weak a test to tell: {few}{subject} shows a difference only {_beyond(number, limit)} its floor; "
            f"{found}. More samples (--n) or another metric tell more."
        )
    else:
        seen = f"a difference {_beyond(number, limit)} its floor"
    return f"The samples cannot be told from real data: {found}. {subject[0].upper()}{subject[1:]} would show {seen}."


def _told_apart(off: list[str], judged: Mapping[str, Number], names: Mapping[str, str]) -> str:
    """The verdict if the numbers in `off` are off their floors, the worst of them first."""
    worst, *others = sorted(off, key=lambda name: -factor(judged[name]))
    if any(is_far(judged[name]) for name in off):
        head = "The samples are far from real data"
    elif all(_is_close(judged[name]) for name in off):
        head = "The samples are close to real data, but can be told from them"
    else:
        head = "The samples can be told from real data"
    sentences = [f"{head}: {_stands(worst, names, judged)}{_side(judged[worst])}."]
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


def is_far(number: Number) -> bool:
    """Whether a number is off its floor and its `factor` is at least `FAR`."""
    bound = FAR.get(number.get("better") or "", math.inf)
    return not at_floor(number) and ratio(number) is not None and factor(number) >= bound


def _is_close(number: Number) -> bool:
    if has_exact(number):
        return abs(departure(number)) <= CLOSE_TO_EXACT * abs(number["exact"])
    return ratio(number) is not None and factor(number) < CLOSE


def suggestion(
    metrics: Mapping[str, Number], training: int | None, sampling: int, prior_is_off: bool = False
) -> str:
    """Say what may help if samples are far from the data (`is_far`); empty if they are not.

    Args:
        metrics: The numbers in metrics.json.
        training: The number of training steps; None for a model that needs none.
        sampling: The number of sampling steps.
        prior_is_off: Whether sampling starts from a prior that is visibly another law than that of x_T.
    """
    judged = [number for number in metrics.values() if not math.isnan(value_of(number, "floor"))]
    if not any(map(is_far, judged)):
        return ""
    if prior_is_off:
        return (
            "The first cause to remove is the prior: sampling starts from noise that is unlike x_T, in which much of "
            "the data is left. A larger T, or stronger noise at T, mends that; training and more steps do not."
        )
    steps = f"more sampling steps (--steps, {sampling} here) or another sampler"
    if training is None:
        return f"Nothing was trained, so it is {steps} that can help: 'difrun compare RUN --sampler all' shows which."
    return (
        f"Samples this far from the data usually need longer training (--train.steps, {training} here), {steps}: "
        "'difrun compare RUN --sampler all' shows which."
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


def _sharpest(judged: Mapping[str, Number]) -> str:
    """The number that would show the smallest fault: by its ratio to the floor, or else the first."""
    powers = {name: limit for name, number in judged.items() if (limit := least(number)) is not None}
    return min(powers, key=lambda name: powers[name]) if powers else next(iter(judged))


def _beyond(number: Number, limit: float) -> str:
    """``above 1.2×``, or ``below 0.83×`` where higher is better."""
    high = number.get("better") == "higher"
    return f"{'below' if high else 'above'} {text(float(f'{1 / limit if high else limit:.3g}'))}×"


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
    unit = "deviation" if far == "1" else "deviations"
    return f"{names[name]} is {value}, {far} standard {unit} {where} its floor {floor}"


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
    errors = text(float(f"{gap / sd:.2g}"))
    unit = "error" if errors == "1" else "errors"
    return f"{near}, {errors} standard {unit} {where} its exact value {far}"


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
