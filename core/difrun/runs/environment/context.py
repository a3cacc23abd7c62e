"""What the guidances of a run may ask for."""

from pathlib import Path

import torch

from difrun.data.dataset import Dataset
from difrun.guidance.context import Context
from difrun.plugin.listener import Listener


def guidance_context(
    dataset: Dataset, seed: int, device: torch.device, listener: Listener, folder: Path | None = None
) -> Context:
    """Return the context of guidances that report to a listener; folder: where they may save what they learn."""
    return Context(
        dataset,
        folder=folder,
        seed=seed,
        device=device,
        note=listener.note,
        stage=listener.stage,
        report=listener.train,
        stopping=listener.stopping,
    )
