"""A wrapped network is tried at once: the right reading passes, a wrong one is refused and the right one named."""

import warnings
from types import SimpleNamespace

import pytest
import torch

import difrun
from difrun.errors import DifrunError
from difrun.testing import ReferenceVP

from .foreign_cases import CASES, CHAIN, DATA, MIXTURE, VP, Epsilon, exact, wrapped


@pytest.mark.parametrize("name", CASES)
def test_the_right_reading_passes_with_and_without_data(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped(name)
        wrapped(name, data=None, mean=MIXTURE.mean, var=MIXTURE.var)


@pytest.mark.parametrize(
    ("name", "predicts", "time", "suggestion"),
    [
        ("noise, index from 0", "x0", "index", "predicts='noise', time='index'"),
        ("noise, index from 0", "v", "index", "predicts='noise', time='index'"),
        ("noise, index from 0", "noise", lambda at: at.t / 1000, "predicts='noise', time='index'"),
        ("noise, index from 0", "noise", "sigma", "predicts='noise', time='index'"),
        ("v, log-snr", "noise", "log-snr", "predicts='v', time='log-snr'"),
        ("score, 1000 t", "score", "t", "time=lambda at: 1000 . at.t"),
        ("x0, t", "x0", lambda at: 1000 * at.t, "predicts='x0', time='t'"),
        ("noise, sigma", "noise", "c-noise", "predicts='noise', time='(sigma|t)'"),
        ("F of EDM", "noise", "sigma", "predicts='edm', time='c-noise'"),
        (
            "velocity of a flow, time from noise",
            "straight",
            "t",
            "lambda at: .1.0, -1.0., time=lambda at: 1 - at.t",
        ),
    ],
)
def test_a_wrong_reading_is_refused_and_the_right_one_is_named(name, predicts, time, suggestion):
    process, network, _, _, options = CASES[name]
    with pytest.raises(DifrunError, match=suggestion):
        difrun.wrap(network, process, (2,), predicts, time, data=DATA, **options)


@pytest.mark.parametrize(
    ("name", "predicts", "time", "suggestion"),
    [
        ("noise, index from 0", "x0", "index", "predicts='noise', time='index'"),
        ("noise, index from 0", "noise", lambda at: at.t / 1000, "predicts='noise', time='index'"),
        ("score, 1000 t", "score", "t", "time=lambda at: 1000 . at.t"),
        ("v, log-snr", "noise", "log-snr", "predicts='v', time='log-snr'"),
        ("F of EDM", "noise", "c-noise", "predicts='edm', time='c-noise'"),
    ],
)
def test_without_data_gross_misfits_are_refused(name, predicts, time, suggestion):
    """There is a suggestion if one change is enough, and the reading is no worse than a right one."""
    process, network, _, _, options = CASES[name]
    with pytest.raises(DifrunError, match=f"normal noise in the place of data.*{suggestion}"):
        difrun.wrap(network, process, (2,), predicts, time, mean=MIXTURE.mean, var=MIXTURE.var, **options)


@pytest.mark.parametrize("seed", range(3))
def test_no_reading_of_an_untrained_network_is_recommended(seed):
    """It says nearly nothing, which denoises by itself where it is read as v, x_0 or the straight velocity."""
    torch.manual_seed(seed)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 2))

    def network(x, n):
        return layers(torch.cat([x, n[:, None] / 1000], 1))

    for given in ({}, {"data": DATA}):
        with pytest.raises(DifrunError, match=r"does not denoise.*[Ii]s it trained") as caught:
            difrun.wrap(network, CHAIN, (2,), "noise", "index", **given)
        assert "Read as" not in str(caught.value)


def test_an_untrained_network_and_data_of_another_kind_are_told():
    with pytest.raises(DifrunError, match=r"does not denoise.*No other reading.*is it trained"):
        difrun.wrap(lambda x, t: 3 + x.flip(1).sin() + t[:, None], VP, (2,), "noise", "t", data=DATA)

    def weak(x, t):
        at = VP.at(t, 2)
        linear = at.sigma / (at.alpha**2 * DATA.var(0) + at.var) * (x - at.alpha * DATA.mean(0))
        return linear + 0.45 * torch.sin(7 * x)

    with pytest.warns(
        UserWarning, match=r"less well than the best linear denoiser: its error is 1\.\d"
    ) as told:
        difrun.wrap(weak, VP, (2,), "noise", "t", data=DATA)
    assert told[0].filename == __file__  # the line of the user's


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predicts": "epsilon"}, "predicts='epsilon'.*noise"),
        ({"time": "n"}, "time='n'.*index.*lambda"),
        ({"input_scale": "c_in"}, "input_scale='c_in'"),
        ({"arguments": ("x",)}, "called with x, time, each once"),
        ({"arguments": ("x", "time", "label")}, "classes=K"),
        ({"time": lambda at: 3.0}, "must return a tensor"),
        ({"output": lambda out: (out, None)}, r"output=lambda out: out\[0\]"),
        ({"output": lambda out: SimpleNamespace(sample=out)}, "output=lambda out: out.sample"),
        ({"output": lambda out: "x"}, "returned a str"),
        ({"output": lambda out: torch.cat([out, out], 1)}, "learned_variance=True"),
        ({"output": lambda out: out[:, :1]}, r"returned \(256, 1\) for x of shape \(256, 2\)"),
        ({"output": lambda out: out / 0}, "not finite"),
        ({"process": ReferenceVP()}, "not made from a table"),
        ({"data": DATA[:, :1]}, r"data of shape \(400, 1\); expected \(N, 2\)"),
        ({"data": 300 * DATA, "data_range": (-1, 1)}, "data run from .* trained on -1 to 1"),
        ({"data": DATA / 0}, "data must be finite"),
        ({"data": DATA, "labels": [0]}, "labels are given for a network without"),
        ({"classes": 2, "condition_shape": (1,)}, "give one of classes and condition_shape"),
    ],
)
def test_bad_input_is_refused_in_words(changes, message):
    given = {"process": CHAIN, "predicts": "noise", "time": "index", "data": DATA} | changes
    network = exact(CHAIN, "noise", lambda n: n + 1)
    with pytest.raises(DifrunError, match=message):
        difrun.wrap(network, given.pop("process"), (2,), **given)


def test_a_call_that_fails_says_what_it_was_called_with_and_what_works():
    with pytest.raises(
        DifrunError,
        match=r"x float32 \(256, 2\), time float32 \(256,\).*works with arguments=\('time', 'x'\) and integer=True",
    ):
        difrun.wrap(Epsilon(), CHAIN, (2,), data=DATA)
    with pytest.raises(DifrunError, match="works with integer=True"):
        difrun.wrap(Epsilon(), CHAIN, (2,), arguments=("time", "x"), data=DATA)
    with pytest.raises(DifrunError, match=r"failed.*Its arguments are said by"):
        difrun.wrap(lambda x: x, CHAIN, (2,), data=DATA)


@pytest.mark.parametrize("entries", [1000, 700])
def test_times_beyond_those_that_a_network_knows_are_refused(entries):
    """An index that begins with 1, and a schedule of more entries than the network has: the end of the chain tells."""
    right, table = exact(CHAIN, "noise", lambda n: n + 1), torch.nn.Embedding(entries, 2)

    def network(x, n):
        return right(x, n) + 0 * table(n)

    time = "t" if entries == CHAIN.horizon else "index"
    last = 1000 if time == "t" else 999
    with pytest.raises(
        DifrunError, match=rf"failed at its end t = 1000, time = {last}: IndexError.*as many entries"
    ):
        difrun.wrap(network, CHAIN, (2,), time=time, integer=True, data=DATA)
    if time == "t":
        difrun.wrap(network, CHAIN, (2,), time="index", integer=True, data=DATA)


def test_moments_come_from_the_data_or_their_range():
    network = exact(CHAIN, "noise", lambda n: n + 1)
    model = difrun.wrap(network, CHAIN, (2,), data=DATA)
    torch.testing.assert_close(model.mean, DATA.mean(0))
    torch.testing.assert_close(model.var, DATA.var(0, correction=0))
    torch.testing.assert_close(model.cov, torch.cov(DATA.double().T, correction=0))
    ranged = difrun.wrap(network, CHAIN, (2,), data_range=(0, 6), check=False)
    assert (ranged.mean, ranged.var) == (3, 3)
