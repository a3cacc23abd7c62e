"""Networks for spins and letters of any shape."""

from torch import Tensor
from typing_extensions import override

from difrun.model import MLP


class SpinMLP(MLP):
    """The core's residual MLP, for spins and letters of any shape: it is flat and knows no neighbours.

    Where the noise level differs between sites it reads the mean.

    Args:
        shape: The shape of an example.
        width: The width of the hidden layers.
        depth: The number of residual blocks.
        skip: Whether the likelihood of a site's own value is added (`NetworkDenoiser`).
        classes: The number of classes; 0 for a network without labels.
    """

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

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(x, level if level.ndim == 1 else level.flatten(1).mean(1), label)


class ReverseMLP(SpinMLP):
    """An MLP of the reverse kernel, which gives the log-odds of x_{t−1}, as the first Ising tutorials do."""

    predicts = "previous"

    def __init__(self, shape: tuple[int, ...], *, width: int = 256, depth: int = 3, skip: bool = False):
        super().__init__(shape, width=width, depth=depth, skip=skip)
