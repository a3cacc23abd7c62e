"""What MLflow's own client finds in its store after a run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

import difrun
from difrun.errors import DifrunError, Interrupted
from difrun.runs.stages.likelihood import LikelihoodRequest
from difrun.testing import ReferenceVP
from difrun_mlflow.record import ERROR, FOLDER

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
        yield patched


@pytest.fixture(scope="module")
def store(tmp_path_factory, patch):
    """The folder of the tracking store."""
    folder = tmp_path_factory.mktemp("store") / "it's here"
    patch.setenv("MLFLOW_TRACKING_URI", str(folder))
    return folder


@pytest.fixture(scope="module")
def stages(tmp_path_factory, store):
    """A run that was stopped at step 30 of 60, trained on from there, and measured again; its status after each."""
    folder = tmp_path_factory.mktemp("logged") / "run"
    status = []
    with pytest.raises(Interrupted):
        difrun.run(out=folder, options=OPTIONS, listener=StopsAtStep(30), **PARTS)
    status.append(only_run(store).info.status)
    resumed = difrun.resume(folder, process=PARTS["process"])
    status.append(only_run(store).info.status)
    resumed.likelihood(LikelihoodRequest(n=20, steps=4, times=4))
    return resumed, status


@pytest.fixture(scope="module")
def finished(stages):
    return stages[0]


def client(store):
    return MlflowClient(tracking_uri=store.resolve().as_uri())


def runs(store, experiment="difrun"):
    """The runs of an experiment."""
    return client(store).search_runs([client(store).get_experiment_by_name(experiment).experiment_id])


def only_run(store, experiment="difrun"):
    (run,) = runs(store, experiment)
    return run


def curve(store, name, experiment="difrun"):
    """Steps and values of a metric."""
    points = client(store).get_metric_history(only_run(store, experiment).info.run_id, name)
    return [point.step for point in points], [point.value for point in points]


def test_one_run_of_mlflow_follows_a_run_through_its_stages(stages, store):
    run, status = stages
    assert status == ["KILLED", "FINISHED"]
    found = only_run(store)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "run"
    assert found.data.tags[FOLDER] == str(run.path)
    assert found.data.tags[ERROR].startswith("Interrupted: Stopped at training step 30 of 60")


def test_curves_of_training_are_those_of_the_history(finished, store):
    steps, losses = curve(store, "train/loss")
    history = finished.trainer.losses
    assert steps == list(range(1, 61))
    means = [float(history[max(0, step - 50) : step].mean()) for step in steps]
    np.testing.assert_array_equal(losses, means)
    assert curve(store, "train/learning_rate")[1][-1] == finished.trainer.lr
    assert min(curve(store, "train/steps_per_second")[1]) > 0


def test_metrics_and_likelihood_are_those_of_the_run(finished, store):
    content = json.loads((finished.path / "metrics.json").read_text("utf-8"))
    assert "density-coverage.recall" in content["metrics"]
    for name, number in content["metrics"].items():
        assert curve(store, f"metrics/{name}") == ([60], [number["value"]])
        assert curve(store, f"floors/{name}") == ([60], [number["floor"]])
    assert curve(store, "likelihood/nll_nats") == ([60], [content["likelihood"]["nll"]["nats"]])
    assert curve(store, "samples/evaluations") == ([60], [content["samples"]["evaluations"]])


def test_parameters_are_every_option_of_the_run(finished, store):
    params = only_run(store).data.params
    assert params["train.lr"] == str(finished.plan.train.lr)
    assert params["model.name"] == "mlp"
    assert params["metrics.names"] == "energy, density-coverage"
    assert not [name for name in params if name.startswith("versions")]


def test_files_are_kept(finished, store):
    found = client(store)
    run_id = only_run(store).info.run_id
    names = {file.path for folder in (None, "pictures") for file in found.list_artifacts(run_id, folder)}
    assert names == {"metrics.json", "report.html", "run.toml", "pictures", "pictures/loss.png"}
    for name in ("metrics.json", "run.toml", "pictures/loss.png"):
        kept = found.download_artifacts(run_id, name)
        assert Path(kept).read_bytes() == (finished.path / name.removeprefix("pictures/")).read_bytes()


def test_options_choose_store_experiment_and_name(patch, store, tmp_path):
    options = {
        "mlflow.tracking_uri": str(tmp_path / "other"),
        "mlflow.experiment": "trials",
        "mlflow.run_name": "first",
        "mlflow.files": False,
        "train.steps": 3,
    }
    before = len(runs(store))
    difrun.run(out=tmp_path / "one", options=OPTIONS | options, **PARTS)
    found = only_run(tmp_path / "other", "trials")
    assert found.info.run_name == "first"
    assert client(tmp_path / "other").list_artifacts(found.info.run_id) == []
    difrun.run(out=tmp_path / "two", options=OPTIONS | {"mlflow.log": False, "train.steps": 3}, **PARTS)
    assert len(runs(store)) == before


def test_to_draw_samples_begins_no_run_and_to_measure_does(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "store"))
    plan = finished.plan
    finished.draw_samples(10, plan.sampler, plan.grid, 2, 5, 10, out=tmp_path / "more.npz")
    assert runs(tmp_path / "store") == []
    finished.evaluate_file(tmp_path / "more.npz")
    assert curve(tmp_path / "store", "metrics of more/energy")[0] == [60]
    assert only_run(tmp_path / "store").info.status == "FINISHED"


def test_a_run_that_fails_says_why(patch, tmp_path, monkeypatch):
    monkeypatch.setattr("difrun.runs.stages.sampling.draw", fails)
    options = {"mlflow.tracking_uri": str(tmp_path / "store"), "train.steps": 3}
    with pytest.raises(DifrunError, match="no noise left"):
        difrun.run(out=tmp_path / "run", options=OPTIONS | options, **PARTS)
    found = only_run(tmp_path / "store")
    assert (found.info.status, found.data.tags[ERROR]) == ("FAILED", "DifrunError: no noise left")


def fails(*_):
    raise DifrunError("no noise left")


def test_a_comparison_is_a_curve_over_the_number_of_steps(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "store"))
    compared = difrun.compare(
        finished, samplers=["euler"], grids=["logsnr"], steps=[2, 3], n=50, out=tmp_path / "compared"
    )
    steps, distances = curve(tmp_path / "store", "energy/run euler logsnr")
    assert steps == [2, 3]
    assert distances == [row.metrics["energy"]["value"] for row in compared.rows]
    assert only_run(tmp_path / "store").info.status == "FINISHED"


def test_the_command_starts_without_mlflow():
    code = "import sys, difrun_mlflow as d; d.difrun_settings(); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert not {"torch", "numpy", "mlflow", "google.protobuf"} & set(eval(done.stdout))
