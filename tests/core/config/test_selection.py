"""Choosing components: defaults, what fits with what, and what is refused."""

from pathlib import Path

import pytest

from difrun.config import Plan, resolve
from difrun.config.selection import choose
from difrun.errors import ConfigError
from difrun.options.attrs_fields import GivenValue
from difrun.plugin import Registry

SPINS = {"process": "coin", "model": "toy-net"}


@pytest.fixture
def registry(toy):
    return Registry.discover()


def names(plan):
    return {kind: getattr(plan, kind).name for kind in ("process", "dataset", "sampler", "grid", "model")}


def test_kinds_that_are_not_named_take_the_documented_defaults(registry):
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


def test_a_component_ruled_out_by_the_rest_of_the_run_is_not_called_missing(registry):
    """Guidance 'pull' works with process 'toy', but not on spins."""
    with pytest.raises(ConfigError) as error:
        resolve({**SPINS, "dataset": "lattice", "guidance": ["pull"]}, registry=registry)
    assert (
        "Processes that work with guidance 'pull': toy, but none of them with the rest of this run."
        in str(error.value)
    )


def test_names_joined_by_a_comma_are_refused_with_the_right_form(registry):
    wanted = GivenValue("clip,push", "--guidance")
    with pytest.raises(ConfigError, match="repeat the flag: --guidance A --guidance B"):
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
    message = r"No process is installed\. The plugin difrun-ou has some: pip install difrun-ou\.$"
    with pytest.raises(ConfigError, match=message):
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
def test_a_value_that_is_no_name_is_refused(registry, named):
    (kind,) = named
    with pytest.raises(
        ConfigError, match=rf"Invalid value for {kind}: expected the name of a component[;,].* got"
    ):
        resolve({"process": "toy"} | named, registry=registry)
