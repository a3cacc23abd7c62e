"""Which conditions the picture of a run shows, and what stands beside the samples given them."""

import numpy as np
import pytest
import torch

from difrun.data import Condition, ConditionalMixture, Dataset, GaussianMixture, Scaling, Scene, as_dataset
from difrun.runs.report.given_pictures import PLACES, chosen_conditions, pictures_given

RANDOM = np.random.default_rng(0)
A = RANDOM.normal(size=400)


def scene(dataset, given):
    return Scene(dataset=dataset, process=None, samples=dataset.held_out, sampled=None, seed=0, given=given)


def picture(dataset, given):
    (drawing,) = pictures_given(scene(dataset, given))
    assert drawing.stem == "given"
    return drawing, drawing.draw()


def gaussian(dim, scaling=None):
    """x = (c, ..., c) + ½ε with c of variance 1, and its exact conditional N(c, ¼)."""
    cov = torch.ones(dim + 1, dim + 1) + torch.diag(torch.tensor([0.25] * dim + [0.0]))
    joint = GaussianMixture(torch.ones(1), torch.zeros(1, dim + 1), cov[None])
    rows = joint.sample(500, torch.Generator().manual_seed(0))
    x, c = rows[:, :dim].float(), rows[:, dim:].float()
    return Dataset(
        name="g",
        train=x[100:],
        held_out=x[:100],
        scaling=scaling,
        condition=Condition(c[100:], c[:100], ("c",)),
        conditional=ConditionalMixture(joint, dim),
    )


def test_the_exact_density_of_one_coordinate_is_that_in_the_users_units():
    """Units twice as wide: the density of N(2c + 5, 1) beside samples given c."""
    scaling = Scaling(torch.tensor([5.0]).double(), torch.tensor([2.0]).double())
    drawing, figure = picture(gaussian(1, scaling), lambda c: c + 0.5 * torch.randn(c.shape))
    assert "the exact p(x | c)" in drawing.caption
    assert len(figure.axes) == len(PLACES)
    for panel in figure.axes:
        c = float(panel.get_title().removeprefix("c = ").replace("−", "-"))
        x, density = panel.lines[0].get_data()
        np.testing.assert_allclose(
            density, np.exp(-((x - 2 * c - 5) ** 2) / 2) / np.sqrt(2 * np.pi), atol=0.005
        )
        values, edges, _ = panel.patches[0].get_data()
        mass = values * np.diff(edges)
        assert ((edges[1:] + edges[:-1]) / 2 * mass).sum() == pytest.approx(2 * c + 5, abs=0.15)


def test_samples_of_two_coordinates_stand_over_the_exact_density():
    dataset = gaussian(2)
    asked = []

    def given(c):
        asked.append(c)
        return c.expand(-1, 2) + 0.5 * torch.randn(len(c), 2)

    _, figure = picture(dataset, given)
    order = dataset.condition.train[:, 0].sort().values
    expected = order[[round(place * 399) for place in PLACES]]
    assert torch.equal(asked[0][::1000, 0], expected)
    for panel, c in zip(figure.axes, expected.tolist(), strict=True):
        assert np.asarray(panel.collections[0].get_offsets()).mean(0) == pytest.approx([c, c], abs=0.07)
        image = panel.images[0].get_array()
        row, column = np.unravel_index(image.argmax(), image.shape)
        left, right, bottom, top = panel.images[0].get_extent()
        peak = (
            left + (column + 0.5) * (right - left) / image.shape[1],
            bottom + (row + 0.5) * (top - bottom) / len(image),
        )
        assert peak == pytest.approx((c, c), abs=0.06)
        assert image.max() == pytest.approx(1 / (2 * np.pi * 0.25), rel=0.01)


def test_of_more_coordinates_exact_draws_are_shown():
    _, figure = picture(gaussian(4), lambda c: c.expand(-1, 4) + 0.5 * torch.randn(len(c), 4))
    for panel in figure.axes:
        c = float(panel.get_title().removeprefix("c = ").replace("−", "-"))
        data, *_, median, _ = panel.lines
        assert data.get_ydata() == pytest.approx([c] * 4, abs=0.15)
        assert median.get_ydata() == pytest.approx([c] * 4, abs=0.15)


def test_where_the_density_is_unknown_the_nearest_examples_are_shown():
    """x = 10 c: the examples beside samples given c have values near 10 c."""
    dataset = as_dataset(10 * A, condition=A, seed=1)
    drawing, figure = picture(dataset, lambda c: c)
    assert "whose condition is nearest" in drawing.caption
    c = dataset.condition.decode(chosen_conditions(dataset.condition))[:, 0]
    for panel, value in zip(figure.axes, c.tolist(), strict=True):
        values, edges, _ = panel.patches[0].get_data()
        seen = edges[:-1][values > 0]
        assert 10 * value == pytest.approx(seen.mean(), abs=3)


def test_columns_that_are_the_condition_show_the_others():
    dataset = as_dataset(np.column_stack([A, 3 * A]), columns=("a", "b"), missing="condition")

    def given(c):
        assert not c[:, 0].isnan().any()
        assert c[:, 1].isnan().all()
        return torch.cat((c[:, :1], c[:, :1]), 1)

    drawing, figure = picture(dataset, given)
    assert "Samples of the other columns given several values of a" in drawing.caption
    for panel in figure.axes:
        a = float(panel.get_title().removeprefix("a = ").replace("−", "-"))
        values, edges, _ = panel.patches[1].get_data()
        assert edges[:-1][values > 0].mean() == pytest.approx(3 * a, abs=0.5)
    assert figure.axes[-1].get_xlabel() == "b"


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((6, 5), (6, 47)), ((1, 6, 5), (6, 47)), ((3, 6, 5), (6, 47, 3)), ((6, 5, 3), (6, 47, 3))],
)
def test_images_are_drawn_as_images(shape, drawn):
    images = RANDOM.integers(0, 256, (400, *shape), dtype=np.uint8)
    _, figure = picture(as_dataset(images, condition=A), lambda c: torch.zeros(len(c), *shape))
    assert figure.axes[0].images[0].get_array().shape == drawn
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[0, :5], 0.5, atol=0.01)


def test_a_condition_of_few_values_has_few_panels_and_of_several_entries_real_rows():
    yes = (A > 0).astype(float)
    _, figure = picture(as_dataset(A, condition=yes), lambda c: c)
    assert [panel.get_title() for panel in figure.axes] == ["c = 0", "c = 1"]
    condition = as_dataset(A, condition=np.column_stack([A, -A])).condition
    rows = chosen_conditions(condition)
    assert rows[:, 0].diff().abs().gt(0.1).all()
    for row in rows:
        assert (condition.train == row).all(1).any()


def test_without_a_condition_there_is_no_such_picture():
    assert not list(pictures_given(scene(as_dataset(A), lambda c: c)))
    assert not list(pictures_given(scene(as_dataset(A, condition=A), None)))
