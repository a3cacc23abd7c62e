"""The options of the logger."""

from pathlib import Path

import attrs

from difrun.api import option


@attrs.frozen
class TensorBoardOptions:
    """Where the log goes and what is in it."""

    log: bool = option(True, "Write a log for TensorBoard.")
    folder: Path | None = option(
        None,
        "Folder of the logs of several runs, each in a folder with the name of its run; none: the folder tensorboard "
        "in the run folder.",
        metavar="FOLDER",
    )
    pictures: bool = option(True, "Keep the pictures of the report in the log, too.")
