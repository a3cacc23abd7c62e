"""Where a run computes, and with how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager

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
                f"{source} names the device {name}; this machine has {', '.join(here)}. Choose one with --device."
            )
        raise DifrunError(
            f"--device {name}: this machine has {', '.join(here)}. Choose one of them, or auto."
        )
    return device


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with so many CPU threads inside (None: as many as before), and leave the number as it was."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
