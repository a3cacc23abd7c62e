"""Write a trained model as a pipeline of diffusers."""

from pathlib import Path
from typing import Any

import diffusers
import torch

from difrun.errors import DifrunError
from difrun.model import NetworkModel, ScoreModel
from difrun.model.wrappers import innermost
from difrun.text import quoted
from difrun_diffusers.levels import process_table
from difrun_diffusers.unet import UNet, is_chain


def export(run: Any, folder: str | Path) -> Path:
    """Write a model that was trained with `--model diffusers-unet` as a folder that `DDPMPipeline` loads.

    The folder holds the `UNet2DModel` as safetensors and a `DDPMScheduler` with the chain's table of β, so that
    `DDPMPipeline.from_pretrained(folder)`, `DDIMPipeline` and `difrun_diffusers.load` sample the same model.

    Args:
        run: A `difrun.runs.run.Run` that has been trained, or its model.
        folder: The folder to write; it must not exist, or be empty.

    Returns:
        The folder.

    Raises:
        DifrunError: If the model cannot be written as such a pipeline without a change of what it computes, or the
            folder is not empty.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DifrunError(f"{quoted(path)} exists already. Choose another folder.")
    model = innermost(run if isinstance(run, ScoreModel) else run.model)
    network = getattr(model, "network", None)
    if not isinstance(model, NetworkModel) or not isinstance(network, UNet):
        raise DifrunError(
            "only a network trained with --model diffusers-unet is a UNet2DModel of diffusers; the other networks of "
            "difrun have no class there. Their weights are plain safetensors: model.safetensors of the run."
        )
    _refuse_what_a_pipeline_cannot_say(model)
    scheduler = diffusers.DDPMScheduler(
        num_train_timesteps=int(model.process.horizon),
        trained_betas=process_table(model.process).tolist(),
        prediction_type="epsilon",
        clip_sample=False,
    )
    training = network.unet.training
    try:
        pipeline = diffusers.DDPMPipeline(unet=network.unet.eval(), scheduler=scheduler)
        pipeline.save_pretrained(path, safe_serialization=True)
    finally:
        network.unet.train(training)
    return path


def _refuse_what_a_pipeline_cannot_say(model: NetworkModel) -> None:
    if model.predicts != "noise" or not is_chain(model.process):
        raise DifrunError(
            f"this network predicts {model.predicts} of the process {type(model.process).__name__}; a pipeline of "
            "diffusers needs the noise of a chain. Train with --process ddpm and --model.predicts noise."
        )
    if model.classes:
        raise DifrunError(
            "this network was trained on classes, and DDPMPipeline and DDIMPipeline ask for none. Train it without: "
            "--train.label-dropout 1."
        )
    if torch.as_tensor(model.process.centre).any():
        raise DifrunError("the process has a mean other than 0, which a scheduler of diffusers has not.")
    if len(process_table(model.process)) != model.process.horizon:
        raise DifrunError(
            f"the process {type(model.process).__name__} is no chain of {model.process.horizon:g} steps: a pipeline of "
            "diffusers needs one. Train with --process ddpm."
        )
