"""`difrun run`: train, sample, measure, draw."""

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from difrun.api import KINDS
from difrun.cli.plan_builder import CommandRequest
from difrun.cli.plan_command import PlanCommand
from difrun.cli.progress import Listener
from difrun.cli.run_folder import QUIET, show_results
from difrun.cli.run_path import RunPath
from difrun.config.settings import Settings
from difrun.errors import ConfigError
from difrun.options.attrs_fields import GivenValue
from difrun.plugin.registry import Registry, get_registry
from difrun.storage import places
from difrun.text import listed


class RunCommand(PlanCommand):
    """`difrun run`: with ``--from RUN`` it starts from the run.toml and the weights of that run."""

    def base(self, registry: Registry, values: Mapping[str, Any]) -> Settings:
        """The settings of ``--config``, or of the run whose weights ``--from`` takes."""
        earlier = values.get("weights")
        if not earlier:
            return super().base(registry, values)
        config = {"config": values["config"]} if values.get("config") else {"folder": earlier}
        settings = super().base(registry, config)
        # How that run came to its end is not part of what is repeated.
        for option in ("restarts", "stop_at", "start_from"):
            settings.options.get("train", {}).pop(option, None)
        settings.options.get("model", {}).pop("weights", None)
        settings.give("train", "start_from", GivenValue(earlier, "--from", "flag"))
        return settings


def _run(
    request: CommandRequest,
    out: str | None,
    config: str | None,
    weights: str | None,
    quiet: bool,
    force: bool,
) -> None:
    if weights and ("train", "start_from") in request.given:
        raise ConfigError("--from and --train.start-from are the same: give one of the two.")
    listener = Listener(quiet)
    with listener.signals():
        from difrun.runs import start

        folder = Path(out) if out else None
        source = config or (weights and str(Path(weights) / "run.toml"))
        examples_of = _run_with_examples(request, source)
        with listener.refusing_first():
            _show_notes(request, listener)
            if examples_of is not None:
                listener.note(
                    f"the examples are those saved in {examples_of}; with --dataset they are made or read again"
                )
            with _writing_where_allowed(request, source):
                running = start(request.plan, folder, force=force, listener=listener, examples_of=examples_of)
            listener.note(f"the run folder is {running.path}")
        running.execute()
    show_results(running)


def _run_with_examples(request: CommandRequest, config: str | None) -> Path | None:
    """The run folder of --config or --from, if it holds the examples that the plan asks for.

    Other options of the dataset, or another seed, make other examples.
    """
    folder = Path(config).parent if config else Path()
    if not config or not (folder / "data.safetensors").is_file() or Path(config).name != "run.toml":
        return None
    sections = {section for section, _ in request.given}
    changed = "dataset" in request.named or "dataset" in sections or ("", "seed") in request.given
    return None if changed else folder


def _writing_where_allowed(request: CommandRequest, config: str | None) -> AbstractContextManager[None]:
    """Write no cache elsewhere that a run.toml names, which a stranger may have written: only one named by a flag."""
    if not config or Path(config).name != "run.toml":
        return contextlib.nullcontext()
    options = request.plan.dataset.options
    own = [getattr(options, option, None) for section, option in request.given if section == "dataset"]
    return places.writing_only_in(Path(config).parent, *(path for path in own if isinstance(path, Path)))


def _show_notes(request: CommandRequest, listener: Listener) -> None:
    """Show the notes of the plan and what was chosen by default; loggers that fail will be noted, too."""
    plan = request.plan
    get_registry().report = listener.note
    for note in plan.notes:
        listener.note(note)
    defaults = [
        f"{kind} {getattr(plan, kind).name}" for kind in plan.defaulted if kind in KINDS and kind != "metric"
    ]
    if defaults:
        listener.note(f"chosen by default: {listed(defaults)}")


run = RunCommand(
    "run",
    callback=_run,
    params=[
        click.Option(
            ["--out"],
            metavar="FOLDER",
            type=click.Path(),
            help="Run folder.  [default: runs/PROCESS-DATASET-K]",
        ),
        click.Option(
            ["--config"],
            metavar="FILE.toml",
            type=click.Path(),
            help="Read names and options from a file. A cache that a run.toml names is written beside that run.toml.",
        ),
        click.Option(
            ["--from", "weights"],
            metavar="RUN",
            type=RunPath(),
            help="Begin with the weights of an earlier run, and with its names and options where no others are given: "
            "train on other data, or for longer.",
        ),
        QUIET,
        click.Option(["--force"], is_flag=True, help="Overwrite the run in --out."),
    ],
    kinds=KINDS,
    sections={"train": None, "sample": None, "": None},
    help="Train a model, draw samples, measure them and write a report.\n\n"
    "What you do not name is chosen to fit. The options of the components of this run are listed below.",
    short_help="Train, sample, measure, report.",
    epilog="A name or an option may also come from the environment (DIFRUN_SAMPLER for --sampler, "
    "DIFRUN_PROCESS_THETA for --process.theta) or from a file (--config: table [process], key theta). A flag "
    "wins over the environment, and the environment over the file. A variable DIFRUN_... that nothing reads gets a "
    "warning.\n\n"
    "For a quick trial: --train.steps 500 --n 1000, and for points in the plane also --metric sliced-w2.\n\n"
    "DIFRUN_IMPORT=module allows classes of yours in the place of names, --sampler module:MySampler, also where a "
    "run.toml names them.\n\n"
    "DIFRUN_PLUGINS=a,b loads only the plugins a and b; DIFRUN_STRICT=1 stops if a plugin is broken; "
    "DIFRUN_DEBUG=1 shows the traceback of an error.",
)
