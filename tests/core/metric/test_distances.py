"""Metrics against closed forms, scipy, POT and brute force."""

import math
from functools import partial

import numpy as np
import ot
import pytest
import torch
from scipy import optimize, stats

from difrun.errors import DifrunError
from difrun.metric import distances

ALL = (distances.sliced_w2, distances.w2, distances.energy, distances.density_coverage)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn((n, d), generator=generator(seed))


def value(metric, a: torch.Tensor, b: torch.Tensor, seed: int = 0, **options) -> float:
    (number,) = metric(a, b, generator=generator(seed), **options).values()
    return number


def directions(count: int, d: int, seed: int = 0) -> torch.Tensor:
    """The directions that sliced-w2 draws with this seed."""
    drawn = torch.randn((count, d), generator=generator(seed))
    return drawn / drawn.norm(dim=1, keepdim=True)


# sliced-w2


def test_sliced_w2_in_one_dimension_is_the_distance_of_quantiles():
    """X against a X + b, a > 0, is matched in order: W₂² = mean ((a − 1) x + b)²."""
    x = normal(1000, 1, 0)
    expected = ((2 * x + 0.5) ** 2).double().mean().sqrt()
    assert value(distances.sliced_w2, 3 * x + 0.5, x.flip(0)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("d", [2, 7])
def test_sliced_w2_is_pots_with_the_same_directions(d):
    a, b = normal(500, d, 0), 1.5 * normal(500, d, 1) + 0.3
    expected = ot.sliced_wasserstein_distance(
        a.numpy(), b.numpy(), projections=directions(64, d).T.numpy(), p=2
    )
    assert value(distances.sliced_w2, a, b, projections=64) == pytest.approx(float(expected), rel=1e-5)


def test_sliced_w2_of_a_shift_is_its_projected_length():
    """Per direction |θ·c|; the mean square is |c|²/d, within 5 standard errors of 256 directions."""
    x, c = normal(300, 2, 0), torch.tensor([3.0, -4.0])
    squared = value(distances.sliced_w2, x + c, x) ** 2
    assert squared == pytest.approx(float((directions(256, 2) @ c).square().mean()), rel=1e-4)
    assert abs(squared - 25 / 2) < 5 * 25 / math.sqrt(8 * 256)  # Var cos² = 1/8


def test_sliced_w2_of_gaussians_of_different_width():
    """N(0, I) against N(0, diag(9, ¼)): per direction (√(θᵀΣθ) − 1)², to the 2 % that n = 40000 leaves."""
    spread = torch.tensor([3.0, 0.5])
    a, b = normal(40_000, 2, 0) * spread, normal(40_000, 2, 1)
    expected = ((directions(256, 2) * spread).norm(dim=1) - 1).square().mean().sqrt()
    assert value(distances.sliced_w2, a, b) == pytest.approx(float(expected), rel=0.02)


def test_sliced_w2_in_chunks_is_the_same(monkeypatch):
    a, b = normal(500, 3, 0), normal(500, 3, 1)
    whole = value(distances.sliced_w2, a, b)
    monkeypatch.setattr(distances, "_SORTED", 3 * 500)
    assert value(distances.sliced_w2, a, b) == pytest.approx(whole, rel=1e-6)


# w2


@pytest.mark.parametrize("d", [1, 2, 5])
def test_w2_is_the_best_matching(d):
    """Against scipy's solver of the assignment problem."""
    a, b = normal(200, d, 0), 2 * normal(200, d, 1) + 1
    cost = ((a[:, None].double() - b[None].double()) ** 2).sum(2).numpy()
    best = cost[optimize.linear_sum_assignment(cost)].mean()
    assert value(distances.w2, a, b) == pytest.approx(math.sqrt(best), rel=1e-9)


def test_w2_of_a_shift_is_its_length():
    x = normal(500, 2, 0)
    shifted = (x + torch.tensor([3.0, -4.0])).flip(0)
    assert value(distances.w2, shifted, x) == pytest.approx(5, rel=1e-6)
    assert value(distances.w2, x.flip(0), x) == pytest.approx(0, abs=1e-6)


def test_w2_that_does_not_finish_is_an_error(monkeypatch):
    solve = partial(ot.emd2, numItermax=1)
    monkeypatch.setattr(ot, "emd2", lambda a, b, cost, *, log, **_: solve(a, b, cost, log=log))
    with pytest.raises(DifrunError, match="between 50 points failed: numItermax reached"):
        value(distances.w2, normal(50, 2, 0), normal(50, 2, 1))


# energy


def pair_mean(x: torch.Tensor) -> float:
    """Mean distance of different points in one dimension."""
    return float((x - x.T).abs().sum()) / (len(x) * (len(x) - 1))


def test_energy_is_scipys_squared_without_its_bias():
    """scipy counts each point's distance 0 to itself: its within-means are (n − 1)/n of the unbiased ones."""
    a, b = normal(300, 1, 0).double(), normal(300, 1, 1).double() * 1.3 + 0.2
    biased = stats.energy_distance(a[:, 0].numpy(), b[:, 0].numpy()) ** 2
    expected = biased - (pair_mean(a) + pair_mean(b)) / 300
    assert value(distances.energy, a, b) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_energy_is_unbiased(shift):
    """N(0, 1) against N(c, 1): 2 E|N(c, 2)| − 4/√π, which is 0 at c = 0.

    Mean over 300 pairs of sets of 40 points, within 5 standard errors, together less than the bias of
    the other form, 4/(40 √π) = 0.056.
    """
    found = np.array(
        [value(distances.energy, normal(40, 1, 2 * i) + shift, normal(40, 1, 2 * i + 1)) for i in range(300)]
    )
    folded = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    expected = 2 * folded - 4 / math.sqrt(math.pi)
    error = found.std() / math.sqrt(300)
    assert error < 0.056 / 5
    assert abs(found.mean() - expected) < 5 * error


def test_energy_of_random_subsets_has_the_mean_of_the_whole():
    a, b = normal(200, 2, 0), normal(200, 2, 1) + 0.5
    whole = value(distances.energy, a, b)
    parts = np.array([value(distances.energy, a, b, seed, max_points=50) for seed in range(200)])
    assert parts.std() > 0
    assert abs(parts.mean() - whole) < 5 * parts.std() / math.sqrt(200)


def test_energy_in_chunks_is_the_same(monkeypatch):
    a, b = normal(100, 2, 0), normal(100, 2, 1)
    whole = value(distances.energy, a, b)
    monkeypatch.setattr(distances, "_PAIRS", 700)
    assert value(distances.energy, a, b) == pytest.approx(whole, rel=1e-12)


# density-coverage


def brute_force(samples: np.ndarray, real: np.ndarray, k: int) -> dict[str, float]:
    """The definitions, point by point."""

    def radius(points, i):
        return sorted(math.dist(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_radius = [radius(real, i) for i in range(len(real))]
    sample_radius = [radius(samples, j) for j in range(len(samples))]
    within = [[math.dist(x, y) <= r for y in samples] for x, r in zip(real, real_radius, strict=True)]
    return {
        "density": sum(map(sum, within)) / (k * len(samples)),
        "coverage": sum(map(any, within)) / len(real),
        "precision": sum(any(row[j] for row in within) for j in range(len(samples))) / len(samples),
        "recall": sum(
            any(math.dist(x, y) <= r for y, r in zip(samples, sample_radius, strict=True)) for x in real
        )
        / len(real),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("d", "scale", "shift"), [(2, 1, 0), (2, 0.5, 0.5), (6, 1.5, 0), (1, 1, 1)])
def test_density_coverage_is_the_double_loop(k, d, scale, shift):
    samples, real = scale * normal(60, d, 0) + shift, normal(60, d, 1)
    found = distances.density_coverage(samples, real, generator=generator(), k=k)
    assert found == pytest.approx(brute_force(samples.double().numpy(), real.double().numpy(), k), abs=1e-12)


def test_density_coverage_resolves_points_closer_than_float32_products_can():
    """Far from the origin a distance from |x|² − 2 x·y + |y|² in float32 would be noise."""
    samples, real = 300 + 1e-2 * normal(60, 2, 0), 300 + 1e-2 * normal(60, 2, 1)
    found = distances.density_coverage(samples, real, generator=generator())
    assert found == pytest.approx(brute_force(samples.double().numpy(), real.double().numpy(), 5), abs=1e-12)


def test_density_coverage_of_equal_distributions():
    """Density 1; coverage 1 − Π_{i<k} (n − 1 − i)/(2n − 1 − i) (Naeem et al., 2020): 0.969 for k = 5."""
    runs = [
        distances.density_coverage(normal(500, 2, 2 * i), normal(500, 2, 2 * i + 1), generator=generator())
        for i in range(30)
    ]
    coverage = 1 - math.prod((499 - i) / (999 - i) for i in range(5))
    for name, expected in (("density", 1.0), ("coverage", coverage)):
        found = np.array([run[name] for run in runs])
        assert abs(found.mean() - expected) < 5 * found.std() / math.sqrt(30)


def test_density_coverage_needs_neighbours():
    with pytest.raises(DifrunError, match="k = 5 needs more than 5 points, not 5"):
        distances.density_coverage(normal(5, 2, 0), normal(5, 2, 1), generator=generator())


@pytest.mark.parametrize("metric", ALL)
def test_every_metric_flattens_examples_and_leaves_the_global_state_alone(metric):
    a, b = normal(60, 8, 0), normal(60, 8, 1)
    state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    flat = metric(a, b, generator=generator())
    shaped = metric(a.reshape(60, 2, 4), b.reshape(60, 2, 4), generator=generator())
    assert flat == shaped
    assert torch.equal(state[0], torch.get_rng_state())
    assert np.array_equal(state[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("metric", ALL)
def test_sets_of_unequal_size_are_refused(metric):
    with pytest.raises(DifrunError, match=r"two sets of equal size; got shapes \(60, 2\) and \(50, 2\)"):
        metric(normal(60, 2, 0), normal(50, 2, 1), generator=generator())
