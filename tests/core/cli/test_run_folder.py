"""`difrun sample`, `evaluate`, `report`, `resume`: what they ask of a run that is there."""

from pathlib import Path

import pytest

from difrun.config import resolve
from difrun.errors import Interrupted
from difrun.plugin import Registry


@pytest.fixture
def made(toy, in_folder):
    """A run folder with the plan of a toy run."""
    Path("r").mkdir()
    options = {"sampler": {"scale": 2.0}, "sample": {"n": 50, "steps": 9, "chunk": 10}, "": {"seed": 5}}
    plan = resolve(
        {"process": "toy", "sampler": "toy-step", "grid": "even", "metric": ["gap"]},
        options,
        registry=Registry.discover(),
    )
    in_folder("r/run.toml", plan.to_toml())
    return plan


def test_sample_is_as_in_the_run_where_nothing_is_named(made, call, work):
    assert call("sample", "r")[0] == 0
    assert work.calls[0] == ("reopen", Path("r"), None, None)
    # All but the seed, which is 5 in the run: the same would be the very samples that the run has.
    assert work.calls[1] == (
        "draw_samples",
        None,
        made.sampler,
        made.grid,
        9,
        6,
        10,
        None,
        False,
        "fresh",
        None,
        (),
        None,
    )


def test_sample_tells_its_seed_unless_it_is_given(made, call, work, monkeypatch):
    assert "Note: seed 6, for new samples; --seed 5 starts from the noise of" in call("sample", "r")[2]
    assert "now: 6, from seed in r/run.toml, plus 1" in " ".join(call("sample", "r", "--help")[1].split())
    _, _, err = call("sample", "r", "--seed", "5")
    assert (work.calls[-1][5], "Note" in err) == (5, False)
    monkeypatch.setenv("DIFRUN_SEED", "9")
    _, _, err = call("sample", "r")
    assert (work.calls[-1][5], "Note" in err) == (9, False)


def test_an_unknown_flag_is_not_taken_for_a_run(made, call, work):
    for command in ("sample", "compare"):
        code, _, err = call(command, "--frobnicate", "r")
        assert (code, "No such option '--frobnicate'" in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("resume", "r", "--train.lr", "1"),
            "'difrun run --config r/run.toml --train.lr ...' makes another one",
        ),
        (
            ("resume", "r", "--process.theta=2"),
            "'difrun run --from r --process.theta ...' begins it with these",
        ),
        (("resume", "--seed", "3", "r"), "What a run was made with stays. 'difrun run --config r/run.toml "),
        (("sample", "r", "--train.steps", "8"), "'difrun resume r --train.steps N' trains further."),
        (("resume", "r", "--sampler", "leap"), "It is an option of 'difrun sample r'."),
        (("report", "r", "--n", "5"), "It is an option of 'difrun sample r'."),
        (("sample", "r", "--metric", "gap"), "It is an option of 'difrun evaluate r'."),
        (("resume", "r", "--train.steps", "x"), "'x' is not a valid whole number."),
    ],
)
def test_a_flag_of_another_command_says_what_to_do(made, call, work, arguments, said):
    code, _, error = call(*arguments)
    assert code == 2
    assert said in error
    assert "x" in arguments or f"'difrun {arguments[0]}' has no option '--" in error


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
def test_what_cannot_be_written_is_refused_with_its_flag(made, call, work, text):
    """Only Python gives it to the command: it was a UnicodeEncodeError or a ValueError of the system."""
    for arguments in (("sample", "r", f"--out={text}"), ("sample", "r", "--out", text), ("sample", text)):
        code, _, error = call(*arguments)
        assert code == 2
        assert f"{'--out' if 'r' in arguments else 'the command line'}: {text!a} cannot be" in error


def test_what_is_written_for_pages_is_not_repeated(made, call, work):
    """Click repeats the value of a flag that is no number."""
    code, _, error = call("resume", "r", "--train.steps", "x" * 10_000)
    assert code == 2
    assert "Invalid value for '--train.steps': 'xxxx" in error
    assert len(error) < 5000


@pytest.mark.parametrize("name", ["run.toml", "model.safetensors"])
def test_a_file_in_the_place_of_a_run_is_told(made, call, work, name):
    Path("r", name).touch()
    code, _, error = call("resume", f"r/{name}")
    assert code == 2
    assert f"r/{name} is a file of a run: give the folder, r." in error


def test_help_says_what_comes_from_the_run(made, call, work):
    """Named by the run, by the user, or not known without a run: the seed is never that of the run itself."""
    help_text = " ".join(call("sample", "--help")[1].split())
    assert "Seed of every random number of the run. [default: the run's, plus 1]" in help_text
    assert "Sampling steps. [default: as in the run; >= 1, <= 100000]" in help_text
    assert "Sampler. [default: as in the run]" in help_text
    help_text = " ".join(call("sample", "r", "--sampler", "heun", "--help")[1].split())
    assert "Sampler. [chosen: heun]" in help_text
    assert "Time grid of the sampler. [now: even, from grid.name in r/run.toml]" in help_text
    help_text = " ".join(call("evaluate", "r", "--help")[1].split())
    assert "[now: gap, from metrics.names in r/run.toml]" in help_text


def test_evaluate_measures_the_samples_of_a_file(made, call, work):
    code, out, _ = call("evaluate", "r", "--samples", "s.npz", "--metric", "w2", "--n", "9")
    _, path, metrics, n = work.calls[-1]
    assert (code, path, [m.name for m in metrics], n) == (0, Path("s.npz"), ["w2"], 9)
    assert out.splitlines()[-1] == "Metrics: s.metrics.json"


def test_sample_takes_what_is_named(made, call, work):
    arguments = (
        "--n",
        "7",
        "--sampler",
        "euler",
        "--grid.scale",
        "3",
        "--steps",
        "4",
        "--seed",
        "6",
        "--chunk",
        "8",
        "--label",
        "3",
        "--guidance",
        "push",
        "--guidance.scale",
        "5",
    )
    code, out, _ = call(
        "sample", *arguments, "r", "--out", "x.npz", "--force", "--device", "cpu", "--threads", "1"
    )
    assert (code, out) == (0, "Samples: samples.npz\n")
    assert work.calls[0] == ("reopen", Path("r"), "cpu", 1)
    _, n, sampler, grid, steps, seed, chunk, out, force, noise, label, guidance, _ = work.calls[1]
    assert (n, sampler.name, grid.options.scale, steps, seed, chunk) == (7, "euler", 3.0, 4, 6, 8)
    assert (out, force, noise, label) == (Path("x.npz"), True, "fresh", "3")
    assert [(chosen.name, chosen.options.scale) for chosen in guidance] == [("push", 5.0)]


def test_sample_refuses_what_does_not_fit_the_run(made, call, work):
    code, _, err = call("sample", "r", "--sampler", "leap")
    assert code == 2
    assert (
        "sampler 'leap' (difrun-toy) needs discrete, which process 'toy' (difrun-toy) does not offer" in err
    )
    assert call("sample", "r", "--process", "coin")[0] == 2
    assert work.calls == []


def test_evaluate_asks_for_the_runs_own_metrics_unless_some_are_named(made, call, work):
    assert call("evaluate", "r")[0] == 0
    assert work.calls[-1] == ("evaluate", None, None)
    assert call("evaluate", "r", "--metric", "sliced-w2", "--metric", "w2", "--n", "9")[0] == 0
    _, metrics, n = work.calls[-1]
    assert ([metric.name for metric in metrics], n) == (["sliced-w2", "w2"], 9)
    assert call("evaluate", "r", "--metric.gap.high", "9")[0] == 0
    assert [(metric.name, metric.options.high) for metric in work.calls[-1][1]] == [("gap", 9)]


def test_resume_and_report(made, call, work):
    code, out, _ = call("resume", "r", "--threads", "2")
    assert code == 0
    assert work.calls == [("reopen", Path("r"), None, 2)]
    assert "sliced-w2" in out
    assert call("report", "r")[1] == f"Report: {Path('runs/toy-1/report.html')}\n"
    assert work.calls[-1] == ("reopen", Path("r"), None, None)


def test_a_report_is_drawn_on_the_device_that_is_named(made, call, work, monkeypatch):
    """A run made on a GPU can be reported where there is none."""
    assert call("report", "r", "--device", "cpu", "--threads", "1")[0] == 0
    assert work.calls[-1] == ("reopen", Path("r"), "cpu", 1)
    monkeypatch.setenv("DIFRUN_DEVICE", "cpu")
    assert call("report", "r")[0] == 0
    assert work.calls[-1] == ("reopen", Path("r"), "cpu", None)
    code, _, err = call("report", "r", "--device", "gpu")
    assert (code, len(work.calls)) == (2, 2)
    assert "--device: expected auto, cpu, cuda, cuda:N or mps; got gpu" in err


@pytest.mark.parametrize(
    ("command", "method", "outcome"),
    [
        ("sample", "draw_samples", "No samples were written."),
        ("evaluate", "evaluate", "No metrics were written."),
        ("report", "report", "No new report was written."),
    ],
)
def test_an_interrupted_command_on_a_finished_run_does_not_advise_to_resume(
    made, call, work, monkeypatch, command, method, outcome
):
    def stop(*_):
        raise Interrupted("r", "Stopped at sampling step 3 of 30.")

    monkeypatch.setattr(work, method, stop)
    code, out, err = call(command, "r")
    assert (code, out) == (130, "")
    assert err.endswith(f"Stopped at sampling step 3 of 30.\n{outcome}\n")
    assert "resume" not in err
