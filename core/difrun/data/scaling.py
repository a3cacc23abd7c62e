"""The affine map between the user's units and the model's."""

from collections.abc import Sequence

import attrs
from torch import Tensor

from difrun.data.checks import coordinate_name
from difrun.errors import DifrunError


@attrs.frozen(eq=False)
class Scaling:
    """The map x → (x − shift)/scale from the user's units to the model's, for each coordinate.

    Attributes:
        shift: One value per coordinate, with the shape of one example, float64 on the CPU.
        scale: As `shift`, and positive.
    """

    shift: Tensor
    scale: Tensor

    @classmethod
    def standardising(cls, examples: Tensor, columns: Sequence[str] = ()) -> "Scaling":
        """Return the scaling that gives `examples` mean 0 and variance 1 in every coordinate.

        Args:
            examples: Shape (N, *shape).
            columns: Names of the coordinates, for the message.

        Raises:
            DifrunError: If a coordinate is constant; the message names it.
        """
        examples = examples.cpu().double()
        shift, scale = examples.mean(0), examples.std(0, correction=0)
        constant = (scale <= 1e-12 * examples.abs().amax(0)).nonzero()
        if len(constant):
            names = [coordinate_name(index.tolist(), columns) for index in constant[:3]]
            more = f" and {len(constant) - 3} more" if len(constant) > 3 else ""
            raise DifrunError(
                f"{', '.join(names)}{more}: constant, so it cannot be scaled to variance 1. Remove it from "
                "the data, or turn scaling off (--dataset.no-standardise)."
            )
        return cls(shift, scale)

    # Both maps are evaluated on the CPU, because not every device has float64.

    def encode(self, x: Tensor) -> Tensor:
        """Map x from the user's units to the model's, in float64; keep the dtype and device of x."""
        return ((x.cpu().double() - self.shift) / self.scale).to(x.dtype).to(x.device)

    def decode(self, x: Tensor) -> Tensor:
        """Map x from the model's units to the user's, in float64; keep the dtype and device of x."""
        return (self.shift + self.scale * x.cpu().double()).to(x.dtype).to(x.device)
