"""The options of the logger."""

import attrs

from difrun.api import option


@attrs.frozen
class MLflowOptions:
    """Where a run is recorded, and under which names."""

    log: bool = option(True, "Record the run in MLflow.")
    tracking_uri: str | None = option(
        None,
        "Address of a tracking server, or a folder; none: what MLFLOW_TRACKING_URI says, or else the folder mlruns.",
        metavar="ADDRESS|FOLDER",
    )
    experiment: str = option("difrun", "Name of the experiment; it is made if there is none.")
    run_name: str | None = option(
        None, "Name of the run in MLflow; none: the name of the run folder.", metavar="NAME"
    )
    files: bool = option(True, "Keep run.toml, the metrics, the pictures and the report as artifacts.")

    def __attrs_post_init__(self) -> None:
        if not self.experiment.strip():
            raise ValueError("experiment: expected a name; got an empty text")
