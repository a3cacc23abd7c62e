"""Copies of tensors in another dtype, made once."""

import torch

from difrun.data import CastCache, wide


def test_each_dtype_is_made_once_and_can_take_part_in_a_derivative():
    made = []

    def tensors():
        made.append(1)
        return torch.tensor([1 / 3], dtype=torch.float64), None

    cache = CastCache()
    with torch.inference_mode():
        first, nothing = cache.like(torch.zeros(1), tensors)
    assert nothing is None
    assert first.dtype == torch.float32
    assert not first.is_inference()
    assert cache.like(torch.ones(2), tensors)[0] is first
    assert cache.like(torch.zeros(1, dtype=torch.float64), tensors)[0].item() == 1 / 3
    assert len(made) == 2
    x = torch.ones(1, requires_grad=True)
    (x * first).sum().backward()
    assert x.grad is not None


def test_wide_is_float64_on_the_cpu():
    assert wide(torch.zeros(1)).dtype == torch.float64
