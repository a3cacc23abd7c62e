"""Ising spins and categorical data: discrete diffusion, measured against exact references."""

from typing import Any

from difrun.api import Component, hookimpl
from difrun_ising.data.options import IsingDataOptions, MarkovOptions, SpinFileOptions
from difrun_ising.discrete.options import (
    CategoricalOptions,
    CrossEntropyOptions,
    HeatBathOptions,
    KernelLossOptions,
    ReverseMLPOptions,
    SpinMLPOptions,
    StepLossOptions,
)
from difrun_ising.lattice.options import IsingOptions, MagnetisationOptions, SpinCNNOptions


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "ising",
            "difrun_ising.lattice.process:Ising",
            "Spins ±1 that flip, together or one sublattice after the other, or are masked",
            IsingOptions,
            provides={"discrete"},
            requires={"spins"},
            prefers={
                "dataset": "ising",
                "model": "spin-cnn",
                "grid": "linear",
            },
            # In chunks of 512 the tensors of a network stay in the cache: twice as fast as in 4096.
            suits={
                "train.batch": 128,
                "train.ema": 0.995,
                "train.steps": 3600,
                "sample.n": 5000,
                "sample.steps": 100,
                "sample.chunk": 512,
                "sample.likelihood": True,
            },
        ),
        Component(
            "categorical",
            "difrun_ising.discrete.categorical:Categorical",
            "K categories that are replaced by draws from any distribution, or masked",
            CategoricalOptions,
            provides={"discrete"},
            requires={"categories"},
            prefers={
                "dataset": "markov",
                "model": "letter-mlp",
                "grid": "linear",
            },
            suits={"train.batch": 256, "sample.steps": 50},
        ),
    ]


@hookimpl
def difrun_models() -> list[Component]:
    # Models prefer these, not the process, which is asked first: `reverse-mlp` needs another loss and sampler.
    network, usual = (
        {"network", "conditional", "x0-distribution"},
        {"loss": "cross-entropy", "sampler": "ancestral"},
    )
    return [
        Component(
            "spin-cnn",
            "difrun_ising.lattice.cnn:SpinCNN",
            "Convolutional network for lattices of spins, on a torus or with free boundaries",
            SpinCNNOptions,
            provides=network,
            requires={"spins", "discrete"},
            prefers=usual,
        ),
        Component(
            "spin-mlp",
            "difrun_ising.discrete.networks:SpinMLP",
            "Residual MLP for spins of any shape",
            SpinMLPOptions,
            provides=network,
            requires={"spins", "discrete"},
            prefers=usual,
        ),
        Component(
            "reverse-mlp",
            "difrun_ising.discrete.networks:ReverseMLP",
            "MLP of the reverse kernel, the original recipe; for the schedule flips",
            ReverseMLPOptions,
            provides={"network"},
            requires={"spins", "discrete"},
            prefers={"loss": "reverse-kernel", "sampler": "reverse-kernel"},
        ),
        Component(
            "letter-mlp",
            "difrun_ising.discrete.networks:SpinMLP",
            "Residual MLP for one-hot categories",
            SpinMLPOptions,
            provides=network,
            requires={"categories", "discrete"},
            prefers=usual,
        ),
        Component(
            "exact-spins",
            "difrun_ising.lattice.exact.model:exact_spins",
            "The exact model of an Ising lattice with a side of at most 8, by forward–backward over rows",
            provides={"exact", "x0-distribution"},
            requires={"lattice", "discrete"},
            prefers={"sampler": "ancestral"},
        ),
    ]


@hookimpl
def difrun_losses() -> list[Component]:
    def loss(name: str, target: str, summary: str, cls: type, *extra: str) -> Component:
        requires = {"discrete", "network", *extra}
        return Component(name, f"difrun_ising.discrete.losses:{target}", summary, cls, requires=requires)

    return [
        loss(
            "cross-entropy",
            "CrossEntropy",
            "−log p(x_0 | x_t), site by site",
            CrossEntropyOptions,
            "x0-distribution",
        ),
        loss(
            "reverse-kernel",
            "ReverseKernel",
            "−log p(x_s | x_t) of one step, for x_s drawn or averaged over",
            KernelLossOptions,
        ),
        loss("elbo", "Elbo", "The evidence bound on −log p(x_0), at one random step", StepLossOptions),
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    def sampler(name: str, target: str, summary: str, *extra: str, **options: Any) -> Component:
        requires = {"discrete", *extra}
        return Component(name, f"difrun_ising.discrete.{target}", summary, requires=requires, **options)

    return [
        sampler(
            "reverse-kernel", "reverse_kernel:ReverseKernel", "The model's own distribution of x_s given x_t"
        ),
        sampler(
            "tau-leap", "jump_samplers:TauLeap", "Tau-leaping of the reverse jump process", "x0-distribution"
        ),
        sampler(
            "flow-euler",
            "jump_samplers:FlowEuler",
            "Euler's method of discrete flow matching",
            "x0-distribution",
        ),
        sampler(
            "heat-bath",
            "heat_bath:HeatBath",
            "Ancestral or other steps, with heat-bath sweeps by the same model",
            "x0-distribution",
            options=HeatBathOptions,
        ),
    ]


@hookimpl
def difrun_guidances() -> list[Component]:
    return [
        Component(
            "magnetisation",
            "difrun_ising.lattice.magnetisation:magnetisation",
            "Spins given the sign of their magnetisation",
            MagnetisationOptions,
            off={"scale": 0.0},
            requires={"spins", "discrete", "x0-distribution"},
        )
    ]


@hookimpl
def difrun_metrics() -> list[Component]:
    return [
        Component(
            "lattice",
            "difrun_ising.lattice.metrics:lattice",
            "Energy, magnetisation and correlations of lattices, against their exact distribution where it is known",
            requires={"spins"},
        )
    ]


@hookimpl
def difrun_datasets() -> list[Component]:
    return [
        Component(
            "ising",
            "difrun_ising.data.lattices:ising",
            "Ising lattices, exact independent draws up to a side of 12, Swendsen–Wang beyond",
            IsingDataOptions,
            provides={"spins", "lattice"},
        ),
        Component(
            "spin-file",
            "difrun_ising.data.spin_file:spin_file",
            "Your lattices of ±1, from a .npy or .npz file",
            SpinFileOptions,
            provides={"spins"},
        ),
        Component(
            "markov",
            "difrun_ising.data.strings:markov",
            "Strings over an alphabet from a Markov chain, one-hot",
            MarkovOptions,
            provides={"categories"},
        ),
    ]
