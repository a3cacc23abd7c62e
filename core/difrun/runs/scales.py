"""Whether data and forward process are of one scale: the final noise finer than the data, and the mean within reach."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.data.checks import coordinate_name
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.process.gaussian import GaussianProcess

EPS = torch.finfo(torch.float32).eps
"""Relative spacing of the float32 numbers in which a model computes."""


def check_scales(process: Any, dataset: Dataset) -> list[str]:
    """Compare the widths of the data with the final noise, and with the digits that the mean μ leaves.

    Samples carry noise of deviation σ/α = `noise_floor` at t_min, in the units of the model. Coordinates are counted
    from μ in float32, so that a μ far from the data leaves few digits for them.

    Args:
        process: The forward process; only a Gaussian one has such noise.
        dataset: The data.

    Returns:
        Sentences on what is close to these limits.

    Raises:
        DifrunError: If the final noise is wider than the data, or μ is so far from the data that the final noise
            cannot be resolved.
    """
    if not isinstance(process, GaussianProcess):
        return []
    return [
        *_noise_against_width(process.noise_floor, dataset),
        *_digits_left(process, dataset),
    ]


def _noise_against_width(noise: float, dataset: Dataset) -> Iterator[str]:
    std = dataset.var.sqrt()
    varies = std > 0
    hidden = varies & (std < noise)
    if not bool(hidden.any()):
        return
    if int(hidden.sum()) == int(varies.sum()):
        raise DifrunError(
            f"dataset '{dataset.name}' has a standard deviation of at most {float(std.max()):.3g}, below that of the "
            f"noise that remains in every sample, {noise:g} (--process.noise-floor). Samples would be that noise. "
            f"{_remedy(dataset)}"
        )
    # In images, pixels that hardly vary are at the margin; a column that vanishes in noise is one to know of.
    if len(dataset.shape) == 1:
        first = hidden.nonzero()[0].tolist()
        yield (
            f"{_names(hidden, dataset.columns)}: narrower ({float(std[tuple(first)]):.3g}) than the noise that remains "
            f"in every sample, {noise:g} (--process.noise-floor). {_remedy(dataset)}"
        )


def _remedy(dataset: Dataset) -> str:
    if dataset.scaling is None:
        return "Scale the data (files: --dataset.scale std), or choose a smaller --process.noise-floor."
    return "Choose a smaller --process.noise-floor."


def _digits_left(process: GaussianProcess, dataset: Dataset) -> Iterator[str]:
    centre = process.centre_like(dataset.mean.double()[None])
    if not isinstance(centre, Tensor):
        return
    distance = float((dataset.mean.double() - centre).abs().max())
    step, noise = EPS * distance, process.noise_floor
    if step < 0.1 * noise:
        return
    far = (
        f"the mean of the process, --process.mu, is {distance:.3g} away from the mean of dataset '{dataset.name}'"
        f"{'' if dataset.scaling is None else ' in its scaled units'}; at that distance 32-bit numbers are {step:.2g} "
        "apart"
    )
    if step >= noise:
        raise DifrunError(
            f"{far}, more than the noise that remains in every sample, {noise:g} (--process.noise-floor). Choose a "
            "--process.mu near the data."
        )
    yield f"{far}, near the noise that remains in every sample, {noise:g} (--process.noise-floor)"


def _names(chosen: Tensor, columns: Sequence[str]) -> str:
    indices = chosen.nonzero().tolist()
    shown = ", ".join(coordinate_name(index, columns) for index in indices[:3])
    return shown + (f" and {len(indices) - 3} more" if len(indices) > 3 else "")
