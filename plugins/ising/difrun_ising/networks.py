"""Networks for lattices of spins: F(x, c), a tensor like x, from x_t and the noise level c."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from difrun.builtin.mlp import MLP, LevelEmbedding
from difrun.errors import DifrunError

FEATURES = 32


class SpinCNN(nn.Module):
    """A convolutional network of residual blocks h ← h + conv(silu(a(c) h + b(c))), 3x3, for lattices.

    shape: (rows, columns), or (1, rows, columns). width: channels. depth: number of blocks. padding: "circular" for a
    torus, "zeros" for free boundaries. The noise level scales and shifts every channel, at every site where it
    differs between sites; the label, of `classes` and −1 for none, at every site. The last layer starts at zero:
    before training a site is known by its own value alone.
    """

    predicts = "x0"

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 32,
        depth: int = 4,
        padding: str = "circular",
        skip: bool = True,
        classes: int = 0,
    ):
        super().__init__()
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != 1):
            raise DifrunError(
                f"model 'spin-cnn' is for lattices (rows, columns); the examples have shape {tuple(shape)}. "
                "Take --model spin-mlp."
            )
        self.skip = skip
        mode = "circular" if padding == "circular" else "constant"
        self.mode = mode
        self.embed = LevelEmbedding(FEATURES)
        self.levels = nn.Linear(FEATURES, 2 * width * depth)
        self.first = nn.Conv2d(1, width, 3)
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3) for _ in range(depth))
        self.last = nn.Conv2d(width, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)
        self.labels = nn.Embedding(classes + 1, 2 * width * depth) if classes else None
        if self.labels is not None:
            nn.init.zeros_(self.labels.weight)

    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        lattice = x.shape[-2:]
        h = self._conv(self.first, x.reshape(-1, 1, *lattice))
        films = self.levels(self.embed(level.reshape(-1)))
        if level.ndim > 1:
            films = films.reshape(-1, *lattice, films.shape[-1]).permute(0, 3, 1, 2)
        else:
            films = films[:, :, None, None]
        if self.labels is not None and label is not None:
            films = films + self.labels(label + 1)[:, :, None, None]
        for block, film in zip(self.blocks, films.chunk(len(self.blocks), 1), strict=True):
            scale, shift = film.chunk(2, 1)
            h = h + self._conv(block, functional.silu(torch.addcmul(h + shift, h, scale)))
        return self.last(functional.silu(h)).reshape(x.shape)

    def _conv(self, layer: nn.Module, h: Tensor) -> Tensor:
        return layer(functional.pad(h, (1, 1, 1, 1), mode=self.mode))


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
