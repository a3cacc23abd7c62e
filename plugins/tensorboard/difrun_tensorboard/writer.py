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


class Writer:
    """One event file in a folder, which may hold those of earlier sessions.

    Args:
        folder: The folder; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._file = EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)

    def begin_session(self, step: int) -> None:
        """Training goes on after a step: TensorBoard then drops what earlier sessions have logged of later steps."""
        self._add(Event(session_log=SessionLog(status=SessionLog.START)), step + 1)

    def hyperparameters(self, values: Mapping[str, int | float | bool | str], trial: str) -> None:
        """Write the hyper-parameters; runs of one trial stand in one row, as if only their seeds differed."""
        self._add(Event(summary=summary_v2.hparams_pb(dict(values), trial_id=trial)), 0)

    def finished(self) -> None:
        """Write that the run is finished, for the table of hyper-parameters."""
        status = Status.Value("STATUS_SUCCESS")
        end = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=time.time()))
        value = Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(end),
            tensor=metadata.NULL_TENSOR,
        )
        self._add(Event(summary=Summary(value=[value])), 0)

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
