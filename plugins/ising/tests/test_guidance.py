"""Guidance by flip ratios against enumeration: ratios, distributions, heat baths, and whole evolutions given the
sign."""

import json
import math

import numpy as np
import pytest
import torch

from difrun.cli import main
from difrun.errors import DifrunError
from difrun.grid import linear
from difrun.sampler import Ancestral, generate
from difrun_ising.discrete.categorical import Categorical
from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.discrete.samplers import FlowEuler, HeatBath, TauLeap
from difrun_ising.exact import ExactSpins
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising
from difrun_ising.magnetisation import NormalSign, SignTable, magnetisation

from .support import METHODS, Kernels, configurations, distribution

SMALL = Lattice(2, 3, 0.5, field=0.1, periodic=False)
SPINS = [
    Ising(),
    Ising(mixing=0.7, schedule="linear"),
    Ising(mixing="absorbing"),
    Ising(order="checkerboard"),
]


class Enumerated(DiscreteModel):
    """The exact model of any distribution p of examples x0 (m, *shape); with `condition_on`, weights on these, of
    that distribution given y."""

    def __init__(self, process, x0, p, given=1.0):
        self.process, self.x0, self.shape, self.mean, self.var = process, x0, x0.shape[1:], 0.0, 1.0
        self.p = p * given / (p * given).sum()

    def joint(self, x, at):
        """p(x_0, x_t): (n, m)."""
        ways = [
            self.process.transition(self.x0, self.process.at(0.0), at).log_prob(one.expand_as(self.x0))
            for one in x
        ]
        return torch.stack(ways).exp() * self.p

    def x0_distribution(self, x, at):
        weights = self.joint(x, at)
        weights = weights / weights.sum(1, keepdim=True)
        return torch.tensordot(weights, self.process.states(self.x0), 1)


def case(process):
    """(model, model given y, log p_t(y | x_t), every x_t that both can lead to) for three sites and random
    distributions."""
    x0, x = process.enumeration()
    random = torch.Generator().manual_seed(1)
    p = torch.rand(len(x0), dtype=torch.float64, generator=random) ** 3
    given = torch.rand(len(x0), dtype=torch.float64, generator=random)
    model = Enumerated(process, x0, p / p.sum())

    def likelihood(x, at):
        joint = model.joint(x, at)
        return ((joint * given).sum(1) / joint.sum(1)).log()

    return model, Enumerated(process, x0, p, given), likelihood, x


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
                told = ~found.isnan()
                assert told.all() or process.keep(at, (1, 1, 3))[0, site] == 1
                torch.testing.assert_close(found[told], ratio[told], rtol=0, atol=allowed)


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


def given_up(lattice, steps, monkeypatch, guide):
    """Total variation from p(x_0 | M > 0) after so many ancestral steps, and the probability of M ≤ 0."""
    process = Ising()
    s, _, p, _ = distribution(lattice)
    up = s.sum((1, 2)) > 0
    p = p * up
    kernels = Kernels(monkeypatch, lattice)
    found = kernels.run(Ancestral(), guide(ExactSpins(lattice, process)), linear(process, steps))
    return 0.5 * (found - p / p.sum()).abs().sum().item(), found[~up].sum().item()


def by_a_normal_distribution(model):
    return model.process.condition(model, NormalSign(model, 1.0), 1.0)


@pytest.mark.parametrize(
    ("lattice", "exact", "near", "slopes"),
    [(Lattice(3, 3, 0.35), 0.0120, 0.0180, 0.0601), (Lattice(1, 8, 0.7), 0.0149, 0.0288, 0.0953)],
    ids=["3x3", "ring of 8"],
)
def test_what_the_sign_costs_in_32_steps(lattice, exact, near, slopes, monkeypatch):
    """All 2^N probabilities, not sampled: the exact p_t(sign | x_t) leaves the error of the steps alone; that of a
    normal M adds 0.006 to 0.014, gradients in place of flips 0.04 to 0.07 more. The wrong sign stays below 1e-3."""
    for guide, known in (
        (magnetisation, exact),
        (by_a_normal_distribution, near),
        (lambda model: magnetisation(model, changes="first-order"), slopes),
    ):
        distance, wrong = given_up(lattice, 32, monkeypatch, guide)
        assert distance == pytest.approx(known, abs=1e-3)
        assert wrong < 1e-3


@pytest.mark.parametrize("process", SPINS, ids=lambda p: f"{p.mixing}-{p.order}")
def test_the_table_of_signs_is_bayes(process):
    """Every x_t of a 2x3 lattice: p_t(M > 0 | x_t) from the sum over all x_0, to 1e-12."""
    model = ExactSpins(SMALL, process)
    s, _, p, _ = distribution(SMALL)
    values = [-1.0, 1.0] + [0.0] * process.masks(2)
    x = torch.cartesian_prod(*[torch.tensor(values, dtype=torch.float64)] * 6).reshape(-1, 2, 3)
    at = process.at(0.6)
    joint = Enumerated(process, s, p).joint(x, at)
    truth = (joint * (s.sum((1, 2)) > 0)).sum(1) / joint.sum(1)
    torch.testing.assert_close(SignTable(model, 1.0)(x, at).exp(), truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mixing", ["uniform", "absorbing", 0.7])
def test_the_response_of_the_mean_is_the_variance(mixing):
    """Every x_t of a 2x3 lattice: Var(M | x_t) from the gradient is that of the enumeration, to 1e-9; P(M > 0) by the
    normal distribution is within 0.15 of the exact one, and within 0.03 in the mean."""
    process = Ising(mixing=mixing)
    model, at = ExactSpins(SMALL, process), process.at(0.6)
    s, _, p, _ = distribution(SMALL)
    values = [-1.0, 1.0] + [0.0] * process.masks(2)
    x = (
        torch.cartesian_prod(*[torch.tensor(values, dtype=torch.float64)] * 6)
        .reshape(-1, 2, 3)
        .requires_grad_()
    )
    normal, total = NormalSign(model, 1.0), s.sum((1, 2))
    given = Enumerated(process, s, p).joint(x.detach(), at)
    given = given / given.sum(1, keepdim=True)
    truth = given @ total**2 - (given @ total) ** 2
    mean = model.predict(x, at, "x0").flatten(1)
    found = normal._variance(x, at, mean, mean.sum(1))
    some = truth > 1e-3  # else all spins are known
    torch.testing.assert_close(found[some], truth[some], rtol=0, atol=1e-9)
    error = (normal(x.detach(), at).exp() - given @ (total > 0).double()).abs()
    assert error.max() < 0.15
    assert error.mean() < 0.03


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


def test_at_the_horizon_x_t_says_nothing_and_the_distribution_is_that_given_the_sign():
    """t = T, α = 0: p(x_0,i | x_T, M > 0) = p(x_0,i | M > 0), to 2e-4, which is what α ≥ 1e-4 costs."""
    process = Ising()
    s, _, p, _ = distribution(SMALL)
    up = p * (s.sum((1, 2)) > 0)
    truth = torch.tensordot(up / up.sum(), s, 1)
    found = magnetisation(ExactSpins(SMALL, process)).predict(s, process.at(1.0), "x0")
    torch.testing.assert_close(found, truth.expand_as(s), rtol=0, atol=3e-4)


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
    with pytest.raises(DifrunError, match="network of the reverse kernel does not say"):
        process.condition(model, lambda x, at: x.sum((1, 2)), 1.0)


def difrun(*arguments, code=0):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    assert (left.value.code or 0) == code


def test_runs_are_guided_and_gaussian_processes_are_not(tmp_path, monkeypatch, capsys):
    """3x3, M < 0: of 500 samples in 16 steps at least 98 % (the wrong sign has 0.0008, 5 s.e.: 0.007)."""
    monkeypatch.setenv("DIFRUN_PLUGINS", "ising")
    flags = ("--guidance", "magnetisation", "--guidance.magnetisation.sign", "down")
    small = ("--threads", "1", "--n", "500", "--steps", "16", "--dataset.n", "60", "--dataset.size", "3")
    difrun("--process", "ising", "--model", "exact-spins", *flags, *small, "--out", tmp_path / "run")
    with np.load(tmp_path / "run" / "samples.npz") as file:
        assert (file["x"].sum((1, 2)) < 0).mean() > 0.98
    difrun("evaluate", tmp_path / "run", "--likelihood")
    found = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))["likelihood"]
    assert "nll_bound" in found
    assert not {"entropy", "gap_bound", "gap_train"} & set(
        found
    )  # which would be those of the distribution without the sign
    capsys.readouterr()
    difrun("--dataset", "rings", "--guidance", "magnetisation", "--out", tmp_path / "no", code=2)
    said = " ".join(capsys.readouterr().err.split())
    assert "guidance 'magnetisation' (difrun-ising) needs" in said
    assert "that work with guidance 'magnetisation': ising" in said or "spin-file" in said
