"""The convolutional network: its borders, and its noise levels."""

import torch

import difrun
from difrun.data import Dataset
from difrun.runs.build import build
from difrun_ising.lattice.cnn import SpinCNN


def test_periodic_padding_makes_the_network_a_function_on_the_torus():
    """A moved lattice gives the moved answer, to 1e-5; with zeros beyond the border it does not."""
    for padding, same in (("circular", True), ("zeros", False)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = SpinCNN((5, 7), padding=padding)
            torch.nn.init.normal_(network.last.weight)
        x = torch.where(torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(1)) < 0.5, -1.0, 1.0)
        level = torch.tensor([-1.0, 0.0, 0.3])
        moved = network(x.roll((2, 3), (1, 2)), level).roll((-2, -3), (1, 2))
        assert torch.allclose(moved, network(x, level), atol=1e-5) == same


def test_the_network_wraps_as_its_lattice_is():
    """By `build`, from the dataset; a lattice that is not known is not taken for a torus."""
    for boundary, closed in ("periodic", True), ("free", False):
        options = {"n": 20, "held_out": 20, "size": (3,), "boundary": boundary}
        plan = difrun.resolve({"process": "ising"}, {"dataset": options})
        assert build(plan, torch.device("cpu")).model.network.torus is closed
    unknown = Dataset(name="spins", train=torch.ones(20, 3, 3), held_out=torch.ones(20, 3, 3))
    assert not SpinCNN((3, 3), dataset=unknown).torus
    assert SpinCNN((3, 3), padding="circular", dataset=unknown).torus


def test_a_field_of_equal_levels_is_one_level():
    """The CNN gives the same for a level per site as for one level per lattice, to 1e-5."""
    network = SpinCNN((3, 4))
    torch.nn.init.normal_(network.last.weight, generator=torch.Generator().manual_seed(1))
    x = torch.ones(2, 3, 4)
    level = torch.tensor([-1.0, 0.4])
    field = level[:, None, None].expand(2, 3, 4)
    torch.testing.assert_close(network(x, field), network(x, level), rtol=0, atol=1e-5)
