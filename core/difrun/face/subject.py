"""What a model is asked through: a run, or a score model alone, with its data, its units and its defaults."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from difrun.config.plan import Plan, resolve
from difrun.config.run_options import SampleOptions
from difrun.data.casts import as_data, as_labels, data_on_cpu, with_numbers
from difrun.data.dataset import Dataset
from difrun.data.toy import dataset_of_mixture
from difrun.errors import ConfigError, DifrunError
from difrun.face.arguments import Heard, Sections, altered, listening
from difrun.face.data import GivenData
from difrun.face.opening import reopen
from difrun.model.base import ScoreModel
from difrun.model.exact import ExactMixture
from difrun.model.labels import labels_as_in_data
from difrun.model.wrappers import innermost
from difrun.options.parsing import python_number
from difrun.plugin.listener import Listener
from difrun.runs.build import build_dataset, guided, instantiate
from difrun.runs.environment import faults
from difrun.runs.environment.context import guidance_context
from difrun.runs.environment.threads import threads
from difrun.runs.run import Run
from difrun.runs.stages.labels import labels_of, rows_asked
from difrun.text import quoted

Model = Run | ScoreModel | Path | str
"""What the functions of this package take for a model: a run, its folder, or a score model."""


@attrs.define(eq=False)
class Subject:
    """A model that can be asked, and what is known beside it.

    Attributes:
        plan: The components and options that are asked for, and defaults for the rest.
        base: The model without its guidances.
        device: Where it computes.
        listener: Receives notes and progress.
        run: The run; None for a model alone.
        dataset: The data; None where none are known.
    """

    plan: Plan
    base: ScoreModel
    device: torch.device
    listener: Listener
    run: Run | None = None
    dataset: Dataset | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        named: Mapping[str, Any],
        options: Sections,
        *,
        dataset: Any = None,
        listener: Heard = None,
    ) -> "Subject":
        """Return the subject of a model, with other components and options than its own.

        Args:
            model: A run, its folder, or a score model.
            named: Kind -> a name, a class or an object.
            options: Section -> option -> value.
            dataset: The data of a score model.
            listener: Receives notes and progress; None leaves that to the run.

        Raises:
            ConfigError: If it is no model, or components do not fit.
            DifrunError: If the run is not trained.
        """
        if isinstance(model, str | Path):
            model = reopen(model, listener)
        if isinstance(model, Run):
            if dataset is not None:
                raise ConfigError("a run has its own data: leave dataset out.")
            if not model.trained:
                raise DifrunError(
                    f"{model.path} has not been trained to the end: difrun.resume({str(model.path)!r}), or 'difrun "
                    f"resume {quoted(model.path)}'."
                )
            heard = model.listener if listener is None else listening(listener)
            plan = altered(model.plan, named, options)
            return cls(plan, model.parts.model, model.device, heard, model, model.parts.dataset)
        if not isinstance(model, ScoreModel):
            raise ConfigError(_no_model(model))
        return cls._of_model(model, dict(named), options, dataset, listening(listener))

    @classmethod
    def _of_model(
        cls, model: ScoreModel, named: dict[str, Any], options: Sections, dataset: Any, listener: Listener
    ) -> "Subject":
        inner = innermost(model)
        if dataset is None and isinstance(inner, ExactMixture):
            dataset = dataset_of_mixture(inner.mixture, 0)
        data = GivenData(dataset, options, model)
        if data.named is not None:
            named["dataset"] = data.named
        plan = resolve({**named, "process": model.process, "model": model}, options)
        made = data.made(plan)
        if made is None and data.named is not None:
            made = build_dataset(plan)
        if made is not None and made.shape != tuple(model.shape):
            raise ConfigError(
                f"the model is one of examples of shape {tuple(model.shape)}; those of the dataset have shape "
                f"{made.shape}."
            )
        device = torch.as_tensor(model.mean).device
        return cls(plan, model, device, listener, None, made)

    def model(self) -> ScoreModel:
        """Return the model inside its guidances."""
        if self.run is not None:
            return self.run.guided(self.plan.guidance)
        if self.dataset is None:
            return self._guided_without_data()
        context = guidance_context(self.dataset, self.plan.seed, self.device, self.listener)
        return guided(self.base, self.plan.guidance, context)

    def _guided_without_data(self) -> ScoreModel:
        """The model inside guidances that ask for nothing else. Raises ConfigError if one asks for the data."""
        model = self.base
        for chosen in self.plan.guidance:
            if chosen.entry.asks_for("dataset") or chosen.entry.asks_for("context"):
                raise ConfigError(
                    f"{chosen.entry} asks for the data, and this model has none: give dataset as well."
                )
            model = instantiate(chosen, model=model)
        return model

    @contextmanager
    def working(self) -> Iterator[None]:
        """Take the threads of the run in the block, let the listener hear it, and name a component whose code fails."""
        count = None if self.run is None else self.plan.threads
        heard = nullcontext() if self.run is None else heard_by(self.run, self.listener)
        with threads(count if isinstance(count, int) else None), faults.blame_plugin(self.plan), heard:
            yield

    def encode(self, x: Any, what: str = "examples") -> Tensor:
        """Return examples (n, *shape) in the units of the model. Raises DifrunError if they do not have its shape."""
        tensor = with_numbers(as_data(x, what), what)
        if tensor.ndim == 1 and tuple(self.base.shape) == (1,):
            tensor = tensor[:, None]
        if tuple(tensor.shape[1:]) != tuple(self.base.shape) or tensor.ndim == 0 or not len(tensor):
            raise DifrunError(
                f"{what} of shape {tuple(tensor.shape)} do not fit a model of examples of shape "
                f"{tuple(self.base.shape)}; expected (n, {', '.join(map(str, self.base.shape))})."
            )
        if not bool(tensor.isfinite().all()):
            raise DifrunError(f"{what} must be finite numbers.")
        scaling = None if self.dataset is None else self.dataset.scaling
        return tensor if scaling is None else scaling.encode(tensor)

    def decode(self, x: Tensor) -> Tensor:
        """Return samples of the model in the units of the data."""
        return x if self.dataset is None else self.dataset.decode(x)

    def count(self, n: int | None, label: Any, condition: Any) -> int | None:
        """Return how many samples are asked for: n, or the number of labels or rows of conditions; None for neither."""
        if n is not None:
            return n
        if isinstance(condition, str | Path):
            return None if self.dataset is None else rows_asked(str(condition), self.dataset)
        shape = np.shape(label if condition is None else condition)
        row = () if condition is None else tuple(self.base.condition_shape or ())
        listed_alone = row == (1,) and len(shape) == 1  # numbers of a condition of one, each a row
        return shape[0] if (listed_alone or shape[1:] == row) and shape[:1] > (1,) else None

    def labels(self, model: ScoreModel, label: Any, n: int, condition: Any = None) -> Tensor | None:
        """Return the class or the condition of each of n samples: one for all, or one each; None where there are none.

        Raises:
            ConfigError: If both a class and a condition are given.
            DifrunError: If the model knows no such class or takes no such condition, or there are not n of them.
        """
        if condition is not None:
            if label is not None:
                raise ConfigError("give label or condition: data have classes or a condition.")
            return self._conditions(model, condition, n)
        if label is None:
            asked = None if self.run is None else self.plan.sample
            return labels_as_in_data(model, n) if asked is None else labels_of(model, self._data(), asked, n)
        label = python_number(label)
        if isinstance(label, str | int) and not isinstance(label, bool):
            if self.dataset is not None and self.dataset.classes:
                return labels_of(model, self.dataset, SampleOptions(label=str(label)), n)
            label = [label] * n
        labels = as_labels(self._numbers_of_classes(label))
        if labels.shape != (n,):
            raise DifrunError(
                f"{n} samples take one label, or {n}; got an array of shape {tuple(labels.shape)}."
            )
        return labels

    def _numbers_of_classes(self, label: Any) -> Any:
        """Labels of rows as numbers of classes: each is compared with the names of the classes, as a single label is.

        −1 stays what it is, any class.
        """
        if isinstance(label, Tensor):
            with_numbers(label, "label")
        each = label.flatten().tolist() if isinstance(label, np.ndarray | Tensor) else label
        if not isinstance(each, list | tuple):
            return label
        each = [python_number(name) for name in each]
        if not each or not all(isinstance(name, str | int) and not isinstance(name, bool) for name in each):
            return label
        classes = () if self.dataset is None else self.dataset.classes
        if not classes:
            if any(isinstance(name, str) for name in each):
                raise DifrunError(
                    "a model without data knows its classes by number: give label as a whole number."
                )
            return label
        dataset, known = self._data(), {-1: -1} if "-1" not in classes else {}
        known |= {name: dataset.class_number(name) for name in set(each) - set(known)}
        numbers = np.array([known[name] for name in each])
        return numbers.reshape(label.shape) if isinstance(label, np.ndarray | Tensor) else numbers

    def _data(self) -> Dataset:
        assert self.dataset is not None  # a run has data
        return self.dataset

    def _conditions(self, model: ScoreModel, condition: Any, n: int) -> Tensor:
        """The condition of each of n samples in the units of the model, from one row or n rows in those of the data."""
        if model.condition_shape is None:
            raise DifrunError(
                "this model takes no condition: its data have none, or it was trained without (train.label_dropout 1)."
            )
        if isinstance(condition, str):
            if self.dataset is None:
                raise DifrunError("a model without data takes its condition as numbers, not as text.")
            asked = labels_of(model, self.dataset, SampleOptions(condition=condition), n)
            assert asked is not None  # there is a condition
            return asked
        rows = data_on_cpu(condition, "condition").double()
        if tuple(rows.shape) == tuple(model.condition_shape) or (
            rows.ndim == 0 and tuple(model.condition_shape) == (1,)
        ):
            rows = rows.reshape(1, *model.condition_shape)
        elif rows.ndim == 1 and tuple(model.condition_shape) == (1,):
            rows = rows[:, None]
        if self.dataset is not None and self.dataset.condition is not None:
            rows = self.dataset.condition.encode(rows, "condition")
        if tuple(rows.shape[1:]) != tuple(model.condition_shape) or len(rows) not in (1, n):
            raise DifrunError(
                f"condition of shape {tuple(rows.shape)} for {n} samples; expected one row for all or one for each, of "
                f"shape {tuple(model.condition_shape)}."
            )
        return rows.float().expand(n, *rows.shape[1:]).clone()


@contextmanager
def heard_by(run: Run, listener: Heard) -> Iterator[None]:
    """Let a listener hear a run in the block, in the place of the run's own; None changes nothing."""
    before = run.listener
    if listener is not None:
        _let_hear(run, listening(listener))
    try:
        yield
    finally:
        _let_hear(run, before)


def _let_hear(run: Run, listener: Listener) -> None:
    run.listener = listener
    if run.trainer is not None:
        run.trainer.note = listener.note


def like(result: Tensor, given: Any) -> Any:
    """Return an array of NumPy if an array was given, else the tensor."""
    return result.cpu().numpy() if isinstance(given, np.ndarray) else result


def _no_model(model: Any) -> str:
    text = f"expected a run, the folder of a run, or a difrun.model.ScoreModel; got {type(model).__name__}."
    if isinstance(model, nn.Module):
        text += (
            " A network alone knows neither its process nor what it predicts: difrun.run(model=...) trains it, and "
            "difrun.wrap(network, process, shape, predicts=...) makes a model of one that is trained elsewhere."
        )
    return f"Invalid value for model: {text}"
