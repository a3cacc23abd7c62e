"""The picture of samples given several values of the condition, for every dataset that has one."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun import draw
from difrun.data.condition import Condition
from difrun.data.scene import Drawing, Scene
from difrun.runs.report.images import as_images

PLACES = (0.05, 0.35, 0.65, 0.95)
"""Which values of the condition are shown, as quantiles of those of the training examples."""

POINTS, IMAGES = 1000, 8
"""Samples for each value; of images fewer, all of which are shown."""

FEWEST_NEAR, MOST_NEAR, SHARE_NEAR = 20, 400, 0.05
"""How many training examples with a condition nearby are shown, where p(x | c) is not known."""


def pictures_given(scene: Scene) -> Iterator[Drawing]:
    """The picture of samples given several conditions; none if data or model have no condition."""
    condition = scene.dataset.condition
    if condition is None or scene.given is None:
        return
    exact = _is_exact(scene)
    caption = (
        "Samples of the model given several values of the condition, with the exact p(x | c)."
        if exact
        else "Samples of the model given several values of the condition, and the training examples whose condition is "
        "nearest to it. These have other conditions as well, so that they are a little wider."
    )
    if condition.completes:
        name = _names(condition)[0]
        caption = (
            f"Samples of the other columns given several values of {name}, and the training examples in which {name} "
            "is nearest to it."
        )
    yield Drawing(
        "given",
        "Samples given a condition",
        caption,
        "Panels with samples for several values of the condition.",
        lambda: _drawn(scene, condition),
    )


def _is_exact(scene: Scene) -> bool:
    condition = scene.dataset.condition
    return scene.dataset.conditional is not None and condition is not None and not condition.completes


def chosen_conditions(condition: Condition) -> Tensor:
    """Return several conditions of training examples, spread over all of them, (k, *shape).

    Of a single entry these are quantiles; of several, conditions at the quantiles of their first principal component.
    Where the columns of x are the condition, the first one is known and the others are not.
    """
    flat = condition.train.flatten(1)
    along = flat[:, 0]
    if flat.shape[1] > 1 and not condition.completes:
        centred = (flat - flat.mean(0)).double()
        axis = torch.linalg.eigh(centred.T @ centred)[1][:, -1]
        along = centred @ (axis * axis[axis.abs().argmax()].sign())
    order = along.argsort()
    rows = flat[order[[round(place * (len(order) - 1)) for place in PLACES]]]
    if condition.completes:
        rows = torch.cat((rows[:, :1], torch.full_like(rows[:, 1:], torch.nan)), dim=1)
    distinct = [
        k
        for k, row in enumerate(rows)
        if not any(torch.equal(row.nan_to_num(), rows[j].nan_to_num()) for j in range(k))
    ]
    return rows[distinct].reshape(len(distinct), *condition.shape)


@attrs.frozen
class _View:
    """How examples are drawn: as images, or as some coordinates in some units."""

    names: tuple[str, ...] | None
    show: Callable[[Tensor], np.ndarray]
    as_images: bool = False
    unit: str = ""


def _view(scene: Scene) -> _View:
    dataset = scene.dataset
    kept = slice(1, None) if dataset.condition is not None and dataset.condition.completes else slice(None)
    side = as_images(dataset.shape)
    if side is not None:
        return _View(None, lambda x: side(dataset.decode(x).numpy()), as_images=True)
    names = dataset.columns[kept] or None
    # Columns of a table have units of their own, which one axis cannot have; a series has one unit.
    if names is not None and len(names) > 2:
        return _View(names, lambda x: x.flatten(1)[:, kept].numpy(), unit="scaled" if dataset.scaling else "")
    return _View(names, lambda x: dataset.decode(x).flatten(1)[:, kept].numpy())


def _drawn(scene: Scene, condition: Condition) -> Any:
    assert scene.given is not None
    view, rows = _view(scene), chosen_conditions(condition)
    n = IMAGES if view.as_images else POINTS
    samples = scene.given(rows.repeat_interleave(n, dim=0)).cpu()
    given = []
    for k, row in enumerate(rows):
        data, density = _known(scene, condition, row, view)
        given.append(
            draw.Given(
                _title(condition, row),
                view.show(samples[k * n : (k + 1) * n]),
                None if data is None else view.show(data[: IMAGES // 2] if view.as_images else data),
                density,
            )
        )
    data_name = "exact draws" if _is_exact(scene) else "data with c nearby"
    if view.as_images:
        return draw.images_given(given, data_name=data_name)
    return draw.samples_given(given, view.names, data_name=data_name, unit=view.unit)


def _known(
    scene: Scene, condition: Condition, row: Tensor, view: _View
) -> tuple[Tensor | None, Callable[[np.ndarray], Any] | None]:
    """What is known of x given a condition: real examples, or its exact density."""
    dataset = scene.dataset
    if not _is_exact(scene) or dataset.conditional is None:
        return _nearby(dataset.train, condition, row), None
    exact, scaling = dataset.conditional, dataset.scaling
    if view.as_images or dataset.train[0].numel() > 2:
        draws = exact.sample(row.flatten().expand(POINTS, -1), scene.generator("given"))
        return draws.float().reshape(POINTS, *dataset.shape), None
    scale = 1.0 if scaling is None else float(scaling.scale.prod())

    def density(points: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(points)
        if scaling is not None:
            x = scaling.encode(x.reshape(-1, *dataset.shape)).flatten(1)
        return exact.log_prob(x, row.flatten().expand(len(x), -1)).exp().numpy() / scale

    return None, density


def _nearby(train: Tensor, condition: Condition, row: Tensor) -> Tensor:
    """The training examples whose condition is nearest to one, in the units of the model."""
    known = ~row.flatten().isnan()
    gap = condition.train.flatten(1)[:, known] - row.flatten()[known]
    count = min(max(FEWEST_NEAR, round(SHARE_NEAR * len(train))), MOST_NEAR, len(train))
    return train[gap.square().sum(1).argsort()[:count]]


def _names(condition: Condition) -> tuple[str, ...]:
    if condition.columns:
        return condition.columns
    what = "column" if condition.completes else "c"
    if condition.size == 1:
        return ("c",)
    return tuple(f"{what} {j + 1}" for j in range(condition.size))


def _title(condition: Condition, row: Tensor) -> str:
    """What is given, in the user's units."""
    values, names = condition.decode(row[None])[0].flatten(), _names(condition)
    if condition.scaling is not None:  # in 32 bits, 0 comes back as ±1e-8
        values = torch.where(values.abs() < 1e-6 * condition.scaling.scale.flatten(), 0.0, values)
    shown = [
        f"{name} = {float(value):.3g}".replace("= -", "= −")
        for name, value in zip(names, values, strict=True)
        if not value.isnan()
    ]
    return ", ".join(shown[:2]) + (", ..." if len(shown) > 2 else "")
