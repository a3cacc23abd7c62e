r"""Reflow: the second rectification, and how straight a flow is.

A trained flow carries noise ε to a sample x_0 along a curve. A second flow, trained on the couples (ε, x_0) instead of
independent pairs, has the same marginals and straighter curves, so that fewer steps of Euler's method are enough.

References:
    Liu et al. (2023), arXiv 2209.03003, sec. 2.2, theorems 3.3, 3.5 and 3.7.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data import Dataset, Origin
from difrun.errors import DifrunError
from difrun.model import ScoreModel, in_eval_mode, labels_as_in_data
from difrun.plugin import get_registry
from difrun.randomness import Generator, seed_of
from difrun.runs import Run, reopen
from difrun.runs.build import grid_times
from difrun.sampler import Euler, integrate, to_data

CHUNK = 4096
"""Couples drawn in one pass."""


def reflow(
    *,
    seed: int,
    run: Path | None = None,
    n: int = 20000,
    sampler: str | None = None,
    steps: int | None = None,
) -> Dataset:
    """The couples (noise, sample) that the probability flow of a trained run makes.

    The noise is the ε of the prior x_T = E[x_T] + std[x_T] ε. The distribution, held-out examples and units are those
    of the run's own dataset, so that samples are still compared with real data. A run on the couples keeps them in its
    folder and no longer needs the first run.

    Args:
        seed: The seed of the noise.
        run: The folder of the trained run, whose model and grid are used.
        n: The number of couples.
        sampler: A deterministic sampler. None takes the run's own.
        steps: The number of steps. None takes the run's own.

    Returns:
        A dataset with the samples as `train` and their noise as `noise`. If the model knows classes, the couples are
        labelled with them; if it takes a condition beside x, they have those of the run's examples in turn.

    Raises:
        DifrunError: If no run is given, it is not trained, it fills gaps in x itself, or the sampler is stochastic: its
            samples would not be a function of the noise.
    """
    if run is None:
        raise DifrunError("dataset 'reflow' needs a trained run: --dataset.run RUN, the folder of one.")
    first = reopen(run, threads=torch.get_num_threads())
    if not first.trained:
        raise DifrunError(f"{run} has not been trained to the end. Run 'difrun resume {run}' first.")
    if getattr(first.model, "completes", False):
        raise DifrunError(
            f"the model of {run} fills gaps in x itself (--dataset.missing condition). Given what is known of a "
            "sample, its noise is no longer normal, so that its couples would teach a second flow something else. Take "
            "a run that was trained without: --train.label-dropout 1."
        )
    noise, samples = couples(first, n, seed=seed, sampler=sampler, steps=steps)
    data, labels = first.parts.dataset, labels_as_in_data(first.model, n)
    told: dict[str, Any] = {"condition": None, "conditional": None}
    if labels is None or labels.is_floating_point():
        told |= {"labels": None, "held_out_labels": None, "classes": ()}
        told |= {"fresh_labelled": None, "component_labels": None}
    else:
        told["labels"] = labels
    if labels is not None and data.condition is not None:
        told = {"condition": attrs.evolve(data.condition, train=labels)}
    return attrs.evolve(data, name="reflow", train=samples, noise=noise, origin=_origin(first), **told)


def _origin(run: Run) -> Origin | None:
    """The dataset whose distribution is known: the run's own or, after several reflows, that of the first run.

    None for examples from a file.
    """
    data, chosen = run.parts.dataset, run.plan.dataset
    if data.fresh is None or data.origin is not None:
        return data.origin
    return Origin(chosen.name, chosen.record(), seed_of(run.plan.seed, "dataset"))


def couples(
    run: Run, n: int, *, seed: int, sampler: str | None = None, steps: int | None = None
) -> tuple[Tensor, Tensor]:
    """Draw n couples of noise and sample by the probability flow of a run.

    Args:
        run: The trained run.
        n: The number of couples.
        seed: The seed of the noise.
        sampler: A deterministic sampler. None takes the run's own.
        steps: The number of steps. None takes the run's own.

    Returns:
        The standard normal ε and the samples x_0, each with shape (n, *shape), on the CPU.

    Raises:
        DifrunError: If the sampler is stochastic.
    """
    if sampler is None:
        method, name = run.plan.sampler.make(), run.plan.sampler.name
    else:
        method, name = get_registry().get("sampler", sampler).load()(), sampler
    if method.stochastic:
        raise DifrunError(
            f"sampler '{name}' is stochastic: its samples are not a function of the noise they start from. "
            "Choose a deterministic one: --dataset.sampler heun"
        )
    model = run.model
    times = grid_times(run.plan.grid, model, steps or run.plan.sample.steps, method)
    noises, samples, labels = [], [], labels_as_in_data(model, n)
    for start in range(0, n, CHUNK):
        generator = Generator(seed, first=start, device=run.device)
        noise = generator.normal(torch.empty((min(CHUNK, n - start), *model.shape), device=run.device))
        chunk = model
        if labels is not None:
            chunk = model.condition_on(labels[start : start + len(noise)].to(run.device))
        x = chunk.prior(len(noise), _FixedNoise(noise), device=run.device)
        end = integrate(method, chunk, x, times, generator=generator)
        samples.append(to_data(model.process, end, times[-1]).cpu())
        noises.append(noise.cpu())
    return torch.cat(noises), torch.cat(samples)


class _FixedNoise(Generator):
    """A generator that returns one given noise."""

    def __init__(self, noise: Tensor):
        super().__init__(0)
        self.noise = noise

    def normal(self, like: Tensor) -> Tensor:
        return self.noise


@in_eval_mode
@torch.no_grad()
def straightness(model: ScoreModel, noise: Tensor, times: Sequence[float]) -> float:
    r"""Measure how far the trajectories of the probability flow are from straight lines.

        S = ∫ E ‖(y_T − y_0) − dy/dτ‖² dτ

    summed over coordinates. S is 0 if every trajectory is a straight line. The coordinates are those of the straight
    frame (`difrun.sampler.base`), which on rectified flow are x and t; τ is scaled to [0, 1].

    Args:
        model: The model of the flow.
        noise: The starting points x_T, with shape (n, ...).
        times: Times from T to t_min, close enough for Euler's method.

    References:
        Liu et al. (2023), arXiv 2209.03003, sec. 2.2.
    """
    centre = model.process.centre_like(noise)
    instants = model.process.instants(times)
    taus = [at.sigma / (at.alpha + at.sigma) for at in instants]
    x, slopes = noise, []
    for k, at in enumerate(instants[:-1]):
        slopes.append(model.predict(x, at, "straight"))
        x = integrate(Euler(), model, x, times[k : k + 2])
    first, last = (
        (y - centre) / (at.alpha + at.sigma) for y, at in ((noise, instants[0]), (x, instants[-1]))
    )
    span = taus[0] - taus[-1]
    chord = (first - last) / span
    gaps = [(chord - slope).flatten(1).square().sum(1).mean().item() for slope in slopes]
    return sum(gap * (tau - to) / span for gap, tau, to in zip(gaps, taus, taus[1:], strict=False))
