"""Exact moments of affine maps."""

import pytest
import torch

from difrun.testing import affine_moments


def test_exact_moments_need_a_map_that_is_affine():
    """Mean and variance of 3 + 2z_1 − z_2 are 3 and 5; products, squares and norms of noise are refused."""

    def draws(generator, n, count=2):
        return [generator.normal(torch.zeros(n, 1, dtype=torch.float64)) for _ in range(count)]

    def affine(generator, n):
        first, second = draws(generator, n)
        return 3 + 2 * first - second

    mean, var = affine_moments(affine, 2)
    assert (mean.item(), var.item()) == (3.0, 5.0)

    def product(generator, n):
        first, second = draws(generator, n)
        return first + second + 0.1 * first * second

    def square(generator, n):
        first, second = draws(generator, n)
        return first + 0.1 * second**2

    for other in (product, square):
        with pytest.raises(ValueError, match="not affine in its noise"):
            affine_moments(other, 2)
    with pytest.raises(ValueError, match="expected at most 2 draws, each of 3 rows"):
        affine_moments(lambda generator, n: sum(draws(generator, n, 3)), 2)
