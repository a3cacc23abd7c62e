"""The pictures that lattices and strings bring to the report of a run."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from torch import Tensor

from difrun.data import Drawing, Scene
from difrun_ising.lattice.exact.moments import has_distributions, has_transfer_matrix
from difrun_ising.lattice.lattice import free_lattice
from difrun_ising.report import curves, draw

SHOWN = 400
"""Lattices that a mosaic may show."""

REFERENCE = 5000
"""Real lattices that stand for the distribution where it is not known exactly."""


def spin_pictures(scene: Scene) -> Iterator[Drawing]:
    """The pictures of a run on lattices: lattices, distributions of M and E, C(r), raster and film.

    Where the couplings are not known, samples are compared with real lattices, with J = 1 and free boundaries.
    """
    yield from _samples(scene, "Lattices", "Spins up are dark.", categories=False)
    known = getattr(scene.dataset, "lattice", None)
    lattice = known or free_lattice(scene.dataset.shape)
    shape = (-1, *lattice.shape)

    @cache
    def real() -> Tensor:
        return scene.reference(REFERENCE).reshape(shape)

    def curve(draw_curve: Callable[..., Any], computable: bool) -> Callable[[], Any]:
        exact = known is not None and computable
        return lambda: draw_curve(
            scene.samples.reshape(shape), lattice, None if exact else real(), exact=exact
        )

    yield Drawing(
        "distributions",
        "Magnetisation and energy",
        "Points are shares of the samples; the band shows where as many real lattices lie, ±2 standard errors.",
        "Histograms of magnetisation and energy per spin.",
        curve(curves.distributions, has_distributions(lattice)),
    )
    if lattice.reach:
        yield Drawing(
            "correlation",
            "Correlation",
            "C(r) = ⟨s₀ sᵣ⟩ along an axis, and the error of that of the samples, beside ±2 standard errors.",
            "C(r) of samples and the exact one.",
            curve(curves.correlations, has_transfer_matrix(lattice)),
        )
    yield from _in_time(scene, "lattice", categories=False)


def string_pictures(scene: Scene) -> Iterator[Drawing]:
    """The pictures of a run on strings: strings, transitions, raster and film."""
    yield from _samples(scene, "Strings", "One string per row, one colour per letter.", categories=True)
    if scene.dataset.shape[-2] > 1:
        yield Drawing(
            "transitions",
            "Transitions",
            "How often a letter (column) follows another (row).",
            "Matrices of transition probabilities of data and samples, and their difference.",
            lambda: curves.transitions(scene.reference(REFERENCE), scene.samples),
        )
    yield from _in_time(scene, "string", categories=True)


def _samples(scene: Scene, title: str, caption: str, *, categories: bool) -> Iterator[Drawing]:
    yield Drawing(
        "samples",
        title,
        f"Held-out {title.lower()}, which were not trained on, and samples. {caption}",
        f"{title} of data and of samples.",
        lambda: draw.lattices(scene.dataset.held_out[:SHOWN], scene.samples[:SHOWN], categories=categories),
    )


def _in_time(scene: Scene, name: str, *, categories: bool) -> Iterator[Drawing]:
    def raster() -> Any:
        times, path = scene.forward(1, frames=160)
        back, frames = scene.reverse(1)
        return draw.raster((times, path[:, 0]), (back, frames[:, 0]), categories=categories)

    def film() -> Any:
        return draw.film(*scene.reverse(SHOWN // 4), categories=categories)

    yield Drawing(
        "raster",
        "Raster",
        f"One {name}, flattened row by row, over time: a real one becomes noise, and noise becomes a sample.",
        "Two rasters of sites against time.",
        raster,
    )
    yield Drawing(
        "reverse", "Noise becomes samples", "The run's own sampler, step by step.", "Animation.", film
    )
