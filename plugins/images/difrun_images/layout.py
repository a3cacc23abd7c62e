"""Which axis of an example has the channels, and which are convolved."""

from typing import Literal

import attrs
from torch import Tensor

from difrun.errors import DifrunError

Channels = Literal["auto", "first", "last", "none"]
"""Where the channels are; "none": there is no axis of them; "auto": by the lengths of the axes."""

FEW = 4
"""As many channels as a colour image with transparency has; an axis that is no longer may be one of channels."""


@attrs.frozen
class Layout:
    """How the axes of an example are read.

    Attributes:
        where: The axis of the channels: "first", "last", or "none".
        channels: The number of channels.
        lengths: The lengths of the axes that are convolved.
    """

    where: Literal["first", "last", "none"]
    channels: int
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], channels: Channels, model: str) -> "Layout":
        """Return the layout of examples for a network.

        With "auto" the channels are first, unless the last axis has at most 4 entries and the first has more.

        Args:
            shape: The shape of one example.
            channels: Where its channels are.
            model: The name of the network, for messages.

        Raises:
            DifrunError: If examples of this shape are no series, images or volumes, or may be read in two ways.
        """
        shape = tuple(shape)
        where = _found(shape, model) if channels == "auto" else channels
        if where == "none":
            layout = cls(where, 1, shape)
        elif where == "first":
            layout = cls(where, shape[0], shape[1:])
        else:
            layout = cls(where, shape[-1], shape[:-1])
        if not 1 <= layout.axes <= 3:
            raise DifrunError(
                f"model '{model}' takes series (channels, length), images (channels, rows, columns) and volumes "
                f"(channels, depth, rows, columns), not examples of shape {shape}; take --model mlp, or data that are "
                "not flattened. If it is the axis of the channels that is missing: --model.channels none."
            )
        return layout

    def notes(self, channels: Channels, model: str) -> tuple[str, ...]:
        """Return a sentence on how examples are read, if that was found out and other data could look the same.

        Args:
            channels: Where the user says that the channels are.
            model: The name of the network.
        """
        could_be_last = self.lengths[-1] <= FEW
        if channels != "auto" or (self.where == "first" and self.channels <= FEW and not could_be_last):
            return ()
        what = {1: "series", 2: "images", 3: "volumes"}[self.axes]
        size = "x".join(map(str, self.lengths))
        return (
            f"model '{model}' reads the examples as {what} ({size}) of {self.channels} channels, which are the "
            f"{self.where} axis; --model.channels says otherwise",
        )

    @property
    def axes(self) -> int:
        """The number of axes that are convolved: 1 for series, 2 for images, 3 for volumes."""
        return len(self.lengths)

    def channels_first(self, x: Tensor) -> Tensor:
        """Return examples (n, *shape) as (n, channels, *lengths)."""
        if self.where == "none":
            return x.unsqueeze(1)
        return x if self.where == "first" else x.movedim(-1, 1)

    def as_given(self, x: Tensor) -> Tensor:
        """Return (n, channels, *lengths) as examples (n, *shape)."""
        if self.where == "none":
            return x.squeeze(1)
        return x if self.where == "first" else x.movedim(1, -1)


def _found(shape: tuple[int, ...], model: str) -> Literal["first", "last"]:
    """The axis of the channels by its length. Raises DifrunError where an array without such an axis looks the same."""
    if len(shape) > 1 and shape[-1] <= FEW < shape[0]:
        return "last"
    no_axis_stands_out = min(shape) > FEW and (len(shape) == 2 or (len(shape) == 3 and len(set(shape)) == 1))
    if no_axis_stands_out:
        what = "an image" if len(shape) == 2 else "a volume"
        other = "a series" if len(shape) == 2 else "an image"
        raise DifrunError(
            f"examples of shape {shape} may be {what} without an axis of channels, or {other} of {shape[0]} channels. "
            f"Say which, for model '{model}': --model.channels none, or --model.channels first (or last)."
        )
    return "first"
