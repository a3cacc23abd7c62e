"""Options of the plugin's components, without torch."""

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, lt, optional

from difrun.api import option, refuse_unused


def _size(_: Any, attribute: attrs.Attribute, value: tuple[int, ...]) -> None:
    if len(value) not in (1, 2) or min(value) < 1:
        raise ValueError("size must be one positive number L, or two: rows,columns")


@attrs.frozen
class IsingDataOptions:
    size: tuple[int, ...] = option(
        (8, 8), "Rows and columns of the lattice; one number makes a square.", _size
    )
    beta: float = option(0.35, "Inverse temperature β; the square lattice is critical at 0.4407.", ge(0))
    coupling: float = option(1.0, "Coupling J of neighbours; below 0: antiferromagnetic.")
    field: float = option(0.0, "Field h.")
    boundary: Literal["periodic", "free"] = option("periodic", "Boundaries: a torus, or open.")
    n: int = option(5000, "Lattices to train on.", ge(20))
    held_out: int = option(2000, "Lattices that are kept from training.", ge(1))


@attrs.frozen
class SpinFileOptions:
    path: Path | None = option(None, "File of spins ±1 (.npy or .npz), one lattice per row.", metavar="FILE")
    key: str | None = option(
        None, "Array in an .npz file; not needed where it holds only one, or one named 'x'."
    )
    label: str | None = option(
        None, "Array in an .npz file that holds the class of every lattice; without it 'y', if there is one."
    )
    held_out: float = option(0.2, "Share of the lattices that is kept from training.", gt(0), lt(1))


@attrs.frozen
class DiscreteOptions:
    """The schedule that spins and categories share."""

    schedule: Literal["cosine", "linear", "rate", "flips"] = option(
        "cosine",
        "Remaining correlation ρ(t): cos(πt/2), 1 − t, exp(−2·rate·t), or (1 − 2·flip)^t in discrete steps.",
    )
    rate: float = option(3.0, "Rate of flips, for the schedule rate.", gt(0))
    flip: float = option(
        0.05, "Probability r that a spin flips in one step, for the schedule flips.", gt(0), lt(0.5)
    )
    steps: int = option(44, "Number of steps T, for the schedule flips.", ge(1))


def _mixing(_: Any, attribute: attrs.Attribute, value: Any) -> None:
    if not isinstance(value, str) and not 0 < value < 1:
        raise ValueError("mixing must be uniform, absorbing, or a probability of +1 between 0 and 1")


def _turns(_: Any, attribute: attrs.Attribute, value: Any) -> None:
    if not isinstance(value, str) and set(value) != set(range(len(set(value)))):
        raise ValueError("the turns of order must be the whole numbers 0, 1, 2, ... with none left out")


@attrs.frozen
class IsingOptions(DiscreteOptions):
    mixing: Literal["uniform", "absorbing"] | float = option(
        "uniform",
        "What a spin is replaced by: ±1 alike, the mask 0, or +1 with this probability.",
        _mixing,
    )
    order: Literal["together", "checkerboard"] | tuple[int, ...] = option(
        "together",
        "All spins are noised at once; or the two sublattices in turn; or every site in the turn that is given for it, "
        "whole numbers from 0, row by row: those of turn 0 are noised last and sampled first.",
        _turns,
    )
    rounds: int = option(1, "How often every turn comes, for sites that are noised in turn.", ge(1))
    share: float = option(
        0.5,
        "Share of a round in which the odd sublattice is noised; then comes the even one. For order checkerboard.",
        gt(0),
        lt(1),
    )

    def __attrs_post_init__(self) -> None:
        if self.order == "together":
            refuse_unused(
                self, ("rounds",), "only sites that are noised in turn have", "choose order checkerboard"
            )
        if self.order != "checkerboard":
            refuse_unused(self, ("share",), "only the order checkerboard has", "choose order checkerboard")


def _weights(_: Any, attribute: attrs.Attribute, value: Any) -> None:
    if not isinstance(value, str) and not (len(value) > 1 and min(value) >= 0 and sum(value) > 0):
        raise ValueError("mixing must be uniform, absorbing, or one weight per category, none negative")


@attrs.frozen
class CategoricalOptions(DiscreteOptions):
    mixing: Literal["uniform", "absorbing"] | tuple[float, ...] = option(
        "uniform", "What a category is replaced by: all alike, a mask, or by these weights.", _weights
    )


@attrs.frozen
class MarkovOptions:
    length: int = option(16, "Letters of a string.", ge(1))
    letters: int = option(4, "Size of the alphabet, K.", ge(2), le(64))
    stay: float = option(
        0.7, "Probability that a letter is repeated; the others share the rest.", gt(0), lt(1)
    )
    n: int = option(5000, "Strings to train on.", ge(20))
    held_out: int = option(2000, "Strings that are kept from training.", ge(1))


@attrs.frozen
class NetworkOptions:
    width: int = option(32, "Channels of the hidden layers.", ge(1))
    depth: int = option(4, "Number of residual blocks, of one 3x3 convolution each.", ge(1))
    padding: Literal["auto", "circular", "zeros"] = option(
        "auto",
        "What lies beyond the border: the other side (circular), or nothing (zeros); auto: the other side of a lattice "
        "that is known to be a torus.",
    )
    skip: bool = option(True, "Add the log-odds that a spin's own noised value gives.")


@attrs.frozen
class SpinMLPOptions:
    width: int = option(256, "Width of the hidden layers.", ge(1))
    depth: int = option(3, "Number of residual blocks.", ge(1))
    skip: bool = option(True, "Add the log-odds that a spin's own noised value gives.")


@attrs.frozen
class ReverseMLPOptions:
    width: int = option(256, "Width of the hidden layers.", ge(1))
    depth: int = option(3, "Number of residual blocks.", ge(1))
    skip: bool = option(False, "Add the log-odds that a spin's own noised value gives.")


@attrs.frozen
class LossOptions:
    flip: bool = option(False, "Flip all spins of half of the lattices: a symmetry without field.")
    translate: bool = option(False, "Move every lattice by random rows and columns: a symmetry of a torus.")
    rotate: bool = option(False, "Mirror and rotate every lattice at random.")


@attrs.frozen
class CrossEntropyOptions(LossOptions):
    hidden: float = option(
        0.1,
        "Share of the examples that are data with every other site hidden: what the heat bath at t = 0 asks for.",
        ge(0),
        le(1),
    )


@attrs.frozen
class StepLossOptions(LossOptions):
    steps: int = option(50, "Steps into which time is cut, where the process is no chain of flips.", ge(1))


@attrs.frozen
class KernelLossOptions(StepLossOptions):
    rao_blackwell: bool = option(False, "Take the expectation over x_s in place of a draw.")


@attrs.frozen
class HeatBathOptions:
    predictor: Literal["reverse-kernel", "tau-leap", "flow-euler"] = option(
        "reverse-kernel", "Sampler whose steps are corrected."
    )
    sweeps: int = option(1, "Sweeps of the heat bath after a step.", ge(1))
    classes: int = option(2, "Classes of sites that are drawn in turn; 2: even and odd.", ge(2))
    last: int | None = option(
        None,
        "Correct after so many last steps only; none: after every step.",
        optional(ge(0)),
        metavar="STEPS",
    )
    to_data: bool = option(
        False, "Correct at t = 0, too: right for exact models; networks learn little of spins without noise."
    )


@attrs.frozen
class MagnetisationOptions:
    sign: Literal["up", "down"] = option("up", "Sign of the magnetisation that samples shall have.")
    scale: float = option(1.0, "Strength: 0 none, 1 Bayes' rule.", ge(0))
    changes: Literal["auto", "exact", "first-order"] = option(
        "auto",
        "What every flip changes: exact, at one evaluation per spin, or from one gradient; auto: exact up to 16 spins.",
    )
