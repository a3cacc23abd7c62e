"""A convolutional network without changes of resolution, for series, images and volumes."""

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun_images.blocks import CONVOLUTIONS, Block, Condition, normalisation
from difrun_images.layout import Channels, Layout


class CNN(nn.Module):
    """F(x, c, label): residual blocks at the resolution of the examples, which read the noise level and the class.

    Series are convolved along one axis, images along two, volumes along three. A place sees 2·depth + 2 places in every
    direction. The last convolution starts at zero, so that F = 0 before
    training.

    Args:
        shape: (channels, length), (channels, rows, columns) or (channels, depth, rows, columns).
        classes: The number of classes; 0 for a network without labels.
        condition_shape: The shape of a condition, which takes the place of labels; None for a network without one.
        width: The number of channels.
        depth: The number of blocks.
        dropout: The share of activations that are dropped in every block.
        channels: Which axis has the channels.

    Raises:
        DifrunError: If the examples are not such arrays.
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
        channels: Channels = "auto",
    ):
        super().__init__()
        self.layout = Layout.of(shape, channels, "cnn")
        inputs, axes = self.layout.channels, self.layout.axes
        conv = CONVOLUTIONS[axes]
        self.condition = Condition(4 * width, classes, condition_shape=condition_shape)
        self.first = conv(inputs, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width, width, 4 * width, dropout, axes) for _ in range(depth))
        self.norm, self.last = normalisation(width), conv(width, inputs, 3, padding=1)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        condition = self.condition(x, level, label)
        h = self.first(self.layout.channels_first(x))
        for block in self.blocks:
            h = block(h, condition)
        return self.layout.as_given(self.last(functional.silu(self.norm(h))))
