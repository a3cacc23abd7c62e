"""Data in the place of the name of a dataset."""

import os
from typing import Any

from difrun.config.plan import Plan
from difrun.data.dataset import Dataset
from difrun.data.from_python import is_frame, table_of
from difrun.data.mixture import GaussianMixture
from difrun.data.source import Source
from difrun.data.table import dataset_of
from difrun.data.toy import dataset_of_mixture
from difrun.errors import ConfigError
from difrun.face.arguments import Sections
from difrun.model.base import ScoreModel
from difrun.options.attrs_fields import names_of, values
from difrun.plugin.registry import Registered
from difrun.randomness.generator import seed_of


def is_data(dataset: Any) -> bool:
    """Return whether something is examples, and neither a name nor what makes a dataset."""
    if dataset is None or isinstance(dataset, str | os.PathLike | Registered | Dataset | GaussianMixture):
        return False
    return is_frame(dataset) or hasattr(dataset, "__getitem__") or not callable(dataset)


class GivenData:
    """Data that the user gives: what the plan calls them, and the dataset that is made of them.

    Args:
        dataset: A name, a path, examples in memory, a dataset, a mixture, or what makes a dataset; None: nothing.
        options: The options of the run; those of the dataset may be added.
        model: A model that needs no training. Its data stay in their units.

    Attributes:
        named: What takes the place of the name of the dataset; None: nothing was given.
    """

    def __init__(self, dataset: Any, options: Sections, model: ScoreModel | None = None) -> None:
        if isinstance(dataset, GaussianMixture):
            dataset = dataset_of_mixture(dataset, 0)
        self.given, self.named = dataset, dataset
        plain = isinstance(dataset, Dataset) and _is_plain(dataset)
        if is_data(dataset) or plain:
            self.named = "array"
        own = options.get("dataset", {})
        if plain and own:
            raise ConfigError(
                f"dataset.{next(iter(own))} has no effect on a difrun.data.Dataset, which is split and scaled already."
            )
        if self.named == "array" and model is not None and not plain:
            options.setdefault("dataset", {}).setdefault("scale", "none")

    def made(self, plan: Plan) -> Dataset | None:
        """Return the dataset of a plan; None if the plan makes it itself.

        Raises:
            DifrunError: If the examples are no numbers, not finite or too few.
        """
        if isinstance(self.given, Dataset):
            return self.given
        if self.named != "array":
            return None
        wanted = {name: values(plan.dataset.options)[name] for name in names_of(type(plan.dataset.options))}
        of_table = {name: wanted.pop(name) for name in ("columns", "condition")}
        source = Source("the data given", "key")
        table = table_of(self.given, source, labels=wanted.pop("label"), **of_table)
        return dataset_of(table, name="array", source=source, seed=seed_of(plan.seed, "dataset"), **wanted)


def _is_plain(dataset: Dataset) -> bool:
    """Whether a dataset is its examples alone, all of which a run folder can hold."""
    known = (
        dataset.fresh,
        dataset.distribution,
        dataset.log_density,
        dataset.fresh_labelled,
        dataset.conditional,
    )
    return all(part is None for part in known) and not dataset.fingerprint
