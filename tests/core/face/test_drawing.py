"""Samples from a level, against the closed form of a Gaussian: given states, and data that are noised first."""

import json
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import difrun
from difrun.data import GaussianMixture
from difrun.errors import ConfigError, DifrunError
from difrun.grid import rho
from difrun.model import ExactMixture
from difrun.randomness.generator import seed_of
from difrun.sampler import Adaptive, Heun, generate
from difrun.testing import ReferenceVP

VP = ReferenceVP()
M, S = torch.tensor([0.5, -1.0], dtype=torch.float64), 0.8
MODEL = ExactMixture(GaussianMixture([1.0], M[None], [S**2]), VP)
LEVEL = float(VP.time_at(-math.log(0.7)))  # σ/α = 0.7
AT, END = VP.at(LEVEL), VP.at(VP.t_min)
WIDE = {"dtype": torch.float64}


def spread(at):
    return math.hypot(at.alpha * S, at.sigma)


def endpoint(x):
    """Where the flow leads from x_t: its rank in the Gaussian at t_min, divided by α there."""
    return M + spread(END) / spread(AT) * (x - AT.alpha * M) / END.alpha


def states(n=50):
    return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_states_at_a_level_are_carried_to_the_end_of_their_flow():
    x = states()
    drawn = difrun.sample(MODEL, sampler="rk4", steps=40, grid="rho", start=x, at=LEVEL, **WIDE)
    torch.testing.assert_close(drawn, endpoint(x), atol=1e-6, rtol=0)
    in_chunks = difrun.sample(
        MODEL, sampler="rk4", steps=40, grid="rho", start=x.numpy(), at=LEVEL, chunk=7, **WIDE
    )
    assert isinstance(in_chunks, np.ndarray)
    np.testing.assert_allclose(in_chunks, drawn.numpy(), atol=1e-12)


@pytest.mark.parametrize("grid", ["rho", "logsnr", "linear", "cosine", "quadratic", "pilot"])
def test_every_grid_runs_from_the_level(grid):
    """All steps are taken below it: with 40 of order 2, each comes close to the end of the flow."""
    x = states(20)
    drawn = difrun.sample(MODEL, sampler="heun", steps=40, grid=grid, start=x, at=LEVEL, **WIDE)
    # Of the grids that are not made for noise, the last step is the longest by far.
    torch.testing.assert_close(
        drawn, endpoint(x), atol=2e-3 if grid in ("rho", "logsnr", "pilot") else 0.05, rtol=0
    )


def test_data_are_noised_to_the_level_first():
    """One example many times: mean m + c(x_0 − m), deviation of σ through the flow; within four standard errors."""
    x0, n = torch.tensor([[2.0, 0.0]], dtype=torch.float64), 4000
    drawn = difrun.sample(MODEL, n, "heun", 20, data=x0, at=LEVEL, seed=3, **WIDE)
    through = spread(END) / spread(AT) / END.alpha
    mean, std = M + through * AT.alpha * (x0[0] - M), through * AT.sigma
    assert ((drawn.mean(0) - mean).abs() < 4 * std / n**0.5).all()
    assert ((drawn.std(0) / std - 1).abs() < 4 / (2 * n) ** 0.5).all()
    again = difrun.sample(MODEL, n, "heun", 20, data=x0.numpy(), at=LEVEL, seed=3, chunk=999, **WIDE)
    np.testing.assert_allclose(again, drawn.numpy(), atol=1e-12)


def test_a_stochastic_sampler_draws_from_the_posterior_of_a_state():
    """p(x_0 | x_t) = N(m + α s²/S² (x_t − α m), s²σ²/S²), and σ/α of noise at t_min."""
    n = 4000
    x = AT.alpha * M + torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    drawn = difrun.sample(MODEL, n, "ancestral", 200, grid="logsnr", start=x, at=LEVEL, **WIDE)
    mean = M + AT.alpha * S**2 / spread(AT) ** 2 * (x[0] - AT.alpha * M)
    std = S * AT.sigma / spread(AT)
    assert ((drawn.mean(0) - mean).abs() < 4 * std / n**0.5 + 0.01).all()
    assert ((drawn.std(0) / std - 1).abs() < 4 / (2 * n) ** 0.5 + 0.02).all()


def test_a_mixture_noised_and_sampled_back_is_the_mixture():
    """Its first two moments and the weight of a component, within four standard errors."""
    mixture = GaussianMixture([0.3, 0.7], [[-2.0, 0.0], [2.0, 0.0]], [0.2, 0.3])
    model, n = ExactMixture(mixture, VP), 4000
    x0 = mixture.sample(n, torch.Generator().manual_seed(0))
    back = difrun.sample(model, data=x0, at=LEVEL, sampler="heun", steps=30, seed=5, **WIDE)
    for power in (1, 2):
        exact = mixture.mean if power == 1 else mixture.var + mixture.mean**2
        found, error = (back**power).mean(0), (back**power).std(0) / n**0.5
        assert ((found - exact).abs() < 4 * error + 1e-3).all()
    right = (back[:, 0] > 0).double().mean()
    assert abs(right - 0.7) < 4 * (0.21 / n) ** 0.5
    assert 0 < ((back[:, 0] > 0) != (x0[:, 0] > 0)).double().mean() < 0.1  # a few change the mode


def test_samples_from_noise_are_those_of_the_parts():
    """The same as `generate` with the sampler and the grid, seed by seed; by name, class or object."""
    plain = generate(Heun(), MODEL, 30, rho(VP, 6), seed=difrun_seed(4))
    for sampler in ("heun", Heun, Heun()):
        drawn = difrun.sample(MODEL, 30, sampler, 6, grid="rho", seed=4)
        torch.testing.assert_close(drawn, plain, atol=0, rtol=0)
    by_times = difrun.sample(MODEL, 30, "heun", grid=rho(VP, 6), seed=4)
    torch.testing.assert_close(by_times, plain, atol=0, rtol=0)
    by_function = difrun.sample(MODEL, 30, "heun", 6, grid=lambda process, steps: rho(process, steps), seed=4)
    torch.testing.assert_close(by_function, plain, atol=0, rtol=0)


def difrun_seed(seed):
    from difrun.randomness.generator import seed_of

    return seed_of(seed, "samples")


def test_options_reach_the_sampler_by_name_and_by_object():
    loose = difrun.sample(MODEL, 20, "adaptive", 1, options={"sampler.rtol": 0.1, "sampler.atol": 0.1})
    same = difrun.sample(MODEL, 20, Adaptive(rtol=0.1, atol=0.1), 1)
    fine = difrun.sample(MODEL, 20, "adaptive", 1)
    torch.testing.assert_close(loose, same, atol=0, rtol=0)
    assert not torch.equal(loose, fine)


def test_inversion_and_sampling_are_one_round_trip():
    x0 = MODEL.mixture.sample(40, torch.Generator().manual_seed(2)).double().numpy()
    found = difrun.invert(MODEL, x0, "heun", 20)
    assert isinstance(found.x, np.ndarray)
    assert found.at == VP.horizon
    back = difrun.sample(MODEL, sampler="heun", steps=20, start=found.x, at=found.at, **WIDE)
    np.testing.assert_allclose(np.sqrt(np.square(back - x0).mean(1)), found.error, atol=1e-12)
    assert 1e-7 < found.error.max() < 0.01
    to_level = difrun.invert(MODEL, x0, "rk4", 40, grid="rho", at=LEVEL)
    np.testing.assert_allclose(endpoint(torch.from_numpy(to_level.x)).numpy(), x0, atol=1e-5)


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        ({}, ConfigError, "say how many samples"),
        ({"n": 0}, ConfigError, "Invalid value for n: expected a whole number of at least 1; got 0"),
        ({"n": 5, "at": 0.5}, ConfigError, "to begin at a level, give its time at"),
        ({"start": states(3)}, ConfigError, "to begin at a level, give its time at"),
        ({"start": states(3), "data": states(3), "at": LEVEL}, ConfigError, "to begin at a level"),
        ({"start": states(3), "n": 5, "at": LEVEL}, ConfigError, "n = 5 samples begin with 5 rows"),
        ({"start": states(3)[:, :1], "at": LEVEL}, DifrunError, r"start has shape \(3, 1\); expected"),
        ({"data": states(3)[:, :1], "at": LEVEL}, DifrunError, r"data of shape \(3, 1\) do not fit"),
        (
            {"start": states(3), "at": 99.0},
            DifrunError,
            "at = 99 is no level to start from: it must lie above",
        ),
        ({"start": states(3), "at": "half"}, ConfigError, "Invalid value for at: expected a time"),
        ({"n": 5, "sampler": "hun"}, ConfigError, "Did you mean 'heun'"),
        ({"n": 5, "sampler": 7}, ConfigError, "expected the name of a component, a difrun.sampler.Sampler"),
        (
            {"n": 5, "sampler": "heun", "options": {"theta": 1}},
            ConfigError,
            "'theta' names no part of the run",
        ),
        (
            {"n": 5, "sampler": "heun", "options": {"sampler.x": 1}},
            ConfigError,
            r"Unknown option options\['sampler.x'\]",
        ),
        ({"n": 5, "options": [1]}, ConfigError, "Invalid value for options: expected a dict"),
        ({"n": 5, "sampler": Adaptive(), "options": {"sampler.rtol": 1.0}}, ConfigError, "given twice"),
        ({"n": 5, "steps": 9, "grid": [1.0, 0.5, VP.t_min]}, DifrunError, "a grid of 2 steps, not of 9"),
        ({"n": 5, "label": 1}, DifrunError, "knows no classes"),
        ({"n": 5, "listener": 3}, ConfigError, "Invalid value for listener"),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(wishes, error, message):
    with pytest.raises(error, match=message):
        difrun.sample(MODEL, **wishes)


def test_what_is_no_model_is_refused():
    with pytest.raises(ConfigError, match="A network alone knows neither its process nor what it predicts"):
        difrun.sample(torch.nn.Linear(2, 2), 5)
    with pytest.raises(ConfigError, match="There is no run in"):
        difrun.sample("gone", 5)


def test_samples_of_a_model_alone_are_written_without_units(tmp_path):
    """A file has x, how it was drawn with the evaluations that were counted, and no more."""
    drawn = difrun.sample(MODEL, 7, "heun", 5, out=tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        np.testing.assert_array_equal(file["x"], drawn.numpy())
        told = json.loads(str(file["drawn"]))
        assert file.files == ["x", "columns", "drawn"]
    assert told == {"n": 7, "seed": 0, "sampler": "heun", "grid": "pilot", "steps": 5, "evaluations": 10}


TIMES = rho(VP, 5)
FORMS = {
    "tuple": tuple(TIMES),
    "(n, 1)": np.array(TIMES)[:, None],
    "big-endian": np.array(TIMES, dtype=">f8"),
    "tensor with a gradient": torch.tensor(TIMES, dtype=torch.float64, requires_grad=True),
    "tensors": [torch.tensor(t, dtype=torch.float64) for t in TIMES],
    "decimals": [Decimal(t) for t in TIMES],
    "fractions": [Fraction(t) for t in TIMES],
    "lists": [[t] for t in TIMES],
}


@pytest.mark.parametrize("form", FORMS)
def test_times_of_a_grid_come_in_any_form(form):
    drawn = difrun.sample(MODEL, 20, "heun", grid=FORMS[form], seed=1, **WIDE)
    torch.testing.assert_close(drawn, generate(Heun(), MODEL, 20, TIMES, seed=seed_of(1, "samples"), **WIDE))


def test_whole_numbers_are_times_of_a_grid():
    drawn = [
        difrun.sample(MODEL, 9, "heun", grid=grid, **WIDE) for grid in ([3, 1, 0], torch.tensor([3, 1, 0]))
    ]
    assert torch.equal(*drawn)
    assert bool(drawn[0].isfinite().all())


@pytest.mark.parametrize(
    "times",
    [
        [4.0], [4.0, math.nan, 0.1], [math.inf, 0.1], ["4", "0.1"], [True, False], np.ones((1, 3)), {4.0, 0.1},
        np.ma.masked_array([4.0, 1.0, 0.1], [False, True, False]), torch.empty(3, device="meta"), [4.0 + 0j, 0.1],
    ],
)  # fmt: skip
def test_what_is_no_list_of_times_is_refused(times):
    with pytest.raises(ConfigError, match=r"Invalid value for grid: .* a list of at least two times"):
        difrun.sample(MODEL, 9, "heun", grid=times)
    with pytest.raises(DifrunError, match="times"):
        generate(Heun(), MODEL, 9, torch.empty(3, device="meta"))


@pytest.mark.parametrize("times", [[1.0, 0.5, 0.0], [VP.horizon, 1.0, 0.0]])
def test_a_grid_that_begins_elsewhere_than_the_states_is_refused(times):
    """Its first step was taken from the states as if they were at its own first time."""
    for at in (LEVEL, VP.horizon if times[0] < VP.horizon else 1.0):
        for wishes in ({"start": states()}, {"data": states()}):
            with pytest.raises(
                DifrunError, match=rf"sampling begins at = .*, and the grid at {times[0]:g}: both"
            ):
                difrun.sample(MODEL, grid=times, at=at, **wishes)
    x = states()
    whole = difrun.sample(MODEL, sampler="heun", grid=[LEVEL, 0.5 * LEVEL, 0.0], start=x, at=LEVEL, **WIDE)
    half = difrun.sample(MODEL, sampler="heun", grid=[LEVEL, 0.0], start=x, at=LEVEL, **WIDE)
    assert (whole - half).abs().max() > 1e-3
