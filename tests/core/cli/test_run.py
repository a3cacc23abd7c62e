"""`difrun run` and its help: which options a command line has, and what it says at the end."""

import re
from pathlib import Path

TOY = ("--process", "toy")


def flags_in(text):
    """The flags that stand first on a line of a help page."""
    return set(re.findall(r"^  (--[\w.-]+)(?= |$)", text, re.MULTILINE))


def test_the_bare_command_prints_help(toy, call):
    code, out, err = call()
    assert code == 0
    assert out.startswith("Usage: difrun")
    assert err == ""
    for command in (
        "run",
        "sample",
        "evaluate",
        "resume",
        "report",
        "list",
        "show",
        "plugins",
        "doctor",
        "completion",
    ):
        assert re.search(rf"^  {command} ", out, re.MULTILINE), command


def test_options_without_a_command_are_those_of_run(toy, call, work):
    assert call(*TOY, "--seed", "4")[0] == 0
    first = work.plan
    assert call("run", *TOY, "--seed", "4")[0] == 0
    assert work.plan == first
    assert (first.process.name, first.seed, first.sampler.name) == ("toy", 4, "adams")


def test_help_shows_exactly_the_options_of_the_chosen_components(toy, call):
    code, out, _ = call(
        *TOY, "--sampler", "toy-step", "--model", "toy-net", "--grid", "even", "--metric", "gap", "--help"
    )
    assert code == 0
    toy_flags = {f"--process.{name}" for name in ("theta", "mu", "t-min", "shape", "exact", "table")}
    dotted = {
        flag for flag in flags_in(out) if "." in flag and not flag.startswith(("--train.", "--dataset."))
    }
    assert dotted == toy_flags | {
        *(
            "--sampler.scale",
            "--model.scale",
            "--model.predicts",
            "--model.weights",
            "--grid.scale",
            "--metric.gap.low",
            "--metric.gap.high",
        )
    }
    plain = {flag for flag in flags_in(out) if "." not in flag}
    kinds = {
        f"--{kind}"
        for kind in ("process", "model", "loss", "sampler", "guidance", "grid", "dataset", "metric")
    }
    run = {
        f"--{name}"
        for name in ("seed", "device", "threads", "out", "config", "from", "quiet", "force", "help")
    }
    assert plain == kinds | run | {
        "--n",
        "--steps",
        "--chunk",
        "--noise",
        "--label",
        "--condition",
        "--likelihood",
    }
    assert "Process 'toy' (difrun-toy):" in out
    assert "Rate.  [default: 1.0; > 0, <= 10]" in out
    assert "--process.exact / --process.no-exact" in out
    assert re.search(r"--sampler NAME .*\[chosen: toy-step\]", out)
    assert re.search(r"--dataset NAME .*\[default: rings\]", out)


def test_help_of_another_choice_shows_other_options(toy, call):
    _, out, _ = call("--process", "coin", "--model", "toy-net", "--sampler", "leap", "--help")
    assert {"--process.low", "--process.high", "--sampler.low"} <= flags_in(out)
    assert not {"--process.theta", "--model.predicts"} & flags_in(out)


def test_help_of_what_cannot_work_says_so_and_still_helps(toy, call):
    code, out, err = call("--process", "coin", "--sampler", "toy-step", "--help")
    assert code == 0
    assert "needs gaussian" in err
    assert {"--process.low", "--sampler.scale"} <= flags_in(out)


def test_the_help_of_run_tells_the_variables_of_the_environment(toy, call):
    _, out, _ = call("run", "--help")
    said = " ".join(out.split())
    assert "DIFRUN_SAMPLER for --sampler, DIFRUN_PROCESS_THETA for --process.theta" in said
    assert "DIFRUN_PLUGINS=a,b loads only the plugins a and b" in said
    assert "DIFRUN_STRICT=1 stops if a plugin is broken" in said
    assert "DIFRUN_DEBUG=1 shows the traceback" in said
    assert "A variable DIFRUN_... that nothing reads gets a warning." in said
    assert (
        "For a quick trial: --train.steps 500 --n 1000, and for points in the plane also --metric sliced-w2."
        in said
    )


def test_what_was_chosen_by_default_is_told(toy, call, work):
    _, _, err = call(*TOY, "--grid", "even")
    assert "chosen by default: dataset rings, model mlp, loss plain, sampler adams\n" in err
    assert call(*TOY, "--quiet")[2] == ""


LONE = """
    from difrun.api import Component, hookimpl

    @hookimpl
    def difrun_processes():
        return [Component("lone", "x:X", "Alone.", provides={"discrete"}, requires={"spins"})]

    @hookimpl
    def difrun_datasets():
        return [Component("chain", "x:X", "A chain.", provides={"spins"})]

    @hookimpl
    def difrun_models():
        return [
            Component("net", "x:X", "A network.", provides={"network"}),
            Component("sum", "x:X", "By enumeration.", provides={"exact"}, requires={"discrete"}),
        ]
"""


def test_that_nothing_is_trained_for_want_of_a_loss_is_told(site, call, work, monkeypatch):
    """Not where the user names the exact model, and not where there is a loss."""
    site.add("difrun-lone", LONE)
    monkeypatch.setenv("DIFRUN_PLUGINS", "lone")
    note = (
        "Note: nothing is trained: no loss is installed that works with process 'lone'. "
        "Model 'sum' is taken instead: By enumeration.\n"
    )
    code, _, err = call("--process", "lone")
    assert (code, work.plan.model.name) == (0, "sum")
    assert note in err
    assert "nothing is trained" not in call("--process", "lone", "--model", "sum")[2]


def test_a_loss_that_fits_is_taken_and_something_is_trained(toy, call, work):
    assert "nothing is trained" not in call(*TOY)[2]
    assert work.plan.loss.name == "plain"


def test_the_end_is_a_table_and_the_report(toy, call, work):
    work.metrics["sliced-w2"]["value_sd"] = 0.00234
    work.metrics["density-coverage.density"] = {"value": 0.9, "floor": 1.0}
    _, out, _ = call(*TOY, "--quiet")
    note = [
        "floor: the same metric between two sets of real data (± standard deviation). "
        "Best is a value equal to its floor."
    ]
    assert out.splitlines() == [
        "metric                    value          floor        value / floor",
        "sliced-w2                 0.05 ± 0.0023  0.04 ± 0.01           1.25",
        "density-coverage.density  0.9            1                      0.9",
        *note,
        "The samples are close to real data, but can be told from them: density is 0.9, 0.9× its floor 1. Not "
        "distinguishable from its floor: sliced-w2.",
        f"Report: {Path('runs/toy-1/report.html')}",
    ]
    work.suggestion = "Train longer."
    assert call(*TOY, "--quiet")[1].splitlines()[-2:] == ["Train longer.", out.splitlines()[-1]]
    work.suggestion = ""
    work.metrics["sliced-w2"]["n"] = 512
    _, out, _ = call(*TOY, "--quiet")
    assert [line.split()[-1] for line in out.splitlines()[:3]] == ["n", "512", "-"]
    work.metrics = {}
    assert call(*TOY, "--quiet")[1].startswith("No metric was computed.\nReport: ")


def test_out_and_force_reach_the_run(toy, call, work):
    call(*TOY, "--out", "here", "--force")
    assert work.calls[-1][2:] == (Path("here"), True)
    call(*TOY)
    assert work.calls[-1][2:] == (None, False)
