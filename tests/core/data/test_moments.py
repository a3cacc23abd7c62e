"""Moments of examples, those that do not fit into memory included."""

import numpy as np
import torch

from difrun.data import Dataset, checks

from .support import dataset, generator


def normal(n, seed):
    return torch.randn((n, 3), generator=torch.Generator().manual_seed(seed)) * 0.3 + torch.tensor(
        [5.0, 0.0, -2.0]
    )


def test_moments_are_those_of_numpy_in_float64():
    """A mean of 10⁶ with a spread of 1: float32 sums would lose the variance."""
    values = np.random.default_rng(0).normal(1e6, [1.0, 3.0], (4000, 2)).astype(np.float32)
    data = dataset(train=values)
    assert data.mean.dtype == data.var.dtype == torch.float32
    np.testing.assert_allclose(data.mean, values.astype(np.float64).mean(0), rtol=1e-7)
    np.testing.assert_allclose(data.var, values.astype(np.float64).var(0), rtol=1e-6)


def test_moments_of_images_are_per_pixel():
    values = torch.rand((40, 1, 3, 4), generator=generator())
    data = dataset(train=values, held_out=values[:5], columns=())
    assert data.shape == (1, 3, 4)
    np.testing.assert_allclose(data.var, values.double().numpy().var(0), rtol=1e-6)


def test_moments_chunk_by_chunk_are_those_of_the_whole(monkeypatch):
    whole = Dataset(name="d", train=normal(1001, 0), held_out=normal(20, 1))
    parts = Dataset(name="d", train=normal(1001, 0), held_out=normal(20, 1))
    expected = whole.mean, whole.var
    monkeypatch.setattr(checks, "CHUNK", 100)
    torch.testing.assert_close(parts.mean, expected[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(parts.var, expected[1], rtol=1e-6, atol=1e-7)


def test_the_covariance_of_many_examples_is_summed_chunk_by_chunk(monkeypatch):
    """Seven chunks against one, to 1e-12."""
    x = torch.randn(1000, 3, 2, generator=torch.Generator().manual_seed(0)) * 2 + 5
    want = Dataset(name="d", train=x, held_out=x[:20]).cov
    monkeypatch.setattr(checks, "CHUNK", 6 * 150)
    found = Dataset(name="d", train=x, held_out=x[:20]).cov
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
