"""From a plan to the objects that it names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch import nn

from difrun.config.plan import ChosenComponent, Plan
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.guidance.context import Context
from difrun.loss.base import Loss
from difrun.model.base import MOST_CORRELATED, ScoreModel
from difrun.plugin.registry import Registered
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import seed_of


@attrs.frozen(eq=False)
class Components:
    """The objects of a run. loss is None where the model needs no training."""

    process: Any
    dataset: Dataset
    model: ScoreModel
    loss: Loss | None


def build(plan: Plan, device: torch.device, dataset: Dataset | None = None) -> Components:
    """Make the process, the data, the model and the loss that a plan names.

    dataset: the data, if they are at hand already. Weights are drawn under a seed of the run, whatever torch's global
    generator holds, and leave it as it was.
    Raises DifrunError for values that a component refuses.
    """
    if dataset is None:
        dataset = instantiate(plan.dataset, seed=seed_of(plan.seed, "dataset"))
    process = instantiate(plan.process)
    centre = torch.as_tensor(getattr(process, "centre", 0.0))
    if centre.ndim and tuple(centre.shape) != dataset.shape:
        raise DifrunError(
            f"process '{plan.process.name}' has a mean of {len(centre)} coordinates; the examples of dataset "
            f"'{dataset.name}' have shape {dataset.shape}. Give one number, or one per coordinate."
        )
    if plan.loss is None:
        return Components(
            process, dataset, instantiate(plan.model, process=process, dataset=dataset).to(device), None
        )
    classes = _classes(plan, dataset)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would seed the generators of the GPUs as well, which nobody gives back.
        torch.default_generator.manual_seed(seed_of(plan.seed, "weights"))
        wanted = {"dataset": dataset} if "data" in plan.model.entry.component.provides else {}
        network = instantiate(plan.model, dataset.shape, **classes, **wanted)
    if not isinstance(network, nn.Module):
        raise DifrunError(
            f"{plan.model.entry} did not give a torch.nn.Module; it provides 'network' and must."
        )
    options = {} if plan.model.prediction is None else {"predicts": plan.model.prediction.predicts}
    with naming_component(plan.process.entry):
        model = process.denoiser(network, shape=dataset.shape, mean=dataset.mean, var=dataset.var, **options)
    if classes.get("classes"):
        model.set_classes(dataset.shares, dataset.class_moments, knows_any=plan.train.label_dropout > 0)
    if isinstance(process, GaussianProcess) and dataset.train[0].numel() <= MOST_CORRELATED:
        model.cov = dataset.cov
    return Components(process, dataset, model.to(device), instantiate(plan.loss))


def _classes(plan: Plan, dataset: Dataset) -> dict[str, int]:
    """How many classes the network is told of, as its component takes it; 0 where it is to be trained without labels.

    Raises DifrunError for a dropout of labels that there are not.
    """
    able, dropout = "conditional" in plan.model.entry.component.provides, plan.train.label_dropout
    if dropout not in (1.0, type(plan.train)().label_dropout) and not (able and dataset.classes):
        why = "model '" + plan.model.name + "' takes none"
        if not dataset.classes:
            why = f"the examples of dataset '{dataset.name}' have none"
        raise DifrunError(f"--train.label-dropout {dropout:g} is about labels, and {why}. Leave it out.")
    return {"classes": len(dataset.classes) if dropout < 1 else 0} if able else {}


def guided(model: ScoreModel, guidance: tuple[ChosenComponent, ...], context: Context) -> ScoreModel:
    """The model inside its guidances, the first named innermost. context: for those that ask for it."""
    for chosen in guidance:
        asks = "context" in chosen.entry.component.provides
        model = instantiate(chosen, model, context=context) if asks else instantiate(chosen, model)
    return model


def grid_times(grid: ChosenComponent, model: ScoreModel, steps: int, sampler: Any = None) -> list[float]:
    """The times of a grid; one that is fitted gets the model, any other its process.

    sampler: what is to take the steps, for a grid that asks for it; None where that is no sampler.
    """
    asked = grid.entry.component.provides
    more = {"sampler": sampler} if "sampler" in asked else {}
    return instantiate(grid, model if "fitted" in asked else model.process, steps, **more)


def instantiate(chosen: ChosenComponent, *args: Any, **context: Any) -> Any:
    """Call a component's target with its options. Raises DifrunError, naming the component, when it refuses them."""
    with naming_component(chosen.entry):
        return chosen.make(*args, **context)


@contextmanager
def naming_component(entry: Registered) -> Iterator[None]:
    """Turn a ValueError or TypeError of a component into a message that names it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise DifrunError(f"{entry} failed: {error}") from error
