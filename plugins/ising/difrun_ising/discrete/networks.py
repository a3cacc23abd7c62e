"""Networks for spins and letters of any shape."""

from torch import Tensor

from difrun.model import MLP


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
