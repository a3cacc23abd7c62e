r"""The format `safetensors`: the weights of a network, and one JSON file with all else that its denoiser needs.

docs/export.md shows the file and a reader of a few lines.
"""

import json
from pathlib import Path
from typing import Any

import torch

from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model.network import NetworkModel
from difrun.model.predictions import conversion, total_var
from difrun.model.wrappers import innermost
from difrun.options.attrs_fields import values
from difrun.process.gaussian import GaussianProcess
from difrun.runs.run import Run
from difrun.storage import atomic
from difrun.storage.tensors import write_tensors
from difrun.training.network_state import weights_and_buffers

LEVELS = 1000
"""Levels of the schedule table of a process that is no chain."""


def write(run: Run, folder: Path) -> None:
    """Write a network as model.safetensors and model.json.

    Args:
        run: The run.
        folder: The new folder.

    Raises:
        DifrunError: If the model is no network on a Gaussian process, or its network is made from more than the shape
            of the data.
    """
    model = innermost(run.model)
    if not isinstance(model, NetworkModel):
        raise DifrunError(
            f"model '{run.plan.model.name}' is no network on a Gaussian process: there are no weights to export, or "
            "no denoiser that a reader could rebuild from them."
        )
    asked = [name for name in ("dataset", "process") if run.plan.model.entry.asks_for(name)]
    if asked:
        raise DifrunError(
            f"network '{run.plan.model.name}' is made from the {' and the '.join(asked)} of the run, which the format "
            "'safetensors' does not hold. Choose the format that its plugin offers ('difrun export --help')."
        )
    if model.completes:
        raise DifrunError(
            "a model that completes rows with gaps (--dataset.missing condition) is more than its network: it cannot "
            "be exported in the format 'safetensors'."
        )
    text = json.dumps(described(run, model), indent=1, ensure_ascii=False)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", weights_and_buffers(model.network))
    atomic.write_text(folder / "model.json", text + "\n")


def described(run: Run, model: NetworkModel) -> dict[str, Any]:
    """Return what model.json says."""
    plan, dataset = run.plan, run.parts.dataset
    network = type(model.network)
    content: dict[str, Any] = {
        "format": "difrun model 1",
        "versions": plan.versions(),
        "process": {"name": plan.process.name, "options": _as_json(values(plan.process.options))},
        "schedule": schedule(model.process, model, chain="chain" in plan.process.entry.component.provides),
        "prediction": model.predicts,
        "shape": list(model.shape),
        "scaling": {
            "center": _plain(model.process.centre),
            "mean": _plain(model.mean),
            "std": model.data_std,
            "lam_range": list(model.process.lam_range),
        },
        "network": {
            "name": plan.model.name,
            "class": f"{network.__module__}:{network.__qualname__}",
            "arguments": _arguments(model, run),
            "options": _as_json(values(plan.model.options)),
            "weights": "averaged" if plan.train.ema else "last",
        },
        "units": _units(dataset),
    }
    if model.classes:
        content["classes"] = {"names": [str(name) for name in dataset.classes], "none": -1}
    if model.condition_shape is not None:
        content["condition"] = {"shape": list(model.condition_shape), "none": "NaN"}
    return content


def schedule(process: GaussianProcess, model: NetworkModel, *, chain: bool) -> dict[str, list[float]]:
    """Return the table of levels, from data to noise, with what the denoiser multiplies by at each.

    Args:
        process: The process.
        model: The model of its network.
        chain: Take the times 1 ... T of a chain, and not levels equally spaced in log(σ/α).
    """
    times = (
        [float(n) for n in range(1, round(process.horizon) + 1)] if chain else logsnr(process, LEVELS)[::-1]
    )
    instants = process.instants(times)
    low, high = process.lam_range
    knows_noise_alone = model.predicts in ("noise", "score") and process.forgets
    pairs = [
        # Where nothing of the data is left, the noise says nothing of them: x̂_0 is their mean.
        (0.0, 0.0)
        if knows_noise_alone and at.lam < low
        else conversion(at, model.predicts, "x0", model.data_std)
        for at in instants
    ]
    rows: dict[str, list[float]] = {
        "t": times,
        "alpha": [at.alpha for at in instants],
        "sigma": [at.sigma for at in instants],
        "c_noise": [-max(low, min(high, at.lam)) / 4 for at in instants],
        "c_in": [total_var(at, model.data_std) ** -0.5 for at in instants],
    }
    return rows | {"c_skip": [p for p, _ in pairs], "c_out": [q for _, q in pairs]}


def _as_json(options: dict[str, Any]) -> dict[str, Any]:
    """Values of options as JSON can hold them: paths and classes as text, tuples as lists."""
    return json.loads(json.dumps(options, default=str))


def _arguments(model: NetworkModel, run: Run) -> dict[str, Any]:
    """What the class of the network is called with, beside its options."""
    condition = model.condition_shape
    arguments: dict[str, Any] = {
        "shape": list(model.shape),
        "classes": model.classes,
        "condition_shape": None if condition is None else list(condition),
    }
    return {name: value for name, value in arguments.items() if run.plan.model.entry.asks_for(name)}


def _units(dataset: Any) -> dict[str, Any]:
    """The map from the units of the model to those of the user: x·scale + shift."""
    scaling = getattr(dataset, "scaling", None)
    if scaling is None:
        return {"shift": 0.0, "scale": 1.0}
    return {"shift": _plain(scaling.shift), "scale": _plain(scaling.scale)}


def _plain(values: Any) -> Any:
    """A number or nested lists of numbers."""
    return torch.as_tensor(values, dtype=torch.float64).tolist()
