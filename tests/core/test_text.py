"""Pieces of text for messages."""

import numpy as np
import pytest
import torch

from difrun.text import described, few


class Loud:
    """An object whose text raises."""

    def __repr__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((300, 2)), "ndarray of float64 with shape (300, 2)"),
        (torch.zeros(3, 4, dtype=torch.int32), "Tensor of torch.int32 with shape (3, 4)"),
        (np.float64(2.5), "np.float64(2.5)"),
        (torch.tensor(2.5), "tensor(2.5000)"),
        (np.ndarray, "<class 'numpy.ndarray'>"),
        ("moons", "'moons'"),
        ({"a": [1, 2]}, "{'a': [1, 2]}"),
        (list(range(1000)), f"{str(list(range(1000)))[:100]}... (4890 characters)"),
        (Loud(), "an object of Loud"),
    ],
)
def test_a_value_is_described_in_one_line(value, text):
    assert described(value) == text


def test_of_many_words_the_first_are_named():
    assert few("abc") == "a, b, c"
    assert few("abcdef") == "a, b, c, d, e, f"
    assert few("abcdefg") == "a, b, c, d, e, and 2 more"
