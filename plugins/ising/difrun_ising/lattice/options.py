"""Options of the components for spins alone, without torch."""

from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, lt

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
    """Options of the process `ising`."""

    mixing: Literal["uniform", "absorbing"] | float = option(
        "uniform",
        "What replaces a spin: ±1 alike (uniform), the mask 0 (absorbing), or +1 with this probability.",
        _mixing,
    )
    order: Literal["together", "checkerboard"] | tuple[int, ...] = option(
        "together",
        "When sites are noised: all at once (together), the two sublattices in turn (checkerboard), or each in its own "
        "turn, given as whole numbers from 0, row by row; turn 0 is noised last and sampled first.",
        _turns,
    )
    rounds: int = option(1, "How often every turn comes, where sites are noised in turn.", ge(1), le(10**6))
    share: float = option(
        0.5,
        "Share of a round in which the odd sublattice is noised; the even one has the rest. For order checkerboard.",
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
    """Options of the model `spin-cnn`."""

    width: int = option(32, "Channels of the hidden layers.", ge(1), le(2**14))
    depth: int = option(4, "Number of residual blocks, of one 3x3 convolution each.", ge(1), le(1000))
    padding: Literal["auto", "circular", "zeros"] = option(
        "auto",
        "What lies beyond the border: the other side (circular) or nothing (zeros); auto: circular if the lattice is "
        "known to be a torus.",
    )
    skip: bool = option(True, "Add the log-odds of a spin given its own noised value.")


@attrs.frozen
class MagnetisationOptions:
    """Options of the guidance `magnetisation`."""

    sign: Literal["up", "down"] = option("up", "Sign of the magnetisation that samples should have.")
    scale: float = option(1.0, "Strength: 0 is no guidance, 1 is Bayes' rule.", ge(0), le(1e6))
    changes: Literal["auto", "exact", "first-order"] = option(
        "auto",
        "How to find what a flip changes: exact, by one evaluation per spin, or first-order, by one gradient; auto: "
        "exact up to 16 spins.",
    )
