"""The networks: attention and modulation against their formulas, classes, sizes. The kit does the rest."""

import pytest
import torch
from torch.nn import functional

from difrun.errors import DifrunError
from difrun_images.blocks import Attention, Block, Condition
from difrun_images.cnn import CNN
from difrun_images.options import PRESETS
from difrun_images.unet import UNet


def filled(network, seed=0):
    """A network of which no weight is zero, in float64."""
    draw = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=draw)
    return network.double().eval()


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def group_norm(x, layer):
    """(x − mean)/std per group of channels, written out."""
    n, c, h, w = x.shape
    parts = x.reshape(n, layer.num_groups, -1)
    parts = (parts - parts.mean(2, keepdim=True)) / (
        parts.var(2, correction=0, keepdim=True) + layer.eps
    ).sqrt()
    return parts.reshape(n, c, h, w) * layer.weight[:, None, None] + layer.bias[:, None, None]


def test_attention_is_softmax_of_scaled_products_over_the_pixels():
    """Two heads of 32 channels: out = x + W Σ_j softmax_j(q_i·k_j/√32) v_j, pixel by pixel, to 1e-10."""
    layer, x = filled(Attention(64)), normal(2, 64, 3, 2)
    assert layer.heads == 2
    h = group_norm(x, layer.norm).flatten(2).transpose(1, 2)
    q, k, v = (h @ layer.parts.weight[:, :, 0, 0].T).chunk(3, dim=2)
    heads = []
    for i in range(2):
        part = slice(32 * i, 32 * i + 32)
        weights = torch.softmax(q[..., part] @ k[..., part].transpose(1, 2) / 32**0.5, dim=2)
        heads.append(weights @ v[..., part])
    mixed = torch.cat(heads, dim=2) @ layer.out.weight[:, :, 0, 0].T + layer.out.bias
    torch.testing.assert_close(layer(x), x + mixed.transpose(1, 2).reshape(x.shape), rtol=1e-10, atol=1e-10)


def test_a_block_is_its_formula():
    """shortcut + conv(silu((1 + s)·norm(conv(silu(norm(x)))) + b)), with s and b of each example's condition."""
    block, x, condition = filled(Block(8, 12, 5)), normal(3, 8, 4, 4), normal(3, 5, seed=2)
    h = functional.conv2d(
        functional.silu(group_norm(x, block.norm)), block.first.weight, block.first.bias, padding=1
    )
    s, b = (condition @ block.modulate.weight.T + block.modulate.bias).chunk(2, dim=1)
    h = functional.silu((1 + s[..., None, None]) * group_norm(h, block.second_norm) + b[..., None, None])
    expected = functional.conv2d(h, block.second.weight, block.second.bias, padding=1)
    expected = expected + functional.conv2d(x, block.shortcut.weight, block.shortcut.bias)
    torch.testing.assert_close(block(x, condition), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [UNet, CNN])
def test_classes(make):
    """No label is label −1; another label is another output; labels of a batch do not mix; without classes no table."""
    network = filled(make((1, 6, 6), 3, width=8))
    x, level = normal(4, 1, 6, 6), normal(4, seed=2)
    none = torch.full((4,), -1)
    assert torch.equal(network(x, level), network(x, level, none))
    outputs = torch.stack([network(x, level, torch.full((4,), k)) for k in (-1, 0, 1, 2)])
    apart = (outputs.detach()[:, None] - outputs.detach()[None]).abs().amax((2, 3, 4, 5))
    assert float(apart[~torch.eye(4, dtype=torch.bool)].min()) > 1e-4
    mixed = network(x, level, torch.tensor([2, -1, 0, 1]))
    chosen = torch.stack([outputs[k + 1, i] for i, k in enumerate((2, -1, 0, 1))])
    torch.testing.assert_close(mixed, chosen, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        network(x, level[:1], none), network(x, level[:1].expand(4), none), rtol=1e-10, atol=1e-10
    )
    assert not any("classes" in name for name, _ in make((1, 6, 6), width=8).named_parameters())


@pytest.mark.parametrize("make", [UNet, CNN])
def test_a_new_network_is_zero_and_refuses_vectors(make):
    assert torch.equal(
        make((3, 8, 8), 2)(torch.ones(2, 3, 8, 8), torch.zeros(2), torch.tensor([0, 1])),
        torch.zeros(2, 3, 8, 8),
    )
    with pytest.raises(
        DifrunError, match=r"images \(channels, rows, columns\) .* not .*\(64,\); take --model mlp"
    ):
        make((64,))


@pytest.mark.parametrize("rows", [2, 5, 7, 9])
@pytest.mark.parametrize("columns", [4, 11])
def test_images_of_any_size(rows, columns):
    """Halved and doubled, odd sides come back to what they were; every pixel has to do with every other at last."""
    network = filled(UNet((1, rows, columns), width=4, multipliers=(1, 2, 2), attention=(rows,)))
    x = normal(1, 1, rows, columns).requires_grad_()
    output = network(x, torch.zeros(1, dtype=torch.float64))
    assert output.shape == x.shape
    output[0, 0, 0, 0].backward()
    assert float(x.grad.abs().min()) > 0


def test_presets_and_what_is_given_besides():
    """Widths are width · multipliers; what is given goes before the preset; levels of one pixel are left out."""
    for size, preset in PRESETS.items():
        network = UNet((1, 32, 32), size=size)
        widths = [block.second.out_channels for block in network.down[:: preset.blocks]]
        assert widths == [preset.width * factor for factor in preset.multipliers]
        assert len(network.down) == preset.blocks * len(preset.multipliers)
    network = UNet((1, 32, 32), width=8, multipliers=(1, 3), blocks=2)
    assert [block.second.out_channels for block in network.down] == [8, 8, 24, 24]
    assert len(UNet((1, 4, 4), multipliers=(1, 1, 1, 1)).down) == 2
    assert len(UNet((1, 1, 1)).down) == 1


def test_attention_is_where_it_is_wanted():
    def count(**options):
        return sum(isinstance(part, Attention) for part in UNet((1, 8, 8), **options).modules())

    # One block down and two up at the level of 4 rows, and the middle.
    assert count(attention=(4,)) == 4
    assert count(attention=(8,)) == 4
    assert count(attention=(4, 8)) == 7
    assert count(attention=(16,)) == 1
    assert count(attention=None) == 0


def test_dropout_is_for_training_alone():
    network = UNet((1, 8, 8), width=8, dropout=0.5)
    filled(network).train()
    x, level = normal(2, 1, 8, 8), torch.zeros(2, dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        assert not torch.equal(network(x, level), network(x, level))
    network.eval()
    assert torch.equal(network(x, level), network(x, level))


def test_the_condition_is_one_vector_per_example():
    condition = filled(Condition(6, 4))
    x = normal(3, 1, 2, 2)
    labels = torch.tensor([0, 3, -1])
    for i in range(3):
        alone = condition(x[i : i + 1], torch.tensor([0.3], dtype=torch.float64), labels[i : i + 1])
        together = condition(x, torch.tensor([0.3], dtype=torch.float64), labels)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)
