"""The options of a run that belong to no component: seed, training, sampling, what a network predicts."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, le, lt, optional

from difrun.api import option
from difrun.options.parsing import shown_briefly


def _device(_: Any, __: attrs.Attribute, value: str) -> None:
    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]?))?|mps", value):
        raise ValueError(f"expected auto, cpu, cuda, cuda:N or mps; got {shown_briefly(value)}")


def _seed(_: Any, __: attrs.Attribute, value: int) -> None:
    if not 0 <= value < 2**63:
        raise ValueError(f"expected a whole number from 0 to 2^63 − 1; got {shown_briefly(value)}")


def _threads(_: Any, __: attrs.Attribute, value: Any) -> None:
    if isinstance(value, int) and not 1 <= value <= MOST_THREADS:
        bound = "1 or more" if value < 1 else f"at most {MOST_THREADS}"
        raise ValueError(f"expected {bound}, auto or none; got {shown_briefly(value)}")


def _increasing(_: Any, __: attrs.Attribute, value: tuple[int, ...]) -> None:
    if any(not before < step for before, step in pairwise((0, *value))):
        raise ValueError(f"expected increasing numbers of steps, above 0; got {', '.join(map(str, value))}")


Threads = int | Literal["auto"] | None


MOST_THREADS = 1024
"""The most threads: the system refuses to start many more, and ends the process."""

MOST_STEPS = 100_000
"""The most sampling steps: a larger number is a typing error, or would take days."""

MOST_TRAINING = 10**9
"""The most training steps, likewise."""

MOST_MINUTES = 1e7
"""The longest time: nineteen years."""

MOST_SAMPLES = 10**9
"""The most samples: more do not fit into memory."""


@attrs.frozen
class GeneralOptions:
    """Seed, device and threads."""

    seed: int = option(0, "Seed of every random number of the run.", _seed)
    device: str = option("auto", "Where to compute.", _device, metavar="auto|cpu|cuda|cuda:N|mps")
    threads: Threads = option(
        "auto",
        "CPU threads; auto: chosen by measuring the speed of training; none: torch's own choice.",
        _threads,
    )


@attrs.frozen
class TrainOptions:
    """How long and how fast to train."""

    steps: int = option(4000, "Training steps.", ge(0), le(MOST_TRAINING))
    minutes: float | None = option(
        None, "Stop training after this many minutes.", optional([gt(0), le(MOST_MINUTES)])
    )
    batch: int = option(512, "Examples per step.", ge(1), le(2**24))
    lr: float = option(2e-3, "Peak learning rate.", gt(0), le(1e30))
    warmup: int = option(
        100, "Steps over which the learning rate rises to its peak.", ge(0), le(MOST_TRAINING)
    )
    ema: float = option(
        0.999, "Decay of the averaged weights, with which samples are drawn; 0: off.", ge(0), lt(1)
    )
    clip: float = option(1.0, "Largest norm of the gradient; 0: off.", ge(0))
    label_dropout: float = option(
        0.1,
        "Fraction of examples shown without their label or condition, if the data have one; 1: train without.",
        ge(0),
        le(1),
    )
    stop_at: int | None = option(
        None,
        "End at this step of the schedule that --train.steps sets; 'difrun resume RUN --finish' records it.",
        optional([ge(1), le(MOST_TRAINING)]),
    )
    checkpoint_steps: int = option(
        1000, "Save the state at least once in this many steps.", ge(1), le(MOST_TRAINING)
    )
    checkpoint_minutes: float = option(
        1.0, "Save the state at least once in this many minutes.", gt(0), le(MOST_MINUTES)
    )
    restarts: tuple[int, ...] = option(
        (),
        "Steps at which the learning rate begins a new schedule; 'difrun resume RUN --train.steps N' records them.",
        _increasing,
        metavar="STEP,...",
    )
    start_from: Path | None = option(
        None,
        "Begin with the weights of the run in this folder; none: with random ones. 'difrun run --from RUN' sets it.",
        metavar="RUN",
    )


@attrs.frozen
class SampleOptions:
    """How many samples, in how many steps."""

    n: int = option(10000, "Samples to draw.", ge(1), le(MOST_SAMPLES))
    steps: int = option(30, "Sampling steps.", ge(1), le(MOST_STEPS))
    chunk: int = option(
        4096, "Samples drawn at a time; the result depends on it only by rounding.", ge(1), le(MOST_SAMPLES)
    )
    noise: Literal["fresh", "brownian"] = option(
        "fresh",
        "Noise of a stochastic sampler: new in every step, or the increments of one path that finer steps refine.",
    )
    label: str | None = option(
        None, "Class to draw, by name or number; none: all, in the proportion of the data.", metavar="CLASS"
    )
    condition: str | None = option(
        None,
        "Condition to sample given: its values 0.5,-1, with gaps 0.5,,-1 where the model fills them; or a file of any "
        "kind that data come in, with one row per sample; none: those of the data in turn.",
        metavar="VALUES|FILE",
    )
    likelihood: bool = option(
        False, "Measure −log p of held-out examples as well, as 'difrun evaluate RUN --likelihood' does."
    )


@attrs.frozen
class PredictionOptions:
    """How the output of a network is interpreted."""

    predicts: Literal["x0", "noise", "score", "velocity", "v", "edm"] = option(
        "edm",
        "What the network predicts; edm: the mixture of x0 and noise of Karras et al. (2022); score: in units of 1/σ.",
    )


@attrs.frozen
class WeightsOptions:
    """Where a network takes its weights from, if it is not trained from random ones."""

    weights: Path | None = option(
        None,
        "Begin with the weights in this .safetensors file, by the names of the network; none: with random ones.",
        metavar="FILE",
    )
