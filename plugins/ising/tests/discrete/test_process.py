"""The process against matrices and enumerations: kernels, composition, bridge, posterior, rates, stationarity."""

import itertools
import math

import pytest
import torch
from scipy import stats

from difrun.errors import DifrunError
from difrun.randomness import Generator
from difrun_ising.data.strings import markov
from difrun_ising.discrete.categorical import Categorical
from difrun_ising.discrete.colouring import checkerboard
from difrun_ising.lattice.exact.model import ExactSpins
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising

from ..support import configurations, distribution

PROCESSES = [
    Ising(),
    Ising(mixing=0.8, schedule="linear"),
    Ising(mixing="absorbing"),
    Ising(schedule="flips", steps=10),
    Ising(schedule="rate", rate=2.0),
    Ising(order="checkerboard", rounds=3, share=0.3),
    Categorical(),
    Categorical(mixing="absorbing"),
    Categorical(mixing=(1.0, 2.0, 5.0), schedule="linear"),
]


def name(process):
    return f"{type(process).__name__}-{process.schedule}-{process.mixing}-{getattr(process, 'order', '')}"


def values(process):
    """Every value of one site, the mask last: (K + 1, 1) or (K + 1, 1, K)."""
    if isinstance(process, Ising):
        return torch.tensor([[-1.0], [1.0], [0.0]], dtype=torch.float64)
    return torch.cat((torch.eye(3), torch.zeros(1, 3)))[:, None, :].double()


def matrix(process, s, t):
    """The transition matrix of one (even) site, (K + 1, K + 1), of the definition: keep, or draw from π."""
    pi = process.mixing_distribution(2 if isinstance(process, Ising) else 3)
    later, earlier = process.at(t).even, process.at(s).even
    kept = later / earlier if earlier else 1.0
    return kept * torch.eye(len(pi), dtype=torch.float64) + (1 - kept) * pi


def times(process):
    return [u * process.horizon for u in (0.0, 0.1, 0.5, 0.7, 0.9)]


@pytest.mark.parametrize("process", PROCESSES, ids=name)
def test_kernels_are_normalised_compose_and_keep_their_mixing_distribution(process):
    """Rows sum to 1; Q(s,u) Q(u,t) = Q(s,t); π Q = π; all to 1e-14; and `transition` is that matrix."""
    pi = process.mixing_distribution(2 if isinstance(process, Ising) else 3)
    for s, u, t in itertools.combinations(times(process), 3):
        whole = matrix(process, s, t)
        torch.testing.assert_close(whole.sum(1), torch.ones(len(pi)).double(), rtol=0, atol=1e-14)
        torch.testing.assert_close(matrix(process, s, u) @ matrix(process, u, t), whole, rtol=0, atol=1e-14)
        torch.testing.assert_close(pi @ whole, pi, rtol=0, atol=1e-14)
        kernel = process.transition(values(process), process.at(s), process.at(t))
        torch.testing.assert_close(kernel.weights[:, 0], whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("process", PROCESSES, ids=name)
def test_the_posterior_is_bayes(process):
    """p(x_s | x_t) = Σ_k p_0(k) q(x_t | x_s) q(x_s | k)/q(x_t | k), by matrices, for random p_0, to 1e-13."""
    x = values(process)
    k = len(x) - 1
    p0 = torch.rand((len(x), 1, k), dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.05
    for s, t in itertools.combinations(times(process), 2):
        whole, first, second = matrix(process, 0.0, t), matrix(process, 0.0, s), matrix(process, s, t)
        for index in range(len(x)):
            possible = whole[:k, index] > 0
            if not possible.any():
                continue
            p = torch.where(possible, p0[index, 0], 0.0)
            p = p / p.sum()
            w = torch.where(possible, p / whole[:k, index].clamp_min(1e-300), 0.0)
            truth = second[:, index] * (w @ first[:k])
            found = process.posterior(x[index : index + 1], p[None, None], process.at(t), process.at(s))
            torch.testing.assert_close(found[0, 0], truth, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mixing", ["uniform", "absorbing", 0.7])
@pytest.mark.parametrize("order", ["together", "checkerboard"])
def test_the_reverse_step_of_an_exact_model_has_the_true_marginals(mixing, order):
    """2x3 lattice: p(x_s,i | x_t) of `reverse` is the sum over all x_0 and x_s of p(x_0) q(x_s | x_0) q(x_t | x_s)."""
    lattice = Lattice(2, 3, 0.6, field=0.2, periodic=False)
    process = Ising(mixing=mixing, order=order, **({"share": 0.4} if order == "checkerboard" else {}))
    model = ExactSpins(lattice, process)
    at, to = process.at(0.6), process.at(0.3)
    s0, _, p, _ = distribution(lattice)
    every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0, 0.0], dtype=torch.float64)] * 6).reshape(-1, 2, 3)
    if mixing != "absorbing":
        every = configurations((2, 3))
    earlier = torch.stack(
        [process.transition(s0, process.at(0.0), to).log_prob(e.expand_as(s0)) for e in every], 1
    )
    joint_s = p @ earlier.exp()  # distribution of x_s
    for x_t in every[:: max(1, len(every) // 20)]:
        forward = process.transition(every, to, at).log_prob(x_t.expand_as(every)).exp()
        weights = joint_s * forward
        if weights.sum() == 0:
            continue
        weights = weights / weights.sum()
        found = model.reverse(x_t[None], at, to).weights[0]
        for k, value in enumerate((-1.0, 1.0, 0.0)):
            truth = (weights[:, None, None] * (every == value)).sum(0)
            torch.testing.assert_close(found[..., k], truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["together", "checkerboard"])
def test_the_cavity_gives_the_exact_conditionals_of_the_noised_distribution(order):
    """3x3 torus: α c(y) + (1 − α) π(y) is p_t(x_i = y | all others), from the enumerated distribution of x_t, to
    1e-9; also at t = 0, where it is the heat bath of the data."""
    lattice, process = Lattice(3, 3, 0.4, field=0.1), Ising(order=order)
    model = ExactSpins(lattice, process)
    s, _, p, _ = distribution(lattice)
    for t in (0.0, 0.2, 0.7):
        at = process.at(t)
        alpha = (
            torch.as_tensor(process.site_alpha(at, (1, 3, 3)), dtype=torch.float64)
            .expand(1, 3, 3)[0]
            .flatten()
        )
        # the distribution of x_t, one site after the other
        noised = p.reshape((2,) * 9)
        for site in range(9):
            noised = alpha[site] * noised + (1 - alpha[site]) * noised.mean(site, keepdim=True)
        x = s[::37]
        found = process.marginal(model.cavity(x, at), at)[..., 1].flatten(1)
        for row, lattice_of_spins in enumerate(x):
            bits = ((lattice_of_spins.flatten() + 1) / 2).long().tolist()
            for site in range(9):
                pair = [noised[(*bits[:site], value, *bits[site + 1 :])].item() for value in (0, 1)]
                assert found[row, site].item() == pytest.approx(pair[1] / sum(pair), abs=1e-8)


@pytest.mark.parametrize("process", PROCESSES, ids=name)
def test_rates_are_the_derivative_of_the_schedule(process):
    """σ(t) = −d log α/dt, by central differences at every sublattice's own speed, to 1e-6."""
    for t in (0.13, 0.41, 0.77):
        t, h = t * process.horizon, 1e-6 * process.horizon
        field = torch.as_tensor(process.rate_field(t, (1, 2, 2)), dtype=torch.float64).expand(2, 2)
        ends = [process.at(t + d) for d in (-h, h)]
        for even, rate in ((True, field[0, 0]), (False, field[0, 1])):
            low, high = (end.even if even else end.odd for end in ends)
            if high == 0:  # a sublattice at the end of its last turn
                assert rate == 0
                continue
            assert rate.item() == pytest.approx(
                (math.log(low) - math.log(high)) / (2 * h), rel=1e-5, abs=1e-7
            )


@pytest.mark.parametrize("process", PROCESSES[:7], ids=name)
def test_ratios_are_those_of_the_noised_distribution(process):
    """One site with p_0 = (0.3, 0.7) or (0.2, 0.3, 0.5): p_t(y)/p_t(x) by matrices, to 1e-13."""
    x = values(process)
    prior = torch.tensor([0.3, 0.7] if len(x) == 3 else [0.2, 0.3, 0.5], dtype=torch.float64)
    t = 0.5 * process.horizon
    marginal = prior @ matrix(process, 0.0, t)[:-1]
    for index in (matrix(process, 0.0, t)[:-1] > 0).all(0).nonzero().flatten().tolist():
        given = prior * matrix(process, 0.0, t)[:-1, index] / marginal[index]
        found = process.ratios(x[index : index + 1], given[None, None], process.at(t))
        torch.testing.assert_close(found[0, 0], marginal / marginal[index], rtol=0, atol=1e-13)


@pytest.mark.parametrize("process", PROCESSES[:7], ids=name)
def test_paths_have_the_joint_distribution(process):
    """Counts of (x_s, x_t) of one site from 20 000 paths: χ² against the product of matrices, p > 1e-6."""
    x0 = values(process)[1:2].expand(20000, *values(process).shape[1:]).contiguous()
    s, t = 0.3 * process.horizon, 0.8 * process.horizon
    path = process.path(x0, [0.0, s, t], 3)
    assert torch.equal(path[0], x0)
    index = [_index(process, x) for x in path[1:]]
    k = len(values(process))
    truth = matrix(process, 0.0, s)[1][:, None] * matrix(process, s, t)
    seen = torch.bincount(index[0] * k + index[1], minlength=k * k).double()
    keep = truth.flatten() > 0
    assert seen[~keep].sum() == 0
    expected = 20000 * truth.flatten()[keep]
    assert stats.chisquare(seen[keep], expected * seen.sum() / expected.sum()).pvalue > 1e-6
    alone = _index(process, process.sample(x0, t, 5))
    counts = torch.bincount(alone, minlength=k).double()
    p = matrix(process, 0.0, t)[1]
    some = p > 0
    assert stats.chisquare(counts[some], 20000 * p[some]).pvalue > 1e-6


def _index(process, x):
    states = process.states(x)[:, 0]
    return torch.where(states.sum(-1) > 0, states.argmax(-1), states.shape[-1])


def test_numpy_in_is_numpy_out():
    x0 = configurations((2, 2)).numpy()
    x = Ising().sample(x0, 0.5, 1)
    assert isinstance(x, type(x0))
    assert x.dtype == x0.dtype


def test_the_sublattices_take_turns():
    """Three rounds with share 0.3: ρ of the odd sublattice moves first; at the end of a round both are equal."""
    process = Ising(order="checkerboard", rounds=3, share=0.3, schedule="linear")
    for k in range(4):
        at = process.at(k / 3)
        assert at.even == pytest.approx(1 - k / 3, abs=1e-12)
        assert at.odd == pytest.approx(1 - k / 3, abs=1e-12)
    at = process.at(0.1)  # the share of the first round has passed
    assert (at.even, at.odd) == pytest.approx((1.0, 2 / 3), abs=1e-12)
    field = process.site_alpha(at, (1, 4, 4))
    even, odd = (torch.tensor(a, dtype=torch.float64) for a in (at.even, at.odd))
    assert torch.equal(field, torch.where(checkerboard((4, 4)) == 0, even, odd))
    batch = process.at(torch.tensor([0.1, 0.2], dtype=torch.float64), 3)
    assert batch.even[:, 0, 0].tolist() == pytest.approx([process.at(t).even for t in (0.1, 0.2)], abs=1e-9)


def test_a_turn_may_be_given_for_every_site():
    """Those of the checkerboard give its field; of three turns each has a third of a round, the last one first."""
    x = torch.tensor([[0, 1, 0], [1, 0, 1]])
    given = Ising(order=tuple(x.flatten().tolist()), rounds=2)
    named = Ising(order="checkerboard", rounds=2)
    for t in (0.0, 0.1, 0.4, 0.63, 1.0):
        fields = [
            torch.as_tensor(p.site_alpha(p.at(t), (1, 2, 3))).double().expand(2, 3) for p in (given, named)
        ]
        assert torch.equal(*fields)
        assert torch.equal(given.rate_field(t, (1, 2, 3)), named.rate_field(t, (1, 2, 3)))
    three = Ising(order=(2, 0, 1), schedule="linear")
    assert three.site_alpha(three.at(0.5), (1, 3)).tolist() == pytest.approx([0, 1, 0.5], abs=1e-12)
    batch = three.at(torch.tensor([0.5, 0.25], dtype=torch.float64), 2)
    expected = torch.tensor([[0, 1, 0.5], [0.25, 1, 1]], dtype=torch.float64)
    torch.testing.assert_close(three.site_alpha(batch, (2, 3)), expected, rtol=0, atol=1e-9)
    assert three.rate_field(0.5, (1, 3)).tolist() == pytest.approx([0, 0, 3 / 0.5])
    with pytest.raises(DifrunError, match=r"names the turns of 3 sites; a lattice of 2 x 2 has 4"):
        three.denoiser(None, shape=(2, 2), mean=torch.zeros(2, 2), var=torch.ones(2, 2))
    for order, words in (((0, 2), "with none left out"), ((0, 1), "only the order checkerboard has share")):
        with pytest.raises(ValueError, match=words):
            Ising(order=order, share=0.3)
    with pytest.raises(ValueError, match="only sites that are noised in turn have rounds"):
        Ising(rounds=2)


def test_the_prior_is_the_noised_distribution_of_the_means():
    """schedule rate 1: ρ_T = e^−2; the mean of 40 000 priors is ρ_T times the mean of the data, to 5 s.e."""
    process = Ising(schedule="rate", rate=1.0)
    mean = torch.tensor([[0.8, -0.4]])
    x = process.prior((40000, 1, 2), mean=mean, var=1 - mean**2, generator=1)
    assert torch.allclose(x.mean(0), math.exp(-2) * mean, atol=5 / 200)


def test_what_does_not_fit_is_refused():
    with pytest.raises(DifrunError, match=r"outside \[0, 1\]"):
        Ising().at(1.5)
    with pytest.raises(DifrunError, match="2 weights for 4 categories"):
        Categorical(mixing=(1.0, 2.0)).sample(markov(seed=0).train, 0.5, Generator(0))
