"""The log of the work that is under way. TensorBoard is imported when a log is begun, and not before."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difrun_tensorboard.options import TensorBoardOptions

if TYPE_CHECKING:
    from difrun_tensorboard.writer import Writer

TRAINING = ("run", "resume", "train")
"""The work that begins a session of training."""


STATUS = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "stopped": "STATUS_UNKNOWN"}
"""How a run ended -> what the table of hyper-parameters says of it."""


class Log:
    """Writes what happens in a run into event files, in the folder that the options name."""

    def __init__(self) -> None:
        self.home: Path | None = None
        self.options = TensorBoardOptions()
        self._writer: Writer | None = None

    def begin(
        self,
        work: str,
        folder: Path,
        hyperparameters: Mapping[str, Any],
        step: int,
        options: TensorBoardOptions,
    ) -> None:
        """Begin a log, or go on with that of the same run.

        Args:
            work: What begins.
            folder: The run folder.
            hyperparameters: Name -> value.
            step: Training steps done so far. What the log has of later steps is no longer shown: they are done again.
            options: Where the log goes and what is in it.
        """
        self.end(work)
        if not options.log:
            return
        self.options = options
        self.home = (
            folder / "tensorboard" if options.folder is None else options.folder / folder.resolve().name
        )
        with self.writing() as writer:
            if work in TRAINING:
                writer().begin_session(step)
            if work in TRAINING or work == "compare":
                writer().hyperparameters(hyperparameters, str(folder.resolve()))

    @contextlib.contextmanager
    def writing(self) -> "Iterator[Callable[[], Writer]]":
        """Give the block what makes the writer: to draw samples alone leaves no file.

        Where nothing can be written, as on a full disk, the log ends: one error is enough.
        """
        try:
            yield self._opened
        except BaseException:
            self.home = self._writer = None
            raise

    def _opened(self) -> "Writer":
        from difrun_tensorboard.writer import Writer

        assert self.home is not None
        if self._writer is None:
            self._writer = Writer(self.home)
        return self._writer

    def numbers(self, numbers: Mapping[str, Any], step: int) -> None:
        """Write numbers by their tags; what is None or no number is left out."""
        if self.home is not None:
            with self.writing() as writer:
                for tag, value in numbers.items():
                    if isinstance(value, int | float) and not math.isinf(value):
                        writer().number(tag, float(value), step)

    def row(self, row: Mapping[str, Any]) -> None:
        """Write a row of a comparison: a curve for each metric and sampler, over the number of sampling steps."""
        name = f"{row['run']}, {row['sampler']}, {row['grid']}"
        metrics = [key for key in row if f"{key}_floor" in row]
        self.numbers({f"{metric}/{name}": row[metric] for metric in metrics}, row["steps"])

    def picture(self, file: Path, title: str, caption: str, step: int) -> None:
        """Keep a picture under the name of its file, with its title and caption."""
        if self.home is not None and self.options.pictures:
            with self.writing() as writer:
                writer().picture(f"pictures/{file.stem}", file.read_bytes(), title, caption, step)

    def end(self, work: str, status: str = "") -> None:
        """End the log, if one is open.

        Args:
            work: What ends.
            status: How a run ended, a key of `STATUS`; empty: it is not known.
        """
        writer, self._writer, self.home = self._writer, None, None
        if writer is not None:
            if work in TRAINING and status:
                writer.ended(STATUS[status])
            writer.close()
