"""A convolutional network for lattices of spins."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun.data import Dataset
from difrun.errors import DifrunError


class SpinCNN(nn.Module):
    r"""A convolutional network of residual blocks h ← h + conv(silu(h)), 3x3, for lattices.

    It gives F(x, c), a tensor like x, from x_t and the noise level c = −artanh α. The evidence on x_0 is, at every
    site,

        e = α x_t = tanh(−c) x_t.

    For flips, e is the mean of the spin given its own noised value; the distribution of x_0 depends on these alone. The
    network reads e and e² and nothing else of the noise level, which may therefore differ between sites. e = 0 means
    that nothing is known of a site. The label, one of `classes` or −1 for none, scales and shifts every channel. The
    last layer starts at zero: before training a site is known by its own value alone.

    Args:
        shape: (rows, columns), or (1, rows, columns).
        width: The number of channels.
        depth: The number of blocks.
        padding: "circular" for a torus, "zeros" for free boundaries, or "auto" for the boundaries of the lattice of
            `dataset`: a torus where there is no dataset, free where its lattice is not known.
        skip: Whether the likelihood of a site's own value is added (`NetworkDenoiser`).
        classes: The number of classes; 0 for a network without labels.
        dataset: The data, for "auto".

    Raises:
        DifrunError: If the examples are not lattices.
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
        dataset: Dataset | None = None,
    ):
        super().__init__()
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != 1):
            raise DifrunError(
                f"model 'spin-cnn' is for lattices (rows, columns); the examples have shape {tuple(shape)}. "
                "Take --model spin-mlp."
            )
        self.skip = skip
        self.torus = _is_torus(dataset) if padding == "auto" else padding == "circular"
        self.first = self._layer(2, width)
        self.blocks = nn.ModuleList(self._layer(width, width) for _ in range(depth))
        self.last = nn.Conv2d(width, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)
        self.labels = nn.Embedding(classes + 1, 2 * width * depth) if classes else None
        if self.labels is not None:
            nn.init.zeros_(self.labels.weight)

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        lattice = x.shape[-2:]
        alpha = torch.tanh(-level)
        alpha = alpha.reshape(-1, *lattice) if level.ndim > 1 else alpha[:, None, None]
        e = x.reshape(-1, *lattice) * alpha
        h = self._conv(self.first, torch.stack((e, e * e), 1))
        for block, modulation in zip(self.blocks, self._modulations(label), strict=True):
            if modulation is None:
                h = h + self._conv(block, functional.silu(h))
            else:
                scale, shift = modulation.chunk(2, 1)
                h = h + self._conv(block, functional.silu(torch.addcmul(h + shift, h, scale)))
        return self.last(functional.silu(h)).reshape(x.shape)

    def _modulations(self, label: Tensor | None) -> Sequence[Tensor | None]:
        """The scales and shifts of the label in every block: (n, 2 width, 1, 1), or None without labels."""
        if self.labels is None or label is None:
            return [None] * len(self.blocks)
        return self.labels(label + 1)[:, :, None, None].chunk(len(self.blocks), 1)

    def _layer(self, inputs: int, outputs: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, padding=0 if self.torus else 1)

    def _conv(self, layer: nn.Module, h: Tensor) -> Tensor:
        return layer(_wrapped(h)) if self.torus else layer(h)


def _is_torus(dataset: Dataset | None) -> bool:
    """Whether a network for a dataset wraps around its borders."""
    return dataset is None or getattr(getattr(dataset, "lattice", None), "periodic", False)


def _wrapped(h: Tensor) -> Tensor:
    """Tori (n, channels, rows, columns) with one more site on every side; faster than `functional.pad`."""
    h = torch.cat((h[:, :, -1:], h, h[:, :, :1]), 2)
    return torch.cat((h[..., -1:], h, h[..., :1]), 3)
