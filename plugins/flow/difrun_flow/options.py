"""Options of the plugin's components, without torch."""

from pathlib import Path
from typing import Literal, get_args

import attrs
from attrs.validators import ge, gt, in_, le, optional

from difrun.api import GaussianOptions, option, refuse_unused

Times = Literal["uniform", "logit-normal"]
MIN_COUPLES = 20
"""The smallest number of couples to train on."""


@attrs.frozen
class FlowOptions(GaussianOptions):
    """Options of rectified flow: those of every Gaussian process."""


@attrs.frozen
class FlowLossOptions:
    """Options of velocity matching."""

    times: Times = option(
        "uniform",
        "Distribution of the training time: uniform in t, or normal in logit(t/T).",
        in_(get_args(Times)),
    )
    mean: float = option(
        0.0, "Mean of logit(t/T), for logit-normal times; below 0 is nearer to the data.", ge(-50), le(50)
    )
    std: float = option(1.0, "Standard deviation of logit(t/T), for logit-normal times.", gt(0), le(50))

    def __attrs_post_init__(self) -> None:
        if self.times != "logit-normal":
            refuse_unused(self, ("mean", "std"), "only logit-normal times have", "choose times logit-normal")


@attrs.frozen
class SDEOptions:
    """Options of the reversals that keep the marginals."""

    a: float = option(
        1.0,
        "Member of the family of reversals: ½ is the probability-flow ODE, 1 the reverse SDE, above 1 noisier.",
        ge(0.5),
        le(1000),
    )


@attrs.frozen
class ReflowOptions:
    """Options of the couples of a trained run."""

    run: Path | None = option(
        None, "Folder of the trained run whose flow is to be straightened.", metavar="RUN"
    )
    n: int = option(
        20000, "Number of couples (noise, sample) to draw and to train on.", ge(MIN_COUPLES), le(10**9)
    )
    sampler: str | None = option(None, "Deterministic sampler that draws them; none: the run's own.")
    steps: int | None = option(
        None, "Its number of steps; none: the run's own.", optional([ge(1), le(100_000)])
    )
