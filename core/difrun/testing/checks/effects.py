"""The rule that every option has an effect, for components of every kind."""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.grid.fixed import logsnr
from difrun.options.attrs_fields import Field, fields
from difrun.randomness.generator import Generator
from difrun.sampler.integration import integrate
from difrun.testing.checks.exact_model import exact_model
from difrun.testing.checks.grid import grid_times
from difrun.testing.checks.loss import data, network_model
from difrun.testing.checks.metric import draws, measured
from difrun.testing.checks.model import LEVELS, SHAPES, make_network
from difrun.testing.checks.process import spread_times
from difrun.testing.checks.sampler import exact, start
from difrun.testing.guided import GuidedWorld, of_rows
from difrun.testing.rules import GAUSSIAN_RUN, ComponentUnderTest, check
from difrun.testing.second_values import second_options, second_value
from difrun.testing.verdict import NotTried, RuleBroken, ensure
from difrun.text import in_one_line, listed

RUN = GAUSSIAN_RUN | {"exact", "network", "classes", "conditional"}


@check("any", once=True)
def has_options_that_have_an_effect(subject: ComponentUnderTest) -> None:
    """Every option with a second value changes what the component does: no option is accepted and ignored.

    The second value is tried with the defaults of the others, and with their second values. Name one that has an effect
    (`option(..., second=...)`) if the kit's own has none.
    """
    cls = subject.entry.component.options
    others = second_options(cls)
    if others is None and all(second_value(field, cls) is None for field in fields(cls)):
        raise NotTried("it has no options with a second value")
    work = WORK.get(subject.entry.kind)
    if work is None or not _usable(subject):
        raise NotTried("the kit has no run in which its options could have an effect")
    # Most options have an effect with the kit's first process, so that the others are tried for the rest alone.
    idle = fields(cls)
    for tried in (attrs.evolve(subject, second=True), subject):
        if not idle:
            return
        try:
            plain = work(tried)
        except DifrunError as error:
            raise NotTried(f"it needs an option: {in_one_line(error)}") from error
        idle = [field for field in idle if not _has_an_effect(tried, work, plain, field, others)]
    texts = [
        f"{each.name} = {second_value(each, cls)!r} does what {each.name} = {each.default!r} does"
        for each in idle
    ]
    ensure(not texts, listed(texts, last=" and "), "another result for another value")


def _has_an_effect(
    subject: ComponentUnderTest, work: "Work", plain: list[Any], field: Field, others: Any
) -> bool:
    """Whether an option changes what a component does: alone, or beside the second values of the others.

    Args:
        subject: The component with its default options.
        work: What it is made to do.
        plain: What came of that.
        field: The option.
        others: Second values of all options.
    """
    cls, name = subject.entry.component.options, field.name
    value = second_value(field, cls)
    if value is None or _differ(work, subject, attrs.evolve(subject, options=cls(**{name: value})), plain):
        return True
    if others is None:
        return False
    changed = _evolved(others, name, field.default if getattr(others, name) == value else value)
    if changed is None:
        return False
    first, second = (attrs.evolve(subject, options=each) for each in (others, changed))
    return _differ(work, first, second, None)


def _evolved(options: Any, name: str, value: Any) -> Any:
    try:
        return attrs.evolve(options, **{name: value})
    except (ValueError, TypeError):
        return None


def _usable(subject: ComponentUnderTest) -> bool:
    component = subject.entry.component
    discrete = "discrete" in component.provides | component.requires
    return not discrete and component.requires <= RUN | subject.own_tokens


Work = Callable[[ComponentUnderTest], list[Any]]


def _differ(
    work: Work, first: ComponentUnderTest, second: ComponentUnderTest, known: list[Any] | None
) -> bool:
    before, after = known if known is not None else _done(first, work), _done(second, work)
    if len(before) != len(after):
        return True
    return any(not _alike(one, two) for one, two in zip(before, after, strict=True))


def _alike(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return one.shape == two.shape and torch.equal(torch.nan_to_num(one), torch.nan_to_num(two))
    return bool(one == two)


def _done(subject: ComponentUnderTest, work: Work) -> list[Any]:
    """What a component does, as tensors and numbers; a refusal in its own words is an effect as well."""
    try:
        return work(subject)
    except (DifrunError, NotTried, RuleBroken) as error:
        return [str(error)]


def _process(subject: ComponentUnderTest) -> list[Any]:
    process = subject.make()
    x0 = torch.tensor([[-1.0, 0.5], [0.3, 2.0]], dtype=torch.float64)
    paths = process.path(x0, [process.t_min, 0.5 * process.horizon], 1)
    prior = process.prior((4, 2), mean=x0.mean(0), var=torch.ones(2), generator=1)
    return [process.horizon, process.t_min, paths, prior, *(process.sample(x0, t, 1) for t in (0.3, 0.9))]


def _sampler(subject: ComponentUnderTest) -> list[Any]:
    ends = []
    for process in subject.partners:
        model = exact(process)
        for steps in (2, 150):
            ends.append(
                integrate(subject.make(), model, start(model, 3), logsnr(process, steps), generator=1)
            )
    return ends


def _loss(subject: ComponentUnderTest) -> list[Any]:
    losses = []
    for process in subject.partners:
        losses.append(subject.make()(network_model(process), data(200), Generator(2)).detach())
    return losses


def _grid(subject: ComponentUnderTest) -> list[Any]:
    return [list(grid_times(subject, process, steps)) for process in subject.partners for steps in (3, 12)]


def _dataset(subject: ComponentUnderTest) -> list[Any]:
    made = subject.make(seed=1)
    fresh = [] if made.fresh is None else [made.fresh(50, torch.Generator().manual_seed(2))]
    return [made.train, made.held_out, *fresh]


def _metric(subject: ComponentUnderTest) -> list[Any]:
    numbers: list[Any] = []
    for n in (60, 3000):
        a, b = draws(2, n)
        numbers += sorted(measured(subject, a + 0.3, b).items())
    return numbers


def _model(subject: ComponentUnderTest) -> list[Any]:
    if "exact" in subject.entry.component.provides:
        process = subject.partners[0]
        t = spread_times(process, 3)[1]
        x = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(4, 2)
        return [exact_model(subject, process).predict(x, process.at(t), "x0")]
    outputs: list[Any] = []
    for shape in SHAPES:
        try:
            network = make_network(subject, shape)
        except DifrunError:
            continue
        draw = torch.Generator().manual_seed(0)
        for parameter in network.parameters():
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=draw)
        x = torch.randn((4, *shape), generator=draw)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for mode in (True, False):
                outputs.append(network.train(mode)(x, torch.tensor(LEVELS)).detach())
        outputs.append([tuple(parameter.shape) for parameter in network.parameters()])
        if len(outputs) >= 6:
            break
    return outputs


def _guidance(subject: ComponentUnderTest) -> list[Any]:
    here = GuidedWorld(subject, subject.partners[0])
    guided = of_rows(here.guided)
    found: list[Any] = list(guided.moments())
    for t in spread_times(here.process, 6):
        found.append(guided.predict(here.x(t), here.process.at(t), "x0"))
    return found


WORK: dict[str, Work] = {
    "process": _process,
    "sampler": _sampler,
    "loss": _loss,
    "grid": _grid,
    "dataset": _dataset,
    "metric": _metric,
    "model": _model,
    "guidance": _guidance,
}
"""Kind -> what a component of it does in a tiny run."""
