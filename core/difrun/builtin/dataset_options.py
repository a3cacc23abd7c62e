"""Options of the built-in datasets. No torch here: `difrun --help` reads it."""

import re
from pathlib import Path

import attrs
from attrs.validators import ge, gt, lt

from difrun.api import option
from difrun.contract import MIN_EXAMPLES

FILE_SUFFIXES = (".npy", ".npz", ".csv")


def looks_like_file(name: str) -> bool:
    """Whether what a user typed after ``--dataset`` is a file: it has a suffix, or a folder in it.

    Names of components hold neither dots (after the distribution, ``dist:name``) nor slashes.
    """
    return bool(re.search(r"[/\\]|\.\w+$", name))


@attrs.frozen
class SyntheticOptions:
    n: int = option(10000, "Number of training examples.", ge(MIN_EXAMPLES))


@attrs.frozen
class RingsOptions(SyntheticOptions):
    noise: float = option(0.02, "Standard deviation of the noise across the rings.", gt(0))


@attrs.frozen
class BlobsOptions(SyntheticOptions):
    distance: float = option(2.0, "The blobs lie at (a, a) and (−a, −a); this is a.", ge(0))
    variance: float = option(0.1, "Variance of each blob, per coordinate.", gt(0))


@attrs.frozen
class GmmOptions(SyntheticOptions):
    modes: int = option(8, "Number of Gaussians, evenly spaced on a circle.", ge(1))
    radius: float = option(2.0, "Radius of the circle.", ge(0))
    std: float = option(0.2, "Standard deviation of each Gaussian, per coordinate.", gt(0))


@attrs.frozen
class MoonsOptions(SyntheticOptions):
    noise: float = option(0.05, "Standard deviation of the noise across the moons.", gt(0))


@attrs.frozen
class CheckerboardOptions(SyntheticOptions):
    squares: int = option(4, "Squares along each side of the board [−2, 2]².", ge(2))


@attrs.frozen
class SpiralOptions(SyntheticOptions):
    turns: float = option(2.0, "Turns of the spiral, from its centre to radius 2.", gt(0))
    noise: float = option(0.05, "Standard deviation of the noise across the arm.", gt(0))


@attrs.frozen
class BimodalOptions(SyntheticOptions):
    distance: float = option(1.0, "The two Gaussians lie at −a and a; this is a.", ge(0))
    std: float = option(0.25, "Standard deviation of each Gaussian.", gt(0))
    weight: float = option(0.5, "Probability of the Gaussian at −a.", gt(0), lt(1))


@attrs.frozen
class FileOptions:
    path: Path | None = option(None, "The file: .npy, .npz or .csv, one example per row.", metavar="FILE")
    key: str | None = option(None, "Which array of a .npz file; without it the only one, or 'x'.")
    label: str | None = option(
        None,
        "Where the classes are: a column of a .csv file, by name or number; an array of a .npz file, without it 'y'.",
    )
    standardise: bool = option(True, "Scale every column to mean 0 and variance 1 for the model.")
    held_out: float = option(
        0.2, "Fraction of the rows kept from training, to measure against.", gt(0), lt(1)
    )
