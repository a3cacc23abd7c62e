"""A table of the right length and of wrong values is told by its noise; the right one is not, for any network."""

import math
import warnings

import numpy as np
import pytest
import torch

import difrun
from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun.process.tabulated import TabulatedProcess

BETAS = np.linspace(1e-4, 0.05, 200)
MIXTURE = GaussianMixture([0.3, 0.7], [[-1.5, 0.0], [1.0, 0.0]], [0.04, 0.09])
DATA = MIXTURE.sample(2000, torch.Generator().manual_seed(0)).float()
RIGHT = TabulatedProcess.from_betas(BETAS)
MODEL = ExactMixture(MIXTURE, RIGHT)

WRONG = {
    "too quiet": np.linspace(1e-4, 0.02, 200),
    "too loud": np.linspace(1e-4, 0.12, 200),
    "scaled-linear": np.linspace(1e-2, 0.05**0.5, 200) ** 2,
}


def network(kind, error=0.0):
    """The exact prediction of the right chain at a whole-number time, with an error that training could have left."""

    def call(x, n):
        at = RIGHT.at((n.double() + 1).clamp(1, 200), 2)
        exact = MODEL.predict(x.double(), at, kind)
        return (exact + error * torch.sin(9 * x + n[:, None] % 7)).to(x.dtype)

    return call


def wrapped(betas, kind="noise", error=0.0, **options):
    process = TabulatedProcess.from_betas(betas)
    return difrun.wrap(network(kind, error), process, (2,), kind, "index", integer=True, data=DATA, **options)


@pytest.mark.parametrize(
    ("name", "kind"), [("too quiet", "noise"), ("too loud", "x0"), ("scaled-linear", "v")]
)
def test_a_wrong_table_is_told_with_numbers(name, kind):
    """The level that the network has learned is within a factor of 1.7 of the right one: shifts are steps of e^½."""
    with pytest.warns(UserWarning, match="the schedule does not seem to be the one") as told:
        wrapped(WRONG[name], kind)
    words = str(told[0].message)
    t = float(words.partition("t = ")[2].partition(",")[0])
    said = float(words.partition("≈ ")[2].partition(".  With")[0].split(" ")[0].rstrip("."))
    at = RIGHT.at(t)
    assert abs(math.log(said / (at.sigma / at.alpha))) < math.log(1.7), words
    assert "standard errors" in words


@pytest.mark.parametrize(("kind", "error"), [("noise", 0.0), ("noise", 0.4), ("x0", 0.1), ("v", 0.1)])
def test_the_right_table_is_not_doubted(kind, error):
    """Neither for the exact network nor for one with errors, as long as it denoises."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped(BETAS, kind, error)


def test_trained_networks_are_not_doubted_under_their_own_table_alone():
    """A small network after 1000 steps; under a table of less noise it is told."""
    torch.manual_seed(0)
    bar = torch.tensor(np.cumprod(1 - BETAS), dtype=torch.float32)
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU()
    )
    net.append(torch.nn.Linear(64, 2))

    def call(x, n):
        t = n[:, None] / 200
        return net(torch.cat([x, t, t**2, (6 * t).sin(), (1 + 50 * t).log()], 1))

    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(1000):
        x, n, eps = DATA[torch.randint(2000, (128,))], torch.randint(200, (128,)), torch.randn(128, 2)
        a = bar[n, None]
        loss = ((call(a.sqrt() * x + (1 - a).sqrt() * eps, n.float()) - eps) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        difrun.wrap(call, RIGHT, (2,), "noise", "index", data=DATA)
    with pytest.warns(UserWarning, match="the schedule does not seem"):
        difrun.wrap(call, TabulatedProcess.from_betas(WRONG["too quiet"]), (2,), "noise", "index", data=DATA)


def test_a_network_that_is_given_sigma_needs_no_table():
    """Its time says the noise itself, so that no schedule of the same kind is wrong for it."""
    other = TabulatedProcess.from_betas(WRONG["too quiet"])

    def call(x, sigma):
        lam = 0.5 * torch.log1p(-(sigma.double() ** 2)) - sigma.double().log()
        return MODEL.predict(x.double(), RIGHT.at(RIGHT.time_at(lam), 2), "noise").to(x.dtype)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        difrun.wrap(call, other, (2,), "noise", "sigma", data=DATA)
