"""The pilot grid: where it puts its steps, in closed form."""

import numpy as np
import pytest
import torch

from difrun.tuning.pilot import STEPS, _step_density


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize(("bend", "growth"), [(0.3, 0.0), (0.3, -0.6), (0.3, 1.0), (0.0, 0.8)])
def test_steps_are_as_dense_as_bends_and_the_growth_of_errors_ask(bend, growth, order):
    """Trajectories y = e^{bv} on which an error grows by A = e^{gv}: the density of steps (A^½ |d^k y/dv^k|)^{1/k}
    is proportional to e^{(b + g/2) v/k}; for b → 0, where y is flat, to e^{g v/2k}. Between the ends, to 2 %."""
    clocks = np.linspace(4.0, 0.0, STEPS + 1)
    v = torch.from_numpy(clocks)[:, None]
    bend = bend or 1e-2
    y = (bend * v).exp()[..., None] / bend**order
    density = _step_density(clocks, y, (growth * v).exp(), order)
    expected = np.exp((bend + growth / 2) * clocks / order)
    inside = slice(15, -15)
    ratio = density[inside] / expected[inside]
    np.testing.assert_allclose(ratio / ratio.mean(), 1, rtol=0.02)
