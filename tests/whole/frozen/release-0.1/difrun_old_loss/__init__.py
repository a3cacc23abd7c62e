"""Noise prediction with min-SNR weights."""

from difrun.api import Component, hookimpl

from difrun_old_loss.options import OldLossOptions


@hookimpl
def difrun_losses() -> list[Component]:
    return [
        Component(
            "old-loss",
            "difrun_old_loss.loss:old_loss",
            "Noise prediction with min-SNR weights",
            OldLossOptions,
            requires={"gaussian", "network"},
        )
    ]
