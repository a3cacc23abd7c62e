"""`difrun export`: a reader that knows nothing of difrun's models rebuilds the denoiser from the two files."""

import json
import math
import re

import numpy as np
import pytest
import torch

import difrun
from difrun.errors import ConfigError, DifrunError
from difrun.sampler import Euler, integrate, to_data

from . import documents
from .support import difrun as command


def trained(folder, named, **options):
    """A run that is trained and no more: no samples, no report."""
    train = {"steps": 6, "batch": 32} | options.pop("train", {})
    run = difrun.start(difrun.resolve({"model": "mlp", **named}, {"train": train, **options}), folder)
    run.train()
    return run


def page():
    """What docs/export.md shows: a reader that needs no difrun."""
    (code,) = re.findall(r"```python\n(.*?)```", documents.read("docs/export.md"), re.DOTALL)
    assert "difrun" not in code
    names: dict = {}
    exec(compile(code, "docs/export.md", "exec"), names)
    return names


READER = page()
read, denoised, sampled = (READER[name] for name in ("read", "denoised", "sampled"))


def by_formula(said, at):
    """(c_skip, c_out) of a kind of prediction, from its definition as a·x_0 + b·ε (docs/export.md)."""
    alpha, sigma, std = at["alpha"], at["sigma"], said["scaling"]["std"]
    total = math.hypot(alpha * std, sigma)
    a, b = {
        "edm": (sigma / (std * total), -alpha * std / total),
        "noise": (0.0, 1.0),
        "velocity": (-1.0, 1.0),
    }[said["prediction"]]
    return b / (alpha * b - sigma * a), -sigma / (alpha * b - sigma * a)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of several kinds: classes, a mean and a scaling; a chain; a rectified flow; a condition; a convolution."""
    place, draw = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    np.savez(place / "classes.npz", x=5 + 3 * draw.normal(size=(60, 2)), y=draw.integers(0, 3, 60))
    np.save(place / "series.npy", draw.normal(size=(40, 2, 6)))
    narrow = {"width": 16, "depth": 1}
    made = {
        "edm": trained(
            place / "edm",
            {"process": "ou", "dataset": str(place / "classes.npz")},
            process={"mu": 0.5},
            model=narrow,
        ),
        "noise": trained(
            place / "noise",
            {"process": "ddpm", "dataset": "moons"},
            process={"steps": 20, "rescale": True},
            model=narrow | {"predicts": "noise"},
            train={"ema": 0.5},
        ),
        "velocity": trained(
            place / "velocity",
            {"process": "flow", "dataset": "gmm-given"},
            model=narrow | {"predicts": "velocity"},
        ),
        "series": trained(
            place / "series",
            {"process": "ou", "dataset": str(place / "series.npy"), "model": "unet"},
            model={"width": 4},
            train={"batch": 8, "steps": 3},
        ),
    }
    for name, run in made.items():
        difrun.export(run, place / f"{name}-out")
    return place, made


@pytest.mark.parametrize("name", ["edm", "noise", "velocity", "series"])
def test_a_small_reader_rebuilds_the_denoiser(runs, name):
    """To float32 rounding at eight levels from data to noise, with every class or condition; no weight is at zero."""
    place, made = runs
    network, said = read(place / f"{name}-out")
    model = made[name].parts.model
    x = 2 * torch.randn(6, *said["shape"], generator=torch.Generator().manual_seed(1))
    conditions = [()]
    if "classes" in said:
        assert said["classes"] == {"names": ["0", "1", "2"], "none": -1}
        conditions = [(torch.full((6,), k),) for k in (-1, 0, 2)]
    if "condition" in said:
        assert said["condition"]["shape"] == [1]
        conditions = [(torch.linspace(-1, 1, 6)[:, None],), (torch.full((6, 1), math.nan),)]
    assert "classes" in said or name != "edm"
    assert "condition" in said or name != "velocity"
    levels = said["schedule"]["t"]
    assert said["prediction"] == ("edm" if name == "series" else name)
    rows = [round(k * (len(levels) - 1) / 7) for k in range(8)]
    for condition in conditions:
        asked = model.condition_on(*condition) if condition else model
        for row in rows:
            expected = asked.predict(x, model.process.at(levels[row]), "x0")
            got = denoised(network, said, x, row, *condition)
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert all(float(weight.abs().sum()) > 0 for weight in network.state_dict().values())


def test_samples_of_the_reader_are_those_of_ddim(runs):
    """DDIM is Euler's method in the straight frame: from the same noise, on the same times, to float32 rounding."""
    place, made = runs
    network, said = read(place / "noise-out")
    model = made["noise"].parts.model
    got = sampled(network, said, 5, seed=3)
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(3))
    table = said["schedule"]
    mean = torch.tensor(said["scaling"]["mean"])
    start = table["alpha"][-1] * mean + noise / table["c_in"][-1]
    state = integrate(Euler(), model, start, table["t"][::-1])
    expected = made["noise"].parts.dataset.decode(to_data(model.process, state, table["t"][0]))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_table_is_that_of_the_process_and_of_the_formulas(runs):
    place, made = runs
    for name in ("edm", "noise", "velocity"):
        said, process = (
            json.loads((place / f"{name}-out" / "model.json").read_text()),
            made[name].parts.process,
        )
        table = said["schedule"]
        for row in (1, len(table["t"]) // 2, len(table["t"]) - 2):
            at = {key: column[row] for key, column in table.items()}
            instant = process.at(at["t"])
            assert (at["alpha"], at["sigma"]) == pytest.approx((instant.alpha, instant.sigma), rel=1e-12)
            assert at["c_in"] == pytest.approx(
                1 / math.hypot(at["alpha"] * said["scaling"]["std"], at["sigma"])
            )
            low, high = said["scaling"]["lam_range"]
            lam = math.log(at["alpha"] / at["sigma"])
            assert at["c_noise"] == pytest.approx(-max(low, min(high, lam)) / 4)
            blind = name == "noise" and lam < low
            assert (at["c_skip"], at["c_out"]) == (
                (0, 0) if blind else pytest.approx(by_formula(said, at), rel=1e-6, abs=1e-9)
            )
    chain = json.loads((place / "noise-out" / "model.json").read_text())
    assert chain["schedule"]["t"] == list(range(1, 21))
    assert chain["process"]["name"] == "ddpm"
    assert chain["process"]["options"]["steps"] == 20
    assert chain["network"]["weights"] == "averaged"


def test_units_are_those_of_the_user(runs):
    place, made = runs
    said = json.loads((place / "edm-out" / "model.json").read_text())
    x = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    scale, shift = (torch.tensor(said["units"][key], dtype=torch.float64) for key in ("scale", "shift"))
    torch.testing.assert_close(made["edm"].parts.dataset.decode(x), x * scale + shift)


def test_the_command_exports_and_says_what_is_left_out(runs, tmp_path):
    place, _ = runs
    text = command("export", place / "noise", "--out", tmp_path / "m")
    assert "Exported:" in text
    assert "averaged" in text
    assert (tmp_path / "m" / "model.json").read_bytes() == (place / "noise-out" / "model.json").read_bytes()
    assert "exists already" in command("export", place / "noise", "--out", tmp_path / "m", code=1)
    assert "There is no format 'onnx'" in command(
        "export", place / "noise", "--format", "onnx", "--out", "x", code=2
    )
    assert "safetensors" in command("export", "--help")


def test_what_cannot_be_exported_is_refused(runs, tmp_path):
    _, made = runs
    with pytest.raises(ConfigError, match=r"no format 'saftensors'. Did you mean 'safetensors'"):
        difrun.export(made["edm"], tmp_path / "a", "saftensors")
    named = {"process": "ou", "dataset": "gmm", "model": "exact"}
    exact = difrun.start(difrun.resolve(named), tmp_path / "exact")
    with pytest.raises(DifrunError, match="model 'exact' is no network on a Gaussian process"):
        difrun.export(exact, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    plan = difrun.resolve({"process": "ou", "dataset": "moons"}, {"train": {"steps": 5}})
    with pytest.raises(DifrunError, match="has not been trained to the end"):
        difrun.export(difrun.start(plan, tmp_path / "untrained"), tmp_path / "c")
