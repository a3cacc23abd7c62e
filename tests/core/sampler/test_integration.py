"""The one sampling loop."""

import pytest
import torch

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model import ExactMixture, ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Ancestral, Euler, Heun, Sampler, generate, integrate
from difrun.testing import ReferenceVP, two_gaussians
from difrun.testing.rules import global_randomness_untouched

MU = torch.tensor([0.5, -2.0], dtype=torch.float64)


class Centred(ReferenceVP):
    centre = (0.5, -2.0)


MODEL = ExactMixture(two_gaussians(), ReferenceVP())
TIMES = logsnr(MODEL.process, 6)


def start(n=5):
    return torch.randn((n, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    "sampler", [Euler(), Heun(), Ancestral()], ids=lambda sampler: type(sampler).__name__
)
def test_a_centre_only_shifts(sampler):
    """Data shifted by μ under a process with mean μ give samples shifted by μ."""
    plain = two_gaussians()
    shifted = ExactMixture(GaussianMixture(plain.weights, plain.means + MU, plain.covs), Centred())
    expected = MU + integrate(sampler, MODEL, start(), TIMES, generator=3)
    seen = []
    got = integrate(sampler, shifted, start() + MU, TIMES, generator=3, watch=lambda k, at, x: seen.append(x))
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(seen[-1], got)


@pytest.mark.parametrize("chunk", [1, 3, 7, 4096])
@pytest.mark.parametrize("sampler", [Heun(), Ancestral()], ids=lambda sampler: type(sampler).__name__)
def test_samples_do_not_depend_on_the_chunk(sampler, chunk):
    """To rounding, and the first of them do not depend on how many follow."""
    whole = generate(sampler, MODEL, 23, TIMES, seed=7, dtype=torch.float64)
    parts = generate(sampler, MODEL, 23, TIMES, seed=7, chunk=chunk, dtype=torch.float64)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)
    few = generate(sampler, MODEL, 5, TIMES, seed=7, dtype=torch.float64)
    torch.testing.assert_close(few, whole[:5], rtol=1e-12, atol=1e-12)


def test_one_seed_one_result():
    with global_randomness_untouched():
        first, again, other = (generate(Ancestral(), MODEL, 9, TIMES, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()
    assert len(first.unique(dim=0)) == 9


def test_the_start_is_the_moment_matched_prior():
    """x_T of sample i is what the prior draws for it with the same generator; the end is divided by α."""
    prior = MODEL.process.prior(
        (4, 2), mean=MODEL.mean, var=MODEL.var, generator=Generator(3), dtype=torch.float64
    )
    expected = integrate(Euler(), MODEL, prior, TIMES) / MODEL.process.at(TIMES[-1]).alpha
    assert torch.equal(generate(Euler(), MODEL, 4, TIMES, seed=3, dtype=torch.float64), expected)


def test_samples_have_the_mean_of_the_data_however_far_it_is():
    """N(10, 0.01) where α at the end is 0.98: about μ, which is not 0 either. Undivided the mean would be 9.83."""

    class Early(ReferenceVP):
        centre = (1.5, 1.5)
        t_min = 0.02

    distribution = GaussianMixture([1.0], [[10.0, 10.0]], [0.01])
    model = ExactMixture(distribution, Early())
    x = generate(Heun(), model, 500, logsnr(model.process, 20), seed=0, dtype=torch.float64)
    spread = (0.01 + model.process.at(0.02).var / model.process.at(0.02).alpha ** 2) ** 0.5
    assert (x.mean(0) - 10).abs().max() < 5 * spread / 500**0.5
    assert (x.std(0) / spread - 1).abs().max() < 5 / 1000**0.5


class Recorder(Sampler):
    """Keeps what the loop hands over."""

    order = 1

    def __init__(self):
        self.seen = []

    def prepare(self, model, instants):
        self.prepared = (model.process, [at.t for at in instants])
        return 0

    def step(self, model, x, at, to, state, generator):
        self.seen.append((at.t, to.t, state, torch.is_grad_enabled()))
        return x + 1, state + 1


def test_what_a_sampler_is_given():
    """Instants of neighbouring times, the state of the step before, no gradients; every step is watched."""
    recorder, watched = Recorder(), []
    x = integrate(
        recorder, MODEL, start(), [2.0, 1.0, 0.5], watch=lambda k, at, x: watched.append((k, at.t, x))
    )
    assert recorder.prepared == (MODEL.process, [2.0, 1.0, 0.5])
    assert recorder.seen == [(2.0, 1.0, 0, False), (1.0, 0.5, 1, False)]
    assert torch.equal(x, start() + 2)
    assert [(k, t) for k, t, _ in watched] == [(1, 1.0), (2, 0.5)]
    assert torch.equal(watched[0][2], start() + 1)
    ticks = []
    generate(Recorder(), MODEL, 5, [2.0, 1.0, 0.5], chunk=2, watch=lambda *tick: ticks.append(tick))
    assert ticks == [(k, 6) for k in range(1, 7)]


class Faulty(ScoreModel):
    """A model that fails for points right of 0."""

    process = MODEL.process
    shape = (2,)

    def forward(self, x, at):
        return torch.where(x[:, :1] > 0, torch.nan, x)


def test_samples_that_are_not_finite_are_named():
    x = MODEL.process.prior((9, 2), generator=Generator(1))
    bad = (x[:, 0] > 0).nonzero()[:, 0].tolist()
    assert 0 < len(bad) < 9
    message = f"{len(bad)} of 9 samples are not finite \\(the first is number {bad[0]}\\)"
    with pytest.raises(DifrunError, match=message):
        generate(Euler(), Faulty(), 9, [4.0, 3.9], seed=1, chunk=4)


@pytest.mark.parametrize("times", [[1.0], [], [0.5, 1.0], [1.0, 1.0], [1.0, float("nan")]])
def test_times_that_do_not_decrease_are_an_error(times):
    with pytest.raises(
        DifrunError, match="sampling times must strictly decrease over at least one step, not \\["
    ):
        integrate(Euler(), MODEL, start(), times)


@pytest.mark.parametrize(("n", "chunk"), [(0, 10), (-1, 10), (5, 0)])
def test_no_samples_are_an_error(n, chunk):
    with pytest.raises(DifrunError, match=f"not {n} and {chunk}"):
        generate(Euler(), MODEL, n, TIMES, chunk=chunk)


def test_meta_device():
    assert generate(Ancestral(), MODEL, 5, TIMES, chunk=2, device="meta").shape == (5, 2)


@pytest.mark.parametrize(
    ("returned", "told"),
    [(lambda x: x, "it returned Tensor"), (lambda x: (x, None, 0), "it returned a tuple of 3")],
)
def test_a_step_that_returns_no_pair_is_told(returned, told):
    """Two samples are the trap: a tensor of two rows unpacks into two."""

    class Careless(Euler):
        def step(self, model, x, at, to, state, generator):
            return returned(x)

    model = ExactMixture(two_gaussians(), ReferenceVP())
    with pytest.raises(DifrunError, match=rf"Careless must return a pair \(x, state\).*{told}"):
        generate(Careless(), model, 2, [1.0, 0.5])


def test_samples_none_of_which_is_finite_point_at_the_sampler():
    class Broken(Euler):
        def step(self, model, x, at, to, state, generator):
            return x * float("nan"), None

    model = ExactMixture(two_gaussians(), ReferenceVP())
    with pytest.raises(
        DifrunError, match=r"3 of 3 samples are not finite.*look at the sampler \(.*Broken\)"
    ) as caught:
        generate(Broken(), model, 3, [1.0, 0.5])
    assert "train" not in str(caught.value)


@pytest.mark.parametrize(
    "times", [torch.tensor([[1.0], [0.4], [0.1]]), torch.tensor([1.0, 0.4, 0.1]), (1, 0.4, 0.1)], ids=repr
)
def test_a_grid_may_be_a_tensor_or_a_column(times):
    """The samples are those of the list, to the rounding of the tensor."""
    expected = generate(Heun(), MODEL, 5, [1.0, 0.4, 0.1])
    assert expected.shape == (5, 2)
    torch.testing.assert_close(generate(Heun(), MODEL, 5, times), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "times", [[0.1, 1.0], [1.0, 0.5, 0.5], [1.0], None, torch.ones(2, 2), ["1", "0"]], ids=repr
)
@pytest.mark.parametrize("integrated", [True, False])
def test_a_grid_that_does_not_decrease_is_refused_before_any_work(times, integrated):
    with pytest.raises(DifrunError, match=r"sampling times|a time is a number"):
        integrate(None, MODEL, start(), times) if integrated else generate(None, MODEL, 5, times)


@pytest.mark.parametrize("process", [ReferenceVP(), Centred()], ids=["no centre", "a centre"])
def test_a_start_has_the_moments_of_its_time(process):
    """Mean and variance of x_t are μ + α(m − μ) and α²v + σ²: 20 000 draws at three times, 5 standard errors."""
    model, n = ExactMixture(two_gaussians(), process), 20000
    for t in (0.05, 0.5, 0.9 * process.horizon):
        x, at = model.prior(n, 3, t=t, dtype=torch.float64), process.at(t)
        centre = process.centre_like(x)
        mean, var = centre + at.alpha * (model.mean - centre), at.alpha**2 * model.var + at.var
        assert ((x.mean(0) - mean).abs() < 5 * (var / n).sqrt()).all()
        assert ((x.var(0) / var - 1).abs() < 5 * (2 / n) ** 0.5).all()


def test_the_start_at_the_horizon_is_the_prior():
    at_horizon = MODEL.prior(7, 3, t=MODEL.process.horizon)
    assert torch.equal(MODEL.prior(7, 3), at_horizon)


def test_an_end_without_noise_is_the_mean_of_the_data():
    """From t to 0: E[x_0 | x_t], whatever the sampler, which is asked for the steps before alone."""

    class Recorder(Euler):
        def prepare(self, model, instants):
            self.times = [at.t for at in instants]
            return super().prepare(model, instants)

    sampler = Recorder()
    x = integrate(sampler, MODEL, start(), [1.0, 0.5, 0.1, 0.0])
    assert sampler.times == [1.0, 0.5, 0.1]
    before = integrate(Euler(), MODEL, start(), [1.0, 0.5, 0.1])
    assert torch.equal(x, MODEL.predict(before, MODEL.process.at(0.1), "x0"))
