"""The verdict names the worst number, and a ratio to a floor only where it means something."""

import math

import pytest
import torch

from difrun.data import toy
from difrun.metric import Reading, distances, measure, reading, reads
from difrun.report.floors import at_floor, factor, least, ratio
from difrun.report.verdict import legend, suggestion, times, verdict

from .numbers import HIGHER, HUMP, LOWER, NOISE, SHARP, WEAK, number


def test_what_is_known_exactly_is_judged_by_it():
    """The floor, an estimate of it, is off by chance: 0.9 ± 0.01 is at 0.91, whatever the floor; and off 0.95 by 5 of
    its errors, at a floor of 0.9. As many digits are written as tell the two apart."""
    at = number(0.9, 0.95, 0.01, exact=0.91)
    off = number(0.9, 0.9, 0.01, exact=0.95)
    assert at_floor(at)
    assert not at_floor(off)
    assert ratio(at) is None
    assert factor(at) == pytest.approx(math.sqrt(1 + 1))
    assert factor(off) == pytest.approx(math.sqrt(1 + 5))
    text = verdict(
        {"energy": off, "c1": at, "tv": number(0.04, 0.04, 0.004, **LOWER), "c2": {**off, "exact": 0.93}}
    )
    assert text == (
        "The samples can be told from real data: energy is 0.9, 5 standard errors below its exact value 0.95. Also "
        "off their exact values: c2. Not "
        "distinguishable from their exact values or floors: c1 and tv."
    )
    near = {"value": 0.91231, "value_sd": 1e-5, "floor": 0.9124, "floor_sd": 1e-5, "exact": 0.91247}
    assert verdict({"e": near}).endswith("e is 0.9123, 16 standard errors below its exact value 0.9125.")
    assert any(
        line.startswith("exact: the number for the distribution itself") for line in legend({"energy": at})
    )
    assert not any("exact" in line for line in legend({"energy": number(1, 1, 0.1)}))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (number(0.3, 0.1, **LOWER), 3.0),
        (number(0.05, 0.1, **LOWER), 1.0),
        (number(0.25, 1.0, **HIGHER), 4.0),
        (number(1.5, 1.0, **HIGHER), 1.0),
        (number(0.0, 1.0, **HIGHER), math.inf),
        (number(0.016, 0.001, 0.001, **NOISE), 4.0),  # 15 standard deviations: √16
        (number(-0.2, -0.1, 0.1, **NOISE), 1.0),
        (number(0.4, 0.2), 2.0),  # neither side declared: either is worse
        (number(0.1, 0.2), 2.0),
        (number(0.5, -0.1), math.inf),  # no scale at all
    ],
)
def test_the_verdict_says_how_many_times_worse(found, wanted):
    assert factor(found) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (number(0.3, 0.1, 0.09, **LOWER), 3.0),  # a distance is never noise around 0, however wide it spreads
        (number(0.0071, 0.001, 0.0001, **NOISE), None),  # seven times what is noise
        (number(0.3, 0.1, 0.04), 3.0),
        (number(0.3, 0.1, 0.06), None),  # undeclared, and less than two deviations above 0
        (number(0.3, -0.1, 0.06, **LOWER), None),
        (number(0.3, 0.0), None),
        ({"value": 0.3}, None),
        (number(math.inf, 0.1), None),
    ],
)
def test_a_ratio_only_where_the_floor_is_more_than_noise(found, wanted):
    assert ratio(found) == (None if wanted is None else pytest.approx(wanted))


def test_two_standard_deviations_of_both():
    """2 √(0.0018² + 0.001²) = 0.00412, 2 √(0.0017² + 0.001²) = 0.00394; the difference is 0.004."""
    near = {"value": 0.024, "value_sd": 0.0018, "floor": 0.02, "floor_sd": 0.001, **LOWER}
    assert at_floor(near)
    assert not at_floor(near | {"value_sd": 0.0017})
    assert at_floor(near | {"value": 0.001})  # below a floor of distances is not worse
    assert not at_floor(near | {"value": 0.001, "better": "higher"})
    assert not at_floor(near | {"value": 0.001, "better": None})


def _numbers(metric, samples, data):
    found = measure(metric, samples, data, seed=0, repeats=3)
    return {name: (values, reading(metric, name)) for name, values in found.items()}


@pytest.mark.parametrize(
    ("metric", "fault"),
    [
        (distances.sliced_w2, {"sliced-w2": "far"}),
        (distances.w2, {"w2": "far"}),
        (distances.energy, {"energy": "far"}),
        (
            distances.density_coverage,
            {"density": "far", "precision": "far", "coverage": "one mode", "recall": "one mode"},
        ),
    ],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_the_declared_side_is_the_one_where_bad_samples_lie(metric, fault):
    """Samples far away, and samples of one of two blobs alone."""
    data = toy.blobs(seed=0)
    true = data.fresh(600, torch.Generator().manual_seed(1))
    bad = {"far": true + 5.0, "one mode": torch.where(true.sum(1, keepdim=True) > 0, true, -true)}
    for name, kind in fault.items():
        values, how = _numbers(metric, bad[kind], data)[name]
        side = "lower" if values["value"] > values["floor"] else "higher"
        assert abs(values["value"] - values["floor"]) > 5 * values["floor_sd"]
        assert how.better == side, name
        assert how.meaning


def test_only_energy_says_that_its_floor_is_noise():
    """Its floor falls on both sides of 0; those of the others are positive in every repetition."""
    data = toy.rings(seed=0)
    draws = [data.fresh(300, torch.Generator().manual_seed(k)) for k in range(24)]
    for metric in (distances.sliced_w2, distances.w2, distances.energy, distances.density_coverage):
        floors: dict[str, list[float]] = {}
        for a, b in zip(draws[::2], draws[1::2], strict=True):
            for name, value in metric(a, b, generator=torch.Generator().manual_seed(0)).items():
                floors.setdefault(name, []).append(value)
        for name, values in floors.items():
            assert reading(metric, name).ratio is (min(values) > 0), name
    assert reading(distances.energy, "energy").ratio is False


def test_a_metric_declares_how_it_is_read():
    @reads({"m": Reading("higher", meaning="More is more")})
    def metric(samples, reference, *, generator):
        return {"m": 1.0, "other": 2.0}

    assert reading(metric, "m") == Reading("higher", None, "More is more")
    assert reading(metric, "other") == Reading()
    assert reading(lambda: None, "m") == Reading()


def test_names_are_short_where_they_stay_apart():
    twice = {
        "a.gap": number(0.5, 0.1, 0.01, **LOWER),
        "b.gap": number(0.3, 0.1, 0.01, **LOWER),
        "b.c": number(0.1, 0.1, 0.01, **LOWER),
    }
    assert verdict(twice) == (
        "The samples are far from real data: a.gap is 0.5, 5× its floor 0.1. Also off their floors: b.gap 3×. Not "
        "distinguishable from its floor: c."
    )


def test_the_legend_names_what_was_measured_and_no_more():
    floor = "floor: the same metric between two sets of real data (± standard deviation). "
    assert legend(HUMP) == [
        f"{floor}Best is a value equal to its floor: distances come down to it, density, precision and recall up to it."
    ]
    far = {"w2": number(3.0, 0.1, 0.01, **LOWER)}
    assert legend(far) == [f"{floor}Best is a value equal to its floor: distances come down to it."]
    share = {"a.coverage": number(0.5, 1.0, 0.01, **HIGHER)}
    assert legend(share) == [f"{floor}Best is a value equal to its floor: coverage up to it."]


def test_the_legend_says_what_bounds_n_and_where_there_is_no_spread():
    one = number(0.3, 0.1, **LOWER) | {"value_sd": None, "floor_sd": 0.1}
    metrics = {
        "w2": one | {"n": 1000, "bound": "--metric.w2.max-points"},
        "energy": one | {"n": 2000, "bound": "the held-out examples"},
        "sliced-w2": one | {"n": 2000, "bound": "the held-out examples"},
    }
    assert legend(metrics)[1:] == [
        "n is 1000 by --metric.w2.max-points: w2.",
        "n is 2000 by the held-out examples: energy and sliced-w2.",
        "± –: the standard deviation is not known, because all examples of both sets are compared.",
    ]
    assert legend({"w2": one | {"value_sd": 0.1}})[1:] == []


def test_the_limit_of_a_weak_test_is_where_it_begins_to_tell():
    """Of a floor 0.036, both ± 0.02, nothing is told below 1 + 2 √2 · 0.02/0.036 = 2.57 times it."""
    assert least(WEAK) == pytest.approx(1 + 2 * math.sqrt(2) * 0.02 / 0.036)
    at = 0.036 * least(WEAK)
    assert at_floor(WEAK | {"value": at * 0.999})
    assert not at_floor(WEAK | {"value": at * 1.001})
    share = number(0.9, 0.95, 0.2, **HIGHER)
    assert at_floor(share | {"value": 0.95 / least(share) * 1.001})
    assert not at_floor(share | {"value": 0.95 / least(share) * 0.999})
    # One number that would tell is enough.
    for also in (number(0.99, 1.0, 0.01, **HIGHER), number(0.04, 0.036, 0.005, **LOWER)):
        assert verdict({"w2": WEAK, "other": also}).startswith("The samples cannot be told from real data")


def test_only_samples_far_from_the_data_bring_a_suggestion():
    advice = (
        "Samples this far from the data usually need longer training (--train.steps, 500 here), more "
        "sampling steps (--steps, 5 here) or another sampler: 'difrun compare RUN --sampler all' shows which."
    )
    assert suggestion(HUMP, 500, 5) == advice  # density is a third of its floor
    assert suggestion({"w2": number(0.6, 0.1, 0.01, **LOWER)}, 500, 5) == advice
    assert suggestion({"w2": number(0.4, 0.1, 0.01, **LOWER)}, 500, 5) == ""
    assert suggestion({"w2": number(0.6, 0.1, 0.3, **LOWER)}, 500, 5) == ""  # not told from its floor
    assert suggestion({"density": number(0.85, 1.0, 0.01, **HIGHER)}, 500, 5) == ""
    assert suggestion({"energy": number(9.0, 0.0, 0.01, **NOISE)}, 500, 5) == ""
    assert suggestion({"w2": {"value": 0.6}}, 500, 5) == ""


def test_the_suggestion_is_about_what_is_at_fault():
    """A prior that is off comes first; training is no advice where nothing was trained."""
    untrained = suggestion(HUMP, None, 5)
    assert untrained.startswith(
        "Nothing was trained, so it is more sampling steps (--steps, 5 here) or another sampler"
    )
    assert "training" not in untrained
    for training in (None, 500):
        advice = suggestion(HUMP, training, 5, prior_is_off=True)
        assert advice.startswith("The first cause to remove is the prior")
        assert "A larger T" in advice
    assert suggestion({"w2": SHARP}, None, 5, prior_is_off=True) == ""


def test_large_numbers_are_written_out():
    """Not 1.4e+02 and not ten digits of which two are known."""
    noise = {"energy": number(0.14, 0.0, 0.001, **NOISE)}
    assert verdict(noise).endswith("energy is 0.14, 140 standard deviations above its floor 0.")
    assert times(number(145.4394936, 1e-7, **LOWER)) == "1.5·10⁹×"
    assert times(number(1234.0, 1.0, **LOWER)) == "1234×"


def test_the_rounding_of_an_exact_value_is_not_off_it():
    """One spin has N<m²> = 1 in every sample; the exact value is found numerically, to 1e-10 of it."""
    alike = number(1.0, 1.0, 0.0, exact=1 - 1e-12)
    assert verdict({"m2": alike, "c1": alike}) == (
        "The samples cannot be told from real data: both numbers are at their exact values. The sharpest, m2, would "
        "show any difference."
    )
    assert "can be told from them: m2 is 1, its exact value" in verdict({"m2": {**alike, "exact": 1 - 1e-6}})


def test_what_is_not_a_number_comes_before_all():
    broken = HUMP | {"w2": number(math.nan, 0.1)}
    assert verdict(broken) == "w2: not a finite number. Look at the samples."
