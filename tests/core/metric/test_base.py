"""`measure`: floors against ones measured by another implementation; what exactly is compared with what."""

import math

import numpy as np
import pytest
import torch

from difrun.data import Dataset, toy
from difrun.errors import DifrunError
from difrun.metric import compared, distances, measure


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def measured(metric, data: Dataset, n: int, repeats: int, samples: torch.Tensor | None = None):
    samples = data.fresh(n, generator(99)) if samples is None else samples
    return measure(metric, samples, data, seed=5, repeats=repeats)


def close(found: dict[str, float], mean: float, sd: float, repeats: int, known: int) -> bool:
    """Whether two measured means agree within 4 of their standard errors together.

    The wider standard deviation stands for both: few repetitions estimate their own badly.
    """
    spread = max(sd, found["floor_sd"])
    return abs(found["floor"] - mean) < 4 * spread * math.sqrt(1 / repeats + 1 / known)


@pytest.mark.parametrize(
    ("name", "n", "mean", "sd", "known"),
    [
        ("rings", 1000, 0.1207, 0.0759, 6),
        ("rings", 5000, 0.0422, 0.0107, 2),
        ("rings", 10000, 0.0573, 0.0151, 3),
        ("blobs", 1000, 0.3564, 0.2009, 6),
        ("blobs", 10000, 0.0870, 0.0034, 3),
    ],
)
def test_floors_of_sliced_w2_are_those_measured_before(name, n, mean, sd, known):
    """Mean and standard deviation over a few pairs of independent sets, from another implementation."""
    data = getattr(toy, name)(seed=0)
    assert close(measured(distances.sliced_w2, data, n, 12)["sliced-w2"], mean, sd, 12, known)


def test_floors_of_the_other_metrics_are_those_measured_before():
    rings, blobs = toy.rings(seed=0), toy.blobs(seed=0)
    assert close(measured(distances.w2, rings, 1000, 6)["w2"], 0.250, 0.152, 6, 6)
    assert close(measured(distances.w2, blobs, 1000, 6)["w2"], 0.543, 0.293, 6, 6)
    assert close(measured(distances.energy, rings, 1000, 6)["energy"], 0.0036, 0.0092, 6, 6)
    found = measured(distances.density_coverage, rings, 2000, 6)
    for name, mean, sd in (
        ("density", 0.9992, 0.0085),
        ("coverage", 0.968, 0.008),
        ("precision", 0.9885, 0.0010),
        ("recall", 0.9873, 0.0007),
    ):
        assert close(found[name], mean, sd, 6, 2), name


def test_density_sees_the_blur_that_transport_and_energy_do_not():
    """Rings of noise 0.03 for 0.02: density 0.85, precision 0.94, but sliced-w2 is at its floor."""
    data = toy.rings(seed=0)
    blurred = toy.rings(seed=1, noise=0.03).fresh(2000, generator(7))
    found = measured(distances.density_coverage, data, 2000, 4, blurred)
    assert found["density"]["value"] == pytest.approx(0.849, abs=0.03)
    assert found["precision"]["value"] == pytest.approx(0.942, abs=0.015)
    distance = measured(distances.sliced_w2, data, 2000, 8, blurred)["sliced-w2"]
    assert distance["value"] < distance["floor"] + 3 * distance["floor_sd"]


class Spy:
    """A metric that keeps what it was called with: sample, reference and the generator's next number."""

    def __init__(self):
        self.calls = []

    def __call__(self, samples, reference, *, generator, scale=1.0):
        self.calls.append((samples, reference, float(torch.rand((), generator=generator))))
        return {"mean": scale * float(samples.mean()), "calls": float(len(self.calls))}


def test_measure_compares_equal_numbers_with_the_same_reference_and_the_same_randomness():
    data, spy = toy.blobs(seed=0, n=50), Spy()
    samples = data.fresh(300, generator())
    found = measure(spy, samples, data, seed=1, repeats=3, scale=2.0)
    assert len(spy.calls) == 6
    for ours, theirs in zip(spy.calls[::2], spy.calls[1::2], strict=True):
        assert torch.equal(ours[0].sort(0).values, samples.sort(0).values)
        assert torch.equal(ours[1], theirs[1])
        assert len(theirs[0]) == len(theirs[1]) == 300
        assert ours[2] == theirs[2]
    references = [call[1] for call in spy.calls[::2]] + [call[0] for call in spy.calls[1::2]]
    assert len({float(r.double().sum()) for r in references}) == 6
    assert len({call[2] for call in spy.calls}) == 3
    others = [2 * float(call[0].mean()) for call in spy.calls[1::2]]
    assert found["mean"]["value"] == pytest.approx(2 * float(samples.mean()), abs=1e-6)
    assert found["mean"]["floor"] == pytest.approx(np.mean(others))
    assert found["mean"]["floor_sd"] == pytest.approx(np.std(others, ddof=1))
    assert found["calls"] == {"value": 3.0, "value_sd": 2.0, "floor": 4.0, "floor_sd": 2.0}


def test_measure_without_a_distribution_compares_with_held_out_and_sets_training_against_it():
    train, held_out = torch.arange(0.0, 80)[:, None], torch.arange(100.0, 130)[:, None]
    data, spy = Dataset(name="mine", train=train, held_out=held_out), Spy()
    measure(spy, torch.arange(200.0, 400)[:, None], data, seed=1)
    for samples, reference, _ in spy.calls:
        assert len(samples) == len(samples.unique()) == 30
        assert torch.equal(reference.sort(0).values, held_out)
    assert all((call[0] >= 200).all() for call in spy.calls[::2])
    assert all((call[0] < 80).all() for call in spy.calls[1::2])
    few = Spy()
    measure(few, torch.arange(200.0, 210)[:, None], data, seed=1)
    assert {len(part) for call in few.calls for part in call[:2]} == {10}


def test_no_more_examples_are_compared_than_there_are_for_training():
    """20 training and 30 held-out examples, 40 samples: every set has 20 members, and the floor is a real one."""
    train, held_out = torch.arange(0.0, 20)[:, None], torch.arange(100.0, 130)[:, None]
    data, spy = Dataset(name="mine", train=train, held_out=held_out), Spy()
    found = measure(spy, torch.arange(200.0, 240)[:, None], data, seed=1)
    assert {len(points.unique()) for call in spy.calls for points in call[:2]} == {20}
    assert all(torch.equal(call[0].sort(0).values, train) for call in spy.calls[1::2])
    assert found["mean"]["floor"] == pytest.approx(float(train.mean()))


def test_sets_that_pair_up_in_one_way_have_no_spread():
    """30 samples with all 30 held-out examples: six repetitions compare the same sets. The training examples vary."""
    train, held_out = torch.arange(0.0, 80)[:, None], torch.arange(100.0, 130)[:, None]
    data, few = Dataset(name="mine", train=train, held_out=held_out), torch.arange(200.0, 230)[:, None]
    for metric in (distances.w2, distances.energy, distances.sliced_w2):
        (found,) = measure(metric, few, data, seed=1).values()
        assert found["value_sd"] is None
        assert found["floor_sd"] > 1e-3
    small = Dataset(name="mine", train=train[:30], held_out=held_out)
    assert measure(distances.w2, few, small, seed=1)["w2"]["floor_sd"] is None
    # More samples, or subsets of the sets, are drawn anew in every repetition.
    assert measure(distances.w2, torch.cat((few, few + 50)), data, seed=1)["w2"]["value_sd"] > 1e-3
    assert measure(distances.w2, few, data, seed=1, max_points=20)["w2"]["value_sd"] > 1e-3


def test_how_many_points_a_metric_compares():
    for metric, most in ((distances.w2, 1000), (distances.energy, 5000), (distances.density_coverage, 2000)):
        assert compared(metric, 10000) == most
        assert compared(metric, 10000, max_points=100) == 100
        assert compared(metric, 60, max_points=100) == 60
    assert compared(distances.sliced_w2, 10000, projections=8) == 10000


def test_measure_repeats_itself_for_a_seed():
    data = toy.rings(seed=0)
    samples = data.fresh(500, generator())
    assert measure(distances.sliced_w2, samples, data, seed=3) == measure(
        distances.sliced_w2, samples, data, seed=3
    )
    assert measure(distances.sliced_w2, samples, data, seed=3) != measure(
        distances.sliced_w2, samples, data, seed=4
    )


def test_samples_of_the_distribution_stand_at_the_floor_and_shifted_ones_above():
    """Sliced-w2 of fresh draws against its floor within 4 standard errors; a shift by 0.5 is told at once."""
    data = toy.gmm(seed=0)
    fine = measured(distances.sliced_w2, data, 4000, 8)["sliced-w2"]
    error = math.hypot(fine["value_sd"], fine["floor_sd"]) / math.sqrt(8)
    # One sample set is shared by all repetitions, so its own fluctuation stays: half of the floor's.
    assert abs(fine["value"] - fine["floor"]) < 4 * error + fine["floor_sd"]
    shifted = data.fresh(4000, generator(1)) + torch.tensor([0.5, 0.0])
    found = measured(distances.sliced_w2, data, 4000, 4, shifted)["sliced-w2"]
    assert found["value"] == pytest.approx(0.5 / math.sqrt(2), rel=0.15)


def test_samples_that_cannot_be_measured():
    data = toy.rings(seed=0, n=50)
    with pytest.raises(
        DifrunError, match=r"shape \(9, 3\) cannot be measured against dataset 'rings': expected \(n, 2\)"
    ):
        measure(distances.energy, torch.zeros(9, 3), data, seed=0)
    bad = torch.zeros(9, 2)
    bad[4, 0] = math.nan
    with pytest.raises(DifrunError, match=r"^samples: nan in row 5, column 'x' \(1 of 9 rows"):
        measure(distances.energy, bad, data, seed=0)
    with pytest.raises(ValueError, match="repeats must be at least 2"):
        measure(distances.energy, torch.zeros(9, 2), data, seed=0, repeats=1)


def test_floors_of_an_earlier_call_are_what_a_new_one_would_find():
    """For other samples of the same number: same numbers to the last bit, and half the calls."""
    data, calls = toy.gmm(seed=0, n=500), []

    def counting(samples, reference, *, generator):
        calls.append(1)
        return distances.sliced_w2(samples, reference, generator=generator)

    first, other = data.fresh(200, generator(1)), 1.5 * data.fresh(200, generator(2))
    floors = measure(counting, first, data, seed=5, repeats=3)
    anew = measure(counting, other, data, seed=5, repeats=3)
    calls.clear()
    assert measure(counting, other, data, seed=5, repeats=3, floors=floors) == anew
    assert len(calls) == 3
