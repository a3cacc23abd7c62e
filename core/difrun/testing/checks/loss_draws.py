"""Rules for losses of Gaussian processes: the times and the noise that they draw."""

import inspect

import torch

from difrun.loss.base import Loss
from difrun.model.exact import ExactMixture
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.testing.checks.loss import USABLE, data
from difrun.testing.references import two_gaussians
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, RuleBroken, ensure, ensure_close, name_of

BINS = 40
COVERED = 0.85
"""Least share of the bins that a loss draws from. Log-normal times leave out up to a tenth of the range of λ."""


@check("loss", alone_in=USABLE)
def draws_times_from_the_whole_range(subject: ComponentUnderTest) -> None:
    """20 000 times fall into 85 % or more of 40 equal parts of [t_min, T], or of the range of λ.

    What is never trained on is never learnt, and sampling passes through every time.
    """
    loss = subject.make()
    for process in subject.partners:
        t = _drawn(loss, process, 20000)["t"].double().flatten()
        inside = bool(((t >= 0.99 * process.t_min) & (t <= 1.01 * process.horizon)).all())
        ensure(
            inside,
            f"times from {t.min():.4g} to {t.max():.4g}",
            f"{process.t_min:.4g} to {process.horizon:g}",
        )
        low, high = process.lam_range
        lam = process.log_snr(t.clamp(process.t_min, process.horizon)).clamp(low, high)
        parts = {
            "of time": (t - process.t_min) / (process.horizon - process.t_min),
            "of λ": (lam - low) / (high - low),
        }
        covered = {name: _covered(share) for name, share in parts.items()}
        best = max(covered.values())
        said = ", ".join(f"{share:.0%} of the range {name}" for name, share in covered.items())
        ensure(best >= COVERED, f"times on {name_of(process)} cover {said}", f"{COVERED:.0%} of one of them")


def _covered(share: torch.Tensor) -> float:
    return len((share * BINS).long().clamp(0, BINS - 1).unique()) / BINS


def _drawn(loss: Loss, process: GaussianProcess, n: int) -> dict[str, torch.Tensor]:
    drawn = loss.draw(ExactMixture(two_gaussians(), process), data(n, torch.float64), Generator(7))
    if "t" not in drawn:
        raise NotTried("what it draws holds no times 't'")
    return drawn


@check("loss", alone_in=USABLE)
def uses_the_noise_that_it_is_given(subject: ComponentUnderTest) -> None:
    """With `noise` given, x_t is that of this noise, to 1e-9: training on couples pairs each example with its own.

    `draw` has an argument `noise`. Other random numbers, such as times, are still drawn.
    """
    loss = subject.make()
    if "noise" not in inspect.signature(loss.draw).parameters:
        raise RuleBroken("draw has no argument `noise`", "draw(model, x0, generator, noise=None)")
    process = subject.partners[0]
    model, x0 = ExactMixture(two_gaussians(), process), data(50, torch.float64)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    drawn = loss.draw(model, x0, Generator(7), noise=noise)
    other = loss.draw(model, x0, Generator(7), noise=noise + 1)
    changed = any(not torch.equal(drawn[name], other[name]) for name in drawn)
    ensure(changed, "the same is drawn for two noises", "inputs or targets that depend on the noise given")
    if "t" in drawn and "x" in drawn:
        expected = process.diffuse(x0, noise, process.at(drawn["t"], x0.ndim))
        ensure_close(drawn["x"].double(), expected.double(), "x_t for the noise given", rtol=1e-9, atol=1e-9)
