"""Network of two hidden layers."""

from difrun.api import Component, hookimpl

from difrun_old_model.options import OldModelOptions


@hookimpl
def difrun_models() -> list[Component]:
    return [
        Component(
            "old-model",
            "difrun_old_model.network:OldModel",
            "Network of two hidden layers",
            OldModelOptions,
            provides={"network"},
            requires={"real"},
        )
    ]
