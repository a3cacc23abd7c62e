"""Choosing components, plans, and their TOML form."""

import tomllib
from pathlib import Path

import pytest

from difrun.config import Plan, resolve
from difrun.config.selection import choose
from difrun.errors import ConfigError
from difrun.options.fields import GivenValue
from difrun.plugin import Registry

SPINS = {"process": "coin", "model": "toy-net"}


@pytest.fixture
def registry(toy):
    return Registry.discover()


def names(plan):
    return {kind: getattr(plan, kind).name for kind in ("process", "dataset", "sampler", "grid", "model")}


def test_what_is_not_named_is_what_the_issue_promises(registry):
    plan = resolve({"process": "toy"}, registry=registry)
    assert names(plan) == {
        "process": "toy",
        "dataset": "rings",
        "sampler": "adams",
        "grid": "pilot",
        "model": "mlp",
    }
    assert plan.defaulted == ("dataset", "model", "loss", "sampler", "grid", "metric")
    assert plan.loss.name == "plain"  # preferred by the process
    assert plan.guidance == ()


def test_defaults_fit_with_what_is_named(registry):
    plan = resolve({"sampler": "leap", "model": "toy-net"}, registry=registry)
    assert (plan.process.name, plan.dataset.name, plan.loss.name) == ("coin", "lattice", "coin-loss")
    assert {"process", "dataset", "loss"} <= set(plan.defaulted)


def test_metrics_that_fit_are_taken(registry):
    real = {metric.name for metric in resolve({"process": "toy"}, registry=registry).metrics}
    assert {"sliced-w2", "w2", "energy", "density-coverage", "gap"} <= real
    assert "magnet" not in real
    assert "magnet" in {metric.name for metric in resolve(SPINS, registry=registry).metrics}
    assert [
        metric.name for metric in resolve({"process": "toy", "metric": ["gap"]}, registry=registry).metrics
    ] == ["gap"]


def test_an_exact_model_has_no_loss(registry):
    plan = resolve({"process": "toy", "model": "toy-exact"}, registry=registry)
    assert plan.loss is None
    assert "loss" not in plan.to_dict()
    with pytest.raises(
        ConfigError, match=r"loss 'plain' \(difrun-toy\) needs network, which model 'toy-exact'"
    ):
        resolve({"process": "toy", "model": "toy-exact", "loss": "plain"}, registry=registry)


def test_an_incompatible_pair_is_refused_with_what_works_in_both_directions(registry):
    with pytest.raises(ConfigError) as error:
        resolve({"process": "coin", "sampler": "toy-step"}, registry=registry)
    first, samplers, processes = str(error.value).splitlines()
    assert first == (
        "sampler 'toy-step' (difrun-toy) needs gaussian, which process 'coin' (difrun-toy) does not offer "
        "(it offers discrete)."
    )
    assert samplers.startswith("Samplers that work with process 'coin': ")
    assert "leap" in samplers
    assert "heun" not in samplers
    assert processes == "Processes that work with sampler 'toy-step': toy."


def test_what_only_the_rest_of_the_run_rules_out_is_not_called_missing(registry):
    """Guidance 'pull' works with process 'toy', but not on spins."""
    with pytest.raises(ConfigError) as error:
        resolve({**SPINS, "dataset": "lattice", "guidance": ["pull"]}, registry=registry)
    assert (
        "Processes that work with guidance 'pull': toy, but none of them with the rest of this run."
        in str(error.value)
    )


def test_several_in_one_text_are_told_how_they_are_named(registry):
    wanted = GivenValue("clip,push", "--guidance")
    with pytest.raises(ConfigError, match="one by one: --guidance A --guidance B"):
        resolve({"guidance": [wanted]}, registry=registry)


def test_guidance_that_does_not_fit_is_refused(registry):
    assert [g.name for g in resolve({**SPINS, "guidance": ["push"]}, registry=registry).guidance] == ["push"]
    with pytest.raises(ConfigError, match=r"guidance 'pull' \(difrun-toy\) needs gaussian"):
        resolve({**SPINS, "guidance": ["push", "pull"]}, registry=registry)
    with pytest.raises(ConfigError, match="guidance 'push' is named twice"):
        resolve({"guidance": ["push", "push"]}, registry=registry)


def test_a_need_that_nothing_meets_gets_a_suggestion(site):
    code = """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_samplers():
            return [Component("odd", "x:X", "Odd.", requires={"gausian"})]

        @hookimpl
        def difrun_processes():
            return [Component("p", "x:X", "P.", provides={"gaussian"})]
    """
    site.add("difrun-odd", code)
    with pytest.raises(
        ConfigError, match=r"needs gausian, which no installed component offers\. Did you mean 'gaussian'"
    ):
        resolve({"sampler": "odd"}, registry=Registry.discover(only="odd"))


def test_without_a_process_the_message_says_what_to_install(site):
    with pytest.raises(ConfigError, match=r"No process is installed\. The plugin difrun-ou has some\.$"):
        resolve(registry=Registry.discover(only="difrun"))


def test_where_nothing_fits_the_message_gives_each_reason(registry):
    # The core's networks are for real vectors, and this plugin alone has one that is not; hide it.
    registry._entries = [entry for entry in registry.entries() if entry.name != "lattice"]
    with pytest.raises(
        ConfigError, match=r"process 'coin' \(difrun-toy\) needs spins, which no installed component"
    ):
        resolve({"process": "coin"}, registry=registry)


def test_preferred_names_are_those_beside_the_component_that_prefers_them(site):
    code = """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_processes():
            tokens, wishes = {{"gaussian", "ode"}}, {{"sampler": "heun"}}
            return [Component("{0}", "x:X", "P.", provides=tokens, prefers=wishes)]

        @hookimpl
        def difrun_samplers():
            return [Component("heun", "x:X", "Another Heun.")]

        @hookimpl
        def difrun_losses():
            return [Component("{0}-loss", "x:X", "L.")]
    """
    for name in ("one", "two"):
        site.add(f"difrun-{name}", code.format(name))
    registry = Registry.discover(only="one,two")
    for name in ("one", "two"):
        plan = resolve({"process": name}, registry=registry)
        assert plan.sampler.name == f"difrun-{name}:heun"
        assert Plan.from_dict(plan.to_dict(), registry) == plan
    with pytest.raises(ConfigError, match="write difrun:heun, difrun-one:heun or difrun-two:heun"):
        choose(registry, {"process": "one", "sampler": "heun"})


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
    assert set(data["sample"]) == {"n", "steps", "chunk", "noise", "label", "likelihood"}
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
        ("[train]\nsteps = -1", r"train\.steps in run\.toml: must be >= 0; got -1"),
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
            r"^run\.toml names plugin difrun-gone 1\.0, which is not installed\.$",
        ),
    ],
)
def test_wrong_files_are_refused_by_key(registry, text, message):
    with pytest.raises(ConfigError, match=message):
        Plan.from_dict(tomllib.loads(text), registry)


def test_an_import_path_is_no_name(registry):
    with pytest.raises(ConfigError, match="no process is called 'os:system'"):
        Plan.from_dict({"process": {"name": "os:system"}}, registry)


def test_another_version_of_a_plugin_is_a_note(registry):
    data = {
        **resolve({"process": "toy"}, registry=registry).to_dict(),
        "versions": {"python": "2.7", "difrun-toy": "0.0.9"},
    }
    assert Plan.from_dict(data, registry).notes == (
        "run.toml was made with difrun-toy 0.0.9; 0.1.0 is installed",
    )


def test_a_file_may_leave_everything_out(registry):
    assert Plan.from_dict({"process": {"name": "toy"}}, registry) == resolve(
        {"process": "toy"}, registry=registry
    )


def test_a_path_as_the_dataset_means_the_file_dataset(registry, in_folder):
    path = in_folder("points.csv", "1,2\n")
    plan = resolve({"process": "toy", "dataset": "points.csv"}, registry=registry)
    assert plan.dataset.name == "file"
    assert plan.dataset.options.path == path
    for named in (path, path.relative_to(path.parent)):
        assert resolve({"process": "toy", "dataset": named}, registry=registry) == plan
    assert Plan.from_dict({"process": {"name": "toy"}, "dataset": {"name": "points.csv"}}, registry) == plan
    # A Path is a file whatever its name; text without an ending is the name of a component.
    bare = resolve({"process": "toy", "dataset": path.with_name("rings")}, registry=registry)
    assert (bare.dataset.name, bare.dataset.options.path) == ("file", path.with_name("rings"))


@pytest.mark.parametrize(
    "named", [{"process": Path("toy")}, {"dataset": 3}, {"metric": 3}, {"guidance": [3]}]
)
def test_what_is_no_name_is_refused(registry, named):
    (kind,) = named
    with pytest.raises(
        ConfigError, match=rf"Invalid value for {kind}: expected the name of a component; got"
    ):
        resolve({"process": "toy"} | named, registry=registry)
