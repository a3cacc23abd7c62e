"""Brownian noise: exact increments, their distribution, and convergence of every sample by itself."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from difrun.errors import DifrunError
from difrun.grid import linear, logsnr, quadratic, rho
from difrun.model import ExactMixture
from difrun.randomness import Brownian, Generator
from difrun.randomness.brownian import DEPTH
from difrun.sampler import Ancestral, Heun, Sampler, generate
from difrun.testing import ReferenceVE, ReferenceVP, observed_order, two_gaussians
from difrun.testing.rules import global_randomness_untouched

TIMES = [4.0, 3.0, 1.7, 0.9, 0.3, 0.02, 1e-4, 2e-6]
P_VALUE = 1e-6
"""About 5 standard errors."""


def source(seed=1, first=0):
    return Brownian(seed, horizon=4.0, t_min=2e-6, first=first)


def increments(generator, times, like):
    """z of every step, and the lengths of the steps in the clock."""
    found, lengths = [], []
    for start, end in itertools.pairwise(times):
        generator.enter(start, end)
        found.append(generator.normal(like))
        low, high = generator._step
        lengths.append((high - low) / 2**DEPTH)
    return torch.stack(found), torch.tensor(lengths, dtype=like.dtype)


def scaled(z, lengths):
    """The increments themselves: z √Δu."""
    return z * lengths.sqrt()[:, None, None]


def test_an_increment_is_the_sum_of_those_over_its_parts():
    """To rounding, for any parts and any order of evaluation."""
    like = torch.empty(5, 2, dtype=torch.float64)
    fine = scaled(*increments(source(), TIMES, like))
    for cut in ([0, 7], [0, 3, 7], [0, 2, 4, 6, 7]):
        coarse = scaled(*increments(source(), [TIMES[k] for k in cut], like))
        expected = torch.stack([fine[a:b].sum(0) for a, b in itertools.pairwise(cut)])
        torch.testing.assert_close(coarse, expected, rtol=0, atol=1e-13)
    generator, shuffled = source(), [4, 0, 6, 2, 5, 1, 3]
    for k in shuffled:
        one = scaled(*increments(generator, TIMES[k : k + 2], like))
        torch.testing.assert_close(one[0], fine[k], rtol=0, atol=1e-13)


def test_increments_are_independent_and_normal():
    """z of 7 steps of 20 000 samples: N(0, 1) by Kolmogorov and Smirnov; no correlation beyond 5 σ."""
    n = 20_000
    z, _ = increments(source(), TIMES, torch.empty(n, 2, dtype=torch.float64))
    rows = z.permute(0, 2, 1).reshape(-1, n).numpy()
    for row in rows:
        assert stats.kstest(row, "norm").pvalue > P_VALUE
    off = np.corrcoef(rows)[~np.eye(len(rows), dtype=bool)]
    assert np.abs(off).max() < 5 / n**0.5
    neighbours = (rows[:, 1:] * rows[:, :-1]).mean(1)
    assert np.abs(neighbours).max() < 5 / n**0.5
    assert np.abs((rows**2).mean(1) - 1).max() < 5 * (2 / n) ** 0.5


def test_each_sample_has_its_own_path():
    """Row i of a chunk that starts at sample `first` is row first + i of the whole, bit for bit, for equal seeds."""
    with global_randomness_untouched():
        whole, _ = increments(source(), TIMES, torch.empty(5000, 2))
        part, _ = increments(source(first=3000), TIMES, torch.empty(700, 2))
    assert torch.equal(part, whole[:, 3000:3700])
    assert not torch.equal(part, increments(source(seed=2, first=3000), TIMES, torch.empty(700, 2))[0])


def test_outside_of_steps_numbers_are_those_of_the_plain_generator():
    """The prior does not change: a run with Brownian noise starts where one with fresh noise starts."""
    like = torch.empty(7, 3)
    generator = source(seed=4)
    assert torch.equal(generator.normal(like), Generator(4).normal(like))
    generator.enter(2.0, 1.0)
    generator.normal(like)
    generator.leave()
    plain = Generator(4)
    plain.normal(like)
    assert torch.equal(generator.uniform(like), plain.uniform(like))


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
@pytest.mark.parametrize("grid", [logsnr, rho], ids=["logsnr", "rho"])
def test_ancestral_samples_converge_one_by_one(grid, process):
    """Halving the steps halves the distance of samples to their own limits, in the median: strong order 1 (±0.25).

    The noise is additive, for which order ½ of the general case becomes 1 (Kloeden and Platen, 1992, sec. 10.2). With
    fresh noise the samples of two step sizes have nothing to do with each other.
    """
    model = ExactMixture(two_gaussians(), process)

    def draw(steps, noise):
        return generate(
            Ancestral(), model, 300, grid(process, steps), seed=3, dtype=torch.float64, noise=noise
        )

    def apart(one, two):
        return (one - two).square().sum(1).sqrt().median().item()

    counts = (20, 40, 80)
    runs = [draw(n, "brownian") for n in (*counts, 160)]
    distances = [apart(one, two) for one, two in itertools.pairwise(runs)]
    assert observed_order(counts, distances) == pytest.approx(1, abs=0.25), distances
    fresh = apart(draw(80, "fresh"), draw(160, "fresh"))
    assert fresh > 10 * distances[-1]


@pytest.mark.parametrize("grid", [linear, quadratic, rho])
def test_samples_have_the_distribution_of_those_with_fresh_noise(grid):
    """Means and variances of 4000 samples of either noise agree to 5 standard errors, on grids of every kind."""
    model = ExactMixture(two_gaussians(), ReferenceVP())
    times = grid(model.process, 30)
    one, two = (
        generate(Ancestral(), model, 4000, times, seed=5, noise=noise) for noise in ("fresh", "brownian")
    )
    error = one.std(0) * (2 / 4000) ** 0.5
    assert ((one.mean(0) - two.mean(0)).abs() < 5 * error).all()
    squares = [(x - x.mean(0)).square() for x in (one, two)]
    error = squares[0].std(0) * (2 / 4000) ** 0.5
    assert ((squares[0].mean(0) - squares[1].mean(0)).abs() < 5 * error).all()


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_samples_do_not_depend_on_the_chunk(chunk):
    model = ExactMixture(two_gaussians(), ReferenceVP())
    times = logsnr(model.process, 6)
    whole, parts = (
        generate(Ancestral(), model, 23, times, seed=7, chunk=c, dtype=torch.float64, noise="brownian")
        for c in (23, chunk)
    )
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


class Twice(Ancestral):
    """Draws two numbers in a step."""

    def step(self, model, x, at, to, state, generator):
        generator.normal(x)
        return super().step(model, x, at, to, state, generator)


class Tossing(Sampler):
    """Draws uniform numbers."""

    order, stochastic = 1, True

    def step(self, model, x, at, to, state, generator):
        return x + generator.uniform(x), state


@pytest.mark.parametrize(
    ("sampler", "noise", "message"),
    [
        (Heun(), "brownian", "this one draws no noise"),
        (Twice(), "brownian", "draws noise more than once in a step"),
        (Tossing(), "brownian", "draws uniform numbers"),
        (Ancestral(), "brown", "there is no noise 'brown'; choose one of fresh, brownian"),
    ],
)
def test_brownian_noise_is_refused_where_it_makes_no_sense(sampler, noise, message):
    model = ExactMixture(two_gaussians(), ReferenceVP())
    with pytest.raises(DifrunError, match=message):
        generate(sampler, model, 3, logsnr(model.process, 4), seed=1, noise=noise)


def test_times_too_close_are_refused():
    generator = source()
    generator.enter(1.0, 1.0 - 1e-12)
    with pytest.raises(DifrunError, match="too close to be distinguished"):
        generator.normal(torch.empty(3, 2))
