"""A convolutional network without changes of resolution."""

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun_images.blocks import Block, Condition, image_shape, normalisation


class CNN(nn.Module):
    """F(x, c, label): residual blocks at the resolution of the images, which read the noise level and the class.

    A pixel sees 2·depth + 2 pixels in every direction. The last convolution starts at zero, so that F = 0 before
    training.

    Args:
        shape: (channels, rows, columns).
        classes: The number of classes; 0 for a network without labels.
        condition_shape: The shape of a condition, which takes the place of labels; None for a network without one.
        width: The number of channels.
        depth: The number of blocks.
        dropout: The share of activations that are dropped in every block.

    Raises:
        DifrunError: If the examples are not images.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int = 0,
        *,
        condition_shape: tuple[int, ...] | None = None,
        width: int = 32,
        depth: int = 4,
        dropout: float = 0.1,
    ):
        super().__init__()
        channels, _, _ = image_shape(shape, "cnn")
        self.condition = Condition(4 * width, classes, condition_shape=condition_shape)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width, width, 4 * width, dropout) for _ in range(depth))
        self.norm, self.last = normalisation(width), nn.Conv2d(width, channels, 3, padding=1)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        condition = self.condition(x, level, label)
        h = self.first(x)
        for block in self.blocks:
            h = block(h, condition)
        return self.last(functional.silu(self.norm(h)))
