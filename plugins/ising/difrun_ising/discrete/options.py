"""Options of processes, networks, losses and samplers of finitely many states, without torch."""

from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, lt, optional

from difrun.api import option


@attrs.frozen
class DiscreteOptions:
    """The schedule that spins and categories share."""

    schedule: Literal["cosine", "linear", "rate", "flips"] = option(
        "cosine",
        "Remaining correlation ρ(t): cos(πt/2), 1 − t, exp(−2·rate·t), or (1 − 2·flip)^t in discrete steps.",
    )
    rate: float = option(3.0, "Rate of flips, for the schedule rate.", gt(0), le(1000))
    flip: float = option(
        0.05, "Probability r that a spin flips in one step, for the schedule flips.", gt(0), lt(0.5)
    )
    steps: int = option(44, "Number of steps T, for the schedule flips.", ge(1), le(10**6))


def _weights(_: Any, attribute: attrs.Attribute, value: Any) -> None:
    if not isinstance(value, str) and not (len(value) > 1 and min(value) >= 0 and sum(value) > 0):
        raise ValueError("mixing must be uniform, absorbing, or one weight per category, none negative")


@attrs.frozen
class CategoricalOptions(DiscreteOptions):
    """Options of the process `categorical`."""

    mixing: Literal["uniform", "absorbing"] | tuple[float, ...] = option(
        "uniform",
        "What replaces a category: any of them alike (uniform), the mask (absorbing), or these weights.",
        _weights,
    )


@attrs.frozen
class SpinMLPOptions:
    """Options of the models `spin-mlp` and `letter-mlp`."""

    width: int = option(256, "Width of the hidden layers.", ge(1), le(2**14))
    depth: int = option(3, "Number of residual blocks.", ge(1), le(1000))
    skip: bool = option(True, "Add the log-odds of a site given its own noised value.")


@attrs.frozen
class ReverseMLPOptions:
    """Options of the model `reverse-mlp`."""

    width: int = option(256, "Width of the hidden layers.", ge(1), le(2**14))
    depth: int = option(3, "Number of residual blocks.", ge(1), le(1000))
    skip: bool = option(False, "Add the log-odds of a site given its own noised value.")


@attrs.frozen
class LossOptions:
    """The symmetries that every loss may train on."""

    flip: bool = option(False, "Flip all spins of half of the lattices: a symmetry without a field.")
    translate: bool = option(False, "Move every lattice by random rows and columns: a symmetry of a torus.")
    rotate: bool = option(False, "Mirror and rotate every lattice at random.")


@attrs.frozen
class CrossEntropyOptions(LossOptions):
    """Options of the loss `cross-entropy`."""

    hidden: float = option(
        0.1,
        "Share of the examples that are data with every other site hidden; the heat bath at t = 0 needs them.",
        ge(0),
        le(1),
    )


@attrs.frozen
class StepLossOptions(LossOptions):
    """Options of the loss `elbo`."""

    steps: int = option(
        50,
        "Number of steps into which time is divided, unless the process is a chain of flips.",
        ge(1),
        le(10**6),
    )


@attrs.frozen
class KernelLossOptions(StepLossOptions):
    """Options of the loss `reverse-kernel`."""

    rao_blackwell: bool = option(False, "Average over x_s instead of drawing it.")


@attrs.frozen
class HeatBathOptions:
    """Options of the sampler `heat-bath`."""

    predictor: Literal["reverse-kernel", "tau-leap", "flow-euler"] = option(
        "reverse-kernel", "Sampler whose steps are corrected."
    )
    sweeps: int = option(1, "Heat-bath sweeps after a step.", ge(1), le(10**6))
    classes: int = option(
        2,
        "Classes of sites that are drawn in turn; 2: the even and the odd sites, 3 with an odd side; with a guidance "
        "that couples all sites, every site.",
        ge(2),
        le(10_000),
    )
    last: int | None = option(
        None,
        "Correct only after this many last steps; none: after every step.",
        optional([ge(0), le(10**9)]),
        metavar="STEPS",
    )
    to_data: bool = option(
        False,
        "Correct at t = 0 as well. Right for exact models; a network must have seen data with hidden sites.",
    )
