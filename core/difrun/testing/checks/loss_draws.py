"""Rules for losses of Gaussian processes: the times and the noise that they draw, and what of them counts."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from difrun.loss.base import Loss
from difrun.model.exact import ExactMixture
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.testing.checks.loss import USABLE, data, network_model
from difrun.testing.checks.process_distributions import ensure_independent, ensure_standard_normal
from difrun.testing.references import Disturbed, Isotropic, two_gaussians
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, RuleBroken, ensure, ensure_close, ensure_in_proportion, name_of

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


@check("loss", alone_in=USABLE)
def draws_noise_of_the_normal_law(subject: ComponentUnderTest) -> None:
    """(x_t − μ − α(x_0 − μ))/σ is N(0, 1), another number for every row and coordinate: Kolmogorov–Smirnov, p > 1e-6.

    With 10 000 examples; correlations of coordinates, and of neighbouring rows, are 0 ± 0.05.
    """
    loss, n = subject.make(), 10000
    process = subject.partners[0]
    x0 = data(n, torch.float64)
    drawn = loss.draw(ExactMixture(two_gaussians(), process), x0, Generator(7))
    if "t" not in drawn or "x" not in drawn:
        raise NotTried("what it draws holds no times 't' and no 'x'")
    at = process.at(drawn["t"].double(), x0.ndim)
    centre = process.centre_like(x0)
    z = (drawn["x"].double() - centre - at.alpha * (x0 - centre)) / at.sigma
    ensure_standard_normal(z, "x_t")
    ensure_independent(z, "the noise in x_t")


@check("loss", alone_in=USABLE)
def counts_every_coordinate(subject: ComponentUnderTest) -> None:
    """An error of the model in one coordinate alone changes the loss, whichever it is; images count as vectors do.

    The loss of images is that of the vectors of their pixels, to 1e-6.
    """
    loss, process = subject.make(), subject.partners[0]
    model, x0 = ExactMixture(two_gaussians(), process), data(50, torch.float64)
    best = loss(model, x0, Generator(3))

    def only(column: int) -> Callable[[Tensor, Any], Tensor]:
        return lambda x, at: (torch.arange(x.shape[1]) == column).to(x).expand_as(x)

    for column in range(2):
        other = loss(Disturbed(model, 0.3, only(column)), x0, Generator(3))
        ensure(
            not torch.equal(other, best), f"an error in coordinate {column + 1} has no effect", "another loss"
        )
    image, vector = Isotropic((2, 3, 3), process), Isotropic((18,), process)
    pixels = 1 + torch.randn(20, 18, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    of_images = loss(image, pixels.reshape(20, 2, 3, 3), Generator(3))
    ensure_close(of_images, loss(vector, pixels, Generator(3)), "the loss of images", rtol=1e-6, atol=1e-9)


@check("loss", alone_in=USABLE)
def computes_in_the_precision_of_its_examples(subject: ComponentUnderTest) -> None:
    """In float64 an error of the model by 1e-9 changes the losses as one by 1e-6 does, in proportion, to 1 %."""
    loss, process = subject.make(), subject.partners[0]
    model, x0 = ExactMixture(two_gaussians(), process), data(50, torch.float64)
    drawn = loss.draw(model, x0, Generator(3))

    def losses(size: float) -> Tensor:
        return loss.evaluate(Disturbed(model, size, lambda x, at: torch.ones_like(x)), drawn)

    small, large = ((losses(size) - losses(-size)) / (2 * size) for size in (1e-9, 1e-6))
    ensure_in_proportion(small, large, "an error by 1e-9")


@check("loss", alone_in=USABLE)
def computes_where_its_examples_are(subject: ComponentUnderTest) -> None:
    """The losses of examples on the device "meta" are there, where a tensor made on the CPU raises."""
    loss, process = subject.make(), subject.partners[0]
    model = network_model(process).to("meta")
    drawn = loss.draw(network_model(process), data(6), Generator(3))
    drawn = {name: value.to("meta") for name, value in drawn.items()}
    ensure(loss.evaluate(model, drawn).is_meta, "losses of examples on 'meta' are not there", "there")
