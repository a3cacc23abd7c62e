"""Event files of TensorBoard, written by its own writer; neither TensorFlow nor PyTorch is needed."""

import io
import time
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import metadata, summary_v2
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.summary.writer.event_file_writer import EventFileWriter

FLUSH_SECONDS = 5
"""How long an event may wait before it is in the file."""


ENDED = ".ended"
"""What ends the name of the file that says how a run ended."""


class Writer:
    """One event file in a folder, which may hold those of earlier sessions.

    Args:
        folder: The folder; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)

    def begin_session(self, step: int) -> None:
        """Training goes on after a step: TensorBoard then drops what earlier sessions have logged of later steps.

        How an earlier session has ended is no longer true. TensorBoard keeps the first end that it reads, so the file
        that says it is removed.
        """
        for earlier in self._folder.glob(f"*{ENDED}"):
            earlier.unlink()
        self._add(Event(session_log=SessionLog(status=SessionLog.START)), step + 1)

    def hyperparameters(self, values: Mapping[str, int | float | bool | str], trial: str) -> None:
        """Write the hyper-parameters; runs of one trial stand in one row, as if only their seeds differed."""
        self._add(Event(summary=summary_v2.hparams_pb(dict(values), trial_id=trial)), 0)

    def ended(self, status: str) -> None:
        """Write how the run ended, for the table of hyper-parameters, into a file of its own.

        Args:
            status: The name of the status, such as ``STATUS_SUCCESS``.
        """
        info = SessionEndInfo(status=Status.Value(status), end_time_secs=time.time())
        end = HParamsPluginData(session_end_info=info)
        value = Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(end),
            tensor=metadata.NULL_TENSOR,
        )
        file = EventFileWriter(str(self._folder), filename_suffix=ENDED)
        file.add_event(Event(summary=Summary(value=[value]), wall_time=time.time()))
        file.close()

    def number(self, tag: str, value: float, step: int) -> None:
        """Write one point of a curve."""
        self._add(Event(summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)])), step)

    def picture(self, tag: str, content: bytes, title: str, caption: str, step: int) -> None:
        """Write a picture; content: the bytes of its file."""
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=content)
        plugin = SummaryMetadata.PluginData(plugin_name="images")
        shown = SummaryMetadata(display_name=title, summary_description=caption, plugin_data=plugin)
        self._add(Event(summary=Summary(value=[Summary.Value(tag=tag, image=image, metadata=shown)])), step)

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._file.close()

    def _add(self, event: Event, step: int) -> None:
        event.step, event.wall_time = step, time.time()
        self._file.add_event(event)
