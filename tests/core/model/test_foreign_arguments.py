"""What `wrap` refuses in words before it calls a network, and the forms of an argument that it takes."""

import numpy as np
import pytest
import torch
from torch import nn

import difrun
from difrun.errors import ConfigError, DifrunError
from difrun.testing import ReferenceVP

from .foreign_cases import DATA, MODELS, VP

SHAPE = r"Invalid value for shape: expected a tuple of whole numbers of at least 1"
CLASSES = "Invalid value for classes: expected the number of classes, 0 for none, or the share of each"
CALLED = "this network is called with x, time, each once"


def network(x, t, y=None):
    at = VP.at(t.double(), 2)
    return MODELS[VP].predict(x.double(), at, "noise").to(x.dtype)


def wrapped(net=network, process=VP, shape=(2,), predicts="noise", time="t", **changes):
    return difrun.wrap(net, process, shape, predicts, time, **changes)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": "net"}, "Invalid value for network: expected a torch.nn.Module or a function of tensors"),
        ({"net": nn.Linear}, r"a network, not its class; got the class Linear. Make one: Linear\(...\)"),
        ({"net": MODELS[VP]}, "a score model already"),
        ({"process": "ou"}, "Invalid value for process: expected a Gaussian process, .* got 'ou'"),
        ({"process": ReferenceVP}, r"got the class ReferenceVP. Make one: ReferenceVP\(...\)"),
        ({"process": MODELS[VP]}, "Invalid value for process: expected a Gaussian process"),
        ({"shape": 2}, SHAPE + r".* got 2. Write \(2,\)"),
        ({"shape": None}, SHAPE),
        ({"shape": "2"}, SHAPE),
        ({"shape": (2.0,)}, SHAPE),
        ({"shape": (0,)}, SHAPE),
        ({"shape": (True,)}, SHAPE),
        ({"predicts": None}, "predicts=None: a network predicts one of x0, noise"),
        ({"time": 3}, "time=3: a network is called with one of index, t"),
        ({"time": "index"}, "time='index': the process ReferenceVP is not made from a table.* time='t'"),
        ({"arguments": 3}, f"arguments=3: {CALLED}"),
        ({"arguments": "xt"}, CALLED),
        ({"arguments": [["x"], "time"]}, CALLED),
        ({"arguments": ("x", 3)}, CALLED),
        ({"arguments": {3: "x", "t": "time"}}, CALLED),
        ({"keywords": "a"}, "Invalid value for keywords: expected a dict of keywords"),
        ({"keywords": {3: 3}}, "Invalid value for keywords"),
        ({"arguments": {"x": "x", "t": "time"}, "keywords": {"x": 3}}, r"keywords\['x'\] is what arguments"),
        ({"output": "sample"}, "Invalid value for output: expected a function"),
        ({"integer": "yes"}, "Invalid value for integer: expected True or False; got 'yes'"),
        ({"learned_variance": 1}, "Invalid value for learned_variance: expected True or False"),
        ({"input_scale": 2.0}, "input_scale=2.0: expected 'edm', a function"),
        ({"input_scale": "edm", "data_std": 0}, "Invalid value for data_std: expected a number above 0"),
        ({"input_scale": "edm", "data_std": -1.0}, "Invalid value for data_std"),
        ({"input_scale": "edm", "data_std": "a"}, "Invalid value for data_std"),
        ({"input_scale": "edm", "data_std": [1, 2]}, "Invalid value for data_std"),
        ({"data_std": 0.5}, "data_std has no effect"),
        ({"classes": -1}, CLASSES),
        ({"classes": 2.5}, CLASSES),
        ({"classes": True}, CLASSES),
        ({"classes": None}, CLASSES),
        ({"classes": "2"}, "Invalid value for classes"),
        ({"classes": (0.5, 0.6)}, CLASSES + r".*whose sum is 1; got \(0.5, 0.6\)"),
        ({"classes": (1.5, -0.5)}, CLASSES),
        ({"classes": ()}, CLASSES),
        ({"condition_shape": 3}, r"Invalid value for condition_shape: .* got 3. Write \(3,\)"),
        ({"condition_shape": "a"}, "Invalid value for condition_shape"),
        ({"null": 3}, "null has no effect on a network without labels"),
        ({"classes": 2, "null": "a"}, "Invalid value for null: expected a whole number"),
        ({"classes": 2, "null": 2.5}, "Invalid value for null: expected a whole number"),
        ({"classes": 2, "null": 1}, "Invalid value for null: 1 is one of the 2 classes, 0 to 1"),
        (
            {"condition_shape": (3,), "null": [1, 2]},
            r"null: expected one number, or numbers of the shape \(3,\)",
        ),
        ({"condition_shape": (3,), "null": "a"}, "Invalid value for null"),
        ({"data": DATA[:1].repeat(9, 1)}, "data must vary"),
        ({"data": "a"}, "data: expected real numbers"),
        ({"labels": [0]}, "labels are given for a network without"),
        ({"classes": 2, "labels": [0, 1]}, "give data as well"),
        ({"classes": 2, "data": DATA, "labels": "a"}, "labels are whole numbers"),
        ({"classes": 2, "data": DATA, "labels": 3}, "labels are whole numbers"),
        ({"classes": 2, "data": DATA, "labels": [0, 1]}, "400 examples need 400 labels; got 2"),
        ({"classes": 2, "data": DATA, "labels": [2] * 400}, "there is no class number 2"),
        ({"condition_shape": (3,), "data": DATA, "labels": [0] * 400}, r"this model takes \(n, 3\)"),
        ({"mean": "a"}, "Invalid value for mean: expected real numbers"),
        (
            {"mean": [1, 2, 3]},
            r"mean: expected one number, or numbers of the shape \(2,\) of an example; got",
        ),
        ({"mean": np.zeros((1, 2))}, r"got the shape \(1, 2\)"),
        ({"mean": float("nan")}, "Invalid value for mean: expected finite numbers"),
        ({"var": 0}, "Invalid value for var: expected numbers above 0; got 0"),
        ({"var": [1, -1]}, "Invalid value for var: expected numbers above 0"),
        ({"var": [1, 1, 1]}, r"var: expected one number, or numbers of the shape \(2,\)"),
        ({"data_range": 3}, r"Invalid value for data_range: expected the least .* such as \(-1, 1\); got 3"),
        ({"data_range": (1, 1)}, "Invalid value for data_range"),
        ({"data_range": (1, -1)}, "Invalid value for data_range"),
        ({"data_range": (0, float("inf"))}, "Invalid value for data_range"),
        ({"data_range": ("a", "b")}, "Invalid value for data_range"),
        ({"data_range": (0, 1, 2)}, "Invalid value for data_range"),
    ],
)
def test_a_wrong_argument_is_refused_in_words(changes, message, check):
    """Also where the network is not called at once."""
    with pytest.raises(DifrunError, match=message):
        wrapped(check=check, **changes)


def test_a_switch_called_check_is_one():
    with pytest.raises(ConfigError, match="Invalid value for check: expected True or False"):
        wrapped(check="no")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predicts": lambda at: 3}, r"`predicts` must return two numbers \(a, b\).* it returned 3"),
        ({"predicts": lambda at: ("a", "b")}, "must return two numbers"),
        ({"predicts": lambda at: (0, 0)}, r"returned \(0, 0\)"),
        ({"predicts": lambda: (1, 0)}, "the function for `predicts` failed: TypeError"),
        (
            {"time": lambda at: at.seconds},
            "the function for `time` failed: AttributeError.* no attribute 'seconds'",
        ),
        ({"time": lambda at: at.t.sum()}, r"with a number for each row.* it returned one of shape \(\)"),
        ({"input_scale": lambda at: "a"}, "`input_scale` must return a number or a tensor; it returned str"),
        ({"input_scale": lambda at: 1 / 0}, "the function for `input_scale` failed: ZeroDivisionError"),
    ],
)
def test_a_function_that_does_not_fit_is_named(changes, message):
    """At once; and at the first prediction of a network that was not called at once."""
    with pytest.raises(DifrunError, match=message):
        wrapped(**changes)
    later = wrapped(check=False, **changes)
    with pytest.raises(DifrunError, match=message):
        later.predict(torch.zeros(3, 2), VP.at(0.5), "x0")


def test_numbers_may_come_from_numpy_and_torch():
    for shape in ([2], torch.Size([2]), np.array([2]), (np.int64(2),)):
        assert wrapped(shape=shape, check=False).shape == (2,)
    for classes in (
        2,
        np.int64(2),
        torch.tensor(2),
        (0.5, 0.5),
        np.array([0.5, 0.5]),
        torch.tensor([0.5, 0.5]),
    ):
        assert wrapped(classes=classes, check=False).shares == (0.5, 0.5)
    assert wrapped(data_range=np.array([-1, 1]), check=False).var == pytest.approx(1 / 3)
    scaled = wrapped(input_scale="edm", data_std=torch.tensor(0.5), check=False)
    assert scaled.convention.data_std == 0.5


def test_the_label_of_a_class_without_a_share_may_stand_for_none():
    """As where label 0 was trained as no class: the classes of the data are then 1 and 2."""
    model = wrapped(classes=(0, 0.25, 0.75), null=0, data=DATA, labels=[1, 2] * 200)
    assert model.knows_any
    assert model.shares == (0, 0.25, 0.75)


def test_the_prior_of_a_class_is_matched_to_its_examples():
    y = (DATA[:, 0] > 0.2).long()
    model = wrapped(classes=(0, 0.5, 0.5), null=9, data=DATA, labels=1 + y, mean=0.5, check=False)
    mean, var = model.condition_on(torch.tensor([1, 2, -1, 0])).moments()
    for row, part in ((0, DATA[y == 0]), (1, DATA[y == 1]), (2, None)):
        torch.testing.assert_close(mean[row], torch.full((2,), 0.5) if part is None else part.mean(0))
        torch.testing.assert_close(var[row], (DATA if part is None else part).var(0, correction=0))


def test_labels_of_one_number_may_be_a_row_of_numbers():
    seen = []

    def conditional(x, t, c):
        seen.append(c)
        return network(x, t)

    c = torch.linspace(-1, 1, 400)
    wrapped(conditional, condition_shape=(1,), data=DATA, labels=c)
    assert seen[0].shape == (256, 1)
    assert (float(seen[0].min()), float(seen[0].max())) == (-1, 1)
