"""A run that was trained is not lost to what comes after: names, pictures, the report."""

import json
import os
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from .support import difrun, without_pictures

FEW = (
    "--train.steps",
    "4",
    "--train.batch",
    "16",
    "--model.width",
    "8",
    "--n",
    "40",
    "--steps",
    "3",
    "--threads",
    "1",
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "kind"),
    [(("1", "2"), "i"), (("²", "³"), "U"), (("007", "7"), "U"), (("9" * 30, "1"), "U"), (("-0", "0"), "U")],
)
def test_names_of_classes_come_back_as_they_are(here, names, kind):
    """As numbers where that loses nothing, else as text."""
    np.savez("x.npz", x=np.random.default_rng(0).normal(size=(60, 2)), y=np.array([*names] * 30))
    with without_pictures():
        difrun("run", "--dataset", "x.npz", *FEW, "--metric", "per-class", "--out", "run")
        difrun("evaluate", "run")
    with np.load("run/samples.npz", allow_pickle=False) as file:
        assert file["y"].dtype.kind == kind
        assert sorted({str(name) for name in file["y"]}) == sorted(names)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_that_are_not_utf8(here):
    """A folder of such a name holds a whole run; a file of data is refused before training, since TOML is UTF-8."""
    name = os.fsdecode(b"r\xffun")
    with without_pictures():
        difrun("run", *FEW, "--metric", "sliced-w2", "--out", name)
        difrun("report", name)
    assert "report.html" in os.listdir(name)
    data = os.fsdecode(b"x\xff.npy")
    np.save(data, np.random.default_rng(0).normal(size=(60, 2)))
    said = difrun("run", "--dataset", data, *FEW, "--out", "other", code=2)
    assert "Invalid value for --dataset" in said
    assert "is not valid UTF-8" in said
    assert not Path("other").exists()


def test_a_picture_that_fails_is_left_out(here):
    def broken(*_, **__):
        raise ZeroDivisionError("no room for an axis")

    with mock.patch("difrun.draw.loss_curve", broken), mock.patch("difrun.draw.density_map", broken):
        said = difrun("run", *FEW, "--metric", "sliced-w2", "--out", "run")
    assert "Note: picture 'loss' is left out: ZeroDivisionError in broken" in said
    assert "Note: picture 'density' is left out: ZeroDivisionError" in said
    report = Path("run/report.html").read_text(encoding="utf-8")
    assert "Picture &#39;loss&#39; is left out" in report
    assert "<h3>Data and samples</h3>" in report or "Data and samples" in report


def test_a_report_that_fails_leaves_a_finished_run(here):
    with (
        mock.patch("difrun.report.html.render", side_effect=ZeroDivisionError("no page")),
        without_pictures(),
    ):
        said = difrun("run", *FEW, "--metric", "sliced-w2", "--out", "run", code=1)
    assert "Error: the report cannot be written: ZeroDivisionError in " in said
    assert (
        "The run is finished, and its samples and metrics are saved. 'difrun report run' writes the report."
        in said
    )
    assert list(json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["metrics"]) == ["sliced-w2"]
    with without_pictures():
        difrun("report", "run")
    assert Path("run/report.html").is_file()
