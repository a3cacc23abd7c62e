"""A table of α and σ, from a file or from Python: the process that it was taken from, and what is no table."""

import json

import numpy as np
import pytest
import torch

from difrun.errors import ConfigError, DifrunError, OptionError
from difrun.model import ExactMixture
from difrun.options import build
from difrun.options.attrs_fields import record, values
from difrun.options.given import GivenValue
from difrun.process.tabulated import TabulatedProcess
from difrun.sampler import Heun, generate, integrate
from difrun.testing import (
    ReferenceFlow,
    ReferenceVP,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun_ddpm.tabulated import tabulated
from difrun_ddpm.tabulated_options import TabulatedOptions

KNOWN = ReferenceVP()
TIMES = np.concatenate([np.geomspace(0.002, 0.1, 30, endpoint=False), np.linspace(0.1, KNOWN.horizon, 90)])
"""Times of a table, closer together near the data; the last is T."""


def columns(process=KNOWN, times=TIMES):
    instants = process.instants(times)
    return {
        "t": np.asarray(times),
        "alpha": np.array([at.alpha for at in instants]),
        "sigma": np.array([at.sigma for at in instants]),
    }


def written(folder, name, table):
    path = folder / name
    if path.suffix == ".npz":
        np.savez(path, **table)
    elif path.suffix == ".json":
        path.write_text(json.dumps({key: column.tolist() for key, column in table.items()}))
    else:
        sign = "," if path.suffix == ".csv" else " "
        rows = np.stack(list(table.values()), axis=1)
        np.savetxt(path, rows, fmt="%.17g", delimiter=sign, header=sign.join(table), comments="")
    return path


def options(**given):
    """The options as the command builds them."""
    named = {
        name: GivenValue(str(value), f"--process.{name}")
        for name, value in given.items()
        if value is not None
    }
    return build(TabulatedOptions, named, "process 'tabulated'")


def made(**given):
    return tabulated(**values(options(**given)))


@pytest.mark.parametrize("name", ["table.csv", "table.txt", "table.npz", "table.json"])
def test_a_file_is_the_process_that_it_was_taken_from(tmp_path, name):
    """α, σ and the samples of a sampler on the times of the table equal those of the process itself."""
    process = made(file=written(tmp_path, name, columns()))
    times = [float(t) for t in TIMES[::-1]]
    for at, exact in zip(process.instants(times), KNOWN.instants(times), strict=True):
        assert (at.t, at.alpha, at.var) == pytest.approx((exact.t, exact.alpha, exact.var), rel=1e-11)
    noise = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ends = [integrate(Heun(), ExactMixture(two_gaussians(), each), noise, times) for each in (process, KNOWN)]
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)
    assert process.t_min == pytest.approx(TIMES[0], rel=1e-9)
    assert process.horizon == TIMES[-1]


def test_rows_from_noise_to_data_are_the_same_process(tmp_path):
    """With their times, and without, where their noise says it; order of columns is free, others are ignored."""
    table = columns()
    turned = {name: table[name][::-1] for name in ("sigma", "alpha", "t")} | {"note": np.arange(120.0)}
    backwards = made(file=written(tmp_path, "turned.csv", turned))
    forwards = made(file=written(tmp_path, "table.csv", table))
    assert backwards.at(0.3).alpha == forwards.at(0.3).alpha
    del turned["t"]
    untimed = made(file=written(tmp_path, "untimed.csv", turned))
    assert (untimed.horizon, untimed.at(7.0).alpha) == (120, pytest.approx(table["alpha"][6], rel=1e-11))


def test_a_sampler_keeps_its_order(tmp_path):
    """Heun on even times of a table of 120 entries converges to its endpoint with order 2."""
    model = ExactMixture(two_gaussians(), made(file=written(tmp_path, "table.csv", columns())))
    noise = model.prior(128, generator=torch.Generator().manual_seed(0)).double()
    exact = probability_flow_endpoint(model, noise, rtol=1e-10)
    errors = []
    counts = (40, 80, 160)
    for n in counts:
        lam = torch.linspace(*model.process.lam_range, n + 1, dtype=torch.float64)
        times = [model.process.horizon, *model.process.time_at(lam).tolist()[1:]]
        errors.append(float((integrate(Heun(), model, noise, times) - exact).square().mean().sqrt()))
    assert observed_order(counts, errors) == pytest.approx(2, abs=0.25), errors


@pytest.mark.parametrize(
    ("given", "alpha", "sigma"),
    [
        ({"sigma": [0.1, 1.0, 9.0]}, [1, 1, 1], [0.1, 1, 9]),
        ({"sigma": [9.0, 1.0, 0.1]}, [1, 1, 1], [0.1, 1, 9]),
        ({"alpha": [0.96, 0.8, 0.6]}, [0.96, 0.8, 0.6], [0.28, 0.6, 0.8]),
        ({"sigma": [0.28, 0.6, 0.8], "scale": "preserving"}, [0.96, 0.8, 0.6], [0.28, 0.6, 0.8]),
        ({"sigma": [0.1, 0.5, 1.0], "scale": "straight"}, [0.9, 0.5, 0], [0.1, 0.5, 1]),
        ({"alpha": [0.9, 0.5, 0.2], "scale": "straight"}, [0.9, 0.5, 0.2], [0.1, 0.5, 0.8]),
    ],
)
def test_one_column_gives_the_other_by_its_law(given, alpha, sigma):
    process = tabulated(**values(TabulatedOptions(**given)))
    instants = process.instants([1, 2, 3])
    assert [at.alpha for at in instants] == pytest.approx(alpha, abs=1e-12)
    assert [at.sigma for at in instants] == pytest.approx(sigma, rel=1e-9)


def test_run_toml_has_the_numbers_and_not_the_file(tmp_path):
    """A record gives the same process when the file is gone; so does one column in a file of its own."""
    path = written(tmp_path, "table.csv", columns(ReferenceFlow(), np.linspace(0, 1, 12)))
    kept = record(options(file=path))
    np.savetxt(tmp_path / "s.txt", kept["sigma"])
    np.save(tmp_path / "a.npy", kept["alpha"])
    path.unlink()
    assert kept["file"] == "none"
    again = build(TabulatedOptions, kept, "process 'tabulated'")
    assert record(again) == kept
    process = tabulated(**values(again))
    assert isinstance(process, TabulatedProcess)
    assert process.scale == "straight"
    assert (process.at(0.4).alpha, process.at(0.4).sigma) == pytest.approx((0.6, 0.4), abs=1e-4)
    apart = made(sigma=tmp_path / "s.txt", alpha=tmp_path / "a.npy")
    assert apart.at(5.0).alpha == pytest.approx(kept["alpha"][5], rel=1e-11)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("t,beta\n0,1\n1,2\n", "no column 'alpha' and no 'sigma' .its columns: t, beta.*process ddpm, betas"),
        ("0.1\n0.2\n", "it names none.*A file of one column is given as alpha or sigma"),
        ("1,0.1\n2,0.2\n", "2 columns without names.*with t, alpha and sigma among them"),
        ("t,alpha,sigma\n1,0.9,x\n2,0.5,1\n", "entry 1 of the table is no number"),
    ],
)
def test_a_file_without_a_table_is_refused_in_words(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        options(file=path)
    assert "--process.file" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"t": [1.0, 2.0]}, "a table needs alpha, sigma, or both"),
        ({"alpha": [0.9, 0.5], "sigma": [0.1]}, "one number for each entry; 2 of alpha, 1 of sigma"),
        ({"alpha": [0.9, 1.5]}, "sigma follows from numbers between 0 and 1; the table has 1.5"),
        ({"alpha": [0.9, 0.5], "scale": "free"}, "with scale free sigma does not follow"),
        ({"sigma": [[0.1], [0.2]]}, r"sigma must be N real numbers"),
    ],
)
def test_options_that_are_no_table_are_refused(given, message):
    with pytest.raises(OptionError, match=message):
        TabulatedOptions(**given)


def test_no_table_and_a_wrong_one_name_the_flag():
    with pytest.raises(DifrunError, match=r"needs a table: --process\.file FILE"):
        tabulated()
    with pytest.raises(DifrunError, match=r"--process.file.*ratio sigma/alpha must strictly increase"):
        tabulated(alpha=[0.9, 0.8, 0.9], sigma=[0.1, 0.2, 0.1])


def test_samples_of_two_columns_have_the_distribution():
    """The exact model of a table of 40 entries, sampled: mean and variance within 5 standard errors."""
    process = tabulated(
        **values(TabulatedOptions(**{k: v.tolist() for k, v in columns(times=TIMES[::3]).items()}))
    )
    model = ExactMixture(two_gaussians(), process)
    x = generate(
        Heun(), model, 4000, process.time_at(torch.linspace(*process.lam_range, 31)).tolist(), seed=0
    )
    error = x.std(0) / 4000**0.5
    assert ((x.mean(0) - model.mean).abs() < 5 * error).all()
    assert ((x.var(0) / model.var - 1).abs() < 0.12).all()
