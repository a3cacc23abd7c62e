"""Tensors and text in safetensors files: written completely or not at all, read without pickle."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from difrun.errors import DifrunError
from difrun.storage import atomic
from difrun.storage.regular import open_regular
from difrun.text import clipped

TensorForms = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name of a tensor -> its type, as safetensors writes it (``F32``, ``I64``, ...), and its shape."""


_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def tensor_form(tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    """Return the type of a tensor, as safetensors writes it, and its shape."""
    return _TYPES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape)


_MOST_HEADER = 100_000_000
"""The most bytes of a header that the format allows."""


def write_tensors(
    path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and text by name to a safetensors file, as `difrun.storage.atomic.write_bytes` does."""
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    atomic.write_bytes(path, safetensors.torch.save(copies, dict(metadata or {})))


def read_tensors(
    path: Path | str,
    *,
    check: Callable[[TensorForms], object] | None = None,
    within: Path | None = None,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Args:
        path: The file.
        check: Called with the types and shapes that the file claims, before any tensor is read. It raises to refuse
            the file.
        within: The folder that a link may not leave; None allows any link.

    Returns:
        Its tensors, on the CPU, and its text, both by name.

    Raises:
        DifrunError: If the file is missing, cannot be opened, is cut short, is of another kind, or holds more than
            this machine has memory.
    """
    path = Path(path)
    try:
        with open_regular(path, within=within) as stream, _opened(path, stream) as file:
            names = list(file.keys())
            if check is not None:
                slices = {name: file.get_slice(name) for name in names}
                check({name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()})
            # Cloned, because these tensors are the file itself, mapped into memory.
            tensors = {name: file.get_tensor(name).clone() for name in names}
            return tensors, dict(file.metadata() or {})
    except FileNotFoundError:
        raise DifrunError(f"There is no file {path}.") from None
    except OSError as error:
        raise DifrunError(f"Cannot read {path}: {error.strerror or error}.") from error
    except SafetensorError as error:
        if _is_cut_short(path):
            raise DifrunError(f"{path} is cut short: it was not copied or downloaded completely.") from error
        raise DifrunError(f"{path} is not a safetensors file ({clipped(str(error), 300)}).") from error
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:  # a type that torch lacks
        raise DifrunError(f"{path} holds tensors that cannot be read: {clipped(str(error), 300)}.") from error


def _opened(path: Path, stream: BinaryIO) -> Any:
    """A safetensors file by its path, or, since safetensors takes paths in UTF-8 alone, by its open stream."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return safe_open(f"/dev/fd/{stream.fileno()}", framework="pt", device="cpu")
    return safe_open(path, framework="pt", device="cpu")


def _is_cut_short(path: Path) -> bool:
    """Whether a file begins as a safetensors file does, but ends before it should."""
    # The first 8 bytes are the length of a JSON header, which gives the position of every tensor that follows it.
    with open_regular(path) as file:
        length, count = int.from_bytes(file.read(8), "little"), path.stat().st_size
        header = file.read(min(length, _MOST_HEADER))
    if count < 9 or not header.startswith(b"{"):
        return False
    if len(header) < length:
        return length < _MOST_HEADER
    try:
        ends = [
            entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"
        ]
        return count < 8 + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return False
