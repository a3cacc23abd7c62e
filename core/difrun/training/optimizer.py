r"""Parameters as one flat vector, Adam on it, and its learning rate.

An optimiser step of a small network spends its time on the bookkeeping of many small tensors. Here weights, gradients,
moments and averaged weights are one vector each, and the network's parameters are views into the first two. Clipping,
Adam and averaging are then a handful of kernels, whatever the network is made of.
"""

import torch
from torch import Tensor, nn

from difrun.errors import DifrunError

ALIGNMENT = 16
"""Each parameter starts at a multiple of this many numbers: 64 bytes, as vector instructions prefer."""

BETAS = (0.9, 0.99)
"""Decay of Adam's moments. Runs here take some thousands of steps: with a memory of 1/(1 − β₂) = 100 steps the squared
gradient keeps up, where the customary 1000 would still remember the start."""

EPSILON = 1e-8


class FlatParameters:
    """The trainable parameters of a network in one vector.

    Frozen parameters and buffers are left as they are.

    Attributes:
        weights: All trainable parameters, (n,); each parameter is a view into it.
        gradient: All gradients, (n,); the `.grad` of each parameter is a view into it.

    Raises:
        DifrunError: If nothing is trainable, or not everything is of one dtype and on one device.
    """

    def __init__(self, network: nn.Module):
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        formats = {(p.dtype, p.device) for p in self.parameters.values()}
        if len(formats) != 1:
            kinds = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in formats)) or "none"
            raise DifrunError(
                "Training needs a network whose trainable parameters are of one dtype and on one device; "
                f"{type(network).__name__} has: {kinds}."
            )
        self._places: dict[str, tuple[int, int]] = {}
        end = 0
        for name, p in self.parameters.items():
            start = -(-end // ALIGNMENT) * ALIGNMENT
            end = start + p.numel()
            self._places[name] = start, end
        dtype, device = formats.pop()
        self.weights = torch.zeros(end, dtype=dtype, device=device)
        self.gradient = torch.zeros_like(self.weights)
        self.attach()

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parts of a vector like `weights`, by the names and in the shapes of the parameters."""
        return {
            name: vector[start:end].view(self.parameters[name].shape)
            for name, (start, end) in self._places.items()
        }

    def attach(self) -> None:
        """Make every parameter and gradient a view again; a replaced parameter keeps its values."""
        gradients = self.views(self.gradient)
        for name, view in self.views(self.weights).items():
            parameter = self.parameters[name]
            if parameter.data_ptr() != view.data_ptr():
                view.copy_(parameter.detach())
                parameter.data = view
            parameter.grad = gradients[name]


class Adam:
    r"""Adam on a flat vector (Kingma and Ba, 2015, arXiv 1412.6980, alg. 1), with clipping and averaging.

    One update scales the gradient to g·min(1, clip/‖g‖), applies Adam, and averages the weights,

        θ̄ ← d θ̄ + (1 − d) θ,    d = min(ema, (1 + k)/(10 + k)) at update k = 1, 2, ...,

    so that the average soon forgets the random start. Nothing is read back from the device.

    Args:
        flat: The parameters to update.
        clip: Largest norm of the gradient; 0 is off.
        ema: Decay d of the average; 0 is off.

    Attributes:
        average: The averaged weights (n,); None where averaging is off.
    """

    def __init__(self, flat: FlatParameters, *, clip: float, ema: float):
        self.weights, self.gradient = flat.weights, flat.gradient
        self.clip, self.ema = clip, ema
        self.mean = torch.zeros_like(self.weights)
        self.square = torch.zeros_like(self.weights)
        self.count = torch.zeros((), dtype=torch.float32, device=self.weights.device)
        self.average = self.weights.clone() if ema else None

    @property
    def vectors(self) -> dict[str, Tensor]:
        """The vectors beside the weights that an update changes, by the names under which they are saved."""
        moments = {"adam.mean": self.mean, "adam.square": self.square}
        return moments if self.average is None else {**moments, "ema": self.average}

    def update(self, k: int, lr: float) -> None:
        """Take update number k = 1, 2, ... with the present gradient."""
        if self.clip:
            self.gradient[None].renorm_(2, 0, self.clip)
        # Private, but the kernel of the public torch.optim.adamw.adamw(fused=True), which gives the same bits. On a
        # small network a step takes 14 µs against 49 µs there (torch.optim.AdamW.step: 116 µs).
        torch._fused_adamw_(
            [self.weights],
            [self.gradient],
            [self.mean],
            [self.square],
            [],
            [self.count.add_(1)],
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=lr,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
        if self.average is not None:
            self.average.lerp_(self.weights, 1 - min(self.ema, (1 + k) / (10 + k)))
