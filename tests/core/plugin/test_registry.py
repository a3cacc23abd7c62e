"""Discovery, quarantine, names and clashes."""

import sys

import pytest

from difrun.errors import ConfigError, DifrunError
from difrun.plugin import Registry, get_registry, refresh
from difrun.plugin.compatibility import missing_capabilities

GOOD = """
    from difrun.api import Component, hookimpl

    @hookimpl
    def difrun_samplers():
        return [Component("good", "good_parts:Good", "Good.")]
"""
BROKEN = {
    "difrun-b1": "import not_installed_anywhere",
    "difrun-b2": """
        from difrun.api import hookimpl

        @hookimpl
        def difrun_samplerz():
            return []
    """,
    "difrun-b3": """
        from difrun.api import hookimpl

        @hookimpl
        def difrun_samplers(config):
            return []
    """,
    "difrun-b4": """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_grids():
            return [Component("half", "x:X", "Half of what it offers.")]

        @hookimpl
        def difrun_samplers():
            raise RuntimeError("no luck today")
    """,
    "difrun-b5": "raise SystemExit('no licence')",
    "difrun-b6": """
        from difrun.api import hookimpl

        @hookimpl
        def difrun_models():
            return ["unet"]
    """,
    "difrun-b7": """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_models():
            return [Component("Not A Name", "x:X", "Wrong name.")]
    """,
    "difrun-b8": """
        from difrun.api import Component, hookimpl

        class Options:
            depth = 3

        @hookimpl
        def difrun_models():
            return [Component("net", "x:X", "Options that are no attrs class.", Options)]
    """,
}
REASONS = {
    "difrun-b1": "ModuleNotFoundError: No module named 'not_installed_anywhere'",
    "difrun-b2": "there is no hook difrun_samplerz. Did you mean 'difrun_samplers'?",
    "difrun-b3": "config",
    "difrun-b4": "RuntimeError: no luck today",
    "difrun-b5": "SystemExit: no licence",
    "difrun-b6": "difrun_models returned 'unet'; each item must be a difrun.api.Component",
    "difrun-b7": "'Not A Name' is not of the form 'my-sampler'",
    "difrun-b8": "not an attrs class",
}


@pytest.fixture
def broken(site):
    for dist, code in BROKEN.items():
        site.add(dist, code)
    site.add("difrun-good", GOOD)
    return site


def test_every_broken_plugin_is_a_row_and_touches_no_other(broken):
    registry = Registry.discover(only=[*BROKEN, "difrun-good"])
    rows = {plugin.dist: plugin for plugin in registry.plugins}
    assert {plugin.dist for plugin in registry.broken} == set(BROKEN)
    for dist, reason in REASONS.items():
        assert reason in rows[dist].error, dist
        assert "Traceback" in rows[dist].trace
    assert rows["difrun-good"].status == "ok"
    assert "good" in registry.names("sampler")


def test_nothing_of_a_broken_plugin_is_kept(broken):
    registry = Registry.discover(only=[*BROKEN, "difrun-good"])
    assert not [entry for entry in registry.entries() if entry.plugin.dist in BROKEN]


def test_strict_raises_and_names_the_plugin(broken, monkeypatch):
    with pytest.raises(DifrunError, match=r"difrun-b1 0\.1\.0\) is broken: ModuleNotFoundError"):
        Registry.discover(strict=True)
    monkeypatch.setenv("DIFRUN_STRICT", "1")
    with pytest.raises(DifrunError, match="is broken"):
        Registry.discover()
    monkeypatch.setenv("DIFRUN_STRICT", "0")
    assert Registry.discover().broken


def test_the_core_offers_its_parts_whatever_is_limited(toy):
    registry = Registry.discover()
    assert {plugin.dist for plugin in registry.plugins if plugin.status == "ok"} == {"difrun", "difrun-toy"}
    assert {"euler", "heun", "ancestral", "toy-step"} <= set(registry.names("sampler"))
    assert not registry.broken


@pytest.mark.parametrize("only", ["toy", "difrun-toy", "difrun_toy", " toy ,", ["toy"]])
def test_plugins_are_limited_by_entry_point_or_distribution(toy, only):
    toy.add("difrun-good", GOOD)
    rows = {plugin.dist: plugin.status for plugin in Registry.discover(only=only).plugins}
    assert (rows["difrun-toy"], rows["difrun-good"]) == ("ok", "disabled")
    assert "difrun_good" not in sys.modules


def test_a_limit_that_names_nothing_installed_is_refused(toy):
    with pytest.raises(ConfigError, match=r"DIFRUN_PLUGINS names 'difrun-toi'.* Did you mean 'difrun-toy'"):
        Registry.discover(only="difrun-toi")


def test_unknown_names_get_a_suggestion_the_installed_names_and_where_to_get_more(toy):
    registry = Registry.discover()
    with pytest.raises(ConfigError) as error:
        registry.get("process", "toi")
    assert str(error.value) == "No process is called 'toi'. Did you mean 'toy'? Installed: coin, toy."
    with pytest.raises(ConfigError, match=r"\nProcess 'ising' is in difrun-ising: pip install difrun-ising$"):
        Registry(plugins=[]).get("process", "ising")
    with pytest.raises(ConfigError, match="Did you mean 'sampler'"):
        registry.get("samplers", "heun")


def test_a_name_of_a_broken_or_disabled_plugin_points_to_it(site):
    site.add("difrun-elsewhere", "import nothing_like_it")
    site.add("difrun-good", GOOD)
    with pytest.raises(ConfigError, match="plugin difrun-elsewhere is broken: see 'difrun doctor'"):
        Registry.discover(only="elsewhere").get("process", "elsewhere")
    with pytest.raises(ConfigError, match="plugin difrun-elsewhere is disabled by DIFRUN_PLUGINS"):
        Registry.discover(only="good").get("process", "elsewhere")


def test_a_name_offered_twice_is_refused_bare_and_found_qualified(site):
    site.add("difrun-good", GOOD)
    site.add("difrun-other", GOOD)
    registry = Registry.discover(only="good,other")
    assert registry.clashes == {("sampler", "good"): ("difrun-good:good", "difrun-other:good")}
    with pytest.raises(ConfigError, match="write difrun-good:good or difrun-other:good"):
        registry.get("sampler", "good")
    entry = registry.get("sampler", "difrun-other:good")
    assert (entry.plugin.dist, entry.label, entry.qualified) == ("difrun-other", *["difrun-other:good"] * 2)
    # Whatever `names` lists, `get` finds.
    assert [registry.get("sampler", name).label for name in registry.names("sampler")] == registry.names(
        "sampler"
    )


def test_one_distribution_offering_a_name_twice_is_broken(site):
    site.add("difrun-good", GOOD.replace("return [", "return 2 * ["))
    registry = Registry.discover(only="good")
    assert registry.broken[0].error == "ValueError: difrun-good offers sampler 'good' twice"


def test_a_distribution_found_twice_on_the_path_counts_once(toy, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(toy.folder), str(toy.folder) + "/."])
    assert [plugin.dist for plugin in Registry.discover().plugins].count("difrun-toy") == 1


def test_an_option_called_name_is_refused(site):
    code = """
        import attrs
        from difrun.api import Component, hookimpl, option

        @attrs.frozen
        class Options:
            name: str = option("x", "Collides with the TOML key.")

        @hookimpl
        def difrun_models():
            return [Component("net", "x:X", "Net.", Options)]
    """
    site.add("difrun-good", code)
    assert (
        "an option called 'name', which the core reserves" in Registry.discover(only="good").broken[0].error
    )


def test_load_gives_the_target_and_names_the_distribution_when_it_fails(toy):
    toy.module("toy_parts", "class Toy: pass")
    registry = Registry.discover()
    assert registry.get("process", "toy").load().__name__ == "Toy"
    with pytest.raises(
        DifrunError, match=r"process 'coin' \(difrun-toy\) could not be loaded from toy_parts:Coin"
    ) as e:
        registry.get("process", "coin").load()
    assert "AttributeError" in str(e.value)
    assert "difrun doctor" in str(e.value)


def test_missing_is_what_is_required_and_not_provided():
    assert missing_capabilities({"gaussian", "sde"}, {"sde", "real"}) == ["gaussian"]
    assert missing_capabilities(set(), set()) == []


def test_compatible_names_fit_with_what_is_chosen(toy):
    registry = Registry.discover()
    coin, toy_process = registry.get("process", "coin"), registry.get("process", "toy")
    with_coin = registry.compatible("sampler", {"process": coin})
    assert "leap" in with_coin
    assert not {"heun", "euler", "toy-step"} & set(with_coin)
    with_toy = registry.compatible(
        "sampler", {"process": toy_process, "sampler": registry.get("sampler", "leap")}
    )
    assert {"heun", "euler", "toy-step"} <= set(with_toy)
    assert "leap" not in with_toy
    assert registry.compatible("dataset", {"process": coin}) == ["lattice"]
    assert registry.compatible("process", {"sampler": registry.get("sampler", "leap")}) == ["coin"]


FORMAT = """
    from difrun.api import Component, hookimpl

    @hookimpl
    def difrun_formats():
        return [Component("paper", "paper_parts:write", "The weights, printed on paper.")]
"""


def test_formats_are_found_by_name_and_are_no_components_of_a_run(site):
    site.add("difrun-paper", FORMAT)
    registry = Registry.discover(only="paper")
    assert [entry.label for entry in registry.formats()] == ["paper", "safetensors"]
    assert registry.format("paper").component.target == "paper_parts:write"
    assert "paper" not in [entry.name for entry in registry.entries()]
    with pytest.raises(
        ConfigError, match=r"no format 'papper'. Did you mean 'paper'. Installed: paper, safetensors"
    ):
        registry.format("papper")
    site.add("difrun-scissors", FORMAT)
    registry = Registry.discover(only="paper,scissors")
    assert registry.format("difrun-scissors:paper").plugin.dist == "difrun-scissors"
    with pytest.raises(ConfigError, match=r"Several plugins offer format 'paper'.*difrun-scissors:paper"):
        registry.format("paper")


def test_refresh_sees_a_plugin_installed_later(site):
    assert "good" not in refresh().names("sampler")
    assert get_registry() is get_registry()
    site.add("difrun-good", GOOD)
    assert "good" not in get_registry().names("sampler")
    assert "good" in refresh().names("sampler")
