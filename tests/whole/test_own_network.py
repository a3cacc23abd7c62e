"""The page on a network of one's own: its code runs, and what it makes is right."""

import re
from pathlib import Path

import pytest

import difrun
from difrun.errors import DifrunError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-network.md"
SCRIPT = PAGE.parent / "own_network_page.py"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the blocks of the page make, run one after the other as a reader would paste them."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_page_is_the_script_that_mypy_checks():
    docstring, *written = SCRIPT.read_text(encoding="utf-8").split("\n")
    assert docstring.startswith('"""')
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    lines = [[line for line in part if line.strip()] for part in (written, blocks.split("\n"))]
    assert lines[0] == lines[1], f"the page has changed: put its blocks into {SCRIPT.name}"


def test_about_ten_lines_do_everything(page):
    block = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len([line for line in block.splitlines() if line]) <= 10


def test_samples_are_those_of_the_data(page):
    """30 % of the data are at −1.5, the rest at 1, with the standard deviations 0.2 and 0.5; a small network smears
    them a little."""
    for name in ("samples", "few"):
        x = page[name]
        left = x[:, 0] < -0.3
        assert left.double().mean().item() == pytest.approx(0.3, abs=0.08), name
        assert x[left, 0].mean().item() == pytest.approx(-1.5, abs=0.2), name
        assert x[~left, 0].mean().item() == pytest.approx(1.0, abs=0.15), name
        assert x[:, 1].std().item() == pytest.approx(0.5, rel=0.15), name


def test_it_is_compared_and_measured(page):
    rows = page["table"].rows
    assert [row.sampler for row in rows] == ["adams", "heun"]
    measured = page["measured"]["sliced-w2"]
    assert measured["value"] < 3 * measured["floor"] + 0.1, measured
    # Per example, log p of the mixture is −1.1 on average; a small network comes near it.
    assert page["log_p"].mean().item() == pytest.approx(-1.1, abs=0.4)


def told(page, predicts):
    """What `wrap` says when the network of the page is read so."""
    with pytest.raises(DifrunError) as raised:
        difrun.wrap(page["net"], page["process"], (2,), predicts, "index", integer=True, data=page["data"])
    return str(raised.value)


def test_a_wrong_reading_is_refused_in_the_words_of_the_page(page):
    """Its numbers too, but for what another processor makes of the training."""
    (quoted,) = re.findall(r"```\n(the network does not denoise.*?)\n```", PAGE.read_text("utf-8"), re.DOTALL)
    number = r"[\d.]+(?=×)"
    said = told(page, "x0")
    assert re.sub(number, "R", said) == re.sub(number, "R", " ".join(quoted.split()))
    numbers = [[float(text) for text in re.findall(number, words)] for words in (said, quoted)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.25)


@pytest.mark.parametrize("predicts", ["v", "straight", "score", "edm"])
def test_readings_that_denoise_a_little_are_refused_too(page, predicts):
    assert re.search(r"read as predicts='noise', time='index'", told(page, predicts), re.IGNORECASE)


def test_the_network_is_left_as_it_was(page):
    net = page["net"]
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
