"""Options of what is for spins alone, without torch."""

from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, lt

from difrun.api import option, refuse_unused
from difrun_ising.discrete.options import DiscreteOptions


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


@attrs.frozen
class SpinCNNOptions:
    width: int = option(32, "Channels of the hidden layers.", ge(1))
    depth: int = option(4, "Number of residual blocks, of one 3x3 convolution each.", ge(1))
    padding: Literal["auto", "circular", "zeros"] = option(
        "auto",
        "What lies beyond the border: the other side (circular), or nothing (zeros); auto: the other side of a lattice "
        "that is known to be a torus.",
    )
    skip: bool = option(True, "Add the log-odds that a spin's own noised value gives.")


@attrs.frozen
class MagnetisationOptions:
    sign: Literal["up", "down"] = option("up", "Sign of the magnetisation that samples shall have.")
    scale: float = option(1.0, "Strength: 0 none, 1 Bayes' rule.", ge(0))
    changes: Literal["auto", "exact", "first-order"] = option(
        "auto",
        "What every flip changes: exact, at one evaluation per spin, or from one gradient; auto: exact up to 16 spins.",
    )
