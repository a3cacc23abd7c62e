"""Copies of tensors in another dtype, made once."""

import numpy as np
import pytest
import torch

from difrun.data import CastCache, Dataset, Scaling, as_dataset, wide
from difrun.data.casts import as_data, as_labels, data_on_cpu
from difrun.errors import DifrunError
from difrun.metric.distances import sliced_w2


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


WHOLE = torch.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64], ids=str)
def test_unsigned_tensors_are_numbers(dtype):
    """torch has no minimum of them."""
    assert torch.equal(as_data(WHOLE.to(dtype)), WHOLE)
    large = (
        torch.tensor([2**24 + 1, 0]).to(dtype) if dtype != torch.uint16 else torch.tensor([65535]).to(dtype)
    )
    assert as_data(large).double().max() == (65535 if dtype == torch.uint16 else 2**24 + 1)


def test_views_with_a_negative_bit_are_resolved():
    assert torch.equal(as_data(torch._neg_view(WHOLE)), -WHOLE)
    assert as_data(torch._neg_view(WHOLE.double())).numpy().max() == 0


def test_tensors_without_numbers_are_refused_where_numbers_are_needed():
    meta = torch.empty(6, 2, device="meta")
    assert as_data(meta) is meta  # networks and samplers compute shapes with them
    scaling = Scaling(torch.zeros(2), torch.ones(2))
    for call in (
        data_on_cpu,
        Scaling.standardising,
        scaling.encode,
        scaling.decode,
        as_dataset,
        lambda x: sliced_w2(x, WHOLE, generator=torch.Generator()),
        lambda x: as_dataset(WHOLE.repeat(9, 1), labels=x[:, 0]),
        lambda x: Dataset(name="mine", train=x, held_out=x),
    ):
        with pytest.raises(
            DifrunError, match=r"expected real numbers; a tensor on the device 'meta' has none"
        ):
            call(meta)
    nested = torch.nested.nested_tensor([WHOLE[0], WHOLE[1]], layout=torch.jagged)
    with pytest.raises(DifrunError, match=r"not a .* tensor"):
        as_data(nested)


def test_whole_numbers_that_float64_does_not_tell_apart_are_refused():
    """From 2^53 on: 1.7e18 + 0 ... 5 become one number. Where they lie far apart rounding does no harm."""
    times = torch.stack((1_700_000_000_000_000_000 + torch.arange(6), torch.arange(6)), dim=1)
    for x in (times, times.numpy(), times.numpy().astype(np.uint64), times.tolist()):
        with pytest.raises(
            DifrunError, match=r"from 1700000000000000000 to 1700000000000000005 cannot be told apart"
        ):
            as_data(x)
    apart = times * torch.tensor([1, 1]) + 10**12 * torch.arange(6)[:, None]
    assert len(as_data(apart)[:, 0].unique()) == 6
    assert as_data(times[:1].expand(6, 2)).shape == (6, 2)  # a constant is refused where it matters


def test_labels_beyond_int64_are_refused():
    with pytest.raises(DifrunError, match=r"below 2\^63"):
        as_labels(np.array([2**64 - 1], dtype=np.uint64))
