"""Plans: the options of their components, and their TOML form."""

import tomllib

import pytest

from difrun.config import Plan, resolve
from difrun.errors import ConfigError
from difrun.plugin import Registry, known

SPINS = {"process": "coin", "model": "toy-net"}


@pytest.fixture
def registry(toy):
    return Registry.discover()


def test_options_reach_their_component_and_wrong_sections_are_refused(registry):
    options = {
        "process": {"theta": 0.5},
        "metric.gap": {"high": 9},
        "": {"seed": 3},
        "model": {"predicts": "noise"},
    }
    plan = resolve({"process": "toy"}, options, registry=registry)
    gap = next(metric for metric in plan.metrics if metric.name == "gap")
    assert (plan.process.options.theta, gap.options.high, plan.seed) == (0.5, 9, 3)
    assert plan.model.prediction.predicts == "noise"
    with pytest.raises(ConfigError, match=r"no options of 'procces' in this run\. Did you mean 'process'"):
        resolve({"process": "toy"}, {"procces": {"theta": 0.5}}, registry=registry)
    with pytest.raises(ConfigError, match=r"process 'toy' has no 'teta'\. Did you mean 'theta'"):
        resolve({"process": "toy"}, {"process": {"teta": 0.5}}, registry=registry)
    with pytest.raises(ConfigError, match=r"model 'toy-net' has no 'predict'\. Did you mean 'predicts'"):
        resolve({"process": "toy", "model": "toy-net"}, {"model": {"predict": "x0"}}, registry=registry)


ASKING = """
    from difrun.api import Component, hookimpl

    @hookimpl
    def difrun_processes():
        return [Component("wave", "x:X", "P.", provides={"gaussian"}, suits={"sample.steps": 50})]

    @hookimpl
    def difrun_datasets():
        suits = {"sample.steps": 20, "train.batch": 32}
        return [Component("pond", "x:X", "D.", provides={"real"}, suits=suits)]

    @hookimpl
    def difrun_samplers():
        suits = {"sample.steps": 10, "train.batch": 64, "sample.chunk": 7}
        return [Component("rower", "x:X", "S.", requires={"gaussian"}, suits=suits)]
"""


def test_settings_that_components_ask_for_are_those_of_the_process_first(site):
    """Then those of the dataset, and of the sampler; a value of the user stands before all."""
    site.add("difrun-asking", ASKING)
    registry = Registry.discover(only="asking")
    named = {"process": "wave", "dataset": "pond", "sampler": "rower", "model": "empirical"}
    plan = resolve(named, registry=registry)
    assert (plan.sample.steps, plan.train.batch, plan.sample.chunk) == (50, 32, 7)
    plan = resolve(named, {"sample": {"steps": 9}, "train": {"batch": 8}}, registry=registry)
    assert (plan.sample.steps, plan.train.batch, plan.sample.chunk) == (9, 8, 7)


def test_prediction_is_an_option_of_networks_under_gaussian_processes_only(registry):
    assert resolve(SPINS, registry=registry).model.prediction is None
    assert resolve({"process": "toy", "model": "toy-exact"}, registry=registry).model.prediction is None
    with pytest.raises(ConfigError, match="has no 'predicts'"):
        resolve(SPINS, {"model": {"predicts": "x0"}}, registry=registry)


def test_make_calls_the_target_with_what_it_asks_for_and_with_its_options(toy, registry):
    toy.module("toy_parts", "def Toy(*args, **named): return args, named")
    process = resolve({"process": "toy"}, {"process": {"theta": 2}}, registry=registry).process
    args, named = process.make(extra="nobody asks for it")
    assert args == ()
    assert named == {
        "theta": 2.0,
        "mu": 0.0,
        "t_min": None,
        "shape": "flat",
        "exact": False,
        "table": None,
    }


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ({"process": "toy"}, {}),
        (
            {"process": "toy", "guidance": ["push", "pull"], "metric": ["gap", "sliced-w2"]},
            {
                "process": {"mu": (0.5, -1.0), "t_min": 1e-3, "table": "rates.csv", "exact": True},
                "guidance.pull": {"scale": 2.5},
                "metric.gap": {"high": 7},
                "train": {"minutes": 0.5, "steps": 0},
                "sample": {"n": 7},
                "": {"seed": 2**63 - 1, "device": "cuda:1", "threads": 2},
            },
        ),
        (SPINS, {"process": {"low": 1}}),
        ({"process": "toy", "model": "toy-exact", "metric": []}, {}),
    ],
)
def test_a_plan_survives_the_way_through_toml(registry, named, options):
    plan = resolve(named, options, registry=registry)
    read = Plan.from_dict(tomllib.loads(plan.to_toml(torch="2.13.0")), registry)
    assert read == plan
    assert read.defaulted in ((), ("loss",))
    assert read.notes == ()
    assert read.to_dict() == plan.to_dict()


def test_every_resolved_value_is_written(registry):
    data = resolve({"process": "toy"}, registry=registry).to_dict(torch="2.13.0")
    assert data["process"] == {
        "name": "toy",
        "theta": 1.0,
        "mu": 0.0,
        "t_min": "none",
        "shape": "flat",
        "exact": False,
        "table": "none",
    }
    assert data["model"]["predicts"] == "edm"
    assert data["metrics"]["gap"] == {"low": 0, "high": 5}
    assert set(data["train"]) >= {"steps", "minutes", "batch", "lr", "warmup", "ema", "clip"}
    assert set(data["sample"]) == {"n", "steps", "chunk", "noise", "label", "condition", "likelihood"}
    assert data["versions"]["torch"] == "2.13.0"
    assert data["versions"]["difrun-toy"] == "0.1.0"
    assert set(data["versions"]) == {"python", "torch", "difrun", "difrun-toy"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead = 1", r"Unknown key sead in run\.toml\. Did you mean 'seed'\?"),
        ("[metric]", r"Unknown key metric in run\.toml\. Did you mean 'metrics'\?"),
        (
            'process = "toy"',
            r'process in run\.toml: expected a table: \[process\] and, below it, name = "\.\.\."',
        ),
        ("[process]\nname = 3", r"process\.name in run\.toml: expected the name of a component"),
        (
            '[process]\nname = "toi"',
            r"process\.name in run\.toml: no process is called 'toi'\. Did you mean 'toy'\?",
        ),
        ('[process]\nname = "toy"\nteta = 1', r"process\.teta in run\.toml: .* Did you mean 'theta'\?"),
        (
            '[process]\nname = "toy"\ntheta = -1',
            r"process\.theta in run\.toml: must be > 0, <= 10; got -1\.0",
        ),
        ("[train]\nsteps = -1", r"train\.steps in run\.toml: must be >= 0, <= 1000000000; got -1"),
        ("[sample]\nsteps = 0", r"sample\.steps in run\.toml: must be >= 1, <= 100000; got 0"),
        ("seed = -1", r"seed in run\.toml: expected a whole number from 0"),
        ('device = "gpu"', r"device in run\.toml: expected auto, cpu, cuda, cuda:N or mps; got gpu"),
        ("[guidance]\nname = 'push'", r"guidance in run\.toml: expected \[\[guidance\]\]"),
        ("[[guidance]]\nscale = 1", r"guidance in run\.toml: expected \[\[guidance\]\]"),
        (
            "[[guidance]]\nname = 'push'\nscal = 1",
            r"guidance\.scal in run\.toml \(table 1\).* Did you mean 'scale'",
        ),
        ("[metrics]\nnames = 'gap'", r"metrics\.names in run\.toml: expected a list of names"),
        (
            "[metrics]\nnames = ['gapp']",
            r"metrics\.names in run\.toml: no metric is called 'gapp'\. Did you mean 'gap'",
        ),
        ("[metrics]\nname = ['gap']", r"Unknown key metrics\.name in run\.toml\. Did you mean 'names'\?"),
        ("[metrics]\nnames = ['w2']\n[metrics.gap]\nlow = 1", r"'gap' is not among metrics\.names"),
        ("[metrics.gap]\nlo = 1", r"metrics\.gap\.lo in run\.toml: .* Did you mean 'low'"),
        (
            "[versions]\ndifrun-gone = '1.0'",
            r"^run\.toml names plugin difrun-gone 1\.0, which is not installed\.\nTo use the run: install difrun-gone "
            r"1\.0 from where you had it$",
        ),
    ],
)
def test_wrong_files_are_refused_by_key(registry, text, message):
    with pytest.raises(ConfigError, match=message):
        Plan.from_dict(tomllib.loads(text), registry)


def test_the_version_of_an_absent_plugin_is_the_one_to_install(registry, monkeypatch):
    entry = known.KnownPlugin("difrun-gone", "Gone.", "https://gone.example", {})
    monkeypatch.setattr(known, "known_plugins", lambda: (entry,))
    with pytest.raises(ConfigError, match=r"\nTo use the run: pip install difrun-gone==1\.0$"):
        Plan.from_dict({"versions": {"difrun-gone": "1.0"}}, registry)


def test_an_import_path_is_refused_and_imports_nothing(registry):
    with pytest.raises(ConfigError, match="imports no code that a folder or a flag names"):
        Plan.from_dict({"process": {"name": "os:system"}}, registry)


def test_another_version_of_a_plugin_is_a_note(registry):
    data = {
        **resolve({"process": "toy"}, registry=registry).to_dict(),
        "versions": {"python": "2.7", "difrun-toy": "0.0.9"},
    }
    assert Plan.from_dict(data, registry).notes == (
        "run.toml was made with difrun-toy 0.0.9; 0.1.0 is installed. Weights and samples can be used; what is "
        "computed anew may differ.",
    )


def test_a_file_may_leave_everything_out(registry):
    assert Plan.from_dict({"process": {"name": "toy"}}, registry) == resolve(
        {"process": "toy"}, registry=registry
    )
