"""Devices without float64 (Apple's MPS): no tensor of that format may be made there.

The device "meta" stands for one: it computes nothing, but says what a call would put there. Where there is a GPU, the
whole of it is run there too, with float64 forbidden.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from difrun.data import Scaling
from difrun.grid import logsnr
from difrun.loss import LogitNormal, LogNormal, LogSNR, Regression, Uniform
from difrun.loss.base import score_matching
from difrun.model import MLP, ExactEmpirical, ExactMixture, NetworkModel
from difrun.randomness import Generator
from difrun.sampler import Ancestral, Heun, generate
from difrun.testing import ReferenceVP, two_gaussians

GPU = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA")
)


class Shifted(ReferenceVP):
    centre = (0.5, -2.0)


class NoFloat64(TorchDispatchMode):
    """Raises when an operation takes or gives a float64 tensor on the device."""

    def __init__(self, device: str):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            if (
                isinstance(value, torch.Tensor)
                and value.device.type == self.device
                and value.dtype == torch.float64
            ):
                raise TypeError(f"{func} meets float64 on {self.device}")
        return result


def network_model(process):
    mixture = two_gaussians()
    return NetworkModel(MLP((2,), width=8, depth=1), process, (2,), mean=mixture.mean, var=mixture.var)


def test_float64_on_the_device_is_noticed():
    with NoFloat64("meta"), pytest.raises(TypeError, match="float64 on meta"):
        torch.zeros(2, device="meta").double()


@pytest.mark.parametrize("device", ["meta", GPU])
@pytest.mark.parametrize("process", [ReferenceVP(), Shifted()], ids=["plain", "shifted"])
def test_a_loss_is_drawn_without_float64(process, device):
    model = network_model(process).to(device)
    x0 = two_gaussians().sample(8, torch.Generator().manual_seed(0)).float().to(device)
    for times in (Uniform(), LogSNR(), LogNormal(), LogitNormal()):
        with NoFloat64(device):
            loss = Regression("score", score_matching, times)
            examples = loss.draw(model, x0, Generator(1, device="cpu" if device == "meta" else device))
            value = loss.evaluate(model, examples)
        assert value.device.type == device
        assert value.dtype == torch.float32


@pytest.mark.parametrize("device", ["meta", GPU])
@pytest.mark.parametrize("process", [ReferenceVP(), Shifted()], ids=["plain", "shifted"])
def test_samples_are_drawn_without_float64(process, device):
    data = two_gaussians().sample(30, torch.Generator().manual_seed(0))
    for model in (
        network_model(process).to(device),
        ExactMixture(two_gaussians(), process),
        ExactEmpirical(data, process),
    ):
        for sampler in (Heun(), Ancestral()):
            with NoFloat64(device):
                x = generate(sampler, model, 5, logsnr(process, 3), chunk=3, device=device)
            assert (x.device.type, x.dtype, x.shape) == (device, torch.float32, (5, 2))


@pytest.mark.parametrize("device", ["meta", GPU])
@pytest.mark.parametrize("process", [ReferenceVP(), Shifted()], ids=["plain", "shifted"])
def test_a_process_answers_users_without_float64(process, device):
    x0 = torch.zeros(4, 2, device=device)
    with NoFloat64(device):
        for result in (
            process.sample(x0, 0.5, 1),
            process.sample(x0, torch.full((4,), 0.5, device=device), 1),
            process.path(x0, [0.1, 0.7], 1),
            process.euler_maruyama(x0, [0.1, 0.7], 1, substeps=2),
            process.density(x0, x0, 0.5),
        ):
            assert (result.device.type, result.dtype) == (device, torch.float32)


@pytest.mark.parametrize("device", [GPU])
def test_times_and_scalings_are_computed_without_float64(device):
    """What has to look at its numbers, as "meta" cannot: λ on the device, and the units of the user."""
    process = ReferenceVP()
    lam = torch.linspace(-2, 5, 20)
    scaling = Scaling(torch.tensor([1e6, 0.0]).double(), torch.tensor([2.0, 3.0]).double())
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    with NoFloat64(device):
        there = [process.time_at(lam.to(device)), process.time_near(lam.to(device))]
        moved = [scaling.decode(x.to(device)), scaling.encode(x.to(device))]
        model = NetworkModel(MLP((2,)), process, (2,), var=torch.ones(2, device=device))
    for got, expected in zip(there, (process.time_at(lam), process.time_near(lam)), strict=True):
        torch.testing.assert_close(got.cpu(), expected)
    for got, expected in zip(moved, (scaling.decode(x), scaling.encode(x)), strict=True):
        assert torch.equal(got.cpu(), expected)
    assert model.data_std == 1.0
