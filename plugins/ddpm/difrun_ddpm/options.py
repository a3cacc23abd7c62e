"""Options of the plugin's components, without torch."""

from pathlib import Path
from typing import Any, Literal, get_args

import attrs
from attrs.validators import ge, in_, le, lt

from difrun.api import GaussianOptions, option, refuse_unused
from difrun.errors import DifrunError, OptionError
from difrun_ddpm.table import TABLES, as_numbers, from_data_to_noise, refuse_wrong
from difrun_ddpm.table_file import read_table

Schedule = Literal["linear", "cosine", "scaled-linear"]
Times = Literal["uniform", "log-snr"]
Variance = Literal["posterior", "forward"]
Spacing = Literal["trailing", "quadratic"]


@attrs.frozen
class DDPMOptions(GaussianOptions):
    """Options of the chain of DDPM."""

    steps: int = option(1000, "Number of steps of the chain, N; time runs from 0 to N.", ge(1), le(10**6))
    schedule: Schedule = option(
        "linear",
        "Form of the table β_1 ... β_N: β linear in n, ᾱ a squared cosine, or √β linear in n.",
        in_(get_args(Schedule)),
    )
    beta_start: float = option(1e-4, "β_1, for the linear and the scaled-linear schedule.", ge(1e-9), lt(1))
    beta_end: float = option(0.02, "β_N, for the linear and the scaled-linear schedule.", ge(1e-9), lt(1))
    rescale: bool = option(
        False, "Multiply β by 1000/N, so that a chain of any length forgets as much as one of 1000 steps."
    )
    betas: tuple[float, ...] | Path = option(
        (),
        "A table β_1 ... β_N made elsewhere, in place of a schedule: a .npy, .npz, .csv, .txt or .json file.",
        metavar="FILE",
    )
    alphas_cumprod: tuple[float, ...] | Path = option(
        (), "Likewise a table ᾱ_1 ... ᾱ_N, which decreases; the last may be 0.", metavar="FILE"
    )
    sigmas: tuple[float, ...] | Path = option(
        (),
        "Likewise a table of σ/α, in either order: the σ of x_0 + σε, as samplers with σ have it.",
        metavar="FILE",
    )
    terminal_signal: float | None = option(
        None,
        "√ᾱ_N to which √ᾱ is moved and stretched, √ᾱ_1 staying; 0: zero terminal SNR; none: as the table has it.",
        attrs.validators.optional([ge(0), lt(1)]),
    )

    def __attrs_post_init__(self) -> None:
        given = [name for name in TABLES if isinstance(getattr(self, name), Path) or len(getattr(self, name))]
        if given:
            self._take(given)
            return
        if self.terminal_signal is not None and self.steps < 2:
            raise OptionError("terminal_signal needs a chain of at least 2 steps")
        if self.schedule == "cosine":
            refuse_unused(
                self,
                ("beta_start", "beta_end"),
                "the cosine schedule has no",
                "choose schedule linear or scaled-linear",
            )
        if self.beta_end < self.beta_start:
            raise OptionError(
                f"beta_end = {self.beta_end:g} must not be smaller than beta_start = {self.beta_start:g}"
            )
        if self.rescale and self.schedule == "cosine":
            raise OptionError(
                "rescale is for the linear and the scaled-linear schedule; the cosine schedule ends in noise at any N"
            )

    def _take(self, given: list[str]) -> None:
        """Take the numbers of a table, not its file, which may change; N is how many there are."""
        if len(given) > 1:
            raise OptionError("betas, alphas_cumprod and sigmas are forms of one table; give one of them")
        (name,) = given
        schedule = ("schedule", "beta_start", "beta_end", "rescale")
        refuse_unused(self, schedule, "a table has no", f"leave {name} out")
        numbers = _numbers(getattr(self, name), name)
        if name == "sigmas":
            numbers = from_data_to_noise(numbers)
        if len(numbers) < 2:
            raise OptionError(f"{name} must have at least 2 numbers")
        if self.steps not in (len(numbers), attrs.fields(DDPMOptions).steps.default):
            raise OptionError(f"{name} has {len(numbers)} numbers, which is N; leave out steps, {self.steps}")
        refuse_wrong(name, numbers)
        # The class is frozen for its users; these are its own last touches.
        object.__setattr__(self, name, numbers)
        object.__setattr__(self, "steps", len(numbers))


def _numbers(table: Any, name: str) -> tuple[float, ...]:
    """The entries of a table, from its file or as they are given. Raises OptionError if there are none."""
    if not isinstance(table, Path):
        return as_numbers(table, name)
    try:
        return read_table(table, name)
    except DifrunError as error:
        raise OptionError(str(error)) from error


@attrs.frozen
class NoiseOptions:
    """Options of the simple loss."""

    times: Times = option(
        "uniform",
        "Distribution of the training time: uniform (n = 1 ... N on the chain `ddpm`), or uniform in log(α/σ).",
        in_(get_args(Times)),
    )


@attrs.frozen
class DDPMSamplerOptions:
    """Options of ancestral sampling."""

    variance: Variance = option(
        "posterior",
        "Variance of a step: of q(x_s | x_t, x_0), β̃ in DDPM, or of q(x_t | x_s), β in DDPM.",
        in_(get_args(Variance)),
    )


@attrs.frozen
class DDIMOptions:
    """Options of DDIM."""

    eta: float = option(0.0, "Noise of a step, η: 0 is deterministic, 1 is ancestral sampling.", ge(0), le(1))


@attrs.frozen
class IntegerOptions:
    """Options of the grid of the chain's own times."""

    spacing: Spacing = option(
        "trailing",
        "Equal strides down from N, or strides that shrink towards the data.",
        in_(get_args(Spacing)),
    )
