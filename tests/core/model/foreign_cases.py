"""Exact denoisers of a mixture, written in the conventions of other libraries."""

import numpy as np
import torch
from torch import nn

import difrun
from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun.process.tabulated import TabulatedProcess
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP

CHAIN = TabulatedProcess.from_betas(np.linspace(1e-4, 0.02, 1000))
MIXTURE = GaussianMixture([0.3, 0.7], [[-1.0, 0.3], [1.2, 0.8]], [0.05, 0.1])
MODELS = {p: ExactMixture(MIXTURE, p) for p in (CHAIN, ReferenceVP(), ReferenceVE(), ReferenceFlow())}
VP, VE, FLOW = list(MODELS)[1:]
DATA = MIXTURE.sample(400, torch.Generator().manual_seed(0)).float()


def exact(process, kind, time_of, factor=None):
    """A network F(x, time) that computes the exact prediction: `time_of` turns its time into t, `factor` is c_in."""

    def network(x, time):
        assert time.shape == (len(x),)
        t = time_of(time.double()).clamp(0, process.horizon)
        at = process.at(t, 2)
        if factor is not None:
            x = x / factor(at)
        if isinstance(kind, str):
            return MODELS[process].predict(x.double(), at, kind).to(x.dtype)
        return kind(x.double(), at).to(x.dtype)

    return network


def karras(x, at):
    """F of Karras et al., table 1, with σ_d = 0.5: (D − c_skip x)/c_out."""
    total = (at.sigma**2 + 0.25).sqrt()
    denoised = MODELS[VE].predict(x, at, "x0")
    return (denoised - 0.25 / total**2 * x) / (0.5 * at.sigma / total)


SMALL = 1e-9


def vp_time(lam):
    """The time of a log-SNR of the process with α = e^−t."""
    return 0.5 * torch.nn.functional.softplus(-2 * lam)


CASES = {
    "noise, index from 0": (CHAIN, exact(CHAIN, "noise", lambda n: n + 1), "noise", "index", {}),
    "v, whole numbers": (CHAIN, exact(CHAIN, "v", lambda n: n + 1), "v", "index", {"integer": True}),
    "x0, t": (VP, exact(VP, "x0", lambda t: t), "x0", "t", {}),
    "score, 1000 t": (VP, exact(VP, "score", lambda t: t / 1000), "score", lambda at: 1000 * at.t, {}),
    "v, log-snr": (VP, exact(VP, "v", vp_time), "v", "log-snr", {}),
    "noise, c-noise": (VP, exact(VP, "noise", lambda c: vp_time(-4 * c)), "noise", "c-noise", {}),
    "noise, sigma": (VE, exact(VE, "noise", lambda s: s), "noise", "sigma", {}),
    "F of EDM": (
        VE,
        exact(VE, karras, lambda c: (4 * c).exp(), lambda at: 1 / (at.sigma**2 + 0.25).sqrt()),
        "edm",
        "c-noise",
        {"input_scale": "edm", "data_std": 0.5},
    ),
    "velocity of a flow, time from noise": (
        FLOW,
        exact(FLOW, lambda x, at: -MODELS[FLOW].predict(x, at, "straight"), lambda t: 1 - t),
        lambda at: (1, -1),
        lambda at: 1 - at.t,
        {},
    ),
}


def wrapped(name, **changes):
    process, network, predicts, time, options = CASES[name]
    return difrun.wrap(network, process, (2,), predicts, time, **{"data": DATA, **options, **changes})


class Epsilon(nn.Module):
    """A network in training mode, with dropout and an embedding table, called as (time, x, y)."""

    def __init__(self, wide=False):
        super().__init__()
        self.table = nn.Embedding(1000, 8)
        self.first, self.last = nn.Linear(10, 32), nn.Linear(32, 4 if wide else 2)
        self.dropout = nn.Dropout(0.5)
        self.calls = []

    def forward(self, time, x):
        self.calls.append((self.training, self.dropout.training, self.first.weight.requires_grad))
        return self.last(self.dropout(torch.tanh(self.first(torch.cat([x, self.table(time)], 1)))))
