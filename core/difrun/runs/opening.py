"""Start a new run from a plan, or reopen an earlier run from its folder."""

import contextlib
import functools
from pathlib import Path
from typing import Any

import attrs
import torch

from difrun.api import KINDS
from difrun.config.plan import ChosenComponent, Plan
from difrun.config.run_options import Threads
from difrun.config.selection import lookup
from difrun.data.dataset import Dataset
from difrun.errors import ConfigError, DifrunError
from difrun.guidance.context import Context
from difrun.options.attrs_fields import build as options
from difrun.plugin.listener import Listener
from difrun.plugin.registry import get_registry
from difrun.runs.build import Components, build, build_dataset, grid_times, guided
from difrun.runs.environment import faults
from difrun.runs.environment.device import choose_device
from difrun.runs.folder import dataset, lock
from difrun.runs.folder.create import create, refuse_if_taken
from difrun.runs.folder.layout import Folder
from difrun.runs.run import Run
from difrun.runs.scales import check_scales
from difrun.runs.stages import sampling, tuning
from difrun.runs.stages.labels import is_file, labels_of
from difrun.runs.stages.training import given_file, initial_trainer, starts_with_weights, with_threads
from difrun.sampler.integration import refuse_noise
from difrun.storage import places
from difrun.text import did_you_mean, listed

METRIC_OF_CONDITIONS = "joint-w2"
"""What a run measures first where samples are drawn given the conditions of the data."""


def start(
    plan: Plan,
    folder: Path | str | None = None,
    *,
    force: bool = False,
    listener: Listener | None = None,
    examples_of: Path | str | None = None,
    examples: Dataset | None = None,
) -> Run:
    """Make a new run in a folder of its own, with run.toml in it.

    Errors that can be found in advance are raised before the folder is made.

    Args:
        plan: Every resolved name and option.
        folder: The folder; None takes the next free ``runs/<process>-<dataset>-<k>``.
        force: Replace the run that is there.
        listener: Receives notes and progress; None is silent.
        examples_of: An earlier run with the same dataset and seed. The examples in its folder are used, and the user's
            file is not read again.
        examples: The dataset itself, if it is already made.

    Raises:
        DifrunError: If the folder is taken, or components cannot work together.
    """
    device = choose_device(plan.device)
    plan = attrs.evolve(plan, device=str(device))
    listener = listener or Listener()
    path = None if folder is None else Path(folder)
    _refuse_in_advance(plan, path, force)
    with faults.blame_plugin(plan):
        if examples is None and examples_of is not None:
            examples = dataset.load(Folder.open(Path(examples_of)))
        parts = build(plan, device, examples)
        _refuse_what_cannot_be_sampled(plan, parts, device)
        plan = _with_metric_of_conditions(plan, parts)
        plan = with_threads(plan, parts, device, listener)
    prepared = None
    if starts_with_weights(plan):  # weights that do not fit are refused before the folder is made
        prepared = initial_trainer(plan, parts, device, listener)
        listener.note(
            f"training begins with the weights of {plan.train.start_from or given_file(plan)}, and with a learning "
            "rate that rises from 0"
        )
    home = create(path, plan, parts.dataset, force=force, torch_version=torch.__version__)
    run = Run(plan, home, parts, device, listener, prepared=prepared)
    for text in _notes(run):
        listener.note(text)
    return run


def _refuse_in_advance(plan: Plan, path: Path | None, force: bool) -> None:
    """Raise DifrunError for what is known to be wrong before anything is loaded."""
    if "tuned" in plan.grid.entry.component.provides:
        raise DifrunError(
            "There is nothing to tune before a model is trained. Run with another sampler and grid, then "
            "'difrun tune RUN', then 'difrun sample RUN --sampler tuned'."
        )
    if is_file(plan.sample.condition):
        raise DifrunError(
            f"--condition {plan.sample.condition}: a run keeps no files of conditions, so its own samples are drawn "
            "given those of the data, or given values. Draw others with 'difrun sample RUN --condition FILE'."
        )
    if path is not None:
        lock.refuse_if_held(path)
        # `create`, which looks again under the lock, will say what is wrong
        with contextlib.suppress(OSError):
            refuse_if_taken(path, force)
    # These are called after training. A metric that nobody asked for must not stop a run.
    for late in (plan.grid, *(() if "metric" in plan.defaulted else plan.metrics)):
        late.refuse_misfit()


def _refuse_what_cannot_be_sampled(plan: Plan, parts: Components, device: torch.device) -> None:
    """Raise DifrunError if data, sampler, grid, noise, guidance, label or condition do not fit process and model."""
    check_scales(parts.process, parts.dataset)
    sampler = sampling.sampler_for(plan.sampler, parts.dataset)
    times = [parts.process.horizon, parts.process.t_min]
    if not plan.grid.entry.asks_for("model"):  # a grid of the model waits until it is trained
        times = grid_times(plan.grid, parts.model, plan.sample.steps, sampler)
        parts.model.refuse_times(times)
    refuse_noise(sampler, plan.sample.noise, parts.model, times)
    trial = Context(parts.dataset, seed=plan.seed, device=device, trial=True)
    labels_of(guided(parts.model, plan.guidance, trial), parts.dataset, plan.sample, 1)


def _with_metric_of_conditions(plan: Plan, parts: Components) -> Plan:
    """The plan with the metric `joint-w2` first, if samples get conditions of the data and no metric was named."""
    if "metric" not in plan.defaulted or parts.model.known_conditions is None:
        return plan
    entry = lookup(get_registry(), "metric", METRIC_OF_CONDITIONS)
    chosen = ChosenComponent("metric", entry, options(entry.component.options, {}, str(entry)))
    return attrs.evolve(plan, metrics=(chosen, *plan.metrics))


def _notes(run: Run) -> list[str]:
    """What the user is told of data and process before the run."""
    parts, signal = run.parts, run.signal
    notes = [f"{entry.kind} {entry.label}: {entry.record['reopen']}" for _, entry in run.plan.own()]
    notes += [dataset.describe(parts.dataset), *parts.dataset.notes]
    of_network = getattr(
        getattr(parts.model, "network", None), "notes", ()
    )  # a network of the user's may have any
    notes += [text for text in of_network if isinstance(text, str)] if isinstance(of_network, tuple) else []
    notes += [*check_scales(parts.process, parts.dataset), *parts.process.advice()]
    if signal is not None and not signal.is_negligible:
        notes.append(signal.sentence())
    return [text for text in notes if text]


def reopen(
    folder: Path | str,
    listener: Listener | None = None,
    *,
    device: str | None = None,
    threads: Threads = None,
    **given: Any,
) -> Run:
    """Open the run in a folder, with its weights if it has been trained.

    Nothing else is needed: examples that came from a user's file or from another run are in the folder.

    Args:
        folder: The run folder.
        listener: Receives notes and progress; None is silent.
        device: The device, instead of the one in run.toml.
        threads: The number of CPU threads, instead of the one in run.toml.
        **given: Kind -> a class or an object of yours that the run was made with, such as ``process=MyProcess``; a
            list of them for ``guidance`` and ``metric``. Installed components are found by their names.

    Raises:
        DifrunError: If there is no run, its files are damaged, a component is not installed, or what is given is not
            what run.toml names.
    """
    unknown = [kind for kind in given if kind not in KINDS]
    if unknown:
        raise ConfigError(
            f"reopen takes the kinds of components, {listed(KINDS)}; not '{unknown[0]}'."
            f"{did_you_mean(unknown[0], KINDS)}"
        )
    home = Folder.open(Path(folder))
    plan = home.plan(get_registry(), given)
    place = choose_device(device) if device else choose_device(plan.device, source=str(home.config))
    plan = attrs.evolve(plan, device=str(place), threads=threads or plan.threads)
    listener = listener or Listener()
    with faults.blame_plugin(plan), places.writing_only_in(home.path):
        parts = build(plan, place, dataset.open_examples(home, functools.partial(build_dataset, plan)))
        plan = with_threads(plan, parts, place, listener)
    run = Run(plan, home, parts, place, listener, reopened=True)
    for text in plan.notes:
        run.listener.note(text)
    run.load()
    parts.model.tunings = tuning.read(home)
    return run
