"""Runs on files whose classes have odd names: the class that is named is drawn, and nothing is lost at the end."""

import numpy as np
import pytest
from tests.whole.support import difrun

SMALL = ("--train.steps", "5", "--train.batch", "32", "--model.width", "8", "--n", "40", "--steps", "2")
QUICK = (*SMALL, "--metric", "sliced-w2", "--threads", "1")


@pytest.fixture
def points(tmp_path):
    """Writes a CSV file with two classes of these names."""

    def write(*names):
        rng = np.random.default_rng(0)
        rows = [f"{x:.5f},{y:.5f},{names[i % 2]}" for i, (x, y) in enumerate(rng.normal(size=(100, 2)))]
        path = tmp_path / "points.csv"
        path.write_text("a,b,class\n" + "\n".join(rows), "utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("names", "label", "drawn"),
    [
        (("1.0", "2.0"), "1", "1.0"),
        (("01", "02"), "1", "01"),
        (("²", "①"), "²", "²"),
        (("left", "right"), "1", "right"),
    ],
)
def test_the_class_that_is_named_is_drawn_and_the_run_is_finished(points, tmp_path, names, label, drawn):
    data = ("--dataset", points(*names), "--dataset.label", "class")
    said = difrun("run", *data, *QUICK, "--label", label, "--out", tmp_path / "run")
    with np.load(tmp_path / "run" / "samples.npz") as file:
        assert set(map(str, file["y"].tolist())) == {drawn}
    assert (f"--label {label} is class '{drawn}'" in said) == (label != drawn)
    assert (tmp_path / "run" / "report.html").is_file()
