"""Pictures take data in every format of numbers, and do not read what is masked."""

import numpy as np
import pytest
import torch

from difrun import draw
from difrun.draw.arrays import as_array
from difrun.errors import DifrunError

from .number_formats import ARRAYS, TENSORS, WHOLE


def test_pictures_take_every_format():
    for form in (*TENSORS.values(), *ARRAYS.values()):
        draw.data_and_samples(form(WHOLE), form(WHOLE))
    with pytest.raises(DifrunError, match="draw: expected real numbers"):
        draw.data_and_samples(WHOLE.astype(complex), WHOLE)


def test_pictures_do_not_read_what_is_masked():
    masked = np.ma.masked_array([1, 2, 3], [False, True, False])
    np.testing.assert_array_equal(as_array(masked), [1, np.nan, 3])
    assert as_array(torch._neg_view(torch.ones(2, dtype=torch.float64))).tolist() == [-1, -1]
    with pytest.raises(DifrunError, match=r"draw: expected real numbers in a dense tensor, not .*on meta"):
        as_array(torch.empty(3, device="meta"))
