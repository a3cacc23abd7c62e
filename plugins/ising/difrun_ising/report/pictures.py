"""The pictures that lattices and strings bring to the report of a run."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from torch import Tensor

from difrun.data import Drawing, Scene
from difrun_ising.lattice.lattice import shaped
from difrun_ising.lattice.moments import counts, reaches
from difrun_ising.report import curves, draw

SHOWN = 400
"""Lattices from which a mosaic takes as many as fit."""

REAL = 5000
"""Real lattices, where no exact distribution is known."""


def spin_pictures(scene: Scene) -> Iterator[Drawing]:
    """Lattices, distributions of M and E, C(r), raster and film.

    Where the couplings are not known the distributions are compared with real lattices, as with free boundaries and
    J = 1.
    """
    yield from _looks(scene, "Lattices", "Spins up are dark.", categories=False)
    known = getattr(scene.dataset, "lattice", None)
    lattice = known or shaped(scene.dataset.shape)

    shape = (-1, *lattice.shape)

    @cache
    def real() -> Tensor:
        return scene.reference(REAL).reshape(shape)

    def of(draws: Callable[..., Any], enough: bool) -> Callable[[], Any]:
        exact = known is not None and enough
        return lambda: draws(scene.samples.reshape(shape), lattice, None if exact else real(), exact=exact)

    yield Drawing(
        "distributions",
        "Magnetisation and energy",
        "Points are shares of the samples; in the band lie those of as many real lattices, ±2 standard errors.",
        "Histograms of magnetisation and energy per spin.",
        of(curves.distributions, counts(lattice)),
    )
    if lattice.reach:
        yield Drawing(
            "correlation",
            "Correlation",
            "C(r) = ⟨s₀ sᵣ⟩ along an axis, and how far that of the samples is off, beside ±2 standard errors.",
            "C(r) of samples and the exact one.",
            of(curves.correlations, reaches(lattice)),
        )
    yield from _in_time(scene, "lattice", categories=False)


def string_pictures(scene: Scene) -> Iterator[Drawing]:
    """Strings, their transitions, raster and film."""
    yield from _looks(scene, "Strings", "One string per row, one colour per letter.", categories=True)
    if scene.dataset.shape[-2] > 1:
        yield Drawing(
            "transitions",
            "Transitions",
            "How often a letter (column) follows another (row).",
            "Matrices of transition probabilities of data and samples, and their difference.",
            lambda: curves.transitions(scene.reference(REAL), scene.samples),
        )
    yield from _in_time(scene, "string", categories=True)


def _looks(scene: Scene, title: str, caption: str, *, categories: bool) -> Iterator[Drawing]:
    yield Drawing(
        "samples",
        title,
        f"Real ones that were not trained on, and samples. {caption}",
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
        f"One {name}, flattened row by row, over time: a real one that is noised, and a sample that comes to be.",
        "Two rasters of sites against time.",
        raster,
    )
    yield Drawing(
        "reverse", "Noise becomes samples", "The run's own sampler, step by step.", "Animation.", film
    )
