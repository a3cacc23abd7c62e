"""Tables made elsewhere: from Python and from files, zero terminal SNR, and what is no table."""

import json
import math

import numpy as np
import pytest
import torch

from difrun.errors import ConfigError, DifrunError, OptionError
from difrun.grid import logsnr
from difrun.model import ExactMixture, NetworkModel
from difrun.options import build
from difrun.options.attrs_fields import record, values
from difrun.options.given import GivenValue
from difrun.process.tabulated import TabulatedProcess
from difrun.randomness import Generator
from difrun.sampler import Adams, Heun, generate
from difrun.testing import two_gaussians
from difrun.testing.checks import process as rules
from difrun.testing.checks import process_use
from difrun_ddpm.loss import noise, vlb
from difrun_ddpm.options import DDPMOptions
from difrun_ddpm.process import DDPM
from difrun_ddpm.samplers import DDIM, DDPMSampler

BETAS = np.linspace(1e-3, 0.05, 200) ** 1.1
BAR = np.cumprod(1 - BETAS)
TO_NOISE = DDPM(terminal_signal=0.0)


@pytest.mark.parametrize(
    "given",
    [
        {"betas": BETAS},
        {"betas": torch.from_numpy(BETAS)},
        {"betas": BETAS.tolist()},
        {"alphas_cumprod": BAR},
        {"alphas_cumprod": tuple(BAR)},
    ],
    ids=["array", "tensor", "list", "alphas_cumprod", "tuple"],
)
def test_a_table_is_the_chain(given):
    """α² = ∏(1 − β) and σ² at t = 0 ... N, the core's process of the same table in between, and N its length."""
    process = DDPM(**given)
    assert process.steps == process.horizon == 200
    bar = np.concatenate([[1.0], BAR])
    instants = process.instants(range(201))
    np.testing.assert_allclose([at.alpha**2 for at in instants], bar, rtol=1e-11)
    np.testing.assert_allclose([at.var for at in instants], 1 - bar, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(process.variances.numpy(), BETAS, rtol=1e-10)
    same = TabulatedProcess.from_betas(BETAS)
    for t in (0.3, 7.7, 150.2):
        assert process.at(t).alpha == pytest.approx(same.at(t).alpha, rel=1e-11)
        assert process.table_index(t) == pytest.approx(same.table_index(t))


def test_zero_terminal_snr():
    """√ᾱ is moved and stretched as in Lin et al., Algorithm 1, written out: √ᾱ_1 stays, and √ᾱ_N = 0 exactly."""
    roots = np.sqrt(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))
    expected = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    instants = TO_NOISE.instants(range(1, 1001))
    np.testing.assert_allclose([at.alpha for at in instants], expected, rtol=1e-9, atol=1e-15)
    assert instants[-1].alpha == 0
    assert instants[-1].sigma == 1
    assert TO_NOISE.forgets
    assert TO_NOISE.advice() == []
    half = DDPM(betas=BETAS, terminal_signal=0.02)
    assert half.at(200).alpha == pytest.approx(0.02, rel=1e-9)
    assert half.at(1).alpha == pytest.approx(math.sqrt(BAR[0]), rel=1e-12)
    assert DDPM(betas=[*BETAS, 1.0]).at(201).alpha == 0


@pytest.mark.parametrize(
    "rule",
    [
        rules.moments_obey_the_sde,
        rules.fields_of_an_instant_agree,
        rules.log_snr_strictly_decreases,
        rules.time_at_inverts_the_log_snr,
        rules.bridges_belong_to_the_marginals,
        rules.bridges_compose,
        process_use.conversions_are_right_in_float32,
        process_use.conversions_round_trip,
    ],
    ids=lambda rule: rule.__name__,
)
def test_the_kit_s_rules_hold_with_zero_terminal_snr(rule):
    class Subject:
        @staticmethod
        def make():
            return TO_NOISE

    rule(Subject())


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [(DDIM(), 60), (DDPMSampler(), 250), (Heun(), 30), (Adams(), 30)],
    ids=["ddim", "ddpm", "heun", "adams"],
)
def test_samples_from_zero_terminal_snr_are_those_of_the_data(sampler, steps):
    mixture = two_gaussians()
    x = generate(sampler, ExactMixture(mixture, TO_NOISE), 3000, logsnr(TO_NOISE, steps), seed=1)
    # The first two are of first order: they narrow the distribution by a few per cent.
    torch.testing.assert_close(x.mean(0).double(), mixture.mean, rtol=0, atol=0.12)
    torch.testing.assert_close(x.var(0).double(), mixture.var, rtol=0.12, atol=0)


@pytest.mark.parametrize("predicts", ["noise", "v", "x0", "edm"])
def test_networks_train_and_sample_with_zero_terminal_snr(predicts):
    """A network of the noise says nothing at N: x̂_0 is the mean of the data. Losses are finite."""
    network = torch.nn.Linear(2, 2)
    model = NetworkModel(lambda x, level: network(x), TO_NOISE, (2,), predicts=predicts, mean=0.5)
    x0 = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    x_end, at = torch.randn(64, 2), TO_NOISE.at(torch.full((64,), 1000.0), 2)
    assert model.predict(x_end, at, "x0").isfinite().all()
    if predicts == "noise":
        torch.testing.assert_close(model.predict(x_end, at, "x0"), torch.full((64, 2), 0.5))
    loss = noise()
    assert loss.evaluate(model, loss.draw(model, x0, Generator(0))).isfinite().all()


def test_the_bound_is_refused_where_the_chain_ends_in_noise():
    model = ExactMixture(two_gaussians(), TO_NOISE)
    with pytest.raises(DifrunError, match=r"loss 'vlb'.*zero terminal SNR"):
        vlb().draw(model, torch.zeros(8, 2), Generator(0))


def write(folder, name, content):
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, content)
    else:
        path.write_text(content, encoding="utf-8")
    return path


def from_file(path, option="betas"):
    return build(
        DDPMOptions, {option: GivenValue(str(path), f"--process.{option}", "flag")}, "process 'ddpm'"
    )


LINES = "\n".join(map(repr, BETAS.tolist()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table.npy", BETAS),
        ("table.csv", f"# of a paper\n{LINES}\n"),
        ("table.csv", f"beta\n{LINES}\n"),
        ("table.csv", "n;betas\n" + "\n".join(f"{n};{b!r}" for n, b in enumerate(BETAS.tolist())) + "\n"),
        ("table.txt", f"# betas\n{LINES}\n"),
        ("table.txt", "n betas\n" + "\n".join(f"{n} {b!r}" for n, b in enumerate(BETAS.tolist())) + "\n"),
        ("table.json", json.dumps(BETAS.tolist())),
        ("table.json", json.dumps({"name": "mine", "betas": BETAS.tolist()})),
    ],
    ids=[
        "npy",
        "csv",
        "csv with a name",
        "csv with columns",
        "txt",
        "txt with columns",
        "json",
        "json with keys",
    ],
)
def test_a_table_is_read_from_a_file_and_its_numbers_are_recorded(tmp_path, name, content):
    options = from_file(write(tmp_path, name, content))
    assert options.betas == tuple(BETAS.tolist())
    assert options.steps == 200
    (tmp_path / name).unlink()
    again = build(DDPMOptions, record(options), "process 'ddpm'")  # as run.toml gives it back
    assert again == options
    assert DDPM(**values(options)).horizon == 200


def test_a_table_of_alphas_cumprod_is_read_from_a_file(tmp_path):
    options = from_file(write(tmp_path, "table.npy", BAR), "alphas_cumprod")
    np.testing.assert_allclose(DDPM(**values(options)).variances, BETAS, rtol=1e-10)


RATIOS = np.sqrt(1 / BAR - 1)


@pytest.mark.parametrize(
    "sigmas",
    [RATIOS, RATIOS[::-1], np.append(RATIOS[::-1], 0.0), np.append(0.0, RATIOS)],
    ids=["rising", "falling", "falling to the data", "rising from the data"],
)
def test_a_table_of_sigmas_is_the_chain_of_the_same_ratios(tmp_path, sigmas):
    """σ/α at the entries is the table, in either order, from a file and from Python; run.toml has its numbers."""
    options = from_file(write(tmp_path, "sigmas.npy", sigmas), "sigmas")
    assert options.steps == 200
    assert options.sigmas == tuple(RATIOS)
    for process in (DDPM(**values(options)), DDPM(sigmas=sigmas)):
        np.testing.assert_allclose(process.variances, BETAS, rtol=1e-8)
        for n in (1, 77, 200):
            at = process.at(float(n))
            assert at.sigma / at.alpha == pytest.approx(RATIOS[n - 1], rel=1e-12)
    assert build(DDPMOptions, record(options), "process 'ddpm'") == options


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("table.pt", "0.1", r"a .npy, .npz, .csv, .txt or .json file, not 'table.pt'"),
        ("table.txt", "0.1\n1.5\n", "entry 1 is 1.5"),
        ("table.csv", "betas\n0.9\n0.5\n", "give them as alphas_cumprod"),
        ("table.csv", "a,b\n1,2\n", "has no column 'betas' .its columns: a, b."),
        ("table.csv", "1,2\n3,4\n", "2 columns without names.*'betas' among them"),
        ("table.csv", "betas\n0.1\nx\n", "entry 2 of the table is no number"),
        ("table.csv", "# nothing\n", "holds no numbers"),
        ("table.json", "{", "is no JSON file"),
        ("table.json", '{"alphas": [1]}', "has no key 'betas'"),
        ("table.json", '{"alphas": 3}', "holds no numbers"),
        ("table.json", '["a"]', "a list of numbers"),
        ("table.npy", BETAS[:, None], r"of shape \(N,\)"),
        ("table.npy", np.array([0.1]), "at least 2 numbers"),
    ],
)
def test_a_file_without_a_table_is_refused_in_words(tmp_path, name, content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        from_file(write(tmp_path, name, content))
    assert "--process.betas" in str(caught.value)


def test_an_archive_under_the_name_of_an_array_is_read_as_what_it_is(tmp_path):
    np.savez(tmp_path / "table.npz", betas=BETAS)
    (tmp_path / "table.npz").rename(tmp_path / "table.npy")
    assert from_file(tmp_path / "table.npy").betas == tuple(BETAS)
    with pytest.raises(ConfigError, match=r"has no column 'sigmas' .its columns: betas."):
        from_file(tmp_path / "table.npy", "sigmas")


def test_a_missing_file_and_a_pickle_are_refused(tmp_path):
    for missing in ("none.txt", "none"):  # it is missing, whatever its suffix
        with pytest.raises(ConfigError, match=rf"there is no file .*{missing}"):
            from_file(tmp_path / missing)
    with pytest.raises(ConfigError, match=r"there is no file .*none\.csv"):
        from_file(tmp_path / "none.csv")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigError, match="no array of numbers"):
        from_file(tmp_path / "objects.npy")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"betas": BETAS, "alphas_cumprod": BAR}, "forms of one table; give one"),
        ({"betas": BETAS, "steps": 100}, "200 numbers, which is N; leave out steps, 100"),
        ({"betas": BETAS, "schedule": "cosine"}, "a table has no schedule; leave it out"),
        ({"betas": BETAS[None]}, r"N real numbers, of shape \(N,\)"),
        ({"betas": ["a", "b"]}, "N real numbers"),
        ({"betas": [0.1, math.nan]}, "N real numbers"),
    ],
)
def test_options_that_contradict_a_table_are_errors(given, message):
    with pytest.raises(OptionError, match=message):
        DDPM(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"betas": BAR}, "give them as alphas_cumprod"),
        ({"betas": [0.1, 1.5]}, "entry 1 is 1.5"),
        ({"alphas_cumprod": BETAS}, "reverse it"),
        ({"alphas_cumprod": [1.0, 0.5]}, "must lie below 1"),
        ({"sigmas": [-0.1, 0.5]}, "sigmas must be above 0"),
        ({"sigmas": [0.1, 0.0, 0.5]}, "sigmas must be above 0"),
        ({"sigmas": [0.1, 0.7, 0.5, 0.9]}, "sigmas must strictly increase.*from entry 1 to entry 2"),
        ({"terminal_signal": 0.9999999}, "must be below √ᾱ_1"),
    ],
)
def test_a_table_of_something_else_is_refused(given, message):
    with pytest.raises(DifrunError, match=message):
        _ = DDPM(**given).variances
