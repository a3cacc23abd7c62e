"""Guided models against enumeration: ratios, distributions, heat baths, and whole evolutions."""

import math

import pytest
import torch

from difrun.errors import DifrunError
from difrun.grid import linear
from difrun.sampler import Ancestral, generate
from difrun_ising.discrete.categorical import Categorical
from difrun_ising.discrete.heat_bath import HeatBath
from difrun_ising.discrete.jump_samplers import FlowEuler, TauLeap
from difrun_ising.lattice.exact.model import ExactSpins
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.magnetisation import magnetisation
from difrun_ising.lattice.process import Ising

from ..support import METHODS, Kernels, configurations, distribution
from .enumerated import SMALL, SPINS, Enumerated, case


@pytest.mark.parametrize(
    "process",
    [*SPINS, Categorical(), Categorical(mixing=(1.0, 2.0, 5.0)), Categorical(mixing="absorbing")],
    ids=lambda p: f"{type(p).__name__}-{p.mixing}-{getattr(p, 'order', '')}",
)
def test_guided_ratios_distributions_and_heat_baths_are_those_of_the_conditional_distribution(process):
    """Random p(x_0) and p(y | x_0) of three sites: score, p(x_0,i | x_t, y) and c_i of all x_t, to 1e-10."""
    model, truth, likelihood, x = case(process)
    guided = process.condition(model, likelihood, 1.0)
    for t in (0.03, 0.45, 0.97):
        at = process.at(t)
        allowed = (
            1e-10 if min(at.even, at.odd) > 0 else 1e-4
        )  # where nothing is left of a site, α = 1e-4 is asked for
        for kind in ("score", "x0"):
            torch.testing.assert_close(
                guided.predict(x, at, kind), truth.predict(x, at, kind), rtol=0, atol=allowed, equal_nan=True
            )
        if process.masks(process.categories()):
            continue
        # The score by its definition: log of p_t(x^(i→k) | y)/p_t(x | y), wherever site i has noise.
        k = process.categories()
        density = truth.joint(x, at).sum(1).reshape(k, k, k)
        score = guided.predict(x, at, "score").reshape(k, k, k, 3, -1)
        for site in range(3):
            now = torch.arange(k).reshape([k if axis == site else 1 for axis in range(3)]).expand(k, k, k)
            others = [(now + shift) % k for shift in range(1, k)]  # of spins, the other one
            for other in others:
                ratio = (density.gather(site, other) / density).log()
                found = (
                    score[..., site, :].gather(-1, other[..., None])[..., 0] if k > 2 else score[..., site, 0]
                )
                determined = ~found.isnan()
                assert determined.all() or process.site_alpha(at, (1, 1, 3))[0, site] == 1
                torch.testing.assert_close(found[determined], ratio[determined], rtol=0, atol=allowed)


@pytest.mark.parametrize("mixing", ["uniform", "absorbing", 0.7])
def test_a_guided_heat_bath_draws_from_the_conditional(mixing):
    """2x3: α c(y) + (1 − α) π(y) of the guided cavity is p_t(x_i = y | all others, M > 0), to 1e-9."""
    process = Ising(mixing=mixing)
    model = ExactSpins(SMALL, process)
    guided = magnetisation(model)
    s, _, p, _ = distribution(SMALL)
    truth = Enumerated(process, s, p, (s.sum((1, 2)) > 0).double())
    values = [-1.0, 1.0] + [0.0] * (mixing == "absorbing")
    x = torch.cartesian_prod(*[torch.tensor(values, dtype=torch.float64)] * 6).reshape(-1, 2, 3)
    for t in (0.2, 0.8):
        at = process.at(t)
        density = truth.joint(x, at).sum(1).reshape([len(values)] * 6)
        found = process.marginal(guided.cavity(x, at), at).flatten(1, 2)[..., : len(values)]
        for site in range(6):
            total = density.sum(site, keepdim=True)
            expected = (density / total).movedim(site, -1).unsqueeze(site)
            expected = expected.expand(*density.shape, len(values)).reshape(-1, len(values))
            possible = (total > 1e-12).expand_as(density).flatten()
            torch.testing.assert_close(found[possible, site], expected[possible], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("sampler", "mixing"), METHODS, ids=lambda v: v if isinstance(v, str) else type(v).__name__
)
def test_samples_near_the_conditional_distribution_as_one_over_steps(sampler, mixing, monkeypatch):
    """2x2 with a field, given M < 0: the total variation from p(x_0 | M < 0), computed without sampling, at least
    halves, to 25 %, when the steps are doubled."""
    lattice = Lattice(2, 2, 0.5, field=0.2, periodic=False)
    process = Ising(mixing=mixing, schedule="linear")
    s, _, p, _ = distribution(lattice)
    p = p * (s.sum((1, 2)) < 0)
    model = magnetisation(ExactSpins(lattice, process), sign="down")
    kernels = Kernels(monkeypatch, lattice, masked=mixing == "absorbing")
    truth = torch.zeros(len(kernels.x), dtype=torch.float64)
    truth[[kernels.index[tuple(x.flatten().tolist())] for x in s]] = p / p.sum()
    errors = []
    for steps in (20, 40, 80):
        found = kernels.run(sampler, model, linear(process, steps))
        assert found.sum().item() == pytest.approx(1, abs=1e-10)
        errors.append(0.5 * (found - truth).abs().sum().item())
    assert errors[0] < 0.15, errors
    assert errors[1] < 0.625 * errors[0], errors
    assert errors[2] < 0.625 * errors[1], errors


def test_first_order_is_exact_for_what_is_linear():
    """log p_t(y | x) = a·x on spins and on categories: gains from the gradient equal those of all flips, to 1e-12."""
    a = torch.rand(1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for process in (Ising(), Ising(mixing="absorbing"), Categorical(), Categorical(mixing="absorbing")):
        model, _, _, x = case(process)
        weights = a[:, :, 0] if isinstance(process, Ising) else a

        def linear_in_x(x, at, weights=weights):
            return (x * weights).flatten(1).sum(1)

        gains = [
            process.condition(model, linear_in_x, 1.5, first_order=flag).gain(x, process.at(0.4))
            for flag in (False, True)
        ]
        torch.testing.assert_close(gains[0], gains[1], rtol=0, atol=1e-12)
        assert gains[0].abs().max() > 0.1


def test_strong_guidance_stays_in_the_simplex():
    """scale 6: distributions are distributions at every x_t and time, also at T, where α = 0; means are above those
    of scale 1."""
    process = Ising()
    model = ExactSpins(SMALL, process)
    x = configurations((2, 3))
    means = []
    for scale in (1.0, 6.0):
        guided = magnetisation(model, scale=scale)
        for t in (0.02, 0.5, 1.0):
            p0 = guided.x0_distribution(x, process.at(t))
            assert p0.min() >= 0
            torch.testing.assert_close(p0.sum(-1), torch.ones(64, 2, 3).double(), rtol=0, atol=1e-12)
        means.append(guided.predict(x, process.at(0.5), "x0").mean().item())
    assert 0.1 < means[0] < means[1] - 0.02


@pytest.mark.parametrize(
    "sampler",
    [Ancestral(), TauLeap(), FlowEuler(), HeatBath(classes=6, to_data=True)],
    ids=lambda made: type(made).__name__,
)
@pytest.mark.parametrize("mixing", ["uniform", "absorbing"])
def test_scale_0_gives_the_unguided_samples_bit_for_bit(sampler, mixing):
    process = Ising(mixing=mixing)
    model = ExactSpins(SMALL, process)
    plain, off, on = (
        generate(sampler, m, 200, linear(process, 8), seed=3)
        for m in (model, magnetisation(model, scale=0.0), magnetisation(model))
    )
    assert torch.equal(plain, off)
    assert not torch.equal(plain, on)
    assert (on.sum((1, 2)) > 0).float().mean() > 0.9


def test_what_is_no_log_likelihood_is_refused():
    process = Ising()
    model, x = ExactSpins(SMALL, process), configurations((2, 3))[:5]
    with pytest.raises(DifrunError, match=r"must have shape \(5,\), not \(5, 2, 3\)"):
        process.condition(model, lambda x, at: x, 1.0).x0_distribution(x, process.at(0.5))
    with pytest.raises(DifrunError, match="not a number"):
        process.condition(model, lambda x, at: x.sum((1, 2)) * math.nan, 1.0).x0_distribution(
            x, process.at(0.5)
        )
    model.predicts = "previous"
    with pytest.raises(DifrunError, match="network of the reverse kernel does not predict"):
        process.condition(model, lambda x, at: x.sum((1, 2)), 1.0)
