"""Schedulers and models of diffusers as components of difrun."""

from typing import TYPE_CHECKING, Any

from difrun.api import Component, hookimpl
from difrun_diffusers.options import (
    FolderOptions,
    FolderProcessOptions,
    GridOptions,
    SchedulerOptions,
    UNetOptions,
)
from difrun_diffusers.table import SCHEDULERS

__all__ = ["export", "load"]

if TYPE_CHECKING:
    from difrun_diffusers.exporting import export
    from difrun_diffusers.loading import load


def __getattr__(name: str) -> Any:
    """Import the two functions for Python when they are first used: they need torch and diffusers."""
    if name == "load":
        from difrun_diffusers.loading import load

        return load
    if name == "export":
        from difrun_diffusers.exporting import export

        return export
    raise AttributeError(f"module 'difrun_diffusers' has no attribute {name!r}")


@hookimpl
def difrun_processes() -> list[Component]:
    return [
        Component(
            "diffusers",
            "difrun_diffusers.of_folder:folder_process",
            "The noise schedule of a folder of diffusers, which the model 'diffusers' then takes",
            FolderProcessOptions,
            provides={"continuous", "gaussian", "ode", "sde", "scheduler"},
            requires={"real"},
            prefers={"model": "diffusers"},
        )
    ]


@hookimpl
def difrun_models() -> list[Component]:
    return [
        Component(
            "diffusers",
            "difrun_diffusers.loading:diffusers_model",
            "A trained network of diffusers: UNet2DModel, UNet2DConditionModel or DiTTransformer2DModel",
            FolderOptions,
            provides={"exact"},
            requires={"gaussian", "real"},
        ),
        Component(
            "diffusers-unet",
            "difrun_diffusers.unet:UNet",
            "A new UNet2DModel, trained by difrun; it can be exported as a pipeline of diffusers",
            UNetOptions,
            provides={"network", "conditional"},
            requires={"real"},
        ),
    ]


@hookimpl
def difrun_formats() -> list[Component]:
    return [
        Component(
            "diffusers",
            "difrun_diffusers.exporting:export",
            "A folder that DDPMPipeline and DDIMPipeline of diffusers load, of a run of --model diffusers-unet",
        )
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    return [
        Component(
            f"diffusers-{name}",
            f"difrun_diffusers.samplers:{entry.cls.removesuffix('Scheduler')}",
            f"{entry.summary} ({entry.cls})",
            SchedulerOptions,
            requires={"gaussian"},
            prefers={"grid": "diffusers"},
        )
        for name, entry in SCHEDULERS.items()
    ] + [
        Component(
            "diffusers-own",
            "difrun_diffusers.of_folder:OwnScheduler",
            "The scheduler in the folder of --process diffusers, with its settings",
            requires={"gaussian", "scheduler"},
            prefers={"grid": "diffusers"},
        )
    ]


@hookimpl
def difrun_grids() -> list[Component]:
    return [
        Component(
            "diffusers",
            "difrun_diffusers.grid:scheduler_grid",
            "The grid that the scheduler of a sampler of this plugin makes, or another scheduler",
            GridOptions,
            requires={"gaussian"},
        )
    ]
