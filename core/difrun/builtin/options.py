"""Options of the core's own components, without torch."""

import re
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import attrs
from attrs.validators import ge, gt, in_, le, lt, optional

from difrun.api import MIN_EXAMPLES, option

MOST_EXAMPLES = 10**9
"""The most examples and samples: more do not fit into the memory of any machine."""

MOST_SCALE = 1e6
"""The largest coordinates of the datasets that are drawn: beyond, the schedules of all processes are too quiet."""


def _even(_: Any, attribute: attrs.Attribute, value: int) -> None:
    if value < 2 or value % 2:
        raise ValueError(
            f"'{attribute.name}' must be an even number, at least 2 (one cosine for each sine); got {value}"
        )


@attrs.frozen
class MLPOptions:
    """Options of the network `mlp`."""

    width: int = option(128, "Width of the hidden layers.", ge(1), le(2**14))
    depth: int = option(3, "Number of residual blocks.", ge(0), le(1000))
    features: int = option(32, "Sinusoidal features of the noise level, an even number.", _even, le(2**14))


TUNABLE = range(2, 61)
"""Numbers of steps that a model can be tuned for: one step has no grid, and beyond 60 there is nothing to gain."""


@attrs.frozen
class RhoOptions:
    """Options of the grid `rho`."""

    rho: float = option(7.0, "Exponent ρ: larger values put more steps at small noise.", ge(0.1), le(1e6))


@attrs.frozen
class AdamsOptions:
    """Options of the sampler `adams`."""

    fixed_order: int | None = option(
        None, "Order, 1 to 6; none: chosen by the number of steps.", optional(in_(range(1, 7)))
    )


@attrs.frozen
class ExponentialOptions:
    """Options of the sampler `exponential`."""

    predictor_order: int = option(3, "Order of the predictor, 1 to 4.", in_(range(1, 5)))
    corrected: bool = option(
        False, "Correct every step with the slope at its end, which raises the order by 1."
    )


Pair = Literal["bogacki-shampine", "dormand-prince"]


@attrs.frozen
class AdaptiveOptions:
    """Options of the sampler `adaptive`."""

    pair: Pair = option(
        "dormand-prince",
        "Embedded pair: orders 3 and 2 with three, or 5 and 4 with six evaluations per step.",
        in_(get_args(Pair)),
    )
    rtol: float = option(1e-4, "Error allowed in a step, relative to the size of the coordinates.", gt(0))
    atol: float = option(1e-4, "Error allowed in a step in addition, in units of the data.", gt(0))


Weighting = Literal["uniform", "snr", "min-snr", "edm"]
Times = Literal["uniform", "log-snr", "log-normal", "logit-normal"]


@attrs.frozen
class X0Options:
    """Options of the loss `x0`."""

    weighting: Weighting = option(
        "uniform",
        "Weight of the squared error of x̂_0: 1, α²/σ², min(α²/σ², 5), or α²/σ² + 1/σ_d².",
        in_(get_args(Weighting)),
    )
    times: Times = option("log-snr", "Distribution of the training time.", in_(get_args(Times)))


@attrs.frozen
class MinSNROptions:
    """Options of the loss `min-snr`."""

    gamma: float = option(5.0, "Bound γ of the weight, min(α²/σ², γ).", gt(0))
    times: Times = option("log-snr", "Distribution of the training time.", in_(get_args(Times)))


FILE_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")


def looks_like_file(name: str) -> bool:
    """Whether the text after ``--dataset`` is a file: it has a suffix, or names a folder.

    Names of components hold neither dots (after the distribution, ``dist:name``) nor slashes.
    """
    return bool(re.search(r"[/\\]|\.\w+$", name))


@attrs.frozen
class SyntheticOptions:
    """Options of every dataset that is drawn from a distribution."""

    n: int = option(10000, "Number of training examples.", ge(MIN_EXAMPLES), le(MOST_EXAMPLES))


@attrs.frozen
class RingsOptions(SyntheticOptions):
    """Options of the dataset `rings`."""

    noise: float = option(0.02, "Standard deviation of the noise across the rings.", gt(0), le(MOST_SCALE))


@attrs.frozen
class BlobsOptions(SyntheticOptions):
    """Options of the dataset `blobs`."""

    distance: float = option(2.0, "The blobs lie at (a, a) and (−a, −a); this is a.", ge(0), le(MOST_SCALE))
    variance: float = option(0.1, "Variance of each blob, per coordinate.", gt(0), le(MOST_SCALE))


@attrs.frozen
class GmmOptions(SyntheticOptions):
    """Options of the dataset `gmm`."""

    modes: int = option(8, "Number of Gaussians, evenly spaced on a circle.", ge(1), le(10_000))
    radius: float = option(2.0, "Radius of the circle.", ge(0), le(MOST_SCALE))
    std: float = option(0.2, "Standard deviation of each Gaussian, per coordinate.", gt(0), le(MOST_SCALE))


@attrs.frozen
class GmmGivenOptions(SyntheticOptions):
    """Options of the dataset `gmm-given`."""

    modes: int = option(4, "Number of Gaussians, evenly spaced on a circle.", ge(1), le(1000))


@attrs.frozen
class MoonsOptions(SyntheticOptions):
    """Options of the dataset `moons`."""

    noise: float = option(0.05, "Standard deviation of the noise across the moons.", gt(0), le(MOST_SCALE))


@attrs.frozen
class CheckerboardOptions(SyntheticOptions):
    """Options of the dataset `checkerboard`."""

    squares: int = option(4, "Squares along each side of the board [−2, 2]².", ge(2), le(1000))


@attrs.frozen
class SpiralOptions(SyntheticOptions):
    """Options of the dataset `spiral`."""

    turns: float = option(2.0, "Turns of the spiral, from its centre to radius 2.", gt(0), le(1000))
    noise: float = option(0.05, "Standard deviation of the noise across the arm.", gt(0), le(MOST_SCALE))


@attrs.frozen
class BimodalOptions(SyntheticOptions):
    """Options of the dataset `bimodal-1d`."""

    distance: float = option(1.0, "The two Gaussians lie at −a and a; this is a.", ge(0), le(MOST_SCALE))
    std: float = option(0.25, "Standard deviation of each Gaussian.", gt(0), le(MOST_SCALE))
    weight: float = option(0.5, "Probability of the Gaussian at −a.", gt(0), lt(1))


Scale = Literal["auto", "std", "robust", "pixels", "none"]


@attrs.frozen
class FileOptions:
    """Options of the dataset `file`."""

    FORMER: ClassVar[dict[str, str]] = {
        "standardise": 'write scale = "std" for standardise = true, and scale = "none" for false',
    }
    """Options of earlier versions, and what to write instead."""

    path: Path | None = option(
        None, "The file: .npy, .npz, .csv or .parquet, one example per row.", metavar="FILE"
    )
    key: str | None = option(None, "Which array of a .npz file; none: the only one, or 'x'.")
    label: str | None = option(
        None,
        "Where the classes are: a column of a .csv file, by name or number, or an array of a .npz file; none: 'y'.",
    )
    condition: tuple[str, ...] | None = option(
        None,
        "What samples are drawn given: columns of a .csv or .parquet file, by name or number: a,b; or an array of a "
        ".npz file; none: 'c', without labels.",
    )
    header: Literal["auto", "yes", "no"] = option(
        "auto", "Whether the first line of a .csv file holds names; auto asks where that is not certain."
    )
    columns: tuple[str, ...] | None = option(
        None, "Columns of a .csv or .parquet file to read, by name or number: a,b or 2,3; none: all."
    )
    decimal: Literal["auto", "point", "comma"] = option(
        "auto", "Decimal sign of a .csv file; auto is the point, and asks where commas look like it."
    )
    missing: Literal["refuse", "drop", "mean", "condition"] = option(
        "refuse",
        "What is done about missing values: refuse them, drop their rows, fill them with the mean of the column, or "
        "(condition) drop their rows and learn to fill gaps: samples are drawn given any of the columns.",
    )
    scale: Scale = option(
        "auto",
        "How every column is scaled for the model: to mean 0 and variance 1 (std), to median 0 and interquartile range "
        "1.349, which values far out do not move (robust), from 0 to white to −1 to 1 (pixels), or not at all (none); "
        "auto: pixels for images of 8 bits, else std.",
        in_(get_args(Scale)),
    )
    held_out: float = option(
        0.2, "Fraction of the rows kept from training, to measure against.", gt(0), lt(1)
    )


@attrs.frozen
class ArrayOptions:
    """Options of the dataset `array`."""

    label: str | None = option(
        None, "The column of a data frame that holds the classes; none: there is none."
    )
    condition: tuple[str, ...] | None = option(
        None, "The columns of a data frame that samples are drawn given; none: there are none."
    )
    columns: tuple[str, ...] | None = option(
        None, "The columns of a data frame that are the examples; none: all others."
    )
    scale: Scale = option(
        "auto", "How every column is scaled for the model, as for the dataset file.", in_(get_args(Scale))
    )
    missing: Literal["refuse", "drop", "mean", "condition"] = option(
        "refuse", "What is done about missing values, which are NaN, as for the dataset file."
    )
    held_out: float = option(
        0.2, "Fraction of the examples kept from training, to measure against.", gt(0), lt(1)
    )


@attrs.frozen
class SlicedW2Options:
    """Options of the metrics `sliced-w2`, `per-class` and `joint-w2`."""

    projections: int = option(256, "Number of random directions.", ge(1), le(10**6))


@attrs.frozen
class W2Options:
    """Options of the metric `w2`."""

    max_points: int = option(
        1000, "Use at most this many points of each set; time grows as its cube.", ge(2), le(10**9)
    )


@attrs.frozen
class EnergyOptions:
    """Options of the metric `energy`."""

    max_points: int = option(
        5000, "Use at most this many points of each set; time grows as its square.", ge(2), le(10**9)
    )


@attrs.frozen
class DensityCoverageOptions:
    """Options of the metric `density-coverage`."""

    k: int = option(
        5, "A point's ball reaches to its k-th nearest neighbour in its own set.", ge(1), le(10**6)
    )
    max_points: int = option(
        2000, "Use at most this many points of each set; time grows as its square.", ge(2), le(10**9)
    )
