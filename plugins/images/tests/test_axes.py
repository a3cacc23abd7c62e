"""Series and volumes: the networks by their formulas, by the 2-D network, and by the exact score of Gaussian data."""

import math

import pytest
import torch
from torch.nn import functional

from difrun.errors import DifrunError
from difrun.model import NetworkModel
from difrun.testing.references import ReferenceVP
from difrun_images.blocks import Attention, Block
from difrun_images.cnn import CNN
from difrun_images.layout import Layout
from difrun_images.unet import UNet

SMALL = {"width": 4, "multipliers": (1, 2, 2), "attention": (8, 4)}


def filled(network, seed=0):
    """A network of which no weight is zero, in float64."""
    draw = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=draw)
    return network.double().eval()


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("axes", "convolution"), [(1, functional.conv1d), (2, functional.conv2d), (3, functional.conv3d)]
)
def test_a_block_is_its_formula(axes, convolution):
    """shortcut + conv(silu((1 + s)·norm(conv(silu(norm(x)))) + b)), with the convolution of so many axes."""
    block, x, condition = (
        filled(Block(8, 12, 5, axes=axes)),
        normal(3, 8, *(4, 3, 5)[:axes]),
        normal(3, 5, seed=2),
    )

    def norm(values, layer):
        return functional.group_norm(values, layer.num_groups, layer.weight, layer.bias)

    h = convolution(functional.silu(norm(x, block.norm)), block.first.weight, block.first.bias, padding=1)
    s, b = (part.reshape(3, 12, *(1,) * axes) for part in block.modulate(condition).chunk(2, dim=1))
    h = functional.silu((1 + s) * norm(h, block.second_norm) + b)
    expected = convolution(h, block.second.weight, block.second.bias, padding=1)
    expected = expected + convolution(x, block.shortcut.weight, block.shortcut.bias)
    torch.testing.assert_close(block(x, condition), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [UNet, CNN])
def test_weights_have_one_name_and_grow_with_the_axes(make):
    """A kernel (out, in, 3) of the network for series is (out, in, 3, 3, 3) in that for volumes, under one name."""
    networks = [make((2, *(8,) * axes), channels="first", width=4) for axes in (1, 2, 3)]
    lists = [{name: tuple(weight.shape) for name, weight in net.named_parameters()} for net in networks]
    for axes, shapes in enumerate(lists, start=1):
        expected = {
            name: shape[:2] + shape[2:] * axes if len(shape) == 3 else shape
            for name, shape in lists[0].items()
        }
        assert shapes == expected


@pytest.mark.parametrize("make", [UNet, CNN])
@pytest.mark.parametrize("lengths", [(8,), (5, 8)])
def test_one_axis_more_is_the_same_network_on_data_that_do_not_change_along_it(make, lengths):
    """With kernels that are zero but for their middle along the last axis, F(x repeated along it) is F(x) repeated.

    Group norm, strides, shortcuts, attention (every place counts as often) and modulation all take part.
    """
    options = SMALL if make is UNet else {"width": 4, "depth": 2}
    low = filled(make((2, *lengths), channels="first", **options))
    high = make((2, *lengths, 6), channels="first", **options).double().eval()
    weights = low.state_dict()
    for name, weight in high.state_dict().items():
        narrow = weights[name]
        if narrow.shape != weight.shape:
            wide = torch.zeros_like(weight)
            wide[..., weight.shape[-1] // 2] = narrow
            weights[name] = wide
    high.load_state_dict(weights)
    x, level = normal(2, 2, *lengths), normal(2, seed=2)
    repeated = x.unsqueeze(-1).expand(*x.shape, 6)
    expected = low(x, level).unsqueeze(-1).expand_as(repeated)
    torch.testing.assert_close(high(repeated, level), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 5), (2, 11), (1, 3, 5, 2), (2, 2, 7, 4), (1, 1)])
def test_examples_of_any_size(shape):
    """Halved and doubled, odd lengths come back to what they were; every place has to do with every other at last."""
    network = filled(UNet(shape, channels="first", width=4, multipliers=(1, 2, 2), attention=(shape[1],)))
    x = normal(1, *shape).requires_grad_()
    output = network(x, torch.zeros(1, dtype=torch.float64))
    assert output.shape == x.shape
    output.flatten()[0].backward()
    assert float(x.grad.abs().min()) > 0


def test_one_place_attends_to_itself():
    """The weights of one place are 1: out = x + W v, which can be differentiated twice."""
    layer, x = filled(Attention(8, axes=1)), normal(2, 8, 1).requires_grad_()
    norm = functional.group_norm(x, layer.norm.num_groups, layer.norm.weight, layer.norm.bias)
    value = functional.conv1d(norm, layer.parts.weight[16:])
    output = layer(x)
    torch.testing.assert_close(output, x + functional.conv1d(value, layer.out.weight, layer.out.bias))
    (gradient,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert float(second.abs().sum()) > 0


@pytest.mark.parametrize("make", [UNet, CNN])
@pytest.mark.parametrize(
    ("given", "first"), [((8, 3), (3, 8)), ((6, 5, 3), (3, 6, 5)), ((6, 5, 4, 2), (2, 6, 5, 4))]
)
def test_channels_last_and_first_are_one_network(make, given, first):
    """The same weights on the same numbers, whichever axis has the channels; "auto" finds the short axis."""
    of_last, of_first = filled(make(given, width=4)), make(first, width=4).double().eval()
    of_first.load_state_dict(of_last.state_dict())
    x, level = normal(2, *given), normal(2, seed=2)
    expected = of_first(x.movedim(-1, 1), level).movedim(1, -1)
    torch.testing.assert_close(of_last(x, level), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [UNet, CNN])
def test_no_axis_of_channels_is_one_channel(make):
    bare, one = filled(make((8, 8), channels="none", width=4)), make((1, 8, 8), width=4).double().eval()
    one.load_state_dict(bare.state_dict())
    x, level = normal(2, 8, 8), normal(2, seed=2)
    assert torch.equal(bare(x, level), one(x[:, None], level)[:, 0])


@pytest.mark.parametrize(
    ("shape", "channels", "layout"),
    [
        ((1, 16), "auto", ("first", 1, (16,))),
        ((3, 16), "auto", ("first", 3, (16,))),
        ((16, 3), "auto", ("last", 3, (16,))),
        ((12, 16), "first", ("first", 12, (16,))),
        ((16,), "none", ("none", 1, (16,))),
        ((3, 32, 32), "auto", ("first", 3, (32, 32))),
        ((32, 32, 3), "auto", ("last", 3, (32, 32))),
        ((16, 8, 6), "auto", ("first", 16, (8, 6))),
        ((32, 32, 3), "first", ("first", 32, (32, 3))),
        ((1, 4, 4, 4), "auto", ("first", 1, (4, 4, 4))),
        ((9, 8, 7, 2), "auto", ("last", 2, (9, 8, 7))),
    ],
)
def test_which_axis_has_the_channels(shape, channels, layout):
    found = Layout.of(shape, channels, "unet")
    assert (found.where, found.channels, found.lengths) == layout
    assert found.axes == len(layout[2])


def test_what_the_channels_are_is_told_where_data_could_be_read_otherwise():
    """The first and the last axis of (3, 8, 3) may both be channels; of (3, 8, 8) the first alone."""
    for shape, told in (((3, 8, 3), 1), ((3, 3, 3), 1), ((8, 8, 3), 1), ((3, 8, 8), 0), ((1, 8, 8), 0)):
        notes = Layout.of(shape, "auto", "unet").notes("auto", "unet")
        assert len(notes) == told, shape
        assert all("--model.channels" in note for note in notes)


@pytest.mark.parametrize(
    ("shape", "channels", "says"),
    [
        (
            (64,),
            "auto",
            r"takes series \(channels, length\), .* not examples of shape \(64,\); take --model mlp",
        ),
        ((64,), "auto", "--model.channels none"),
        ((1, 2, 2, 2, 2), "auto", r"not examples of shape \(1, 2, 2, 2, 2\)"),
        (
            (28, 28),
            "auto",
            r"may be an image without an axis of channels, or a series of 28 channels.*none, or .*first",
        ),
        ((12, 100), "auto", "a series of 12 channels"),
        ((9, 9, 9), "auto", "may be a volume without an axis of channels, or an image of 9 channels"),
    ],
)
def test_other_shapes_are_refused_or_asked_about(shape, channels, says):
    for make in (UNet, CNN):
        with pytest.raises(DifrunError, match=says):
            make(shape, channels=channels)


def stationary(n, rho):
    """The covariance ρ^|i − j| of an autoregressive series of order 1."""
    i = torch.arange(n, dtype=torch.float64)
    return rho ** (i[:, None] - i).abs()


def volume(*sides):
    cov = torch.ones(1, 1, dtype=torch.float64)
    for side in sides:
        cov = torch.kron(cov, stationary(side, 0.9))
    return cov


@pytest.mark.parametrize(
    ("shape", "cov", "steps", "bound"),
    [((1, 16), stationary(16, 0.9), 80, 0.2), ((1, 3, 4, 3), volume(3, 4, 3), 60, 0.5)],
    ids=["series", "volume"],
)
def test_training_comes_near_the_exact_score_of_a_gaussian(shape, cov, steps, bound):
    """E[x_0 | x_t] = α Σ (α² Σ + σ² I)⁻¹ x_t in closed form. Distances in units of that of α x_t, the best prediction
    of every place by itself, where an untrained network stands, and where one that does not convolve would stay."""
    process, draw = ReferenceVP(), torch.Generator().manual_seed(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(shape, width=8, dropout=0.0, attention=None)
    model, root = NetworkModel(network, process, shape), torch.linalg.cholesky(cov).float()

    def noised(n, at):
        x0 = (torch.randn(n, len(cov), generator=draw) @ root.T).reshape(n, *shape)
        return x0, at.alpha * x0 + at.sigma * torch.randn(x0.shape, generator=draw)

    def distance(t):
        at = process.at(t)
        _, x = noised(512, at)
        wiener = at.alpha * torch.linalg.solve(at.alpha**2 * cov + at.sigma**2 * torch.eye(len(cov)), cov)
        exact = (x.flatten(1).double() @ wiener).reshape(x.shape)
        with torch.no_grad():
            predicted = model.predict(x, at, "x0")
        return float((predicted - exact).square().mean() / (at.alpha * x - exact).square().mean())

    assert distance(0.4) == pytest.approx(1, abs=1e-5)  # variance 1: α x is c_skip x
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        at = process.at(0.05 + 1.4 * torch.rand(64, generator=draw), len(shape) + 1)
        x0, x = noised(64, at)
        error = (model.predict(x, at, "x0") - x0).square()
        ((1 + (at.alpha / at.sigma) ** 2) * error).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    reached = [distance(t) for t in (0.4, 1.0)]
    assert all(math.isfinite(each) for each in reached)
    assert max(reached) < bound, reached
