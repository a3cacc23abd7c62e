"""Where a run computes."""

import torch

from difrun.errors import DifrunError


def choose_device(name: str) -> torch.device:
    """The device called auto, cpu, cuda, cuda:N or mps. Raises DifrunError when this machine does not have it."""
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
        raise DifrunError(
            f"--device {name}: this machine has {', '.join(here)}. Choose one of them, or auto."
        )
    return device
