"""A run and its folder: what lies in it, and what the commands make of it."""

import base64
import importlib.metadata
import itertools
import json
import platform
import re
import shutil
import tomllib

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from .support import (
    SMALL,
    References,
    assert_same_result,
    difrun,
    facts,
    hidden,
    samples,
    weights,
    without_pictures,
)

PICTURES = {
    "samples.png",
    "forward.gif",
    "reverse.gif",
    "density.png",
    "score.png",
    "flow.png",
    "loss.png",
}
FILES = {"run.toml", "model.safetensors", "samples.npz", "metrics.json", "report.html", *PICTURES}
FULL = (*SMALL[: SMALL.index("--metric")], "--threads", "1", "--device", "cpu")
"""The small run with every metric that fits."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, python):
    """A whole run by the command, pictures and all, and what it said."""
    folder = tmp_path_factory.mktemp("finished")
    command = ("-c", "from difrun.cli import main; main()", "--process", "ou", "--sampler", "heun", *FULL)
    done = python(*command, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_the_folder_holds_what_is_promised(finished):
    run, done = finished
    assert {path.name for path in run.iterdir()} == FILES
    assert hidden(run) == []
    assert done.stdout.splitlines()[-1] == "Report: run/report.html"


def test_the_table_shows_every_metric_beside_its_floor(finished):
    run, done = finished
    found = facts(run)["metrics"]
    names = ["sliced-w2", "w2", "energy"] + [
        f"density-coverage.{part}" for part in ("density", "coverage", "precision", "recall")
    ]
    assert list(found) == names
    shown = [line.split() for line in done.stdout.splitlines() if " ± " in line]
    rows = {line[0]: line[1:] for line in shown if line[0] in names}  # value ± sd floor ± sd ...
    assert list(rows) == names
    for name, cells in rows.items():
        assert float(cells[0]) == pytest.approx(found[name]["value"], rel=1e-3)
        assert float(cells[3]) == pytest.approx(found[name]["floor"], rel=1e-3)


def test_weights_and_samples_are_read_without_pickle(finished):
    run, _ = finished
    with safe_open(run / "model.safetensors", framework="np") as file:
        groups = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118
        assert groups == {"network", "ema", "adam", "step", "seconds", "losses"}
    tensors = weights(run)
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    assert tensors["step"] == 120
    assert tensors["losses"].shape == (120,)
    x = samples(run)
    assert (x.shape, x.dtype) == ((400, 2), np.float32)
    assert np.isfinite(x).all()


def test_pictures_open_and_animations_move(finished):
    run, _ = finished
    for name in PICTURES:
        with Image.open(run / name) as image:
            assert image.format == ("GIF" if name.endswith(".gif") else "PNG")
            assert min(image.size) >= 200
            if image.format == "GIF":
                # T, and every time after it: 48 of the forward process, 5 steps of the sampler.
                assert image.n_frames >= (48 if name == "forward.gif" else 6)
            image.load()


def test_the_report_stands_alone(finished):
    run, _ = finished
    html = (run / "report.html").read_text(encoding="utf-8")
    page = References()
    page.feed(html)
    outside = [link for link in page.links if not link[1].startswith(("data:", "#"))]
    assert outside == []
    assert not page.tags & {"script", "iframe", "object"}
    assert not re.search(r"@import|url\((?!['\"]?(data:|#))", html)
    for name in PICTURES:
        assert base64.b64encode((run / name).read_bytes()).decode() in html, name
    text = " ".join("".join(page.text).split())
    assert "At T = 4 the correlation of x_T with the data is 0.02" in text
    assert "difrun run --config" in text


def test_run_toml_has_every_value_and_version(finished):
    """Every option of every component, beside the defaults that its attrs class declares."""
    from difrun.config import SampleOptions, TrainOptions
    from difrun.plugin import get_registry

    run, _ = finished
    data = tomllib.loads((run / "run.toml").read_text(encoding="utf-8"))
    settings = {"steps": 120, "batch": 64, "checkpoint_steps": 20, "width": 16}
    names = {
        "process": "ou",
        "dataset": "rings",
        "model": "mlp",
        "loss": "score",
        "sampler": "heun",
        "grid": "pilot",
    }
    extra = {"model": {"predicts": "edm"}}
    for kind, name in names.items():
        defaults = attrs.asdict(get_registry().get(kind, name).component.options())
        expected = {k: settings[k] if (kind, k) == ("model", "width") else v for k, v in defaults.items()}
        assert data[kind] == {"name": name, **expected, **extra.get(kind, {})}
    own = {**settings, "label_dropout": 1.0}  # the toy data are trained without their labels
    train = {k: own.get(k, v) for k, v in attrs.asdict(TrainOptions()).items()}
    train["restarts"] = list(train["restarts"])  # TOML has no tuples
    assert data["train"] == {k: "none" if v is None else v for k, v in train.items()}
    assert data["sample"] == {
        **attrs.asdict(SampleOptions()),
        "n": 400,
        "steps": 5,
        **dict.fromkeys(("label", "condition"), "none"),
    }
    assert data["metrics"]["names"] == ["sliced-w2", "w2", "energy", "density-coverage"]
    assert (data["seed"], data["threads"], data["device"]) == (0, 1, "cpu")
    assert data["versions"] == {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "difrun": importlib.metadata.version("difrun"),
        "difrun-ou": importlib.metadata.version("difrun-ou"),
    }


def test_the_same_from_its_run_toml(finished, tmp_path):
    """Bit for bit, in another process; not so with another seed."""
    run, _ = finished
    with without_pictures():
        difrun("run", "--config", run / "run.toml", "--out", tmp_path / "again")
        difrun("run", "--config", run / "run.toml", "--seed", 1, "--out", tmp_path / "other")
    assert_same_result(tmp_path / "again", run)
    assert (tmp_path / "again" / "run.toml").read_bytes() == (run / "run.toml").read_bytes()
    for get in (samples, lambda folder: weights(folder)["network.first.weight"]):
        assert not np.isclose(get(tmp_path / "other"), get(run), atol=1e-6).any(1).all()


def test_sample_draws_more_with_another_sampler(finished):
    run, _ = finished
    before = (run / "samples.npz").read_bytes()
    said = difrun(
        "sample", run, "--n", 1000, "--sampler", "euler", "--grid", "rho", "--steps", 20, "--seed", 0
    )
    (path,) = run.glob("samples-euler-rho-20-n1000-seed0-*.npz")
    name = path.name
    assert said.splitlines()[-1] == f"Samples: {path}"
    x = samples(run, name)
    assert x.shape == (1000, 2)
    assert (run / "samples.npz").read_bytes() == before
    (run / name).unlink()
    # DDIM by its own formula (Song et al., 2021, eq. 12 with σ = 0), from the same noise: the first of the run.
    from difrun import reopen
    from difrun.grid import rho
    from difrun.randomness import Generator, seed_of

    opened = reopen(run)
    process, model = opened.parts.process, opened.parts.model
    like = torch.empty(1000, 2)
    noise = Generator(seed_of(0, "samples")).normal(like)
    last = process.at(process.horizon)
    y = last.alpha * model.mean + torch.sqrt(last.alpha**2 * model.var + last.sigma**2) * noise
    times = rho(process, 20)
    with torch.no_grad():
        for t, s in itertools.pairwise(times):
            at, to = process.at(t), process.at(s)
            x0 = model.predict(y, at, "x0")
            y = to.alpha * x0 + to.sigma * (y - at.alpha * x0) / at.sigma
    np.testing.assert_allclose(x, y.numpy(), atol=2e-4)


@pytest.mark.parametrize("sampler", ["heun", "ancestral", "euler-maruyama", "pc"])
def test_samples_do_not_depend_on_the_chunk(finished, tmp_path, sampler):
    """Chunks that share no divisor with the lanes of the generator; and the first 300 are the same among 1000."""
    run, _ = finished

    def draw(name, *more):
        path = tmp_path / name
        difrun("sample", run, "--sampler", sampler, "--steps", 8, "--out", path, *more)
        return samples(tmp_path, name)

    whole = draw("whole.npz", "--n", 1000)
    np.testing.assert_allclose(draw("parts.npz", "--n", 1000, "--chunk", 137), whole, atol=1e-4)
    np.testing.assert_allclose(draw("fewer.npz", "--n", 300, "--chunk", 77), whole[:300], atol=1e-4)
    other = draw("other.npz", "--n", 1000, "--seed", 7)
    assert not np.isclose(other, whole, atol=1e-4).all(1).any()
    # and equal chunks give equal bits
    np.testing.assert_array_equal(draw("again.npz", "--n", 1000), whole)


def test_sample_refuses_to_overwrite(finished, tmp_path):
    run, _ = finished
    path = tmp_path / "mine.npz"
    path.write_bytes(b"precious")
    said = difrun("sample", run, "--n", 10, "--out", path, code=1)
    assert f"Error: --out {path} already exists." in said
    assert path.read_bytes() == b"precious"
    difrun("sample", run, "--n", 10, "--out", path, "--force")
    assert samples(tmp_path, "mine.npz").shape == (10, 2)


def test_evaluate_finds_the_same_numbers_again(finished):
    run, _ = finished
    before = facts(run)
    difrun("evaluate", run)
    assert facts(run) == before
    # Other options of one metric: that one alone is measured anew, the others stay in the file.
    said = difrun("evaluate", run, "--metric", "sliced-w2", "--metric.sliced-w2.projections", 16)
    assert [row.split()[0] for row in said.splitlines() if " ± " in row] == ["sliced-w2"]
    after = facts(run)
    assert after["metrics"].pop("sliced-w2") != before["metrics"]["sliced-w2"]
    assert after["metrics"] == {k: v for k, v in before["metrics"].items() if k != "sliced-w2"}
    assert {numbers["n"] for numbers in after["metrics"].values()} == {400}
    # A metric of fewer samples says so beside those of all.
    difrun("evaluate", run, "--metric", "energy", "--n", 50)
    found = facts(run)
    assert (found["metrics"]["energy"]["n"], found["metrics"]["w2"]["n"], found["samples"]["n"]) == (
        50,
        400,
        400,
    )
    difrun("evaluate", run)
    assert facts(run) == before


def test_report_draws_again(finished):
    run, _ = finished
    before = {name: (run / name).read_bytes() for name in PICTURES}
    for name in (*PICTURES, "report.html"):
        (run / name).unlink()
    said = difrun("report", run)
    assert said.splitlines()[-1] == f"Report: {run / 'report.html'}"
    assert {name: (run / name).read_bytes() for name in PICTURES} == before
    html = (run / "report.html").read_text(encoding="utf-8")
    assert all(base64.b64encode(data).decode() in html for data in before.values())


def test_runs_without_out_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with without_pictures():
        for _ in range(2):
            difrun(*SMALL[2:], "--train.steps", 2, "--dataset", "blobs", "--process", "vp")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["vp-blobs-1", "vp-blobs-2"]
    np.testing.assert_array_equal(*(samples(path) for path in (tmp_path / "runs").iterdir()))


def test_force_replaces_a_run(finished, tmp_path):
    """Nothing of the old run stays, samples drawn later included; files that are not its own do."""
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    (run / "samples-euler-rho-20-n1000-seed0-abc123.npz").write_bytes(b"of the old model")
    (run / ".model.safetensors.part").write_bytes(b"half")
    (run / "notes.txt").write_text("mine", encoding="utf-8")
    with without_pictures():
        difrun("run", *SMALL, "--model", "exact", "--dataset", "blobs", "--out", run, "--force", code=2)
        assert (run / "model.safetensors").is_file()  # a mistake in the new command costs nothing
        difrun(
            *("run", "--model", "exact", "--dataset", "blobs", "--n", 50, "--metric", "energy"),
            *("--out", run, "--force"),
        )
    expected = {"run.toml", "samples.npz", "metrics.json", "report.html", "notes.txt"}
    assert {path.name for path in run.iterdir()} == expected
    assert json.loads((run / "metrics.json").read_text(encoding="utf-8"))["samples"]["n"] == 50
