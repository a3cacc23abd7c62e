"""What the tests of data share: a small dataset, values to write to a file, and the text of an error."""

from pathlib import Path

import numpy as np
import pytest
import torch

from difrun.data import Dataset
from difrun.errors import DifrunError

VALUES = np.random.default_rng(0).normal([3.0, -200.0], [0.5, 40.0], (100, 2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, first: int = 0) -> torch.Tensor:
    """Examples (n, 2) that are all different."""
    return torch.arange(2 * first, 2 * (first + n), dtype=torch.float32).reshape(n, 2)


def dataset(**changes) -> Dataset:
    fields = {"name": "mine", "train": numbered(50), "held_out": numbered(30, 50), "columns": ("a", "b")}
    return Dataset(**{**fields, **changes})


def lines(values=VALUES, delimiter: str = ",") -> list[str]:
    return [delimiter.join(repr(float(v)) for v in row) for row in values]


def error(call, *arguments, **options) -> str:
    with pytest.raises(DifrunError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def write_to(folder: Path):
    """Return a function that writes text or bytes to a file of the folder and returns its path."""

    def to(name: str, content: str | bytes | list[str]) -> Path:
        path = folder / name
        content = "\n".join(content) if isinstance(content, list) else content
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to
