"""Ising spins and categorical data: discrete diffusion, measured against exact references."""

from difrun.api import Component, hookimpl
from difrun_ising import options


@hookimpl
def difrun_datasets() -> list[Component]:
    return [
        Component(
            "ising",
            "difrun_ising.data:ising",
            "Ising lattices, exact independent draws up to a side of 12, Swendsen–Wang beyond",
            options.IsingDataOptions,
            provides={"spins"},
        ),
        Component(
            "spin-file",
            "difrun_ising.data:spin_file",
            "Your lattices of ±1, from a .npy or .npz file",
            options.SpinFileOptions,
            provides={"spins"},
        ),
        Component(
            "markov",
            "difrun_ising.data:markov",
            "Strings over an alphabet from a Markov chain, one-hot",
            options.MarkovOptions,
            provides={"categories"},
        ),
    ]
