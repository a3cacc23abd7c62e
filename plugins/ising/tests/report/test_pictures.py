"""The pictures of lattices and strings: what they show is what was counted, for every shape and every state."""

import numpy as np
import pytest
import torch

from difrun.data import Scene
from difrun.draw import Film
from difrun.errors import DifrunError
from difrun_ising.data.lattices import SpinDataset, ising
from difrun_ising.data.strings import markov
from difrun_ising.discrete.categorical import Categorical
from difrun_ising.lattice.exact.sampling import exact_samples
from difrun_ising.lattice.exact.transfer import transfer_matrix
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising
from difrun_ising.report import curves, draw
from difrun_ising.report.pictures import spin_pictures, string_pictures


def scene_of(dataset, process):
    """A scene whose sampler is the forward path read backwards."""

    def sampled(n):
        times = torch.linspace(0, process.horizon, 5).tolist()
        return times[::-1], process.path(dataset.train[:n], times, 0).flip(0)

    return Scene(dataset=dataset, process=process, samples=dataset.held_out, sampled=sampled, seed=0)


LATTICES = {
    "square": ({}, {}),
    "rectangle": ({"size": (5, 7), "boundary": "free", "field": 0.2}, {"order": "checkerboard"}),
    "row": ({"size": (1, 16)}, {"mixing": "absorbing"}),
    "site": ({"size": (1,), "field": 0.3}, {"schedule": "flips", "steps": 4}),
    "wide": ({"size": (13, 14), "beta": 0.2}, {"mixing": 0.7}),
}


@pytest.mark.parametrize("name", LATTICES)
def test_every_lattice_has_its_pictures(name):
    options, noise = LATTICES[name]
    dataset = ising(seed=0, n=40, held_out=40, **options)
    drawn = {drawing.stem: drawing.draw() for drawing in spin_pictures(scene_of(dataset, Ising(**noise)))}
    assert set(drawn) == {"samples", "distributions", "raster", "reverse"} | (
        {"correlation"} if name != "site" else set()
    )
    film = drawn.pop("reverse")
    assert isinstance(film, Film)
    assert len(list(film.rgb())) == 5
    for figure in drawn.values():
        figure.canvas.draw()
    key = [text.get_text() for legend in drawn["raster"].legends for text in legend.get_texts()]
    assert key == (["masked"] if name == "row" else [])


def test_lattices_of_a_file_are_compared_with_real_ones():
    """Nothing is known of their couplings: no picture claims an exact distribution. Any number of axes is shown."""
    for shape in ((5, 7), (12,), (3, 2, 4)):
        x = torch.randint(0, 2, (60, *shape), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
        dataset = SpinDataset(name="mine", train=x[:30], held_out=x[30:])
        drawn = {drawing.stem: drawing.draw() for drawing in spin_pictures(scene_of(dataset, Ising()))}
        labels = [text.get_text() for text in drawn["distributions"].legends[0].get_texts()]
        assert "data, n = 30" in labels
        assert "exact distribution" not in labels
        names = [text.get_text() for text in drawn["correlation"].axes[0].get_legend().get_texts()]
        assert names == ["data, n = 30", "samples, n = 30"]


def test_strings_have_their_pictures():
    for options in ({}, {"length": 1}, {"letters": 20}):
        dataset = markov(seed=0, n=40, held_out=40, **options)
        drawn = {
            d.stem: d.draw() for d in string_pictures(scene_of(dataset, Categorical(mixing="absorbing")))
        }
        wanted = {"samples", "raster", "reverse"} | ({"transitions"} if options != {"length": 1} else set())
        assert set(drawn) == wanted


def test_a_mosaic_holds_the_lattices_in_order():
    """The first ones, row by row, unchanged, with gaps between them; masked sites differ from spins that are down."""
    x = torch.randint(-1, 2, (50, 3, 5), generator=torch.Generator().manual_seed(0)).float()
    board = draw.mosaic(draw.codes(x))
    across = (board.shape[1] + 1) // 6
    assert 2 <= across <= 8
    for k in range(min(50, across * ((board.shape[0] + 1) // 4))):
        row, column = divmod(k, across)
        tile = board[4 * row : 4 * row + 3, 6 * column : 6 * column + 5]
        back = np.where(tile == -1, 0, 2 * tile - 1)
        assert np.array_equal(back, x[k].numpy()), k
    assert (board[3::4] == -2).all()
    assert (board[:, 5::6] == -2).all()


def test_histograms_show_the_exact_distribution_and_the_shares():
    """8x8, β = 0.35, free: the line is P(M) and P(E) of the transfer matrix, summed over the values of a bin, and the
    points sum to 1; the total variation in the title is that of the metric, the band that of the binomial
    distribution."""
    lattice = Lattice(8, 8, 0.35, periodic=False)
    matrix = transfer_matrix(lattice)
    x = exact_samples(lattice, 1000, torch.Generator().manual_seed(0))
    figure = curves.distributions(x, lattice)
    pairs = (
        (matrix.magnetisation_distribution, lattice.magnetisation(x), 1),
        (matrix.bond_distribution, lattice.bond_sum(x), -1),
    )
    for axes, ((values, p), seen, sign) in zip(figure.axes, pairs, strict=True):
        band, line = (patch.get_data() for patch in axes.patches)
        edges = line.edges
        assert np.allclose(np.diff(edges), edges[1] - edges[0])
        places = sign * values.numpy() / 64
        for low, high, height, top in zip(edges, edges[1:], line.values, band.values, strict=False):
            inside = p.numpy()[(places > low) & (places < high)].sum()
            assert height == pytest.approx(inside, abs=1e-12)
            assert top == pytest.approx(inside + 2 * (inside * (1 - inside) / 1000) ** 0.5, abs=1e-12)
        (points,) = (line for line in axes.lines if line.get_marker() == "o")
        assert points.get_ydata().sum() == pytest.approx(1, abs=1e-9)
        mean = (points.get_xdata() * points.get_ydata()).sum()
        assert mean == pytest.approx(sign * seen.mean().item() / 64, abs=edges[1] - edges[0])
        share = torch.stack([(seen == value).double().mean() for value in values])
        distance = 0.5 * (share - p).abs().sum().item()
        assert axes.get_title().startswith(f"total variation {distance:.3f}")


def test_transitions_are_those_of_the_chain():
    """One string 1 1 2: half of the letters 1 stay."""
    string = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1]]), 2).float()
    figure = curves.transitions(string, string)
    assert np.allclose(figure.axes[0].images[0].get_array(), [[0.5, 0.5], [0, 0]])
    assert np.allclose(figure.axes[2].images[0].get_array(), 0)


def test_what_cannot_be_drawn_is_said():
    one = torch.ones(30, 1, 1)
    with pytest.raises(DifrunError, match="one site has no correlation"):
        curves.correlations(one, Lattice(1, 1, 0.3))
    wide = torch.ones(30, 14, 14)
    with pytest.raises(DifrunError, match="give real lattices"):
        curves.distributions(wide, Lattice(14, 14, 0.3))
    with pytest.raises(DifrunError, match="give real lattices"):
        curves.correlations(wide, Lattice(14, 14, 0.3))
    with pytest.raises(DifrunError, match="must agree"):
        draw.lattices(wide, one)
    with pytest.raises(DifrunError, match="no transitions"):
        curves.transitions(torch.ones(5, 1, 3), torch.ones(5, 1, 3))
