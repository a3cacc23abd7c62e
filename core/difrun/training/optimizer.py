r"""Parameters as one flat vector, and Adam on it.

An optimiser step over a small network spends its time on the bookkeeping of many small tensors. Here weights,
gradients, moments and averaged weights are one vector each, and the network's parameters are views into the
first two: clipping, Adam and averaging are then a handful of kernels, whatever the network is made of.
"""

import torch
from torch import Tensor, nn

from difrun.errors import DifrunError

ALIGNMENT = 16
"""Each parameter starts at a multiple of so many numbers, 64 bytes, where vector instructions like to
start."""

BETAS = (0.9, 0.99)
"""Decay of Adam's moments. Runs here take some thousands of steps: a memory of 1/(1 − β₂) = 100 of them
lets the squared gradient follow, where the customary 1000 would still remember the start."""

EPSILON = 1e-8


class FlatParameters:
    """The trainable parameters of a network in one vector.

    weights, gradient: shape (n,); every trainable parameter and its `.grad` are views into them. Frozen
    parameters and buffers are left as they are.

    Raises DifrunError when nothing is trainable, or not all of one dtype and on one device.
    """

    def __init__(self, network: nn.Module):
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        sorts = {(p.dtype, p.device) for p in self.parameters.values()}
        if len(sorts) != 1:
            found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in sorts)) or "none"
            raise DifrunError(
                "Training needs a network whose trainable parameters are of one dtype and on one device; "
                f"{type(network).__name__} has: {found}."
            )
        self._places: dict[str, tuple[int, int]] = {}
        end = 0
        for name, p in self.parameters.items():
            start = -(-end // ALIGNMENT) * ALIGNMENT
            end = start + p.numel()
            self._places[name] = start, end
        dtype, device = sorts.pop()
        self.weights = torch.zeros(end, dtype=dtype, device=device)
        self.gradient = torch.zeros_like(self.weights)
        self.attach()

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """The parts of a vector like `weights`, by the names and in the shapes of the parameters."""
        return {
            name: vector[start:end].view(self.parameters[name].shape)
            for name, (start, end) in self._places.items()
        }

    def attach(self) -> None:
        """Make every parameter and gradient a view again; a parameter that was replaced keeps its values."""
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

    so that the average forgets the random start at once. Nothing is read back from the device.

    clip: largest norm; 0 is off. ema: decay; 0 is off, and `average` is None.
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
        kept = {"adam.mean": self.mean, "adam.square": self.square}
        return kept if self.average is None else {**kept, "ema": self.average}

    def update(self, k: int, lr: float) -> None:
        """Update number k = 1, 2, ... with the gradient that is there."""
        if self.clip:
            self.gradient[None].renorm_(2, 0, self.clip)
        # The kernel of torch.optim.AdamW(fused=True) itself: for a small network its wrapper costs far more.
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


class Snapshot:
    """A copy of tensors that can be put back."""

    def __init__(self, tensors: list[Tensor]):
        self._tensors = tensors
        self._copies = [tensor.detach().clone() for tensor in tensors]

    @torch.no_grad()
    def take(self) -> None:
        for copy, tensor in zip(self._copies, self._tensors, strict=True):
            copy.copy_(tensor)

    @torch.no_grad()
    def put_back(self) -> None:
        for copy, tensor in zip(self._copies, self._tensors, strict=True):
            tensor.copy_(copy)


def weights_and_buffers(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; of tied parameters under the first name only."""
    first = dict(network.named_parameters())
    every = dict(network.named_parameters(remove_duplicate=False))
    state = network.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if name in first or name not in every}


@torch.no_grad()
def copy_by_name(targets: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    """Copy tensors by name, all or none. Raises DifrunError unless names and shapes are the same."""
    wrong = sorted(set(given) ^ set(targets))
    wrong += sorted(n for n in set(given) & set(targets) if given[n].shape != targets[n].shape)
    if wrong:
        shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise DifrunError(
            f"The saved state does not fit this network and its training options: of {len(targets)} tensors "
            f"{len(wrong)} are missing, left over or of another shape ({shown})."
        )
    for name, target in targets.items():
        target.copy_(given[name])
