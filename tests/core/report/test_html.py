"""The report holds what it was given, reaches for nothing outside itself, and is written whole."""

import base64
import os

import numpy as np
import pytest

from difrun import draw
from difrun.errors import DifrunError
from difrun.report import html
from difrun.report.html import Picture, ReportContext

from .page import Page

NASTY = "</code></pre><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(size=(4, 20, 2)), axis=0)
    return {
        "still": draw.save(draw.data_and_samples(path[0], path[1]), folder / "still.png"),
        "film": draw.save(draw.forward_animation(path, range(4)), folder / "film.gif"),
        "loss": draw.save(draw.loss_curve([1, 2], [2.0, 1.0]), folder / "loss.png"),
    }


@pytest.fixture
def context(pictures):
    return ReportContext(
        title="Ornstein–Uhlenbeck <on> rings",
        headline={"process": "ou", "sampler": "heun"},
        summary=["dX = θ(μ − X) dt + σ dW"],
        metrics={
            "sliced-w2": {
                "value": 0.0246,
                "value_sd": 0.00123,
                "floor": 0.0205,
                "floor_sd": 0.001,
                "n": 10000,
            },
            "energy": {"value": 3.1e-5, "floor": -2e-6, "floor_sd": 4e-5},
            "plain": {"value": 0.5},
        },
        metric_notes={"sliced-w2": "Distance between the samples & the data"},
        signal={"signal-to-noise ratio at T": 1.45533, "prior": "moment-matched"},
        warnings=[f"careful: {NASTY}"],
        pictures=[
            Picture("Data and samples", "All of them", pictures["still"], 'rings, "twice"'),
            Picture("Forward", "Data turn into noise", pictures["film"]),
        ],
        training_pictures=[Picture("Loss", "It falls", pictures["loss"])],
        training={"steps": 20000, "final loss": 0.40213},
        sampling={"network evaluations": 63},
        config_text=NASTY,
        versions={"difrun": "0.1.0"},
        commands=["difrun run --config run.toml", "difrun sample . --n 100"],
    )


def test_nothing_is_fetched_from_outside(context):
    page = Page(html.render(context))
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert (attrs.get(name) or "data:").startswith("data:"), (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")]
    assert not page.all("script")
    assert not page.all("iframe")
    text = html.render(context)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "http:" not in text
    assert "https:" not in text
    (policy,) = [attrs for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy["content"]


def test_every_picture_is_inside_byte_for_byte(context, pictures):
    images = Page(html.render(context)).all("img")
    assert len(images) == 3
    for image, name in zip(images, ("still", "film", "loss"), strict=True):
        head, _, code = image["src"].partition(",")
        assert head == f"data:image/{'gif' if name == 'film' else 'png'};base64"
        assert base64.b64decode(code, validate=True) == pictures[name].read_bytes()
        assert image["alt"]
    assert images[0]["alt"] == 'rings, "twice"'
    assert images[1]["alt"] == "Data turn into noise"
    # A figure is shown at its size in inches, 96 CSS pixels each, whatever its resolution.
    pixels = int.from_bytes(pictures["still"].read_bytes()[16:20], "big")
    assert int(images[0]["width"]) == pytest.approx(pixels * 96 / 160, abs=1)
    assert images[1]["width"] == "440"


def test_text_is_escaped(context):
    text = html.render(context)
    page = Page(text)
    assert "<script" not in text
    assert page.code[1] == NASTY
    assert page.code[0] == "difrun run --config run.toml\ndifrun sample . --n 100"
    assert f"careful: {NASTY}" in page.text
    assert page.all("h1")
    assert "Ornstein–Uhlenbeck <on> rings" in page.text


def test_the_page_says_what_it_was_given(context):
    page = Page(html.render(context))
    assert (
        "The samples are close to real data, but can be told from them: sliced-w2 is 0.025, 1.2× its floor 0.021. Not "
        "distinguishable from its floor: energy." in page.text
    )
    assert (
        "sliced-w2 Distance between the samples & the data 0.0246 ± 0.0012 0.0205 ± 0.001 1.2× 10 000"
        in page.text
    )
    assert "energy 3.1·10⁻⁵ −2·10⁻⁶ ± 4·10⁻⁵" in page.text
    assert "metric value floor value / floor n sliced-w2" in page.text
    assert "Best is a value equal to its floor. n: how many samples were compared." in page.text
    assert "n: how many samples were compared." in page.text
    assert "signal-to-noise ratio at T 1.455" in page.text
    assert "20\u202f000" in page.texts
    headings = [
        text for text in page.texts if text in ("Warnings", "Metrics", "The process", "Pictures", "Training")
    ]
    assert headings == ["Warnings", "Metrics", "The process", "Pictures", "Training"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert {"name": "color-scheme", "content": "light dark"} in page.all("meta")


def test_where_no_metric_says_how_many_samples_there_is_no_such_column():
    page = Page(html.render(ReportContext(title="x", metrics={"m": {"value": 0.5, "floor": 0.25}})))
    assert "metric value floor value / floor m 0.5 0.25 2×" in page.text
    assert "n:" not in page.text


def test_exact_values_have_a_column_where_there_is_one():
    number = {"value": 2.5, "value_sd": 0.125, "floor": 2.0, "floor_sd": 0.125}
    page = html.render(ReportContext(title="t", metrics={"a": {**number, "exact": 2.25}, "b": number}))
    assert '<th scope="col" class="number">exact</th>' in page
    assert page.count('data-label="exact"') == 2
    assert 'data-label="exact">2.25</td>' in page
    assert 'data-label="exact">' not in html.render(ReportContext(title="t", metrics={"b": number}))


def test_empty_parts_are_left_out():
    page = Page(html.render(ReportContext(title="nothing yet")))
    assert not page.all("section")
    assert not page.all("img")
    assert "nothing yet" in page.text


TOLD = "The samples can be told from real data"
CLOSE = "The samples are close to real data, but can be told from them"
ALIKE = "The samples cannot be told from real data"


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ({"value": 0.024, "floor": 0.02, "floor_sd": 0.001}, f"{CLOSE}: m is 0.024, 1.2× its floor 0.02."),
        (
            {"value": 0.0219, "floor": 0.02, "floor_sd": 0.001},
            f"{ALIKE}: m is 0.022, 1.1× its floor 0.02. It would show a difference above 1.1× its floor.",
        ),
        (
            {"value": 0.024, "value_sd": 0.0018, "floor": 0.02, "floor_sd": 0.001},  # 2 hypot = 0.00412
            f"{ALIKE}: m is 0.024, 1.2× its floor 0.02. It would show a difference above 1.21× its floor.",
        ),
        (
            {"value": 0.024, "value_sd": 0.0017, "floor": 0.02, "floor_sd": 0.001},
            f"{CLOSE}: m is 0.024, 1.2× its floor 0.02.",
        ),
        (
            {"value": 0.024, "value_sd": 0.0021, "floor": 0.02},
            f"{ALIKE}: m is 0.024, 1.2× its floor 0.02. It would show a difference above 1.21× its floor.",
        ),
        ({"value": 0.024, "floor": 0.02}, f"{CLOSE}: m is 0.024, 1.2× its floor 0.02."),
        ({"value": 5.0, "floor": 0.02, "floor_sd": 0.001}, f"{TOLD}: m is 5, 250× its floor 0.02."),
        (
            {"value": 0.5, "floor": -0.1, "floor_sd": 0.1},
            f"{TOLD}: m is 0.5, 6 standard deviations above its floor −0.1.",
        ),
        ({"value": 0.5, "floor": None}, "m is 0.5."),
        ({"value": float("nan"), "floor": 0.1}, "m: not a finite number. Look at the samples."),
    ],
)
def test_the_verdict(metric, sentence):
    assert html.verdict({"m": metric, "other": {"value": 1.0}}) == sentence
    page = Page(html.render(ReportContext(title="x", metrics={"m": metric})))
    assert sentence in page.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0213456, "0.02135"),
        (-1.5, "−1.5"),
        (3.14e-7, "3.14·10⁻⁷"),
        (-2e12, "−2·10¹²"),
        (1234567, "1\u202f234\u202f567"),
        (True, "True"),
        (float("-inf"), "−∞"),
        (float("nan"), "not a number"),
        ("as it is", "as it is"),
    ],
)
def test_numbers_are_written_for_people(value, text):
    assert html.number(value) == text


def test_the_file_is_written_whole_or_the_old_one_stays(context, tmp_path, monkeypatch):
    path = html.write(tmp_path, context)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == html.render(context)
    before = path.read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DifrunError, match=r"Cannot write .*report\.html .*No space.*earlier file is intact"):
        html.write(tmp_path, ReportContext(title="new"))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    text = tmp_path / "picture.png"
    text.write_text("not a picture")
    for path, words in ((text, "is not a picture"), (tmp_path / "gone.png", "cannot read the picture")):
        with pytest.raises(DifrunError, match=f"{path.name}.*|{words}") as caught:
            html.write(tmp_path, ReportContext(title="x", pictures=[Picture("a", "b", path)]))
        assert words in str(caught.value)
        assert str(path) in str(caught.value)
    assert not (tmp_path / "report.html").exists()
