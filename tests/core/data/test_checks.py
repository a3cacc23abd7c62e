"""Examples that are not finite are found chunk by chunk."""

import pytest
import torch

from difrun.data import Dataset, checks
from difrun.errors import DifrunError


def normal(n, seed):
    return torch.randn((n, 3), generator=torch.Generator().manual_seed(seed)) * 0.3 + torch.tensor(
        [5.0, 0.0, -2.0]
    )


def test_the_first_bad_row_is_found_part_by_part(monkeypatch):
    monkeypatch.setattr(checks, "CHUNK", 30)
    train = normal(100, 0)
    train[57, 1] = float("nan")
    train[91, 0] = float("inf")
    with pytest.raises(DifrunError, match=r"nan in row 58, column 2 \(2 of 100 rows"):
        Dataset(name="d", train=train, held_out=normal(20, 1))
