"""A UNet2DModel of diffusers as a network that difrun trains."""

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor, nn

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.model.base import std_of
from difrun.process import GaussianProcess
from difrun_diffusers.model import NEAR

PLACES = 1000
"""Timesteps of a process that is no chain: its horizon is told as 1000."""


class UNet(nn.Module):
    """A new `UNet2DModel`, called as pipelines of diffusers call it: with x_t itself and the timestep.

    A network of difrun gets F(c_in (x_t − α m), ¼ ln(σ/α)), with m the mean of the data. This one undoes the scaling,
    finds the time t of the process from the level, and tells its network t − 1, the index of diffusers' tables. On a
    chain such as `ddpm`, with a network that predicts the noise, the inner network is therefore one of diffusers.

    Args:
        shape: The shape of an example, (channels, height, width).
        dataset: The data, whose mean and variance set the scaling.
        process: The process. For one whose horizon is no number of steps the timestep is 1000 t/T.
        classes: Number of classes; one more label stands for none.
        width: Channels at full resolution.
        levels: Number of resolutions.
        blocks: Residual blocks per resolution.
        attention: How many of the lowest resolutions have self-attention.

    Raises:
        DifrunError: If the examples are no images, or cannot be halved so often.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dataset: Dataset,
        process: GaussianProcess,
        classes: int = 0,
        *,
        width: int = 32,
        levels: int = 3,
        blocks: int = 2,
        attention: int = 1,
    ):
        super().__init__()
        multiple = 2 ** (levels - 1)
        if len(shape) != 3 or shape[1] % multiple or shape[2] % multiple:
            raise DifrunError(
                f"model 'diffusers-unet' of {levels} levels takes images (channels, height, width) whose sides are "
                f"multiples of {multiple}, not {tuple(shape)}. Choose fewer levels, or other images."
            )
        self.process, self.classes = process, classes
        self.std = std_of(torch.as_tensor(dataset.var))
        self.register_buffer(
            "mean", torch.as_tensor(dataset.mean, dtype=torch.float32).clone(), persistent=False
        )
        with_attention = [k >= levels - attention for k in range(levels)]
        self.unet = UNet2DModel(
            sample_size=tuple(shape[1:]),
            in_channels=shape[0],
            out_channels=shape[0],
            layers_per_block=blocks,
            block_out_channels=tuple(width if k == 0 else 2 * width for k in range(levels)),
            down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in with_attention),
            up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(with_attention)),
            norm_num_groups=8,
            add_attention=attention > 0,
            num_class_embeds=classes + 1 if classes else None,
        )
        # torch's fused attention cannot be differentiated twice, as exact divergences need.
        for module in self.unet.modules():
            if isinstance(module, Attention):
                module.set_processor(AttnProcessor())

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        """Predict from scaled images (n, channels, height, width), a level (n,) or (1,), and labels (n,), −1 none."""
        t = self.process.time_at(-4 * level.reshape(-1).double())
        at = self.process.at(t.cpu().clamp_max(self.process.horizon), x.ndim)
        total = (at.alpha**2 * self.std**2 + at.var).sqrt()
        inner = total.to(x) * x + at.alpha.to(x) * self.mean.to(x)
        labels = None
        if self.classes:
            if label is None:
                label = torch.full((len(x),), -1, device=x.device)
            labels = torch.where(label < 0, self.classes, label)
        places = self._places(t).to(x).expand(len(x))
        return self.unet(inner, places, class_labels=labels, return_dict=False)[0]

    def _places(self, t: Tensor) -> Tensor:
        """The timesteps of diffusers at times of the process."""
        if not is_chain(self.process):
            return PLACES * t / self.process.horizon
        places = (t - 1).clamp_min(0)
        whole = places.round()
        return torch.where((places - whole).abs() < NEAR, whole, places)


def is_chain(process: GaussianProcess) -> bool:
    """Whether the times of a process are the steps of a chain."""
    return process.horizon >= 10 and process.horizon == round(process.horizon)
