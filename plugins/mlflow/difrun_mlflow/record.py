"""What MLflow keeps of the run that is under way. MLflow is imported when a run begins, and not before."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difrun_mlflow.options import MLflowOptions

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "difrun.folder"
"""The tag that says which run folder a run of MLflow belongs to."""

ERROR = "difrun.error"
"""The tag that says why a run has failed or was stopped."""

WITHOUT_NUMBERS = ("sample", "tune", "report")
"""The work for which no run of MLflow is begun, as there would be nothing in it."""

ENDED = ("FINISHED", "FAILED", "KILLED")

MOST_OF_A_BATCH = 100
"""The most parameters that MLflow takes at once."""

MOST_OF_A_VALUE = 500
"""The longest text of a parameter that every store of MLflow takes."""


class Record:
    """Writes what happens in a run of difrun into one run of MLflow; `resume` and `evaluate` go on with that one."""

    def __init__(self) -> None:
        self.client: MlflowClient | None = None
        self.run_id, self.files, self.is_new = "", True, True

    def begin(
        self, work: str, folder: Path, hyperparameters: Mapping[str, Any], options: MLflowOptions
    ) -> None:
        """Begin a run of MLflow, or go on with that of the same folder.

        Args:
            work: What begins. "run" begins anew.
            folder: The run folder.
            hyperparameters: Name -> value, the parameters of the run.
            options: Where it is recorded.
        """
        self.client = None
        if not options.log:
            return
        client, experiment = open_store(options)
        place = str(folder.resolve())
        found = [] if work == "run" else _runs_of(client, experiment, place)
        if not found and work in WITHOUT_NUMBERS:
            return
        self.files, self.is_new = options.files, not found
        if found:
            self.run_id = found[0]
        else:
            run = client.create_run(
                experiment, run_name=options.run_name or folder.resolve().name, tags={FOLDER: place}
            )
            self.run_id = run.info.run_id
            _parameters(client, self.run_id, hyperparameters)
        self.is_training = work in ("run", "resume", "train")
        if self.is_training and found:
            client.update_run(self.run_id, status="RUNNING")
        self.client = client

    def numbers(self, numbers: Mapping[str, Any], step: int) -> None:
        """Record numbers by their names; what is None or no number is left out."""
        if self.client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(plain(name), float(value), now, step)
            for name, value in numbers.items()
            if isinstance(value, int | float)
        ]
        self.client.log_batch(self.run_id, metrics=metrics)

    def row(self, row: Mapping[str, Any]) -> None:
        """Record a row of a comparison: a curve for each metric and sampler, over the number of sampling steps."""
        name = f"{row['run']} {row['sampler']} {row['grid']}"
        metrics = [key for key in row if f"{key}_floor" in row]
        self.numbers({f"{metric}/{name}": row[metric] for metric in metrics}, row["steps"])

    def file(self, file: Path, folder: str | None = None) -> None:
        """Keep a file as an artifact, if it is there."""
        if self.client is not None and self.files and file.is_file():
            self.client.log_artifact(self.run_id, str(file), folder)

    def end(self, status: str, error: str = "") -> None:
        """End the run of MLflow; status: one of `ENDED`.

        What follows a finished run, such as another evaluation, leaves its status as it is.
        """
        client, self.client = self.client, None
        if client is None:
            return
        if error and (self.is_training or self.is_new):
            client.set_tag(self.run_id, ERROR, error[:MOST_OF_A_VALUE])
        if self.is_training or self.is_new:
            client.set_terminated(self.run_id, status)


def open_store(options: MLflowOptions) -> tuple["MlflowClient", str]:
    """Return the client of the tracking store, and the id of the experiment, which is made if there is none."""
    address = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "mlruns"
    if "://" not in address and address != "databricks":
        # Newer versions of MLflow ask for this before they write into folders, as they prefer data bases.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        address = Path(address).resolve().as_uri()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    found = client.get_experiment_by_name(options.experiment)
    return client, found.experiment_id if found else client.create_experiment(options.experiment)


def plain(name: str) -> str:
    """Return a name with those letters alone that MLflow takes in the names of metrics and parameters."""
    return re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)


def _runs_of(client: "MlflowClient", experiment: str, place: str) -> list[str]:
    """The ids of the runs that belong to a folder, the latest first."""
    quoted = place.replace("'", "\\'")
    found = client.search_runs(
        [experiment], f"tags.`{FOLDER}` = '{quoted}'", order_by=["attributes.start_time DESC"]
    )
    return [run.info.run_id for run in found]


def _parameters(client: "MlflowClient", run_id: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    params = [Param(plain(name), str(value)[:MOST_OF_A_VALUE]) for name, value in values.items()]
    for first in range(0, len(params), MOST_OF_A_BATCH):
        client.log_batch(run_id, params=params[first : first + MOST_OF_A_BATCH])
