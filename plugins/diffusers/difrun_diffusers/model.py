"""Networks of diffusers as score models."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from difrun.data.casts import as_data
from difrun.model import ConditionalModel
from difrun.model.labels import for_rows
from difrun.model.predictions import coefficients
from difrun.process import GaussianProcess
from difrun.process.tabulated import TabulatedProcess
from difrun_diffusers.clipping import Clip, is_left

Ask = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Called with the network's input (n, ...), its timesteps (n,) and the labels (n,), −1 for none."""

NEAR = 2e-3
"""Distance of a time from a whole number below which it counts as that number, for tables that are float32."""


class DiffusersModel(ConditionalModel):
    """A network of diffusers, under its own noise schedule or under any other Gaussian process.

    Under another process, the network is asked at the level of the same σ/α of its own table, with x scaled to it;
    below the first entry of the table it is asked at that entry.

    Args:
        network: The network.
        ask: How it is called.
        table: The process of its training: a table with an entry at t = 1 ... N, or the rectified flow on [0, 1].
        shape: The shape of one example, (channels, height, width).
        predicts: What it predicts: "noise", "x0", "v", or "straight" for the velocity of a rectified flow.
        process: The process of the run; None is the table.
        vae: The autoencoder, where the network works on latents.
        clip: What is done with x̂_0 before anything else is computed from it; None for nothing.

    Attributes:
        network: The network, in evaluation mode.
        table: The process of its training.
        clip: What is done with x̂_0, or None.
        vae: The autoencoder, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        ask: Ask,
        table: GaussianProcess,
        shape: tuple[int, ...],
        *,
        predicts: str,
        process: GaussianProcess | None = None,
        vae: Any = None,
        clip: Clip | None = None,
    ):
        self.network = network
        self.ask = ask
        self.table = table
        self.process = table if process is None else process
        self.shape = tuple(shape)
        self.predicts = predicts
        self.vae = vae
        self.clip = clip
        self.mean, self.var = torch.zeros(self.shape), torch.ones(self.shape)

    @property
    @override
    def kind(self) -> str:  # type: ignore[override]
        """What `forward` returns: what the network predicts, or the noise under another process."""
        return self.predicts if self.process is self.table else "noise"

    @override
    def to(self, device: torch.device | str) -> "DiffusersModel":
        self.network.to(device)
        if self.vae is not None:
            self.vae.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    @override
    def forward(self, x: Tensor, at: Any) -> Tensor:
        x = as_data(x)
        if self.process is self.table:
            return self._clipped(self._asked(x, at.t), x, at)
        here = self.table.at(self._time_of(at), x.ndim if isinstance(at.t, Tensor) else None)
        inner = (x - self.process.centre_like(x)) * ((here.alpha + here.sigma) / (at.alpha + at.sigma))
        output = self._clipped(self._asked(inner, here.t), inner, here)
        return self.table.convert(output, inner, here, self.predicts, "noise")

    def _clipped(self, output: Tensor, x: Tensor, here: Any) -> Tensor:
        """The network's prediction, moved to that of the clipped x̂_0, so that all kinds agree; else as it is."""
        if self.clip is None or is_left():
            return output
        if not isinstance(here.sigma, Tensor) and not (
            here.sigma and (here.alpha or self.predicts != "noise")
        ):
            return output  # nothing is known of x̂_0, or nothing follows from it
        x0 = self.table.convert(output, x, here, self.predicts, "x0")
        change = torch.where(x0.isfinite(), self.clip(x0) - x0, 0)
        # In c·x̂_0 + d·ε̂, ε̂ = (x − α x̂_0)/σ. Where nothing is clipped the change is 0, and no digit is lost.
        c, d = coefficients(self.predicts, here)
        return output + (c - d * here.alpha / here.sigma) * change

    def _time_of(self, at: Any) -> Any:
        """The time of the table with the level of an instant."""
        lam = at.lam.reshape(-1) if isinstance(at.lam, Tensor) else at.lam
        return self.table.time_at(lam)

    def _asked(self, x: Tensor, t: Any) -> Tensor:
        """The network's prediction at times of the table, in the dtype of x."""
        weight = next(self.network.parameters())
        times = torch.as_tensor(t, dtype=torch.float64).reshape(-1).to(x.device)
        places = self._places(times).to(weight.dtype).expand(len(x))
        label = None if self.labels is None and self.knows_any else for_rows(self.labels, x)
        output = self.ask(x.to(weight.dtype), places, label)
        return output[:, : x.shape[1]].to(x.dtype)  # a learned variance in further channels is not used

    def _places(self, t: Tensor) -> Tensor:
        """The network's timesteps: from 0 for a table, 1000 t for a rectified flow."""
        if self.predicts == "straight":
            return 1000 * t
        places = (t - 1).clamp_min(0)
        whole = places.round()
        return torch.where((places - whole).abs() < NEAR, whole, places)

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images of latents; examples of a model without an autoencoder are images already.

        Args:
            latents: (n, *shape).
        """
        if self.vae is None:
            return latents
        config = self.vae.config
        shift = getattr(config, "shift_factor", None) or 0.0
        with torch.no_grad():
            return self.vae.decode(latents / config.scaling_factor + shift, return_dict=False)[0]

    def encode(self, images: Tensor) -> Tensor:
        """Return the latents of images, the means of the autoencoder's distributions.

        Args:
            images: (n, channels, height, width), within [−1, 1].
        """
        if self.vae is None:
            return images
        config = self.vae.config
        shift = getattr(config, "shift_factor", None) or 0.0
        with torch.no_grad():
            return (self.vae.encode(images).latent_dist.mean - shift) * config.scaling_factor


OF_FOLDER = frozenset({"continuous", "gaussian", "ode", "sde", "scheduler"})
"""What the schedule of a folder provides: `scheduler` is what the sampler `diffusers-own` asks for."""


class Table(TabulatedProcess):
    """The table of a scheduler of diffusers.

    Attributes:
        folder: Where it comes from.
        provides: What goes with it.
    """

    folder: str | None = None
    provides = OF_FOLDER


class Straight(GaussianProcess):
    """Rectified flow, x_t = (1 − t) x_0 + t ε on [0, 1].

    Args:
        noise_floor: The ratio σ/α at which sampling ends; None for the default of difrun.

    Attributes:
        folder: The folder whose schedule it is.
        provides: What goes with it.
    """

    horizon = 1.0
    folder: str | None = None
    provides = OF_FOLDER

    def __init__(self, noise_floor: float | None = None):
        if noise_floor is not None:
            self.noise_floor = noise_floor

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.log1p(-t)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    @override
    def variance(self, t: Tensor) -> Tensor:
        return t**2

    @override
    def time_at(self, lam: Any) -> Any:
        return torch.sigmoid(-lam) if isinstance(lam, Tensor) else 1 / (1 + math.exp(min(lam, 700.0)))
