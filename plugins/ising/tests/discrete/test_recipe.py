"""The original recipe, flips with r = 0.05 and a network trained on x_{t−1}: what it does to the energy."""

from difrun_ising.data.lattices import ising
from difrun_ising.discrete.losses import CrossEntropy, ReverseKernel
from difrun_ising.discrete.networks import ReverseMLP, SpinMLP
from difrun_ising.discrete.reverse_kernel import ReverseKernel as Kernel
from difrun_ising.lattice.process import Ising

from ..support import energy_error, fitted, run


def test_training_on_the_previous_state_costs_energy():
    """4x4 torus, 30 steps, an MLP and 400 steps of training each, 3000 samples: the energy is too high by 20 standard
    errors, and by 5 more than that of the same MLP trained on x_0."""
    dataset, process = ising(seed=1, size=(4,), n=3000, held_out=20), Ising(schedule="flips", steps=30)

    def measured(make, loss):
        model = fitted(lambda: make(dataset.shape, width=64, depth=2), loss, dataset, process, 400)
        return energy_error(run(Kernel(), model, dataset, 30), dataset)

    recipe, error = measured(ReverseMLP, ReverseKernel())
    x0, other = measured(SpinMLP, CrossEntropy(hidden=0.0))
    assert recipe > 20 * error
    assert recipe - x0 > 5 * (error**2 + other**2) ** 0.5
