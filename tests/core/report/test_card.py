"""What a notebook shows: text is escaped, tables hold the numbers, and files are in the page."""

import base64
import math
import sys

import pytest

from difrun.data import toy
from difrun.errors import DifrunError
from difrun.model.exact import ExactMixture
from difrun.report.card import card, embedded, frame
from difrun.runs.compare.results import Comparison, ComparisonRow
from difrun.sampler import Ancestral, Heun
from difrun.testing import ReferenceVP

from .page import Page


def test_a_card_is_a_heading_and_a_table_with_every_text_escaped():
    page = Page(card("<b>", [("a & b", 1), ("c", "<script>")], ("name", "value"), after="<p>end</p>"))
    assert page.text.split() == ["<b>", "name", "value", "a", "&", "b", "1", "c", "<script>", "end"]
    assert not page.all("script")
    assert not Page(card("empty")).all("table")


def test_files_and_pages_are_in_the_html(tmp_path):
    (tmp_path / "a.png").write_bytes(b"picture")
    (image,) = Page(embedded(tmp_path / "a.png", 'the "a"')).all("img")
    assert image["alt"] == 'the "a"'
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == b"picture"
    (inner,) = Page(frame('<p class="x">hello</p>')).all("iframe")
    assert inner["srcdoc"] == '<p class="x">hello</p>'
    assert inner["sandbox"] == "allow-scripts"


def test_a_dataset_tells_numbers_and_names_and_no_tensor():
    rings = toy.rings(seed=0)
    assert repr(rings) == (
        "<Dataset 'rings': 10000 training examples of shape (2,), 10000 held out, columns x, y, classes upper, lower>"
    )
    page = Page(rings._repr_html_())
    assert "training examples 10000 held out 10000 shape (2,)" in page.text
    assert "it can be sampled and its density is known" in page.text


def test_a_process_tells_its_schedule():
    process = ReferenceVP()
    rows = [row.split() for row in Page(process._repr_html_()).rows]
    assert rows[0] == ["t", "α", "σ", "α²/σ²"]
    assert len(rows) == 7
    for t, alpha, sigma, snr in (map(float, row) for row in rows[1:]):
        at = process.at(t)
        assert (at.alpha, at.sigma) == (pytest.approx(alpha, rel=1e-3), pytest.approx(sigma, abs=2e-3))
        assert snr == pytest.approx((alpha / sigma) ** 2 if sigma else math.inf, rel=3e-3)


def test_samplers_and_models_tell_what_they_are():
    assert repr(Heun()) == "<Heun>"
    assert "order 2 evaluations in a step 2 random numbers none" in Page(Heun()._repr_html_()).text
    assert "random numbers yes" in Page(Ancestral()._repr_html_()).text
    model = ExactMixture(toy.rings(seed=0).distribution, ReferenceVP())
    text = Page(model._repr_html_()).text
    assert text.startswith("ExactMixture process ")
    assert "shape (2,)" in text


@pytest.fixture
def comparison(tmp_path):
    number = {
        "value": 0.2,
        "value_sd": 0.01,
        "floor": 0.1,
        "floor_sd": 0.01,
        "better": "lower",
        "ratio": True,
    }
    rows = [
        ComparisonRow(
            run="run",
            sampler=name,
            grid="rho",
            steps=steps,
            evaluations=2.0 * steps,
            seconds=0.5,
            metrics={"w2": number},
        )
        for name in ("heun", "euler")
        for steps in (5, 10)
    ]
    return Comparison(tmp_path, notes=["one is left out"], rows=rows)


def test_a_comparison_is_a_table(comparison):
    page = Page(comparison._repr_html_())
    assert [row.split()[:5] for row in page.rows[1:]] == [
        ["run", name, "rho", str(steps), str(2 * steps)] for name in ("heun", "euler") for steps in (5, 10)
    ]
    assert "Nearest to the floor, 2×, with 10: heun on rho (w2)." in page.text
    assert "one is left out" in page.text


def test_a_comparison_is_a_data_frame(comparison):
    import pandas

    table = comparison.frame()
    assert isinstance(table, pandas.DataFrame)
    assert table["sampler"].tolist() == ["heun", "heun", "euler", "euler"]
    assert table["w2"].tolist() == [0.2] * 4


def test_without_pandas_the_rows_are_dicts(comparison, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        DifrunError, match=r"a DataFrame needs pandas: pip install pandas\. records\(\) gives"
    ):
        comparison.frame()
    assert [row["steps"] for row in comparison.records()] == [5, 10, 5, 10]
