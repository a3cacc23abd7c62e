"""What the files of a run must hold: one class for each of them (`difrun.runs.folder.schema`)."""

import itertools
import re
from collections.abc import Mapping
from typing import Any

import attrs

from difrun.runs.folder.schema import (
    Expectation,
    Misfit,
    counted,
    expect,
    finite,
    is_number,
    key,
    list_of,
    number,
    one_of,
    optional,
    positive,
    record,
    table,
    table_of,
    text,
    whole,
    yes_or_no,
)


def _bound_has_n(place: str, value: Mapping[str, Any]) -> None:
    if value.get("bound") and "n" not in value:
        raise Misfit(f"{place}.n", "a number", None)


@attrs.frozen
class Number:
    """One number of a metric, in metrics.json."""

    value: Any = key(number, required=True)
    value_sd: Any = key(optional(number))
    floor: Any = key(optional(number))
    floor_sd: Any = key(optional(number))
    exact: Any = key(optional(number))
    n: Any = key(whole)
    of: Any = key(text)
    bound: Any = key(text)
    units: Any = key(text)
    meaning: Any = key(text)
    better: Any = key(optional(one_of("lower", "higher")))
    ratio: Any = key(optional(yes_or_no))

    checks = (_bound_has_n,)


@attrs.frozen
class Quantity:
    """A mean over examples with its standard error, in two units."""

    nats: Any = key(number, required=True)
    nats_error: Any = key(number, required=True)
    bits_per_dim: Any = key(number, required=True)
    bits_per_dim_error: Any = key(number, required=True)


def _flow_is_described(place: str, value: Mapping[str, Any]) -> None:
    if "probes" in value:
        for name in ("noise_to_signal", "half_steps_change", "times", "log_scale"):
            if name not in value:
                raise Misfit(f"{place}.{name}", "a number", None)


@attrs.frozen
class Likelihood:
    """The likelihood of held-out examples, in metrics.json."""

    n: Any = key(counted, required=True)
    dimensions: Any = key(counted, required=True)
    steps: Any = key(counted, required=True)
    probes: Any = key(whole)
    times: Any = key(counted)
    classes: Any = key(counted)
    condition: Any = key(counted)
    noise_to_signal: Any = key(number)
    log_scale: Any = key(number)
    half_steps_change: Any = key(number)
    nll: Any = key(record(Quantity))
    nll_bound: Any = key(record(Quantity))
    entropy: Any = key(record(Quantity))
    gap: Any = key(record(Quantity))
    gap_bound: Any = key(record(Quantity))
    gap_train: Any = key(record(Quantity))
    gap_noise: Any = key(record(Quantity))

    checks = (_flow_is_described,)


@attrs.frozen
class Drawn:
    """How samples were drawn, in metrics.json and beside the samples."""

    n: Any = key(whole)
    seed: Any = key(whole)
    sampler: Any = key(text)
    grid: Any = key(text)
    steps: Any = key(whole)
    evaluations: Any = key(optional(number))
    seconds: Any = key(number)
    noise: Any = key(text)
    label: Any = key(text)
    condition: Any = key(text)
    at: Any = key(number)
    guidance: Any = key(list_of(table, "objects"))


@attrs.frozen
class TrainingFacts:
    """How long training took, in metrics.json."""

    steps: Any = key(whole)
    seconds: Any = key(number)
    steps_per_second: Any = key(number)
    steps_planned: Any = key(whole)


@attrs.frozen
class Metrics:
    """metrics.json."""

    metrics: Any = key(table_of(record(Number)))
    samples: Any = key(record(Drawn))
    likelihood: Any = key(record(Likelihood))
    signal: Any = key(table)
    training: Any = key(record(TrainingFacts))


def _row_of_weights(place: str, value: Any, depth: int = 0) -> None:
    """A list of finite numbers, or of such lists, all of one length."""
    if not isinstance(value, list) or depth > 3:
        raise Misfit(place, "a list of numbers", value)
    nested = [item for item in value if isinstance(item, list)]
    if nested and (len(nested) < len(value) or len({len(item) for item in nested}) > 1):
        raise Misfit(place, "lists of one length", value)
    for index, item in enumerate(value):
        (
            _row_of_weights(f"{place}[{index}]", item, depth + 1)
            if nested
            else finite(f"{place}[{index}]", item)
        )


def _change(place: str, value: Any) -> None:
    if not isinstance(value, list) or len(value) != 2:
        raise Misfit(place, "two rows of weights", value)
    for index, row in enumerate(value):
        _row_of_weights(f"{place}[{index}]", row)


def _times_fall(place: str, value: Mapping[str, Any]) -> None:
    times, changes = value["times"], value["changes"]
    if any(later >= earlier for earlier, later in itertools.pairwise(times)) or times[-1:] <= [0]:
        raise Misfit(f"{place}.times", "times that fall and stay above 0", times)
    if changes is not None and len(changes) != len(times) - 1:
        raise Misfit(f"{place}.changes", f"{len(times) - 1} changes, one for each step", changes)


@attrs.frozen
class TuningEntry:
    """What was tuned for one number of steps, in tuning.json."""

    times: Any = key(list_of(finite, "times"), required=True)
    changes: Any = key(optional(list_of(_change, "changes")), required=True)
    error: Any = key(positive, required=True)
    before: Any = key(positive, required=True)
    median: Any = key(positive, required=True)
    median_before: Any = key(positive, required=True)
    trajectories: Any = key(counted, required=True)

    checks = (_times_fall,)


def tunings(place: str, value: Any) -> None:
    """The content of tuning.json: number of steps -> `TuningEntry`."""
    table(place, value)
    for steps, entry in value.items():
        if not re.fullmatch("[1-9][0-9]{0,5}", steps):
            raise Misfit(steps, "a number of steps as the key", steps)
        record(TuningEntry)(steps, entry)
        if len(entry["times"]) != int(steps) + 1:
            raise Misfit(f"{steps}.times", f"{int(steps) + 1} times for {steps} steps", entry["times"])


@attrs.frozen
class LockNote:
    """run.lock.json: the process that works on the folder."""

    pid: Any = key(whole, required=True)
    host: Any = key(text, required=True)
    since: Any = key(
        expect("seconds since 1970", lambda value: is_number(value) and 0 <= value < 1e11), required=True
    )


@attrs.frozen
class DatasetOrigin:
    """The dataset that examples were drawn from, in data.safetensors."""

    name: Any = key(text, required=True)
    options: Any = key(table, required=True)
    seed: Any = key(whole, required=True)


@attrs.frozen
class DatasetText:
    """The text in data.safetensors, with its lists and objects parsed."""

    name: Any = key(text, required=True)
    columns: Any = key(list_of(text, "names"), required=True)
    notes: Any = key(list_of(text, "sentences"))
    classes: Any = key(list_of(text, "names"))
    origin: Any = key(record(DatasetOrigin))
    scaling: Any = key(one_of("std", "robust", "pixels"))
    condition: Any = key(one_of("beside", "columns"))
    condition_columns: Any = key(list_of(text, "names"))
    condition_scaling: Any = key(one_of("std", "robust", "pixels"))


_EXAMPLES = (
    "train",
    "held_out",
    "noise",
    "shift",
    "scale",
    "condition",
    "held_out_condition",
    "condition_shift",
    "condition_scale",
)
_LABELS = ("labels", "held_out_labels")


def example_forms(place: str, forms: Any) -> None:
    """The types and shapes of the tensors in data.safetensors (`difrun.storage.tensors.TensorForms`)."""
    for name, (kind, shape) in forms.items():
        if name in _EXAMPLES and kind not in ("F32", "F64"):
            raise Misfit(name, "numbers of 32 or 64 bits (F32 or F64)", kind)
        if name in _LABELS and (kind != "I64" or len(shape) != 1):
            raise Misfit(name, "whole numbers (I64), one for each example", f"{kind} of shape {shape}")
        if name in ("train", "held_out", "noise", "condition", "held_out_condition") and (
            len(shape) < 2 or 0 in shape
        ):
            raise Misfit(name, "examples of shape (N, ...)", f"shape {shape}")


def training_forms(expected: Mapping[str, Any]) -> Expectation:
    """Return the expectation of the tensors in model.safetensors.

    Args:
        expected: The type and the shape of every tensor of the network and its optimiser, by name. Names that are
            missing or unknown are left to `Trainer.load`, which says how they differ.
    """

    def check(place: str, forms: Any) -> None:
        fixed = {"step": ("I64", ()), "seconds": ("F64", ())}
        for name, (kind, shape) in fixed.items():
            if forms.get(name) != (kind, shape):
                raise Misfit(name, f"one number ({kind})", _form(forms.get(name)))
        losses = forms.get("losses")
        if losses is None or losses[0] != "F32" or len(losses[1]) != 1:
            raise Misfit("losses", "a list of numbers (F32)", _form(losses))
        for name, (kind, _) in expected.items():
            if name in forms and forms[name][0] != kind:
                raise Misfit(name, f"numbers of type {kind}", forms[name][0])

    return check


def _form(form: tuple[str, tuple[int, ...]] | None) -> Any:
    return None if form is None else f"{form[0]} of shape {form[1]}"
