"""The U-Net, a convolutional network at several resolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun_images.blocks import Attention, Block, Condition, image_shape, normalisation
from difrun_images.options import PRESETS


class UNet(nn.Module):
    """F(x, c, label): residual blocks at several resolutions, with shortcuts from the way down to the way up.

    The side is halved (rounded up) between levels, so that images may have any size. The last convolution starts at
    zero, so that F = 0 before training.

    Args:
        shape: (channels, rows, columns).
        classes: The number of classes; 0 for a network without labels.
        size: The preset of width, multipliers and blocks, each of which may be given by itself.
        width: The channels of the first level.
        multipliers: The channels of each level, in units of `width`.
        blocks: The residual blocks per level.
        attention: The rows of the levels at which pixels attend to each other. The middle has attention as well, unless
            no level is given.
        dropout: The share of activations that are dropped in every block.

    Raises:
        DifrunError: If the examples are not images.

    References:
        Ronneberger et al. (2015), arXiv 1505.04597.
        Ho et al. (2020), arXiv 2006.11239, app. B (this form).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int = 0,
        *,
        size: str = "small",
        width: int | None = None,
        multipliers: Sequence[int] | None = None,
        blocks: int | None = None,
        attention: Sequence[int] | None = (4, 7, 14, 16),
        dropout: float = 0.1,
    ):
        super().__init__()
        channels, rows, columns = image_shape(shape, "unet")
        preset = PRESETS[size]
        width, blocks = width or preset.width, blocks or preset.blocks
        # A level is worth having while it has more than one row and column.
        most = max(1, (min(rows, columns) - 1).bit_length())
        widths = [width * factor for factor in (multipliers or preset.multipliers)][:most]
        sides = [-(-rows // 2**level) for level in range(len(widths))]
        attention = attention or ()
        self.condition = Condition(4 * width, classes)

        def block(inputs: int, outputs: int) -> Block:
            return Block(inputs, outputs, 4 * width, dropout)

        def attend(level: int) -> nn.Module | None:
            return Attention(widths[level]) if sides[level] in attention else None

        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        self.down_attention, self.up_attention = nn.ModuleList(), nn.ModuleList()
        kept, now = [widths[0]], widths[0]
        for level, outputs in enumerate(widths):
            if level:
                self.shrink.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                kept.append(now)
            for _ in range(blocks):
                self.down.append(block(now, outputs))
                self.down_attention.append(attend(level) or nn.Identity())
                kept.append(outputs)
                now = outputs
        self.middle = nn.ModuleList([block(now, now), block(now, now)])
        self.middle_attention = Attention(now) if attention else nn.Identity()
        for level, outputs in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(block(now + kept.pop(), outputs))
                self.up_attention.append(attend(level) or nn.Identity())
                now = outputs
            if level:
                self.grow.append(nn.Conv2d(now, now, 3, padding=1))
        self.blocks, self.levels = blocks, len(widths)
        self.norm, self.last = normalisation(now), nn.Conv2d(now, channels, 3, padding=1)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        condition = self.condition(x, level, label)
        h = self.first(x)
        kept = [h]
        for k, (block, attend) in enumerate(zip(self.down, self.down_attention, strict=True)):
            if k and k % self.blocks == 0:
                h = self.shrink[k // self.blocks - 1](h)
                kept.append(h)
            h = attend(block(h, condition))
            kept.append(h)
        h = self.middle[1](self.middle_attention(self.middle[0](h, condition)), condition)
        for k, (block, attend) in enumerate(zip(self.up, self.up_attention, strict=True)):
            if k and k % (self.blocks + 1) == 0:
                h = functional.interpolate(h, size=kept[-1].shape[-2:])
                h = self.grow[k // (self.blocks + 1) - 1](h)
            h = attend(block(torch.cat((h, kept.pop()), dim=1), condition))
        return self.last(functional.silu(self.norm(h)))
