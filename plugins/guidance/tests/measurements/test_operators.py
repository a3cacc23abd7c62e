"""Operators against NumPy and SciPy, their adjoints, and what examples cannot be measured by."""

import attrs
import numpy as np
import pytest
import torch
from scipy.stats import norm

from difrun.errors import ConfigError, DifrunError
from difrun.options import build
from difrun_guidance.measurements.operators import linear_operator, read_array
from difrun_guidance.measurements.options import LinearMMPSOptions, OperatorOptions

from .problems import (
    normal,
)

SHAPE = (2, 6, 4)
MATRIX = normal(5, 48, seed=1)
MASK = torch.arange(24).reshape(6, 4) % 3 == 0

EVERY = {
    "left": {"seen": "left"},
    "right": {"seen": "right"},
    "top": {"seen": "top"},
    "bottom": {"seen": "bottom"},
    "inside": {"seen": "inside", "box": (1, 2, 3, 2)},
    "outside": {"seen": "outside", "box": (1, 2, 3, 2)},
    "random": {"seen": "random", "fraction": 0.3, "pattern": 4},
    "file": {"seen": "file", "mask": MASK},
    "identity": {"operator": "identity"},
    "matrix": {"operator": "matrix", "matrix": MATRIX},
    "blur": {"operator": "blur", "blur": 1.3},
    "downsample": {"operator": "downsample", "factor": 2},
}


def expected(name, x):
    """A x for one example, by NumPy."""
    slices = {
        "left": np.s_[:, :, :2],
        "right": np.s_[:, :, 2:],
        "top": np.s_[:, :3],
        "bottom": np.s_[:, 3:],
        "inside": np.s_[:, 1:4, 2:4],
        "file": np.s_[:, MASK.numpy()],
        "identity": np.s_[:],
    }
    if name in slices:
        return x[slices[name]].ravel()
    if name == "outside":
        inside = np.zeros(SHAPE, bool)
        inside[slices["inside"]] = True
        return x[~inside]
    if name == "matrix":
        return MATRIX.numpy() @ x.ravel()
    if name == "downsample":
        return np.array(
            [[[c[i : i + 2, j : j + 2].mean() for j in (0, 2)] for i in (0, 2, 4)] for c in x]
        ).ravel()
    rows, columns = (norm.pdf(np.subtract.outer(np.arange(n), np.arange(n)), scale=1.3) for n in SHAPE[1:])
    weights = np.einsum("ip,jq->ijpq", rows, columns)
    return np.array([[[(w * c).sum() / w.sum() for w in line] for line in weights] for c in x]).ravel()


@pytest.mark.parametrize("name", EVERY)
def test_it_is_the_operator_that_it_says(name):
    """A x, on two examples at once, is that of NumPy; random sees as many as it should, and the same each time."""
    operator = linear_operator(OperatorOptions(**EVERY[name]), SHAPE)
    x = normal(2, *SHAPE, seed=0)
    y = operator(x)
    assert y.shape == (2, *operator.out)
    if name == "random":
        assert operator.out == (round(0.3 * 48),)
        assert torch.equal(y, linear_operator(OperatorOptions(**EVERY[name]), SHAPE)(x))
        other = linear_operator(OperatorOptions(seen="random", fraction=0.3, pattern=5), SHAPE)
        assert not torch.equal(y, other(x))
        assert all(value in x[0] for value in y[0])
    else:
        np.testing.assert_allclose(y[1].flatten().numpy(), expected(name, x[1].numpy()), atol=1e-14)


@pytest.mark.parametrize("name", EVERY)
def test_the_adjoint_that_autograd_gives(name):
    """<A x, y> = <x, Aᵀ y>."""
    operator = linear_operator(OperatorOptions(**EVERY[name]), SHAPE)
    x = normal(3, *SHAPE, seed=0).requires_grad_()
    y = operator(x)
    other = normal(*y.shape, seed=2)
    (adjoint,) = torch.autograd.grad(y, x, other)
    assert (y * other).sum().item() == pytest.approx((x * adjoint).sum().item(), rel=1e-13)


def test_halves_of_vectors_and_of_odd_images():
    x = normal(1, 5, seed=0)
    assert linear_operator(OperatorOptions(seen="left"), (5,))(x).tolist() == x[:, :3].tolist()
    assert linear_operator(OperatorOptions(seen="right"), (5,))(x).tolist() == x[:, 3:].tolist()
    assert linear_operator(OperatorOptions(seen="bottom"), (3, 2)).out == (2,)


@pytest.mark.parametrize(
    ("options", "shape", "said"),
    [
        ({"operator": "blur"}, (7,), "blur works on images; an example here is a vector of 7 numbers"),
        ({"operator": "downsample"}, (7,), "downsample works on images"),
        ({"seen": "top"}, (7,), "seen top works on images"),
        ({"operator": "downsample", "factor": 4}, SHAPE, r"--guidance.factor 4 .* 6 x 4 pixels"),
        ({"seen": "inside"}, SHAPE, r"the box was not given; expected --guidance.box"),
        ({"seen": "outside", "box": (1, 2)}, SHAPE, "the box has 2 numbers"),
        ({"seen": "inside", "box": (4, 0, 3, 2)}, SHAPE, r"rows 4 to 6 .* the image has rows 0 to 5"),
        ({"seen": "inside", "box": (0, -1, 3, 2)}, SHAPE, "columns -1 to 0"),
        ({"seen": "inside", "box": (0, 0, 0, 2)}, SHAPE, "the box 0,0,0,2"),
        ({"seen": "outside", "box": (0, 0, 6, 4)}, SHAPE, "shows nothing"),
        ({"seen": "right"}, (1,), "shows nothing"),
        ({"seen": "file"}, SHAPE, "--guidance.mask FILE"),
        (
            {"seen": "file", "mask": np.ones((4, 6))},
            SHAPE,
            r"shape \(4, 6\); an example has shape \(2, 6, 4\)",
        ),
        ({"seen": "file", "mask": np.full((6, 4), 0.5)}, SHAPE, "1 .seen. and 0"),
        ({"operator": "matrix"}, SHAPE, "--guidance.matrix FILE"),
        ({"operator": "matrix", "matrix": np.ones((5, 47))}, SHAPE, r"shape \(5, 47\); expected \(m, 48\)"),
        ({"operator": "matrix", "matrix": np.full((5, 48), np.nan)}, SHAPE, "not finite"),
    ],
)
def test_what_cannot_be_measured_is_told(options, shape, said):
    with pytest.raises(DifrunError, match=said):
        linear_operator(OperatorOptions(**options), shape)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sigma_y": 0.0}, "sigma_y"),
        ({"sigma_y": -1.0}, "sigma_y"),
        (
            {"operator": "blur", "seen": "top"},
            "operator blur has no seen; leave it out, or choose operator mask",
        ),
        ({"factor": 4}, "operator mask has no factor"),
        ({"fraction": 0.3}, "seen left has no fraction; leave it out, or choose seen random"),
        ({"box": (0, 0, 1, 1)}, "choose seen inside or outside"),
        ({"operator": "identity", "pattern": 1}, "operator identity has no pattern"),
        ({"y": "y.npy", "example": 3}, "a measurement y that is given does not need example"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(values, said):
    """None is accepted and then ignored."""
    with pytest.raises(ConfigError, match=said):
        build(LinearMMPSOptions, values, "mmps")


def test_every_option_of_an_operator_has_its_use():
    """The rules above cover all options: only those of the chosen operator may differ from their defaults."""
    base = {"operator", "seen", "box", "fraction", "pattern", "mask", "matrix", "blur", "factor"}
    assert {field.name for field in attrs.fields(OperatorOptions)} == base


def test_arrays_come_from_files(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(2, dtype=np.int8))
    assert read_array(tmp_path / "a.npy", "matrix").tolist() == [[1, 0], [0, 1]]
    np.savez(tmp_path / "one.npz", anything=np.ones(3))
    assert read_array(str(tmp_path / "one.npz"), "y", "y").tolist() == [1, 1, 1]
    np.savez(tmp_path / "two.npz", a=np.ones(3), y=np.zeros(2))
    assert read_array(tmp_path / "two.npz", "y", "y").tolist() == [0, 0]
    np.savez(tmp_path / "other.npz", a=np.ones(3), b=np.zeros(2))
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.save(tmp_path / "objects.npy", np.array([None, 1]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1 2 3")
    for name, said in (
        ("other.npz", "holds the arrays a, b; expected 'y'"),
        ("words.npy", "expected real numbers"),
        ("objects.npy", "cannot be read"),
        ("text.npy", "cannot be read"),
        ("none.npy", "does not exist"),
    ):
        with pytest.raises(DifrunError, match=said):
            read_array(tmp_path / name, "the measurement y", "y")
