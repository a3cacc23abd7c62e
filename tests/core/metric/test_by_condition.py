"""Which samples with conditions can be compared with data."""

import math

import numpy as np
import pytest
import torch

from difrun.data import as_dataset
from difrun.errors import DifrunError
from difrun.metric.by_condition import comparable_conditions

X = np.random.default_rng(0).normal(size=(60, 2))
SAMPLES = torch.zeros(3, 2)


def test_gaps_are_not_compared_with_rows_of_which_every_column_is_known():
    data = as_dataset(X, missing="condition")
    for rows in ([[1.0, math.nan]] * 3, [[1.0, math.nan], [math.nan, 2.0], [3.0, 4.0]]):
        with pytest.raises(DifrunError, match="these conditions have gaps"):
            comparable_conditions(torch.tensor(rows), SAMPLES, data)
    known = torch.arange(6.0).reshape(3, 2)
    assert comparable_conditions(known, SAMPLES, data) is known


def test_one_condition_of_all_samples_is_not_compared_with_those_of_the_data():
    with pytest.raises(DifrunError, match="all samples have one condition"):
        comparable_conditions(torch.ones(3, 1), SAMPLES, as_dataset(X, condition=X[:, 0]))
