"""Networks for lattices of spins: F(x, c), a tensor like x, from x_t and the noise level c."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from difrun.errors import DifrunError
from difrun.model import MLP


class SpinCNN(nn.Module):
    r"""A convolutional network of residual blocks h ← h + conv(silu(h)), 3x3, for lattices.

    shape: (rows, columns), or (1, rows, columns). width: channels. depth: number of blocks. padding: "circular" for a
    torus, "zeros" for free boundaries, "auto" for that of the lattice of `dataset`: a torus where there is no
    dataset, free where its lattice is not known. What x_t and t say of x_0 is, at every site, e = α x_t = tanh(−c)
    x_t: for flips the mean of the spin given its own noised value, which together are all that the distribution of
    x_0 depends on. The network is given e and e² and no other word of the noise level, which may therefore differ
    between sites; e = 0 is a site of which nothing is known. The label, of `classes` and −1 for none, scales and
    shifts every channel. The last layer starts at zero: before training a site is known by its own value alone.
    """

    predicts = "x0"
    reads_evidence = True

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 32,
        depth: int = 4,
        padding: str = "auto",
        skip: bool = True,
        classes: int = 0,
        dataset: Any = None,
    ):
        super().__init__()
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != 1):
            raise DifrunError(
                f"model 'spin-cnn' is for lattices (rows, columns); the examples have shape {tuple(shape)}. "
                "Take --model spin-mlp."
            )
        self.skip = skip
        if padding == "auto":
            torus = dataset is None or getattr(getattr(dataset, "lattice", None), "periodic", False)
            padding = "circular" if torus else "zeros"
        self.closed = padding == "circular"
        self.first = self._layer(2, width)
        self.blocks = nn.ModuleList(self._layer(width, width) for _ in range(depth))
        self.last = nn.Conv2d(width, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)
        self.labels = nn.Embedding(classes + 1, 2 * width * depth) if classes else None
        if self.labels is not None:
            nn.init.zeros_(self.labels.weight)

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        lattice = x.shape[-2:]
        known = torch.tanh(-level)
        known = known.reshape(-1, *lattice) if level.ndim > 1 else known[:, None, None]
        e = x.reshape(-1, *lattice) * known
        h = self._conv(self.first, torch.stack((e, e * e), 1))
        for block, film in zip(self.blocks, self._films(label), strict=True):
            if film is None:
                h = h + self._conv(block, functional.silu(h))
            else:
                scale, shift = film.chunk(2, 1)
                h = h + self._conv(block, functional.silu(torch.addcmul(h + shift, h, scale)))
        return self.last(functional.silu(h)).reshape(x.shape)

    def _films(self, label: Tensor | None) -> Sequence[Tensor | None]:
        """What the label does in every block: (n, 2 width, 1, 1), or None without labels."""
        if self.labels is None or label is None:
            return [None] * len(self.blocks)
        return self.labels(label + 1)[:, :, None, None].chunk(len(self.blocks), 1)

    def _layer(self, inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, padding=0 if self.closed else 1)

    def _conv(self, layer: nn.Module, h: Tensor) -> Tensor:
        return layer(_closed(h)) if self.closed else layer(h)


def _closed(h: Tensor) -> Tensor:
    """Tori (n, channels, rows, columns) with one more site on every side; faster than `functional.pad`."""
    h = torch.cat((h[:, :, -1:], h, h[:, :, :1]), 2)
    return torch.cat((h[..., -1:], h, h[..., :1]), 3)


class SpinMLP(MLP):
    """The core's residual MLP for spins and letters; it is flat, and knows no neighbours. Where the noise level differs
    between sites it is given the mean."""

    predicts = "x0"

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 256,
        depth: int = 3,
        skip: bool = True,
        classes: int = 0,
    ):
        super().__init__(shape, width=width, depth=depth, classes=classes)
        self.skip = skip

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(x, level if level.ndim == 1 else level.flatten(1).mean(1), label)


class ReverseMLP(SpinMLP):
    """An MLP of the reverse kernel: it gives the log-odds of x_{t−1}, as the first Ising tutorials do."""

    predicts = "previous"

    def __init__(self, shape: tuple[int, ...], *, width: int = 256, depth: int = 3, skip: bool = False):
        super().__init__(shape, width=width, depth=depth, skip=skip)
