"""The map between the user's units and the model's."""

import numpy as np
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
    torch.testing.assert_close(data.decode(data.train), raw, rtol=1e-6, atol=0)
    assert torch.equal(dataset().decode(numbered(3)), numbered(3))


def test_scaling_names_constant_columns():
    raw = torch.rand((30, 3), generator=generator())
    raw[:, 1] = 0.1
    with pytest.raises(DifrunError, match=r"^column 'y': constant.*Remove it.*turn scaling off"):
        Scaling.standardising(raw, ("x", "y", "z"))
    raw[:, 2] = -4.0
    with pytest.raises(DifrunError, match=r"^column 2, column 3: constant"):
        Scaling.standardising(raw)
    with pytest.raises(DifrunError, match=r"^entry \(0, 0\), .* and 1 more: constant"):
        Scaling.standardising(torch.ones(30, 2, 2))


def test_scaling_answers_in_float64_whatever_it_is_given():
    """A shift of 10⁹ does not cost float32 its digits."""
    scaling = Scaling(torch.tensor([1e9]).double(), torch.tensor([0.5]).double())
    coded = torch.tensor([[1.0], [-0.5]])
    decoded = scaling.decode(coded)
    assert decoded.tolist() == [[1e9 + 0.5], [1e9 - 0.25]]
    assert scaling.encode(decoded).tolist() == coded.tolist()
    whole = scaling.encode(torch.tensor([[1_000_000_001]]))
    assert whole.tolist() == [[2.0]]


COLUMNS = {
    "far": lambda z: 1.7e9 + z,
    "farther": lambda z: 1e15 + 8 * z,
    "large": lambda z: 1e44 * z,
    "small": lambda z: 1e-46 * z,
    "largest": lambda z: 1e308 * np.clip(z, -1.7, 1.7),
    "smallest": lambda z: 1e-305 * (z + 3),
    "denormal": lambda z: 1e-315 * z,
    "offset": lambda z: 1e300 * (1e3 + z),
    "one and zero": lambda z: (z > 1.5) * 1e-320,
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("make", [Scaling.standardising, Scaling.robust])
def test_any_column_of_finite_numbers_is_scaled(name, make):
    """Mean 0 and variance 1, or median 0 and quartiles of the normal distribution; decoded, all values come back."""
    raw = COLUMNS[name](np.random.default_rng(0).normal(size=1001))
    scaling = make(torch.from_numpy(raw[:, None]))
    coded = scaling.encode(torch.from_numpy(raw[:, None])).numpy()[:, 0]
    assert np.isfinite(coded).all()
    assert scaling.scale > 0
    # One step of float64, in units of the scale, is what shift and scale themselves are rounded to.
    step = np.spacing(np.abs(raw).max()) / float(scaling.scale) + 1e-9
    if make == Scaling.standardising or name == "one and zero":  # more than half of it is 0: no quartiles
        assert abs(coded.mean()) < step
        assert abs(coded.std() - 1) < 0.05 if name == "one and zero" else 3 * step
    else:
        assert abs(np.median(coded)) < step
        assert abs(np.subtract(*np.quantile(coded, [0.75, 0.25])) - 2 * 0.6744897501960817) < 3 * step
    decoded = scaling.decode(torch.from_numpy(coded[:, None].astype(np.float32))).numpy()[:, 0]
    assert np.abs(decoded / 2 - raw / 2).max() <= 1e-6 * float(scaling.scale) + np.spacing(np.abs(raw).max())
    assert len(np.unique(decoded)) >= 0.99 * len(np.unique(raw))


def test_values_beyond_float64_are_the_largest_and_nothing_else_is_hidden():
    scaling = Scaling(torch.zeros(1).double(), torch.tensor([1e308], dtype=torch.float64))
    found = scaling.decode(torch.tensor([[5.0], [-5.0], [float("nan")], [float("inf")]]))[:, 0]
    assert found[:2].tolist() == [1.7976931348623157e308, -1.7976931348623157e308]
    assert found[2].isnan()
    assert found[3] == float("inf")


def test_a_robust_scaling_is_that_of_the_bulk():
    """999 normal numbers and one at 10⁵: the bulk keeps width 1 to 5 %, where the standard deviation is 3162."""
    raw = torch.randn((1000, 1), generator=generator(), dtype=torch.float64)
    raw[7] = 1e5
    scaling = Scaling.robust(raw)
    assert abs(float(scaling.scale) - 1) < 0.05
    assert abs(float(scaling.shift)) < 0.1
    assert float(Scaling.standardising(raw).scale) == pytest.approx(1e5 / 1000**0.5, rel=1e-2)
    coded = scaling.encode(raw)
    data = dataset(train=coded, held_out=coded, columns=(), scaling=scaling)
    # The moments that the model is made for are not those of the one value either.
    clipped = coded.clamp(-10, 10)
    torch.testing.assert_close(data.mean, clipped.mean(0).float())
    torch.testing.assert_close(data.var, clipped.var(0, correction=0).float())
    torch.testing.assert_close(data.cov, torch.cov(clipped.T, correction=0).reshape(1, 1))
    assert float(data.train.max()) == pytest.approx(1e5 / float(scaling.scale), rel=1e-3)


def test_a_column_mostly_of_one_value_is_scaled_by_its_deviation():
    raw = torch.zeros((100, 1), dtype=torch.float64)
    raw[:20] = torch.arange(20)[:, None]
    scaling = Scaling.robust(raw)
    assert float(scaling.scale) == pytest.approx(float(raw.std(0, correction=0)))
    assert float(scaling.shift) == pytest.approx(float(raw.mean()))


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (2, 5), ()])
def test_data_of_another_shape_are_refused_and_not_repeated(shape):
    scaling = Scaling(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    for call in (scaling.encode, scaling.decode):
        with pytest.raises(DifrunError, match=r"do not fit a scaling of examples of shape \(2,\)"):
            call(torch.ones(shape))
    assert scaling.encode(torch.ones(5, 2)).tolist() == [[0.0, -0.25]] * 5


def test_the_bulk_of_the_largest_numbers_is_a_number():
    """The interquartile range of ±1.7e308 is beyond the largest: they all became 0."""
    x = torch.tensor([[-1.7e308], [1.7e308]] * 20, dtype=torch.float64)
    scaling = Scaling.robust(x)
    assert bool(scaling.scale.isfinite().all())
    z = scaling.encode(x)
    assert float(z[1] - z[0]) > 1
    assert torch.equal(scaling.decode(z), x)
