"""The map between the user's units and the model's."""

import pytest
import torch

from difrun.data import Scaling
from difrun.errors import DifrunError

from .support import dataset, generator, numbered


def test_scaling_standardises_and_decode_undoes_it():
    raw = torch.randn((500, 3), generator=generator(), dtype=torch.float64) * torch.tensor([1e-6, 1, 1e6]) + 7
    scaling = Scaling.standardising(raw)
    coded = scaling.encode(raw)
    torch.testing.assert_close(coded.mean(0), torch.zeros(3).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(coded.var(0, correction=0), torch.ones(3).double())
    torch.testing.assert_close(scaling.decode(coded), raw, rtol=1e-12, atol=0)
    data = dataset(train=coded, held_out=coded, columns=(), scaling=scaling)
    torch.testing.assert_close(data.decode(data.train), raw.float(), rtol=1e-6, atol=0)
    assert torch.equal(dataset().decode(numbered(3)), numbered(3))


def test_scaling_names_constant_columns():
    raw = torch.rand((30, 3), generator=generator())
    raw[:, 1] = 0.1
    with pytest.raises(DifrunError, match=r"^column 'y': constant.*Remove it.*--dataset.no-standardise"):
        Scaling.standardising(raw, ("x", "y", "z"))
    raw[:, 2] = -4.0
    with pytest.raises(DifrunError, match=r"^column 2, column 3: constant"):
        Scaling.standardising(raw)
    with pytest.raises(DifrunError, match=r"^entry \(0, 0\), .* and 1 more: constant"):
        Scaling.standardising(torch.ones(30, 2, 2))


def test_scaling_answers_in_the_format_it_is_given():
    """Evaluated in float64, whatever the format: a shift of 10⁶ does not cost float32 its digits."""
    scaling = Scaling(torch.tensor([1e6]).double(), torch.tensor([0.5]).double())
    x = torch.tensor([[1e6 + 0.5], [1e6 - 0.25]])
    coded = scaling.encode(x)
    assert coded.dtype == torch.float32
    assert torch.equal(coded, torch.tensor([[1.0], [-0.5]]))
    assert scaling.decode(coded).dtype == torch.float32
    assert torch.equal(scaling.decode(coded), x)
