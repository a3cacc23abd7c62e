"""The U-Net, a convolutional network at several resolutions, for series, images and volumes."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from difrun_images.blocks import CONVOLUTIONS, Attention, Block, Condition, normalisation
from difrun_images.layout import Channels, Layout
from difrun_images.options import PRESETS


class UNet(nn.Module):
    """F(x, c, label): residual blocks at several resolutions, with shortcuts from the way down to the way up.

    Series are convolved along one axis, images along two, volumes along three. Every axis is halved (rounded up)
    between levels, so that examples may have any size. The last convolution starts at zero, so that F = 0 before
    training.

    Args:
        shape: (channels, length), (channels, rows, columns) or (channels, depth, rows, columns).
        classes: The number of classes; 0 for a network without labels.
        condition_shape: The shape of a condition, which takes the place of labels; None for a network without one.
        size: The preset of width, multipliers and blocks, each of which may be given by itself.
        width: The channels of the first level.
        multipliers: The channels of each level, in units of `width`.
        blocks: The residual blocks per level.
        attention: The levels at which places attend to each other, by their length along the first axis: the rows of an
            image. The middle has attention as well, unless no level is given.
        dropout: The share of activations that are dropped in every block.
        channels: Which axis has the channels.

    Raises:
        DifrunError: If the examples are not such arrays.

    References:
        Ronneberger et al. (2015), arXiv 1505.04597.
        Ho et al. (2020), arXiv 2006.11239, app. B (this form).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int = 0,
        *,
        condition_shape: tuple[int, ...] | None = None,
        size: str = "small",
        width: int | None = None,
        multipliers: Sequence[int] | None = None,
        blocks: int | None = None,
        attention: Sequence[int] | None = (4, 7, 14, 16),
        dropout: float = 0.1,
        channels: Channels = "auto",
    ):
        super().__init__()
        self.layout = Layout.of(shape, channels, "unet")
        inputs, lengths, axes = self.layout.channels, self.layout.lengths, self.layout.axes
        self.conv = CONVOLUTIONS[axes]
        preset = PRESETS[size]
        width, blocks = width or preset.width, blocks or preset.blocks
        # A level is worth having while it has more than one place along every axis.
        most_levels = max(1, (min(lengths) - 1).bit_length())
        widths = [width * factor for factor in (multipliers or preset.multipliers)][:most_levels]
        sides = [-(-lengths[0] // 2**level) for level in range(len(widths))]
        attends = [side in (attention or ()) for side in sides]
        block = partial(Block, condition=4 * width, dropout=dropout, axes=axes)
        self.blocks, self.levels = blocks, len(widths)
        self.condition = Condition(4 * width, classes, condition_shape=condition_shape)
        self.first = self.conv(inputs, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        self.down_attention, self.up_attention = nn.ModuleList(), nn.ModuleList()
        shortcuts = self._build_down(widths, attends, block)
        bottom = widths[-1]
        self.middle = nn.ModuleList([block(bottom, bottom), block(bottom, bottom)])
        self.middle_attention = self._attention(bottom, bool(attention))
        self._build_up(widths, attends, shortcuts, block)
        self.norm, self.last = normalisation(widths[0]), self.conv(widths[0], inputs, 3, padding=1)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def _build_down(
        self, widths: Sequence[int], attends: Sequence[bool], block: Callable[[int, int], Block]
    ) -> list[int]:
        """The levels on the way down; the channels of the shortcuts that leave there."""
        now, shortcuts = widths[0], [widths[0]]
        for level, outputs in enumerate(widths):
            if level:
                self.shrink.append(self.conv(now, now, 3, stride=2, padding=1))
                shortcuts.append(now)
            for _ in range(self.blocks):
                self.down.append(block(now, outputs))
                self.down_attention.append(self._attention(outputs, attends[level]))
                shortcuts.append(outputs)
                now = outputs
        return shortcuts

    def _build_up(
        self,
        widths: Sequence[int],
        attends: Sequence[bool],
        shortcuts: list[int],
        block: Callable[[int, int], Block],
    ) -> None:
        """The levels on the way up, which take in the shortcuts, the last one first."""
        now = widths[-1]
        for level, outputs in reversed(list(enumerate(widths))):
            for _ in range(self.blocks + 1):
                self.up.append(block(now + shortcuts.pop(), outputs))
                self.up_attention.append(self._attention(outputs, attends[level]))
                now = outputs
            if level:
                self.grow.append(self.conv(now, now, 3, padding=1))

    def _attention(self, channels: int, wanted: bool) -> nn.Module:
        return Attention(channels, axes=self.layout.axes) if wanted else nn.Identity()

    @override
    def forward(self, x: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        condition = self.condition(x, level, label)
        h = self.first(self.layout.channels_first(x))
        shortcuts = [h]
        for k, (block, attend) in enumerate(zip(self.down, self.down_attention, strict=True)):
            if k and k % self.blocks == 0:
                h = self.shrink[k // self.blocks - 1](h)
                shortcuts.append(h)
            h = attend(block(h, condition))
            shortcuts.append(h)
        h = self.middle[1](self.middle_attention(self.middle[0](h, condition)), condition)
        for k, (block, attend) in enumerate(zip(self.up, self.up_attention, strict=True)):
            if k and k % (self.blocks + 1) == 0:
                h = functional.interpolate(h, size=shortcuts[-1].shape[2:])
                h = self.grow[k // (self.blocks + 1) - 1](h)
            h = attend(block(torch.cat((h, shortcuts.pop()), dim=1), condition))
        return self.layout.as_given(self.last(functional.silu(self.norm(h))))
