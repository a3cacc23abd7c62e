"""Where a run computes."""

import torch

from difrun.errors import DifrunError


def choose_device(name: str, source: str = "") -> torch.device:
    """The device called auto, cpu, cuda, cuda:N or mps. Raises DifrunError when this machine does not have it.

    source: the file that names it, where it was not the user who did.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    here = (
        ["cpu"]
        + [f"cuda:{k}" for k in range(torch.cuda.device_count() if cuda else 0)]
        + (["mps"] if mps else [])
    )
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
