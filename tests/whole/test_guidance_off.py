"""Guidance of spins by class that is off: the samples of the unguided model, by every sampler."""

import pytest
import torch

from difrun.grid import linear
from difrun.plugin import get_registry
from difrun.sampler import generate

REGISTRY = get_registry()
SHAPE = (3, 4)


def spins_of_classes(mixing):
    """An untrained network that knows two classes, whose priors differ as α(T) is 0.45."""
    process = REGISTRY.get("process", "ising").load()(mixing=mixing, schedule="rate", rate=0.4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = REGISTRY.get("model", "spin-cnn").load()(SHAPE, classes=2)
        for weights in network.parameters():
            torch.nn.init.normal_(weights, std=0.3)
    model = process.denoiser(network, shape=SHAPE, mean=torch.full(SHAPE, 0.2), var=torch.ones(SHAPE))
    means = torch.stack([torch.full(SHAPE, 0.7), torch.full(SHAPE, -0.3)])
    model.set_classes((0.5, 0.5), (means, torch.ones(2, *SHAPE)))
    return model


@pytest.mark.parametrize("sampler", ["ancestral", "reverse-kernel", "tau-leap", "flow-euler", "heat-bath"])
@pytest.mark.parametrize("mixing", ["uniform", "absorbing"])
def test_cfg_of_spins_at_scale_0_is_the_model_of_all_classes(sampler, mixing):
    """And at scale 1 it is that of the class; bit for bit, and the two differ."""
    model, made = spins_of_classes(mixing), REGISTRY.get("sampler", sampler).load()()
    times, labels = linear(model.process, 4), torch.ones(9, dtype=torch.int64)
    cfg = REGISTRY.get("guidance", "cfg").load()
    every, own = (generate(made, model, 9, times, seed=1, labels=asked) for asked in (None, labels))
    assert torch.equal(generate(made, cfg(model, scale=0.0), 9, times, seed=1, labels=labels, chunk=4), every)
    assert torch.equal(generate(made, cfg(model, scale=1.0), 9, times, seed=1, labels=labels), own)
    assert not torch.equal(every, own)
