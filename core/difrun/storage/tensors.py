"""Tensors and text in safetensors files: written completely or not at all, read without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from difrun.errors import DifrunError
from difrun.storage import atomic


def write_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and text by name to a safetensors file, as `difrun.storage.atomic.write_bytes` does."""
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    atomic.write_bytes(path, safetensors.torch.save(copies, dict(metadata or {})))


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Returns:
        Its tensors, on the CPU, and its text, both by name.

    Raises:
        DifrunError: If the file is missing, cannot be opened, is cut short, or is of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise DifrunError(
            f"{path} is a folder, not a file." if path.is_dir() else f"There is no file {path}."
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            # Cloned, because these tensors are the file itself, mapped into memory.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except OSError as error:
        raise DifrunError(f"Cannot read {path}: {error.strerror or error}.") from error
    except SafetensorError as error:
        if _is_cut_short(path):
            raise DifrunError(f"{path} is cut short: it was not copied or downloaded completely.") from error
        raise DifrunError(f"{path} is not a safetensors file ({error}).") from error


def _is_cut_short(path: Path) -> bool:
    """Whether a file begins as a safetensors file does, but ends before it should."""
    # The first 8 bytes are the length of a JSON header, which gives the position of every tensor that follows it.
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length]
    if len(data) < 9 or not header.startswith(b"{"):
        return False
    if len(header) < length:
        return length < 100_000_000  # the most that the format allows
    try:
        ends = [
            entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"
        ]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return False
    return len(data) < 8 + length + max(ends, default=0)
