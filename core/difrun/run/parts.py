"""From a plan to the objects that it names."""

from typing import Any

import attrs
import torch
from torch import nn

from difrun.config import Chosen, Plan
from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.loss import Loss
from difrun.model import NetworkModel, ScoreModel
from difrun.randomness import seed_of


@attrs.frozen(eq=False)
class Parts:
    """The objects of a run. loss is None where the model needs no training."""

    process: Any
    dataset: Dataset
    model: ScoreModel
    loss: Loss | None


def build(plan: Plan, device: torch.device) -> Parts:
    """Make the process, the data, the model and the loss that a plan names.

    Weights are drawn under a seed of the run, whatever torch's global generator holds, and leave it as it was.
    Raises DifrunError for values that a component refuses.
    """
    dataset = made(plan.dataset, seed=seed_of(plan.seed, "dataset"))
    process = made(plan.process)
    centre = torch.as_tensor(getattr(process, "centre", 0.0))
    if centre.ndim and tuple(centre.shape) != dataset.shape:
        raise DifrunError(
            f"process '{plan.process.name}' has a mean of {len(centre)} coordinates; the examples of dataset "
            f"'{dataset.name}' have shape {dataset.shape}. Give one number, or one per coordinate."
        )
    if plan.loss is None:
        return Parts(process, dataset, made(plan.model, process=process, dataset=dataset).to(device), None)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would seed the generators of the GPUs as well, which nobody gives back.
        torch.default_generator.manual_seed(seed_of(plan.seed, "weights"))
        network = made(plan.model, dataset.shape)
    if not isinstance(network, nn.Module):
        raise DifrunError(
            f"{plan.model.entry} did not give a torch.nn.Module; it provides 'network' and must."
        )
    predicts = plan.model.prediction.predicts if plan.model.prediction else "edm"
    model = NetworkModel(
        network, process, dataset.shape, predicts=predicts, mean=dataset.mean, var=dataset.var
    )
    return Parts(process, dataset, model.to(device), made(plan.loss))


def guided(model: ScoreModel, guidance: tuple[Chosen, ...]) -> ScoreModel:
    """The model inside its guidances, the first named innermost."""
    for chosen in guidance:
        model = made(chosen, model)
    return model


def made(chosen: Chosen, *args: Any, **context: Any) -> Any:
    """Call a component's target; a ValueError or TypeError of the component itself becomes a message that names it."""
    try:
        return chosen.make(*args, **context)
    except (ValueError, TypeError) as error:
        raise DifrunError(f"{chosen.entry} refused its options: {error}") from error
