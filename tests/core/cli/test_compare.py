"""`difrun compare`: what it asks for, what it refuses in words, and the table that it prints."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from difrun.analysis.reference import Distance
from difrun.config import Plan, resolve
from difrun.errors import Interrupted
from difrun.plugin import Registry
from difrun.runs.compare.results import Comparison, ComparisonRow


class FakeCompare:
    """Stands for `difrun.runs.compare.compare`: keeps what it is asked for."""

    def __init__(self):
        self.runs, self.asked, self.raises, self.rows = (), {}, None, [row()]

    def compare(self, *runs, **asked):
        self.runs, self.asked = runs, asked
        if self.raises:
            raise self.raises
        return Comparison(Path("runs/compare-1"), rows=self.rows)


def row(sampler="heun", steps=5, **more):
    number = {"value": 0.0123, "value_sd": 0.001, "floor": 0.004, "floor_sd": 0.0005, "better": "lower"}
    fields = {"evaluations": 2 * steps, "seconds": 0.25, "metrics": {"sliced-w2": number}, **more}
    return ComparisonRow(**{"run": "r", "grid": "rho"} | fields, sampler=sampler, steps=steps)


@pytest.fixture
def asked(toy, in_folder, monkeypatch):
    """Floor 5 replaced, and the folder of a run."""
    Path("run").mkdir()
    options = {"sample": {"n": 50}, "": {"seed": 5}, "metric.w2": {"max_points": 70}}
    named = {"process": "toy", "sampler": "toy-step", "grid": "even", "metric": ["sliced-w2", "w2"]}
    in_folder("run/run.toml", resolve(named, options, registry=Registry.discover()).to_toml())
    fake = FakeCompare()
    module = ModuleType("difrun.runs.compare.compare")
    module.compare = fake.compare
    monkeypatch.setitem(sys.modules, "difrun.runs.compare.compare", module)
    return fake


def test_a_run_is_compared_as_it_is_where_nothing_is_named(call, asked):
    assert call("compare", "run")[0] == 0
    assert asked.runs == ("run",)
    listener = asked.asked.pop("listener")
    assert listener.saves is False
    assert asked.asked == {
        "steps": (5, 10, 20, 50),
        "force": False,
        "exact": False,
        "loggers": {},
        **dict.fromkeys(
            [
                "samplers",
                "grids",
                "metrics",
                "guidance",
                "label",
                "condition",
                "n",
                "seed",
                "out",
                "device",
                "threads",
            ]
        ),
    }


def test_what_is_named_is_asked_for(call, asked):
    arguments = ("--sampler", "heun,euler", "--steps", "5,8", "--grid", "rho, even", "--n", "40", "--exact")
    more = ("--seed", "3", "--out", "c", "--force", "--device", "cpu", "--threads", "1", "--quiet")
    assert call("compare", "run", "b", *arguments, *more)[0] == 0
    assert asked.runs == ("run", "b")
    del asked.asked["listener"]
    assert asked.asked == {
        "samplers": ("heun", "euler"),
        "steps": (5, 8),
        "grids": ("rho", "even"),
        "metrics": None,
        "guidance": None,
        "label": None,
        "condition": None,
        "n": 40,
        "seed": 3,
        "exact": True,
        "out": "c",
        "force": True,
        "loggers": {},
        "device": "cpu",
        "threads": 1,
    }


def test_metrics_have_the_options_of_the_first_run_unless_others_are_given(call, asked):
    call("compare", "run", "--metric", "w2", "--metric", "energy")
    assert [metric.name for metric in asked.asked["metrics"]] == ["w2", "energy"]
    assert asked.asked["metrics"][0].options.max_points == 70
    assert call("compare", "run", "--metric.w2.max-points", "60")[0] == 0
    (only,) = asked.asked["metrics"]
    assert (only.name, only.options.max_points) == ("w2", 60)


def test_without_a_run_the_exact_model_is_taken(call, asked):
    assert (
        call("compare", "--process", "toy", "--dataset", "gmm", "--process.theta", "2", "--seed", "4")[0] == 0
    )
    (plan,) = asked.runs
    assert isinstance(plan, Plan)
    names = [getattr(plan, kind).name for kind in ("process", "dataset", "model")]
    assert (names, plan.process.options.theta, plan.seed) == (["toy", "gmm", "exact"], 2.0, 4)
    call("compare", "--process", "toy", "--model", "empirical")
    assert asked.runs[0].model.name == "empirical"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--steps", "5,x"), "'--steps': expected whole numbers separated by commas, such as 5,10,20"),
        (("run", "--steps", "0"), "'--steps': expected 1 to 100000 steps, not 0"),
        (("run", "--sampler", "heum"), "'--sampler': No sampler is called 'heum'. Did you mean 'heun'?"),
        (("run", "--sampler", "heun,"), "'--sampler': expected names separated by commas"),
        (("run", "--grid", "rhoo"), "'--grid': No grid is called 'rhoo'. Did you mean 'rho'?"),
        (("run", "--metric", "foo"), "no metric is called 'foo'"),
        (("run", "--process", "toy"), "--process is for a comparison without a run; run has its own."),
        (("run", "--model", "exact"), "--model is for a comparison without a run; run has its own."),
        (("run", "--sampler", "heun", "--sampler", "euler"), "--sampler is given twice"),
        (("nope",), "There is no run in nope: nope/run.toml does not exist."),
        (("run", "--frobnicate", "3"), "No such option"),
        (("--dataset.modes", "3"), "--dataset.modes is an option of dataset 'gmm'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, asked, arguments, words):
    code, out, err = call("compare", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert asked.runs == ()


def test_help_tells_whose_the_defaults_are(call, asked):
    of_run = " ".join(call("compare", "run", "--help")[1].split())
    assert "--n INT Samples to draw. [now: 50, from sample.n in run/run.toml; >= 1, <= 1000000000]" in of_run
    assert "[default: the first of sliced-w2, w2]" in of_run
    assert "--process NAME" not in of_run
    alone = " ".join(call("compare", "--dataset", "gmm", "--help")[1].split())
    assert "--dataset.modes INT" in alone
    assert "[now: exact, from the default of 'difrun compare']" in alone


def test_the_variable_of_a_process_is_for_comparisons_without_a_run(call, asked, monkeypatch):
    monkeypatch.setenv("DIFRUN_PROCESS", "toy")
    assert call("compare", "run")[0] == 0
    assert asked.runs == ("run",)


def test_the_table(call, asked):
    far = Distance(0.0123, 0.004, 0.05)
    asked.rows = [
        row(exact=far, exact_reference_error=2e-9),
        row("pc", 5, exact_note="stochastic: its samples follow no flow"),
        row("euler", 5, evaluations=None, seconds=None, metrics={}, problem="3 of 9 samples are not finite"),
    ]
    code, out, _ = call("compare", "run", "--exact")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:5] == [
        "sampler grid steps evaluations seconds sliced-w2 from exact median other mode",
        "heun rho 5 10 0.25 0.0123 ± 0.001 0.012 0.004 5 %",
        "pc rho 5 10 0.25 0.0123 ± 0.001 - - -",
        "euler rho 5 failed - - - -",
        "floor 0.004 ± 0.0005",
    ]
    assert "Nearest to the floor, 3.1×, with 10: heun on rho (sliced-w2)." in lines
    assert (
        "noise, over the radius of the data: the error of the solver alone. The endpoint's own: 2e-09."
        in lines
    )
    assert "Nearest to the exact endpoint: heun on rho, 0.012 with 10 evaluations." in lines
    assert "Not measured from exact: pc (stochastic: its samples follow no flow)." in lines
    assert "euler on rho, 5 steps: 3 of 9 samples are not finite" in lines
    assert lines[-1] == "Comparison: runs/compare-1"


def test_floors_that_differ_between_runs_have_a_row_each(call, asked):
    other = {"value": 0.03, "value_sd": 0.001, "floor": 0.02, "floor_sd": 0.003, "better": "lower"}
    asked.rows = [row(), row(run="s", metrics={"sliced-w2": other})]
    lines = [" ".join(line.split()) for line in call("compare", "run", "s")[1].splitlines()]
    assert lines[0].startswith("run sampler grid")
    assert lines[3:5] == ["r floor 0.004 ± 0.0005", "s floor 0.02 ± 0.003"]
    asked.rows = [row(), row(run="s")]
    lines = [" ".join(line.split()) for line in call("compare", "run", "s")[1].splitlines()]
    assert [line for line in lines if "floor 0.0" in line] == ["floor 0.004 ± 0.0005"]


def test_exact_values_have_a_row_below_the_floors(call, asked):
    energy = {"value": -0.7, "value_sd": 0.01, "exact": -0.91915, "floor": -0.92, "floor_sd": 0.01}
    plain = {"value": 0.2, "value_sd": 0.01, "floor": 0.1, "floor_sd": 0.01}
    asked.rows = [row(metrics={"energy": energy, "tv": plain})]
    lines = call("compare", "run")[1].splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith("floor "))
    assert lines[place + 1].split() == ["exact", "-0.9192"]
    record = asked.rows[0].record()
    assert record["energy_exact"] == -0.91915
    assert "tv_exact" not in record
    asked.rows = [row(metrics={"tv": plain})]
    assert not any(line.startswith("exact") for line in call("compare", "run")[1].splitlines())


def test_exact_values_are_drawn_where_every_run_has_them(monkeypatch, tmp_path):
    """Of a wide lattice C(1) is not known: beside it, floors are drawn for both runs."""
    known = {"value": -0.7, "value_sd": 0.01, "exact": -0.9, "floor": -0.92, "floor_sd": 0.01}
    unknown = {key: value for key, value in known.items() if key != "exact"}
    panels = []
    monkeypatch.setattr("difrun.draw.quality", lambda found: panels.extend(found))
    monkeypatch.setattr("difrun.draw.save", lambda figure, path: path)
    rows = [
        row(metrics={"energy": known, "c1": known}),
        row(run="wide", metrics={"energy": known, "c1": unknown}),
    ]
    Comparison(tmp_path, rows=rows).draw()
    assert [(p.name, p.floor_name, p.floors) for p in panels] == [
        ("energy", "exact", [(-0.9, 0.01)]),
        ("c1", "floor", [(-0.92, 0.01)]),
    ]


def test_the_fewest_evaluations_at_the_floor_are_told(call, asked):
    good = {"value": 0.0042, "value_sd": 0.0005, "floor": 0.004, "floor_sd": 0.0005, "better": "lower"}
    asked.rows = [
        row(),
        row(steps=20, metrics={"sliced-w2": good}),
        row(steps=10, metrics={"sliced-w2": good}),
    ]
    out = call("compare", "run")[1]
    assert "At the floor with the fewest evaluations, 20: heun on rho (sliced-w2)." in out
    # told sharply and not at the floor by itself, but nearer than one that is, which is told badly
    sharp = {**good, "value": 0.0065, "value_sd": 0.0001}
    blurred = {**good, "value": 0.0070, "value_sd": 0.002}
    asked.rows = [row(steps=5, metrics={"sliced-w2": sharp}), row(steps=20, metrics={"sliced-w2": blurred})]
    out = call("compare", "run")[1]
    assert "At the floor with the fewest evaluations, 10: heun on rho (sliced-w2)." in out


def test_no_samples_at_all_are_an_error(call, asked):
    asked.rows = [row(evaluations=None, seconds=None, metrics={}, problem="not finite")]
    code, out, err = call("compare", "run")
    assert code == 1
    assert "heun on rho, 5 steps: not finite" in out
    assert "Error: No sampler gave samples. The reasons are in runs/compare-1/compare.csv." in err


def test_an_interrupted_comparison_says_what_is_kept(call, asked):
    asked.raises = Interrupted("c", "Stopped after 1 of 6 rows.", "The finished rows are in c.")
    code, _, err = call("compare", "run")
    assert code == 130
    assert err.splitlines()[-2:] == ["Stopped after 1 of 6 rows.", "The finished rows are in c."]


def test_names_are_completed_one_after_the_other(toy, call):
    from difrun.cli.commands.compare import Names

    offered = [item.value for item in Names("sampler").shell_complete(None, None, "heun,eu")]
    assert offered == ["heun,euler"]
    assert "all" in [item.value for item in Names("sampler").shell_complete(None, None, "a")]
