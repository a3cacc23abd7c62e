"""Files that are written whole or not at all, and tensors in them without pickle.

Every file is written beside its place under the name ``.NAME.part``, flushed to the disk, and then renamed:
whatever happens, a reader finds the old file or the new one. What a killed process leaves behind, the next
write replaces.
"""

import contextlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from difrun.errors import DifrunError


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises DifrunError naming the file, its size and the reason when it cannot be written; a file that was
    there is then untouched.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        kept = " The earlier file is intact." if path.is_file() else ""
        raise DifrunError(
            f"Cannot write {path} ({len(data) / 1e6:.1f} MB): {error.strerror or error}.{kept} "
            "Free some space on that disk, or choose another folder with --out."
        ) from error


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_npz(path: Path | str, **arrays: Any) -> None:
    """Write arrays or tensors by name to a compressed .npz file, as `write_bytes` does."""
    buffer = io.BytesIO()
    own: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(buffer, allow_pickle=False, **own)
    write_bytes(path, buffer.getvalue())


def write(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors and text by name to a safetensors file, as `write_bytes` does."""
    own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    write_bytes(path, safetensors.torch.save(own, dict(metadata or {})))


def read(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the text of a safetensors file, on the CPU.

    Raises DifrunError when the file is missing, cannot be opened, is cut short, or is of another sort.
    """
    path = Path(path)
    if not path.is_file():
        raise DifrunError(
            f"There is no file {path}." if not path.is_dir() else f"{path} is a folder, not a file."
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            # Clones: the tensors given are the file itself, mapped into memory.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except OSError as error:
        raise DifrunError(f"Cannot read {path}: {error.strerror or error}.") from error
    except SafetensorError as error:
        if _is_cut_short(path):
            raise DifrunError(f"{path} is cut short: it was not copied or downloaded completely.") from error
        raise DifrunError(f"{path} is not a safetensors file ({error}).") from error


def _is_cut_short(path: Path) -> bool:
    """Whether a file begins as a safetensors file does, and ends before it should.

    The format: 8 bytes hold the length of a JSON header, which gives the place of every tensor behind it.
    """
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length]
    if len(data) < 9 or not header.startswith(b"{"):
        return False
    if len(header) < length:
        return length < 100_000_000  # the most that the format allows
    try:
        places = [
            entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"
        ]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return False
    return len(data) < 8 + length + max(places, default=0)


def _sync_folder(folder: Path) -> None:
    """Flush the renaming itself; not every system can open a folder, and the file is whole either way."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
