"""Pictures in the report of a run: in the units of the user, and fine enough in time."""

import math

import numpy as np
import pytest
import torch

from .support import FEW_STEPS, difrun, without_pictures


def test_pictures_of_a_users_file_are_in_the_users_units(table, tmp_path):
    """The density integrates to 1 over the extent that is drawn, which holds the data as the user knows them."""
    from difrun import reopen
    from difrun.runs.report.standard_pictures import Vectors

    with without_pictures():
        difrun("--dataset", "my table.csv", *FEW_STEPS, "--out", "run")
    scene = Vectors(reopen("run"))
    points, _, extent = scene._lattice(120)
    # The arrows of the score stand in the middles of 15 × 15 cells of the same square.
    inner = scene._lattice(15, inside=True)[0]
    sides = points.max(0).values - points.min(0).values
    assert torch.allclose(inner.min(0).values - points.min(0).values, sides / 30, rtol=1e-4)
    assert torch.allclose(points.max(0).values - inner.max(0).values, sides / 30, rtol=1e-4)
    low, high = np.array(extent[::2]), np.array(extent[1::2])
    assert np.all((low < table.mean(0)) & (table.mean(0) < high))
    assert np.all((high - low) / table.std(0) < 20)
    # p on a lattice whose outermost points are at the ends of the extent.
    cell = np.prod((high - low) / 119)
    t = scene.process.time_at(
        math.log(2)
    )  # noise of half the amplitude: smooth on this lattice, and within it
    at = scene.process.at(t)
    inside = float(scene._density(points * 1.0, t).sum()) * cell
    assert at.sigma / at.alpha == pytest.approx(0.5, rel=1e-3)
    assert inside == pytest.approx(1, abs=0.03)


def test_drawn_paths_have_no_straight_pieces(tmp_path, monkeypatch):
    """Along a time axis from 0 to T no step is longer than a hundredth of it."""
    from difrun import draw, reopen

    exact = ("--model", "exact", "--dataset", "bimodal-1d", "--n", 50, "--steps", 10, "--threads", 1)
    with without_pictures():
        difrun("run", *exact, "--out", tmp_path / "run")
    seen = []
    monkeypatch.setattr(draw, "paths_1d", lambda times, paths, **_: seen.append((times, paths)))
    monkeypatch.setattr(draw, "save", lambda figure, path: path)
    from difrun.runs.report.standard_pictures import Vectors

    Vectors(reopen(tmp_path / "run")).paths()[3]()
    ((times, paths),) = seen
    assert (times[0], times[-1], len(times)) == (0.0, 4.0, len(paths))
    assert np.diff(times).min() > 0
    assert np.diff(times).max() <= 0.04
