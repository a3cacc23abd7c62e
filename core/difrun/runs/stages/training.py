"""The training of a run, its saved state, and its number of threads."""

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs
import torch
from torch import Tensor

from difrun.config.plan import Plan
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError, Interrupted
from difrun.plugin.listener import Listener
from difrun.plugin.registry import get_registry
from difrun.randomness.generator import seed_of
from difrun.runs.build import Components, build, build_dataset, trained_classes, trained_condition
from difrun.runs.environment.threads import fastest
from difrun.runs.folder import dataset as stored
from difrun.runs.folder.contents import training_forms
from difrun.runs.folder.layout import Folder
from difrun.runs.folder.schema import damaged, fitting
from difrun.storage.tensors import read_tensors, tensor_form, write_tensors
from difrun.text import quoted
from difrun.training.batches import TrainedModel
from difrun.training.given_weights import fitted_weights
from difrun.training.trainer import Trainer

if TYPE_CHECKING:
    from difrun.runs.run import Run

FROM = "--from, in Python start_from"

MOST_ON_DEVICE = 4 * 10**9
"""The most bytes of examples that are moved to the device of training. More stay in memory or in their file."""


def new_trainer(plan: Plan, parts: Components, device: torch.device, listener: Listener) -> Trainer:
    """Make the trainer of a run whose model is to be trained."""
    assert parts.loss is not None  # an exact model counts as trained
    dataset = parts.dataset
    fits = dataset.train.nbytes <= MOST_ON_DEVICE
    return Trainer(
        cast(TrainedModel, parts.model),  # a model that has a loss has a network
        parts.loss,
        dataset.train.to(device) if fits else dataset.train,
        plan.train,
        seed=seed_of(plan.seed, "train"),
        note=listener.note,
        noise=dataset.noise.to(device) if dataset.noise is not None and fits else dataset.noise,
        labels=_labels(parts, device),
        device=device,
    )


def _labels(parts: Components, device: torch.device) -> Tensor | None:
    """The classes or conditions to train on, on the device; None for a model that takes none."""
    dataset, model = parts.dataset, parts.model
    if dataset.labels is not None and model.shares:
        return dataset.labels.to(device)
    takes_condition = dataset.condition is not None and model.condition_shape is not None
    return dataset.condition.train.to(device) if takes_condition and dataset.condition is not None else None


def train(run: "Run") -> None:
    """Train to the end, and save the state on the way.

    Raises:
        Interrupted: If the user asks to stop; the state is saved.
        DifrunError: If training fails.
    """
    run.listener.stage("train")
    if run.trainer is None:
        run.trainer = run.prepared or initial_trainer(run.plan, run.parts, run.device, run.listener)
        run.prepared = None
        if starts_with_weights(run.plan):
            save(run, run.trainer)  # from here on, the run depends on its own folder alone
    trainer = run.trainer
    options = run.plan.train

    def report(step: int, steps: int, loss: float, rate: float, eta: float) -> None:
        run.listener.train(step, steps, loss, rate, eta)
        run.tell("difrun_train_step", step=step, steps=steps, loss=loss, rate=rate, lr=trainer.lr)

    try:
        trainer.run(
            report=report,
            stopping=run.listener.stopping,
            save=lambda trainer: save(run, trainer),
            save_steps=options.checkpoint_steps,
            save_minutes=options.checkpoint_minutes,
        )
    except DifrunError as error:
        _save_at_end(run, trainer)
        raise DifrunError(f"{error}\nThe last good weights are in {run.folder.weights}.") from error
    _save_at_end(run, trainer)
    if trainer.stopped:
        text = f"Stopped at training step {trainer.step} of {options.steps}; the state is saved."
        raise Interrupted(run.path, text, usable=trainer.step > 0)
    trainer.finish()


def initial_trainer(plan: Plan, parts: Components, device: torch.device, listener: Listener) -> Trainer:
    """Make the trainer of a run, with random weights or with those of an earlier run or of a file.

    Raises:
        DifrunError: If there is no such run or file, it holds no weights, or they are not of this network.
    """
    weights = _earlier_weights(plan)
    file = given_file(plan)
    trainer = new_trainer(plan, parts, device, listener)
    if file is not None:
        if weights is not None:
            raise DifrunError(
                "--from and --model.weights both say with which weights to begin; give one of them."
            )
        fitted = fitted_weights(file, trainer.network, f"model {plan.model.name!r}")
        trainer.start_from({f"network.{name}": tensor for name, tensor in fitted.items()})
    if weights is not None:
        try:
            trainer.start_from(weights)
        except DifrunError as error:
            raise DifrunError(
                f"The weights of {plan.train.start_from} ({FROM}) do not fit the network of this run: "
                + _other_data(plan, parts.dataset, str(error))
            ) from error
    return trainer


def _other_data(plan: Plan, dataset: Dataset, misfit: str) -> str:
    """What an earlier run was trained on that these data have not; where that is the same, the tensors that differ."""
    earlier = None
    with contextlib.suppress(Exception):  # its data may be gone
        folder = Folder.open(plan.train.start_from or Path())
        trained = folder.plan(get_registry())
        examples = stored.load(folder) or build_dataset(trained)
        earlier = _trained_on(trained, examples)
    mine = _trained_on(plan, dataset)
    if earlier in (None, mine):
        return (
            f"{misfit} Data of another shape or number of classes, or other options of the model, need a network of "
            "their own."
        )
    return (
        f"it was trained on {earlier}, and this run has {mine}. Take data of the same kind, or a network of their own: "
        f"leave {FROM}, out."
    )


def _trained_on(plan: Plan, dataset: Dataset) -> str:
    """What a network learns from: the shape of the examples, and what they are given with."""
    given = "neither classes nor a condition"
    if trained_classes(plan, dataset):
        given = f"{len(dataset.classes)} classes"
    if dataset.condition is not None and trained_condition(plan, dataset):
        given = f"a condition of {dataset.condition.values_in_words()}"
    return f"examples of shape {dataset.shape} with {given}"


def _earlier_weights(plan: Plan) -> dict[str, Tensor] | None:
    """The state of training of the run that the plan begins with; None if it begins with random weights."""
    path = plan.train.start_from
    if path is None:
        return None
    if plan.loss is None:
        raise DifrunError(
            f"Model {plan.model.name!r} is exact and has no weights to begin with: leave {FROM}, out."
        )
    folder = Folder.open(path)
    earlier = folder.plan(get_registry())
    if not folder.weights.is_file():
        raise DifrunError(f"{path} holds no weights to begin with ({FROM}): it has not been trained.")
    mine, theirs = (_network_of(each) for each in (plan, earlier))
    if mine != theirs:
        raise DifrunError(
            f"{path} ({FROM}) has {theirs}, and this run {mine}. Name the same model as that run has."
        )
    return read_tensors(folder.weights)[0]


def _network_of(plan: Plan) -> str:
    predicts = "" if plan.model.prediction is None else f" that predicts {plan.model.prediction.predicts}"
    return f"model {plan.model.name!r}{predicts}"


def given_file(plan: Plan) -> Path | None:
    """Return the file of weights with which the network of a plan begins, if there is one."""
    return None if plan.model.start is None else plan.model.start.weights


def starts_with_weights(plan: Plan) -> bool:
    """Return whether training begins with weights that are not random."""
    return plan.train.start_from is not None or given_file(plan) is not None


def done(trainer: Trainer) -> bool:
    """Whether training has come to its end: all steps done, or all minutes spent."""
    minutes = trainer.options.minutes
    return trainer.step >= trainer.last or (minutes is not None and trainer.seconds >= 60 * minutes)


def save(run: "Run", trainer: Trainer) -> None:
    """Write the state of training into the folder of the run."""
    write_tensors(run.folder.weights, trainer.state(), {"difrun": "run", "process": run.plan.process.name})
    run.tell("difrun_checkpoint", step=trainer.step, file=run.folder.weights)


def load(folder: Folder, trainer: Trainer) -> None:
    """Take the weights and the state of training from the folder of a run.

    Raises:
        DifrunError: If the file is damaged, or holds the weights of another network.
    """
    file = folder.weights
    expected = {name: tensor_form(tensor) for name, tensor in trainer.tensors().items()}
    tensors, _ = read_tensors(
        file, check=lambda forms: fitting(training_forms(expected), forms, file), within=folder.path
    )
    step, seconds = int(tensors["step"]), float(tensors["seconds"])
    if not (0 <= step < 2**53 and 0 <= seconds < math.inf and len(tensors["losses"]) <= step):
        raise damaged(
            file, "step, seconds and losses: expected numbers of at least 0, and one loss for each step"
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise damaged(file, f"{name}: expected numbers, found NaN")
    try:
        trainer.load(tensors)
    except DifrunError as error:
        raise DifrunError(f"{file}: {error}") from error


def _save_at_end(run: "Run", trainer: Trainer) -> None:
    """Save at the end of a session of training. If that fails, say from where training will continue."""
    try:
        save(run, trainer)
    except DifrunError as error:
        raise DifrunError(
            f"{error}\nTraining had come to step {trainer.step}, which is not saved. Once there is room, "
            f"'difrun resume {quoted(run.path)}' continues from the last saved state."
        ) from error


def with_threads(plan: Plan, parts: Components, device: torch.device, listener: Listener) -> Plan:
    """Return the plan with a number of threads instead of ``threads = "auto"``.

    For a model that is trained on the CPU, a short rehearsal of training finds the number that makes it fast
    (`fastest`). The rehearsal has a network of its own, so it changes nothing in the run. All other models take torch's
    number.
    """
    if plan.threads != "auto":
        return plan
    count, most = torch.get_num_threads(), torch.get_num_threads()
    if parts.loss is not None and device.type == "cpu" and most > 1 and plan.train.steps > 0:
        try:
            count, rates = _rehearsed(plan, parts, device)
        except DifrunError:  # such as a loss that is not finite: the run itself will say so
            return attrs.evolve(plan, threads=count)
        if rates:
            speeds = ", ".join(f"{rate:.0f} with {n}" for n, rate in rates.items())
            listener.note(
                f"CPU threads: {count}, by the speed of training ({speeds} steps/s); "
                f"--threads {count} gives the same numbers again"
            )
    return attrs.evolve(plan, threads=count)


def _rehearsed(plan: Plan, parts: Components, device: torch.device) -> tuple[int, dict[int, float]]:
    """The result of `fastest` for the steps of a trainer with a network of its own."""
    endless = attrs.evolve(plan.train, steps=10**9, stop_at=None, minutes=None)
    copy = build(plan, device, parts.dataset)
    trainer = new_trainer(attrs.evolve(plan, train=endless), copy, device, Listener())

    def step() -> None:
        until = trainer.step + 1
        trainer.run(stopping=lambda: trainer.step >= until)

    return fastest(step)
