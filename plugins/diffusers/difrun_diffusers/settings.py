"""Settings of schedulers, as users write them: name=value."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import diffusers

from difrun.errors import DifrunError
from difrun.text import did_you_mean, listed
from difrun_diffusers.table import OTHERS, SCHEDULERS, Scheduler

SCHEDULE = frozenset(
    (
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "sigma_min",
        "sigma_max",
    )
)
"""Settings of the noise schedule, which is that of the process."""

SPACING = frozenset(
    (
        "timestep_spacing", "steps_offset", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
        "use_flow_sigmas", "flow_shift", "use_lu_lambdas", "shift", "use_dynamic_shifting", "base_shift", "max_shift",
        "base_image_seq_len", "max_image_seq_len", "invert_sigmas", "shift_terminal", "time_shift_type",
        "sigma_schedule", "rho", "interpolation_type", "timestep_type", "set_alpha_to_one", "final_sigmas_type",
        "lambda_min_clipped", "original_inference_steps", "rescale_betas_zero_snr", "skip_prk_steps",
        "snr_shift_scale", "scaler", "s", "sampling_eps", "scale_factors", "upscale_mode", "timestep_scaling",
    )
)  # fmt: skip
"""Settings that decide where the steps of a scheduler's own grid lie."""

_OF_A_STEP = frozenset(
    (
        "self", "model_output", "timestep", "sample", "generator", "return_dict", "variance_noise",
        "pred_original_sample", "per_token_timesteps", "old_pred_original_sample", "timestep_back",
        "prev_timestep", "r_timestep",
    )
)  # fmt: skip
"""Arguments of a step that are not settings."""


def entry_of(name: str) -> Scheduler:
    """Return the scheduler of a name, with or without ``diffusers-``; or of a class of diffusers.

    Raises:
        DifrunError: If there is none, or it is no sampler.
    """
    short = name.removeprefix("diffusers-")
    by_class = {entry.cls: entry for entry in SCHEDULERS.values()}
    if short in SCHEDULERS:
        return SCHEDULERS[short]
    if name in by_class:
        return by_class[name]
    if name in OTHERS:
        raise DifrunError(f"{name} is no sampler: it {OTHERS[name]}.")
    raise DifrunError(
        f"there is no scheduler {name!r}.{did_you_mean(short, SCHEDULERS)} There are {listed(list(SCHEDULERS))}."
    )


def class_of(entry: Scheduler) -> Any:
    """Return the class of diffusers. Raises DifrunError if the installed version has none of that name."""
    cls = getattr(diffusers, entry.cls, None)
    if cls is None:
        raise DifrunError(
            f"diffusers {diffusers.__version__} has no {entry.cls}. Install the version that this plugin was tested "
            "with: pip install 'diffusers>=0.42,<0.43'."
        )
    return cls


def split(entry: Scheduler, texts: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read settings, and tell those of the constructor from those of a step.

    Args:
        entry: The scheduler.
        texts: Settings, name=value each.

    Returns:
        The settings of the constructor, with the plugin's own defaults, and those of a step.

    Raises:
        DifrunError: If one is not of this form, the scheduler has none of this name, or it is one of the schedule.
    """
    cls = class_of(entry)
    constructor = names_of_settings(entry)
    step = [name for name in inspect.signature(_step_of(cls)).parameters if name not in _OF_A_STEP]
    built, stepped = dict(entry.defaults), {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise DifrunError(f"setting {text!r} of {entry.cls} is not of the form name=value.")
        if name in SCHEDULE:
            raise DifrunError(
                f"setting {name!r} of {entry.cls} is of the noise schedule, which is that of the process: choose the "
                "process and its options instead."
            )
        if name in constructor:
            built[name] = _value(value)
        elif name in step:
            stepped[name] = _value(value)
        else:
            known = sorted({*constructor, *step} - SCHEDULE)
            raise DifrunError(
                f"{entry.cls} has no setting {name!r}.{did_you_mean(name, known)} It has {listed(known) or 'none'}."
            )
    return built, stepped


def names_of_settings(entry: Scheduler) -> list[str]:
    """Return the names of the arguments of a scheduler's constructor."""
    return [name for name in inspect.signature(class_of(entry).__init__).parameters if name != "self"]


def _step_of(cls: Any) -> Any:
    return cls.step if hasattr(cls, "step") else cls.step_pred


def _value(text: str) -> Any:
    """A setting as Python has it: true, false, none, a number, or text."""
    words: Mapping[str, Any] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
