"""Three Gaussians at the corners of a triangle."""

from difrun.api import Component, hookimpl

from difrun_old_dataset.options import OldDatasetOptions


@hookimpl
def difrun_datasets() -> list[Component]:
    return [
        Component(
            "old-dataset",
            "difrun_old_dataset.dataset:old_dataset",
            "Three Gaussians at the corners of a triangle",
            OldDatasetOptions,
            provides={"real"},
        )
    ]
