"""The weights of a network by name: copied, kept for a return, and restored.

`difrun.runs.stages.training.save` writes them to the disk.
"""

import torch
from torch import Tensor, nn

from difrun.errors import DifrunError


class Snapshot:
    """A copy of tensors that can be put back."""

    def __init__(self, tensors: list[Tensor]):
        self._tensors = tensors
        self._copies = [tensor.detach().clone() for tensor in tensors]

    @torch.no_grad()
    def take(self) -> None:
        """Copy the tensors as they are now."""
        for copy, tensor in zip(self._copies, self._tensors, strict=True):
            copy.copy_(tensor)

    @torch.no_grad()
    def put_back(self) -> None:
        """Give the tensors the values of the copy."""
        for copy, tensor in zip(self._copies, self._tensors, strict=True):
            tensor.copy_(copy)


def weights_and_buffers(network: nn.Module) -> dict[str, Tensor]:
    """Return parameters and persistent buffers by name; tied parameters under their first name only."""
    first = dict(network.named_parameters())
    every = dict(network.named_parameters(remove_duplicate=False))
    state = network.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if name in first or name not in every}


@torch.no_grad()
def copy_by_name(targets: dict[str, Tensor], sources: dict[str, Tensor]) -> None:
    """Copy tensors by name, all or none.

    Raises:
        DifrunError: If names or shapes differ.
    """
    wrong = sorted(set(sources) ^ set(targets))
    wrong += sorted(n for n in set(sources) & set(targets) if sources[n].shape != targets[n].shape)
    if wrong:
        shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise DifrunError(
            f"The saved state does not fit this network and its training options: {len(wrong)} of "
            f"{len(targets)} tensors are missing, unexpected or of another shape ({shown})."
        )
    for name, target in targets.items():
        target.copy_(sources[name])


def restore(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load the weights for sampling from `Trainer.state` into a network: averaged ones if there are any.

    Raises:
        DifrunError: If they are of another network.
    """
    chosen = {name: tensor for name, tensor in state.items() if name.startswith("network.")}
    chosen |= {f"network.{name[4:]}": tensor for name, tensor in state.items() if name.startswith("ema.")}
    copy_by_name({f"network.{name}": tensor for name, tensor in weights_and_buffers(network).items()}, chosen)
    network.eval()
