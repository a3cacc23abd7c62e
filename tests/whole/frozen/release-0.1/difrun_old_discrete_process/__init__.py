"""Spins that flip at random, one by one, with data to try it on and their exact model."""

from difrun.api import Component, hookimpl

from difrun_old_discrete_process.options import ChainOptions, OldDiscreteProcessOptions


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "old-discrete-process",
            "difrun_old_discrete_process.process:OldDiscreteProcess",
            "Spins that flip at random, one by one",
            OldDiscreteProcessOptions,
            provides={"discrete"},
            requires={"spins"},
            prefers={
                "dataset": "old-discrete-process-chain",
                "model": "old-discrete-process-exact",
                "sampler": "ancestral",
                "grid": "linear",
            },
        )
    ]


@hookimpl
def difrun_datasets() -> list[Component]:
    return [
        Component(
            "old-discrete-process-chain",
            "difrun_old_discrete_process.chain:chain",
            "Spins in a row, each of which is most often like the one before",
            ChainOptions,
            provides={"spins"},
        )
    ]


@hookimpl
def difrun_models() -> list[Component]:
    return [
        Component(
            "old-discrete-process-exact",
            "difrun_old_discrete_process.exact:ExactModel",
            "The exact model of the training examples, by Bayes' rule",
            provides={"exact"},
            requires={"discrete", "spins"},
        )
    ]


@hookimpl
def difrun_metrics() -> list[Component]:
    return [
        Component(
            "old-discrete-process-bonds",
            "difrun_old_discrete_process.chain:bonds",
            "How often two spins beside each other are alike",
            requires={"spins"},
        )
    ]
