"""Arguments by name: each kind, each value on offer, and what a signature that asks for something else is told."""

import inspect

import attrs
import pytest

from difrun.api import KINDS
from difrun.errors import DifrunError
from difrun.plugin import Registry, hooks
from difrun.plugin.signatures import ON_OFFER, PICTURES, Lazy, asks_for, call, misfits, requires

OFFERED = [(kind, argument.name) for kind, arguments in ON_OFFER.items() for argument in arguments]


def offered(kind):
    return {argument.name: f"the {argument.name}" for argument in ON_OFFER[kind]}


def target_of(*names):
    """A function with these parameters, which returns them."""
    scope = {}
    exec(
        f"def target({', '.join(names)}): return dict({', '.join(f'{name}={name}' for name in names)})", scope
    )
    return scope["target"]


def test_the_table_has_every_kind_and_event():
    assert set(ON_OFFER) == {*KINDS, *hooks.EVENTS, "format", PICTURES}
    for event in hooks.EVENTS:
        names = [argument.name for argument in ON_OFFER[event]]
        assert names == list(inspect.signature(getattr(hooks, event)).parameters)


@pytest.mark.parametrize(("kind", "name"), OFFERED, ids=lambda value: value)
def test_a_target_gets_each_value_that_its_signature_names(kind, name):
    assert call(kind, target_of(name), offered(kind)) == {name: f"the {name}"}


@pytest.mark.parametrize("kind", ON_OFFER)
def test_a_target_may_ask_for_everything_or_for_nothing(kind):
    names = list(offered(kind))
    assert call(kind, target_of(*names), offered(kind)) == offered(kind)
    assert call(kind, target_of(), offered(kind)) == {}


@pytest.mark.parametrize("kind", ON_OFFER)
def test_what_is_not_on_offer_is_refused(kind):
    with pytest.raises(DifrunError, match=r"may ask for .*; `target` asks for `nonsense_of_mine`"):
        call(kind, target_of("nonsense_of_mine"), offered(kind))


def test_the_message_lists_what_there_is_and_suggests_the_closest():
    def mean_gap(samples, refrence, *, generator):
        return {}

    with pytest.raises(DifrunError) as error:
        call("metric", mean_gap, offered("metric"), owner="metric 'mean-gap' (difrun-tour)")
    assert str(error.value) == (
        "metric 'mean-gap' (difrun-tour): a metric may ask for samples, reference, dataset, labels, conditions, "
        "reference_conditions, generator; "
        "`mean_gap` asks for `refrence`: did you mean `reference`?"
    )


def test_the_message_lists_the_options_too():
    assert misfits("grid", target_of("process", "steps", "rhoo"), ["rho", "knee"]) == [
        "a grid may ask for process, steps, model, sampler and its options rho, knee; `target` asks for `rhoo`: "
        "did you mean `rho`?",
        "`target` does not take its option `rho`",
        "`target` does not take its option `knee`",
    ]
    assert misfits("sampler", target_of("model")) == [
        "a sampler may ask for nothing, as it has no options; `target` asks for `model`"
    ]


def test_a_component_names_itself_and_its_distribution(site):
    site.add(
        "difrun-off",
        """
        from difrun.api import Component, hookimpl

        @hookimpl
        def difrun_grids():
            return [Component("off", "off_parts:off", "Asks for the wrong thing")]
        """,
    )
    site.module("off_parts", "def off(proces, steps): return []")
    entry = Registry.discover(only="off").get("grid", "off")
    with pytest.raises(DifrunError, match=r"^grid 'off' \(difrun-off\): .* did you mean `process`\?$"):
        entry.call(offered("grid"), {})
    assert entry.asks_for("steps")
    assert not entry.asks_for("model")


def test_a_lazy_value_is_made_only_when_a_signature_names_it():
    calls = []
    values = {"process": "p", "steps": 3, "model": Lazy(lambda: calls.append("model") or "m")}
    assert call("grid", target_of("process", "steps"), values) == {"process": "p", "steps": 3}
    assert calls == []
    assert call("grid", target_of("model"), values) == {"model": "m"}
    assert calls == ["model"]


def test_options_are_passed_and_have_precedence():
    assert call("model", target_of("shape", "classes"), offered("model"), {"classes": 7}) == {
        "shape": "the shape",
        "classes": 7,
    }


def test_keywords_receive_options_alone_and_defaults_stay():
    def target(steps, *arguments, other="default", **options):
        return steps, arguments, other, options

    found = call("grid", target, offered("grid"), {"rho": 7.0})
    assert found == ("the steps", (), "default", {"rho": 7.0})


def test_parameters_may_be_positional_only():
    def target(process, extra=1, steps=2, /, *, model=None):
        return process, extra, steps, model

    assert call("grid", target, offered("grid")) == ("the process", 1, "the steps", "the model")


def test_classes_are_called_by_the_signature_of_their_constructor():
    class Plain:
        def __init__(self, shape, *, width=3):
            self.seen = shape, width

    @attrs.frozen
    class Options:
        width: int = 3

    @attrs.frozen
    class WithAttrs(Options):
        inner: object = attrs.field(alias="model", kw_only=True)
        context: object = attrs.field(default=None, kw_only=True)

    assert call("model", Plain, offered("model"), {"width": 5}).seen == ("the shape", 5)
    assert call("guidance", WithAttrs, offered("guidance"), {"width": 5}) == WithAttrs(
        5, model="the model", context="the context"
    )


def test_what_a_kind_has_on_offer_may_be_absent_in_a_call():
    """As labels are where samples have none: a default stays, and without one the message says so."""
    values = {"samples": 1}

    def of_labels(samples, labels=None):
        return labels

    assert call("metric", of_labels, values) is None
    with pytest.raises(DifrunError, match="a metric has no `labels` here, and `target` asks for it"):
        call("metric", target_of("samples", "labels"), values)


def test_asking_and_requiring():
    def metric(samples, labels=None, *, generator):
        return {}

    assert asks_for(metric, "labels")
    assert not requires(metric, "labels")
    assert requires(metric, "generator")
    assert not requires(metric, "dataset")


def test_an_event_and_a_function_of_pictures_get_what_they_ask_for():
    assert call(
        "difrun_train_step", target_of("loss", "step"), {"step": 1, "steps": 2, "loss": 0.5, "rate": 9.0}
    ) == {
        "loss": 0.5,
        "step": 1,
    }
    assert call(PICTURES, target_of("scene"), {"scene": "s"}) == {"scene": "s"}
    assert call(PICTURES, target_of(), {"scene": "s"}) == {}
