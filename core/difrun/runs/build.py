"""Make the objects that a plan names: process, data, model and loss."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from difrun.config.plan import ChosenComponent, Plan
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.guidance.context import Context
from difrun.loss.base import Loss
from difrun.model.base import MOST_CORRELATED, ScoreModel
from difrun.model.conditional import ConditionalModel
from difrun.options.parsing import shown_briefly
from difrun.plugin.registry import Registered
from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess
from difrun.process.times import decreasing
from difrun.randomness.generator import seed_of
from difrun.sampler.base import Sampler
from difrun.text import in_one_line

_CLASSES: dict[str, type] = {
    "process": ForwardProcess,
    "dataset": Dataset,
    "loss": Loss,
    "sampler": Sampler,
    "guidance": ScoreModel,
}
"""Kind -> what its targets make. Models are checked where it is known which sort they are."""


@attrs.frozen(eq=False)
class Components:
    """The objects of a run.

    Attributes:
        process: The forward process.
        dataset: The data.
        model: The model, on the device of the run.
        loss: The training loss; None where the model needs no training.
    """

    process: ForwardProcess
    dataset: Dataset
    model: ScoreModel
    loss: Loss | None


def build(plan: Plan, device: torch.device, dataset: Dataset | None = None) -> Components:
    """Make the process, the data, the model and the loss that a plan names.

    Args:
        plan: What to make.
        device: Where the model computes.
        dataset: The data, if they are already made.

    Raises:
        DifrunError: If a component refuses its values.
    """
    if dataset is None:
        dataset = build_dataset(plan)
    process = instantiate(plan.process)
    _refuse_mean_of_another_shape(plan, process, dataset)
    if plan.loss is None:
        model = _component_model(plan, process, dataset)
        if not isinstance(model, ScoreModel):
            raise DifrunError(
                f"{plan.model.entry} returned {_described(model)}; expected a difrun.model.ScoreModel."
            )
        return Components(process, dataset, model.to(device), None)
    model = _network_model(plan, process, dataset)
    return Components(process, dataset, model.to(device), instantiate(plan.loss))


def build_dataset(plan: Plan) -> Dataset:
    """Make the data that a plan names. Raises DifrunError if the component refuses its values."""
    return instantiate(plan.dataset, seed=seed_of(plan.seed, "dataset"))


def _refuse_mean_of_another_shape(plan: Plan, process: ForwardProcess, dataset: Dataset) -> None:
    """Raise DifrunError if a process has a mean for each coordinate, and the data have other coordinates."""
    centre = torch.as_tensor(getattr(process, "centre", 0.0))
    if centre.ndim and tuple(centre.shape) != dataset.shape:
        raise DifrunError(
            f"process '{plan.process.name}' has a mean of {len(centre)} coordinates; the examples of dataset "
            f"'{dataset.name}' have shape {dataset.shape}. Give one number, or one per coordinate."
        )


def _component_model(plan: Plan, process: ForwardProcess, dataset: Dataset) -> Any:
    """What the model component of a plan makes: a network, or a model that needs no training."""
    return instantiate(
        plan.model,
        shape=process.state_shape(dataset.shape),
        classes=trained_classes(plan, dataset),
        condition_shape=trained_condition(plan, dataset),
        dataset=dataset,
        process=process,
    )


def _network_model(plan: Plan, process: ForwardProcess, dataset: Dataset) -> ScoreModel:
    """The model around a new network, whose weights are drawn under a seed of the run.

    The global generator of torch is left as it was.
    """
    takes_classes = plan.model.entry.asks_for("classes")
    takes_condition = plan.model.entry.asks_for("condition_shape")
    _refuse_dropout_without_labels(plan, dataset, takes_classes or takes_condition)
    condition_shape = trained_condition(plan, dataset)
    if condition_shape is not None and not takes_condition:
        raise DifrunError(
            f"model '{plan.model.name}' takes no condition, and dataset '{dataset.name}' has one. Choose a model that "
            "takes it, such as mlp, or train without it: --train.label-dropout 1."
        )
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would also seed the generators of the GPUs, which nobody restores.
        torch.default_generator.manual_seed(seed_of(plan.seed, "weights"))
        network = _component_model(plan, process, dataset)
    if not isinstance(network, nn.Module):
        raise DifrunError(
            f"{plan.model.entry} did not return a torch.nn.Module, which a component that provides 'network' must."
        )
    if any(isinstance(p, UninitializedParameter) for p in network.parameters()):
        raise DifrunError(
            f"{plan.model.entry} has lazy layers, whose sizes are not known before they are called. Give their sizes: "
            "torch.nn.Linear(in, out) in the place of torch.nn.LazyLinear(out)."
        )
    options = {} if plan.model.prediction is None else {"predicts": plan.model.prediction.predicts}
    with naming_component(plan.process.entry):
        model = process.denoiser(network, shape=dataset.shape, mean=dataset.mean, var=dataset.var, **options)
    if takes_classes and trained_classes(plan, dataset):
        if not isinstance(model, ConditionalModel):
            raise DifrunError(
                f"{plan.process.entry} made a model that cannot be asked for classes; it must be a "
                "difrun.model.ConditionalModel, or be trained without labels (--train.label-dropout 1)."
            )
        model.set_classes(dataset.shares, dataset.class_moments, knows_any=plan.train.label_dropout > 0)
    if condition_shape is not None:
        if not isinstance(model, ConditionalModel):
            raise DifrunError(
                f"{plan.process.entry} made a model that cannot be asked for a condition; it must be a "
                "difrun.model.ConditionalModel, or be trained without (--train.label-dropout 1)."
            )
        _set_condition(model, dataset, knows_any=plan.train.label_dropout > 0)
    if isinstance(process, GaussianProcess) and dataset.train[0].numel() <= MOST_CORRELATED:
        model.cov = dataset.cov
    return model


def trained_classes(plan: Plan, dataset: Dataset) -> int:
    """The number of classes to train on; 0 for training without labels."""
    return len(dataset.classes) if plan.train.label_dropout < 1 else 0


def trained_condition(plan: Plan, dataset: Dataset) -> tuple[int, ...] | None:
    """The shape of the condition to train on; None for training without one."""
    trained = dataset.condition is not None and plan.train.label_dropout < 1
    return dataset.condition.shape if trained and dataset.condition is not None else None


def _set_condition(model: ConditionalModel, dataset: Dataset, *, knows_any: bool) -> None:
    """Say to a model which condition it is trained on.

    Its prior is matched to the mean and variance of x given c, of which the best linear prediction of x from c is an
    estimate: that of a Gaussian with the covariance of the data.
    """
    condition = dataset.condition
    assert condition is not None
    conditional = None
    if dataset.train[0].numel() + condition.size <= MOST_CORRELATED:
        conditional = dataset.linear_conditional
    model.set_condition(
        condition.shape,
        known=None if condition.completes else condition.train,
        conditional=conditional,
        knows_any=knows_any or condition.completes,
        completes=condition.completes,
    )


def _refuse_dropout_without_labels(plan: Plan, dataset: Dataset, takes_labels: bool) -> None:
    """Raise DifrunError for a dropout of labels or conditions where the data or the model have none."""
    dropout = plan.train.label_dropout
    if dropout in (1.0, type(plan.train)().label_dropout) or (takes_labels and _has_labels(dataset)):
        return
    why = f"model '{plan.model.name}' takes none"
    if not _has_labels(dataset):
        why = f"the examples of dataset '{dataset.name}' have none"
    raise DifrunError(f"--train.label-dropout {dropout:g} is about labels, and {why}. Leave it out.")


def _has_labels(dataset: Dataset) -> bool:
    return bool(dataset.classes) or dataset.condition is not None


def guided(model: ScoreModel, guidance: tuple[ChosenComponent, ...], context: Context) -> ScoreModel:
    """The model inside its guidances; the first in the list is the innermost."""
    for chosen in guidance:
        model = instantiate(chosen, model=model, context=context, dataset=context.dataset)
    return model


def grid_times(
    grid: ChosenComponent, model: ScoreModel, steps: int, sampler: Sampler | None = None
) -> list[float]:
    """The times of a grid.

    Args:
        grid: The grid and its options.
        model: The model; the grid may ask for it, or for its process.
        steps: The number of steps.
        sampler: The sampler that takes the steps; None if no sampler does, as for a likelihood bound.
    """
    times = instantiate(grid, process=model.process, steps=steps, model=model, sampler=sampler)
    try:
        return decreasing(times)
    except DifrunError as error:
        raise DifrunError(f"{grid.entry} failed: {error}") from error


def instantiate(chosen: ChosenComponent, **offered: Any) -> Any:
    """Call a component's target with its options, and with the values on offer that its signature names.

    Raises:
        DifrunError: If the component refuses the values. The message names it.
    """
    with naming_component(chosen.entry):
        made = chosen.make(**offered)
    expected = _CLASSES.get(chosen.kind)
    if expected is not None and not isinstance(made, expected):
        raise DifrunError(
            f"{chosen.entry} returned {_described(made)}; expected a {expected.__module__}.{expected.__name__}."
        )
    if chosen.kind == "sampler":
        _refuse_wrong_attributes(chosen.entry, made)
    horizon = getattr(made, "horizon", None) if chosen.kind == "process" else 1.0
    if not isinstance(horizon, int | float) or not 0 < horizon < math.inf:
        raise DifrunError(
            f"{chosen.entry}: its horizon is {shown_briefly(horizon)}; expected a finite number above 0."
        )
    return made


def _refuse_wrong_attributes(entry: Registered, sampler: Any) -> None:
    """Raise DifrunError if what a sampler says of itself is of another type than `Sampler` declares."""
    kinds = {"order": int | None, "evaluations": int | None, "stochastic": bool, "inverts": bool}
    for name, expected in kinds.items():
        value = getattr(sampler, name)
        fits = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
        if not fits or (isinstance(value, int) and value < 0):
            wanted = "yes or no (bool)" if expected is bool else "a whole number of at least 0, or None"
            raise DifrunError(f"{entry}: its attribute {name} is {shown_briefly(value)}; expected {wanted}.")


def _described(made: Any) -> str:
    return "None" if made is None else f"an object of {type(made).__module__}.{type(made).__qualname__}"


@contextmanager
def naming_component(entry: Registered) -> Iterator[None]:
    """Turn a ValueError or TypeError of a component into a message that names it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise DifrunError(f"{entry} failed: {in_one_line(error).partition(': ')[2]}") from error
