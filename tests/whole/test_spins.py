"""The walls hold a process that is not Gaussian: a stranger's spins, from training to the report."""

import json
import subprocess
import sys

import numpy as np
import pytest

from .support import facts, plugin, samples

DECLARED = """
from difrun.api import Component, hookimpl


@hookimpl
def difrun_processes():
    prefers = {"dataset": "coins", "model": "coin-net", "loss": "cross-entropy", "grid": "linear"}
    provides = {"discrete"}
    return [Component("flip", "coin_parts:Flip", "Flips", provides=provides, requires={"spins"}, prefers=prefers)]


@hookimpl
def difrun_models():
    return [Component("coin-net", "coin_parts:Net", "Net", provides={"network"}, requires={"spins"})]


@hookimpl
def difrun_losses():
    return [Component("cross-entropy", "coin_parts:CrossEntropy", "On x_0", requires={"discrete", "network"})]


@hookimpl
def difrun_datasets():
    return [Component("coins", "coin_parts:coins", "Coins", provides={"spins"})]


@hookimpl
def difrun_metrics():
    return [Component("tails", "coin_parts:tails", "Mean of the spins", requires={"spins"})]
"""

PARTS = '''
import math

import attrs
import torch
from torch import nn

from difrun.data import Dataset
from difrun.loss import Loss
from difrun.model import ScoreModel
from difrun.process import ForwardProcess, numpy_too
from difrun.randomness import Generator


@attrs.frozen
class At:
    t: object
    rho: object


@attrs.frozen
class Bernoulli:
    """Independent spins of a given mean."""

    mean: torch.Tensor

    def sample(self, generator):
        return torch.where(2 * generator.uniform(self.mean) - 1 < self.mean, 1.0, -1.0).to(self.mean)

    def log_prob(self, x):
        return ((1 + x * self.mean) / 2).log().flatten(1).sum(1)


class Flip(ForwardProcess):
    """Every spin flips at rate 1: E[x_t | x_0] = exp(-2t) x_0."""

    horizon, t_min = 3.0, 1e-3

    def at(self, t, ndim=None):
        if isinstance(t, torch.Tensor):
            t = t.reshape(t.shape + (1,) * (ndim - t.ndim))
            return At(t, torch.exp(-2 * t))
        return At(t, math.exp(-2 * t))

    def prior(self, shape, *, mean, var, generator, dtype=torch.float32, device="cpu"):
        return Bernoulli(torch.zeros(shape, dtype=dtype, device=device)).sample(Generator.of(generator))

    def bridge(self, x_t, x0, at, to):
        """q(x_s | x_t, x_0 = its mean): Bayes for each value of x_0, weighted by p(x_0 | x_t)."""
        kept, rest = at.rho / to.rho, to.rho
        given = [(kept * x_t + rest * v) / (1 + kept * x_t * rest * v) for v in (1.0, -1.0)]
        return Bernoulli((1 + x0) / 2 * given[0] + (1 - x0) / 2 * given[1])

    def transition(self, x_s, to, at):
        return Bernoulli((at.rho / to.rho * x_s).to(x_s.dtype))

    def jump_rate(self, x, y, at):
        return ((x != y).sum(1) == 1).double()

    def enumeration(self):
        every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 2)
        return every, every

    @numpy_too
    def sample(self, x0, t, generator=None):
        return self.transition(x0, self.at(0.0), self.at(t, x0.ndim)).sample(Generator.of(generator))

    @numpy_too
    def path(self, x0, times, generator=None):
        random, x, last, found = Generator.of(generator), x0, self.at(0.0), []
        for at in map(self.at, map(float, times)):
            x = self.transition(x, last, at).sample(random)
            found.append(x)
            last = at
        return torch.stack(found)

    def denoiser(self, network, *, shape, mean, var, **options):
        return Denoiser(network, self, shape, mean, var)


class Denoiser(ScoreModel):
    def __init__(self, network, process, shape, mean, var):
        self.network, self.process, self.shape, self.mean, self.var = network, process, shape, mean, var

    def forward(self, x, at):
        rho = at.rho if isinstance(at.rho, torch.Tensor) else torch.full_like(x[:, :1], at.rho)
        return torch.tanh(self.network(x, rho))

    def predict(self, x, at, kind):
        return self(x, at)

    def to(self, device):
        self.network.to(device)
        return self


class Net(nn.Module):
    """The exact form of the answer for independent spins: atanh of the mean is field + atanh(rho) x."""

    def __init__(self, shape):
        super().__init__()
        self.field = nn.Parameter(torch.zeros(shape))

    def forward(self, x, rho):
        return self.field + torch.atanh(rho) * x


class CrossEntropy(Loss):
    def draw(self, model, x0, generator):
        t = model.process.horizon * generator.uniform(x0[:, :1]).clamp_min(0.01)
        rho = torch.exp(-2 * t)
        return {"x0": x0, "rho": rho, "x": Bernoulli(rho * x0).sample(generator)}

    def evaluate(self, model, examples):
        logits = 2 * model.network(examples["x"], examples["rho"]) * examples["x0"]
        return nn.functional.softplus(-logits).mean(1)


def coins(*, seed):
    def fresh(n, generator):
        return Bernoulli(torch.tensor([0.6, -0.2, 0.0]).expand(n, 3)).sample(Generator.of(generator))

    generator = torch.Generator().manual_seed(seed)
    return Dataset(name="coins", train=fresh(4000, generator), held_out=fresh(100, generator), fresh=fresh)


def tails(samples, reference, *, generator):
    return {f"spin-{k}": float(samples[:, k].mean()) for k in range(samples.shape[1])}
'''


@pytest.fixture(scope="module")
def spins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spins")
    site = folder / "site"
    site.mkdir()
    plugin(site, "difrun-coin", DECLARED)
    (site / "coin_parts.py").write_text(PARTS, encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from difrun.cli import main; main()"
    flags = [
        "--process",
        "flip",
        "--train.steps",
        "400",
        "--train.lr",
        "0.02",
        "--n",
        "20000",
        "--steps",
        "40",
    ]
    command = [sys.executable, "-c", code, *flags, "--out", "run"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_spins_run_from_training_to_the_report(spins):
    promised = {"run.toml", "model.safetensors", "samples.npz", "metrics.json", "report.html"}
    assert promised <= {p.name for p in spins.iterdir()}
    assert "signal" not in facts(spins)


def test_their_samples_have_the_distribution_of_the_data(spins):
    """Independent spins: means (0.6, −0.2, 0) within five standard errors; no correlation."""
    x = samples(spins)
    assert set(np.unique(x)) == {-1.0, 1.0}
    error = 5 * (1 / len(x) + 1 / 4000) ** 0.5
    np.testing.assert_allclose(x.mean(0), [0.6, -0.2, 0.0], atol=error)
    np.testing.assert_allclose(np.cov(x.T)[np.triu_indices(3, 1)], 0, atol=5 / len(x) ** 0.5)


def test_they_have_no_likelihood_and_are_told_so(spins):
    site = spins.parent / "site"
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from difrun.cli import main; main()"
    command = [sys.executable, "-c", code, "evaluate", "run", "--likelihood"]
    done = subprocess.run(command, cwd=spins.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    words = "the likelihood needs a Gaussian process, which has a probability flow; 'flip' has none."
    assert words in " ".join(done.stderr.split())
    assert "likelihood" not in facts(spins)


def test_their_samplers_are_compared(spins):
    """Without a flow there is no exact endpoint: that is said, and the rest is there."""
    site = spins.parent / "site"
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from difrun.cli import main; main()"
    flags = ["--steps", "3,40", "--exact", "--out", "compared"]
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", "run", *flags],
        cwd=spins.parent,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    three, forty = json.loads((spins.parent / "compared" / "compare.json").read_text(encoding="utf-8"))[
        "rows"
    ]
    assert (three["sampler"], three["evaluations"], forty["evaluations"]) == ("ancestral", 3, 40)
    assert "process 'flip' has no probability flow" in three["exact_note"]
    # The run's own row: the samples of the run once more.
    assert forty["tails.spin-0"] == facts(spins)["metrics"]["tails.spin-0"]["value"]


def test_the_conformance_kit_checks_their_process(spins):
    """All rules for processes of finitely many states; that they can fail is for `tests/core/test_testing.py`."""
    folder = spins.parent
    (folder / "test_coin.py").write_text(KIT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "test_coin.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert "12 passed" in done.stdout, done.stdout + done.stderr


KIT = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "site"))

import pytest

from difrun.testing.collect import collect

CASES = [case for case in collect("difrun-coin")[0] if case.check.provides == {"discrete"}]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_process(case):
    case.check.run(case.subject)
"""
