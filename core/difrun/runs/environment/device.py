"""Where a run computes."""

import torch

from difrun.errors import DifrunError


def choose_device(name: str, source: str = "") -> torch.device:
    """Return the device called auto, cpu, cuda, cuda:N or mps.

    Args:
        name: What the user or a file calls it.
        source: The file that names it; empty if the user does.

    Raises:
        DifrunError: If this machine does not have it.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        fastest = "mps" if mps else "cpu"
        return torch.device("cuda" if cuda else fastest)
    here = ["cpu"]
    if cuda:
        here += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if mps:
        here.append("mps")
    device = torch.device(name)
    wanted = f"cuda:{device.index or 0}" if device.type == "cuda" else device.type
    if wanted not in here:
        if source:
            raise DifrunError(
                f"{source} names the device {name}; this machine has {', '.join(here)}. "
                "Choose another device: --device, or device=... in Python."
            )
        raise DifrunError(
            f"The device {name} is not here: this machine has {', '.join(here)}. Choose one of them, or auto."
        )
    return device
