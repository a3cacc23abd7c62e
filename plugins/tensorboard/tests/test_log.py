"""What TensorBoard's own reader finds in the log of a run."""

import errno
import json
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.summary.writer.event_file_writer import EventFileWriter

import difrun
from difrun.errors import DifrunError, Interrupted
from difrun.plugin import registry
from difrun.runs.stages.likelihood import LikelihoodRequest
from difrun.testing import ReferenceVP
from difrun_tensorboard.log import Log
from difrun_tensorboard.options import TensorBoardOptions

OPTIONS = {
    "train.steps": 60,
    "train.batch": 32,
    "model.width": 8,
    "sample.n": 100,
    "sample.steps": 3,
    "device": "cpu",
    "threads": 1,
}
PARTS = {
    "process": ReferenceVP(),
    "dataset": "gmm",
    "model": "mlp",
    "loss": "x0",
    "metric": ["energy", "density-coverage"],
    "sampler": "heun",
    "grid": "logsnr",
}


class StopsAtStep(difrun.Listener):
    """Asks to stop before a step of training; training asks once before every step."""

    def __init__(self, step):
        self.left = step

    def stopping(self):
        self.left -= 1
        return self.left < 0


def one_picture(run):
    """The pictures of a run; the others take longer to draw than all the rest."""
    from difrun.runs.report.standard_pictures import Vectors

    yield "loss", Vectors(run).loss


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("difrun.training.trainer.REPORT_SECONDS", 0.0)
        patched.setattr("difrun.runs.report.standard_pictures._drawings", one_picture)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, patch):
    """A run that was stopped at step 30 of 60, trained on from there, and measured again."""
    folder = tmp_path_factory.mktemp("logged") / "run"
    with pytest.raises(Interrupted):
        difrun.run(out=folder, options=OPTIONS, listener=StopsAtStep(30), **PARTS)
    resumed = difrun.resume(folder, process=PARTS["process"])
    resumed.likelihood(LikelihoodRequest(n=20, steps=4, times=4))
    return resumed


def read(folder):
    """TensorBoard's reader, with every event of a folder."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return found.Reload()


def curve(log, tag):
    """Steps and values of a curve."""
    points = log.Scalars(tag)
    return [point.step for point in points], [point.value for point in points]


def test_curves_of_training_are_those_of_the_history(finished):
    log = read(finished.path / "tensorboard")
    steps, losses = curve(log, "train/loss")
    history = finished.trainer.losses
    assert steps == list(range(1, 61))
    means = [float(history[max(0, step - 50) : step].mean()) for step in steps]
    np.testing.assert_allclose(losses, means, rtol=1e-6)
    rates = curve(log, "train/learning_rate")[1]
    assert len(rates) == 60
    assert rates[-1] == pytest.approx(finished.trainer.lr, rel=1e-6)
    assert min(curve(log, "train/steps_per_second")[1]) > 0


def test_metrics_and_likelihood_are_those_of_the_run(finished):
    log = read(finished.path / "tensorboard")
    content = json.loads((finished.path / "metrics.json").read_text("utf-8"))
    assert "density-coverage.recall" in content["metrics"]
    for name, number in content["metrics"].items():
        assert curve(log, f"metrics/{name}") == ([60], [pytest.approx(number["value"], rel=1e-6)])
        assert curve(log, f"floors/{name}") == ([60], [pytest.approx(number["floor"], rel=1e-6)])
    nll = content["likelihood"]["nll"]
    assert curve(log, "likelihood/nll_nats") == ([60], [pytest.approx(nll["nats"], rel=1e-6)])
    assert curve(log, "likelihood/nll_bits_per_dim")[1] == [pytest.approx(nll["bits_per_dim"], rel=1e-6)]
    assert curve(log, "samples/evaluations") == ([60], [content["samples"]["evaluations"]])


def test_the_picture_is_the_file(finished):
    log = read(finished.path / "tensorboard")
    assert log.Tags()["images"] == ["pictures/loss"]
    (image,) = log.Images("pictures/loss")
    assert image.encoded_image_string == (finished.path / "loss.png").read_bytes()
    assert (image.step, image.width > 100, image.height > 100) == (60, True, True)


def test_hyper_parameters_and_how_the_run_ended(finished):
    log = read(finished.path / "tensorboard")
    start, end = (
        metadata.parse_session_start_info_plugin_data(content)
        if tag == metadata.SESSION_START_INFO_TAG
        else metadata.parse_session_end_info_plugin_data(content)
        for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
        for content in [log.SummaryMetadata(tag).plugin_data.content]
    )
    assert start.hparams["train.lr"].number_value == finished.plan.train.lr
    assert start.hparams["model.name"].string_value == "mlp"
    assert start.hparams["sample.likelihood"].bool_value is False
    assert end.status == Status.Value("STATUS_SUCCESS")


def status(folder):
    """What TensorBoard's reader finds of the end of a run; None if it finds none."""
    log = read(folder / "tensorboard")
    if metadata.SESSION_END_INFO_TAG not in log.PluginTagToContent(metadata.PLUGIN_NAME):
        return None
    content = log.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    return Status.Name(metadata.parse_session_end_info_plugin_data(content).status)


def test_a_run_that_failed_and_is_resumed_is_told_by_its_last_end(tmp_path, patch, monkeypatch):
    """TensorBoard keeps the first end that it reads: that of the failure must be gone when the run goes on."""

    class Looks(difrun.Listener):
        found = "not asked"

        def stopping(self):
            self.found = status(folder) if self.found == "not asked" else self.found
            return False

    folder, looks = tmp_path / "run", Looks()
    with monkeypatch.context() as broken:
        broken.setattr("difrun.runs.stages.evaluation.evaluate_run", lambda *args, **more: 1 / 0)
        with pytest.raises(DifrunError):
            difrun.run(out=folder, options=OPTIONS | {"train.steps": 3}, **PARTS)
    assert status(folder) == "STATUS_FAILURE"
    with pytest.raises(Interrupted):
        difrun.resume(folder, process=PARTS["process"], listener=StopsAtStep(0))
    assert status(folder) == "STATUS_UNKNOWN"
    difrun.resume(folder, process=PARTS["process"], listener=looks)
    assert looks.found is None
    assert status(folder) == "STATUS_SUCCESS"
    assert len(list((folder / "tensorboard").glob("*.ended"))) == 1


def test_options_choose_the_folder_and_what_is_logged(finished, tmp_path):
    options = {"tensorboard.folder": tmp_path / "logs", "tensorboard.pictures": False, "train.steps": 3}
    run = difrun.run(out=tmp_path / "one", options=OPTIONS | options, **PARTS)
    assert not (run.path / "tensorboard").exists()
    log = read(tmp_path / "logs" / "one")
    assert log.Tags()["images"] == []
    assert "metrics/energy" in log.Tags()["scalars"]
    silent = {"tensorboard.log": False, "train.steps": 3}
    run = difrun.run(out=tmp_path / "two", options=OPTIONS | silent, **PARTS)
    assert not (run.path / "tensorboard").exists()
    assert {path.name for path in run.path.iterdir()} == {
        path.name for path in finished.path.iterdir() if path.name != "tensorboard"
    }


def test_a_comparison_is_a_curve_over_the_number_of_steps(finished, tmp_path):
    compared = difrun.compare(
        finished, samplers=["euler"], grids=["logsnr"], steps=[2, 3], n=50, out=tmp_path / "compared"
    )
    log = read(tmp_path / "compared" / "tensorboard")
    steps, distances = curve(log, "energy/run, euler, logsnr")
    assert steps == [2, 3]
    assert distances == [pytest.approx(row.metrics["energy"]["value"], rel=1e-6) for row in compared.rows]


def test_to_draw_samples_leaves_no_log(finished, tmp_path):
    plan = finished.plan
    before = sorted((finished.path / "tensorboard").iterdir())
    finished.draw_samples(10, plan.sampler, plan.grid, 2, 5, 10, out=tmp_path / "more.npz")
    assert sorted((finished.path / "tensorboard").iterdir()) == before
    finished.evaluate_file(tmp_path / "more.npz")
    log = read(finished.path / "tensorboard")
    assert curve(log, "metrics of more/energy")[0] == [60]
    assert curve(log, "metrics/energy")[0] == [60]


def test_what_is_done_again_after_a_kill_is_logged_once(tmp_path):
    """Saved at step 10 and killed after step 12: a continuation logs steps 11 and 12 again."""
    log = Log()
    for begin, steps, value in ((0, range(1, 13), 1.0), (10, range(11, 16), 2.0)):
        log.begin("resume", tmp_path, {}, begin, TensorBoardOptions())
        for step in steps:
            log.numbers({"train/loss": value}, step)
    log.end("resume", "finished")
    assert curve(read(tmp_path / "tensorboard"), "train/loss") == (
        list(range(1, 16)),
        [1.0] * 10 + [2.0] * 5,
    )


@pytest.mark.parametrize("where", ["at the beginning", "later"])
def test_a_log_that_cannot_be_written_is_told_once_and_the_run_goes_on(tmp_path, patch, monkeypatch, where):
    """A file in the place of the folder, then a disk that is full from the tenth entry on.

    What raises is not called again, so this process finds its loggers anew.
    """
    monkeypatch.setattr(registry, "_cached", None)
    if where == "later":
        left, write = [9], EventFileWriter.add_event

        def full(self, event):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(self, event)

        monkeypatch.setattr(EventFileWriter, "add_event", full)
    else:
        (tmp_path / "logs").write_text("")
    options = {"tensorboard.folder": tmp_path / "logs", "train.steps": 20}
    with pytest.warns(RuntimeWarning) as warned:
        run = difrun.run(out=tmp_path / "run", options=OPTIONS | options, **PARTS)
    assert len([each for each in warned if "difrun-tensorboard failed" in str(each.message)]) == 1
    assert "energy" in run.metrics


def test_the_command_starts_without_tensorboard():
    code = "import sys, difrun_tensorboard as d; d.difrun_settings(); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert not {"torch", "numpy", "tensorboard", "PIL", "google.protobuf"} & set(eval(done.stdout))
