"""A run in a notebook: what it shows of itself, its report in the page, and its film."""

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from difrun.draw import Film
from difrun.errors import DifrunError
from difrun.process.gaussian import GaussianProcess
from difrun.report.card import card, embedded, frame, paragraphs
from difrun.report.verdict import text, times, verdict
from difrun.runs.report.dataset_pictures import DatasetPictures
from difrun.runs.report.standard_pictures import Vectors

if TYPE_CHECKING:
    from difrun.runs.run import Run

PICTURES = (("reverse", "Noise becomes samples."), ("samples", "Data and samples."))
"""The pictures of which a notebook shows the first that the run has, with their alternative texts."""


def html_of(run: "Run") -> str:
    """Return HTML of a run: what it is, its verdict, its metrics and its film."""
    rows = [
        (
            name,
            text(number["value"]),
            text(number["floor"]) if number.get("floor") is not None else "",
            times(number),
        )
        for name, number in run.metrics.items()
    ]
    after = paragraphs(verdict(run.metrics), run.suggestion)
    for name, alt in PICTURES:
        if run.folder.picture(name).is_file():
            after += embedded(run.folder.picture(name), alt)
            break
    return card(repr(run).strip("<>"), rows, ("metric", "value", "floor", "value / floor"), after)


@attrs.frozen
class ReportView:
    """A report that a notebook shows in a frame.

    Attributes:
        path: The file report.html.
    """

    path: Path

    def _repr_html_(self) -> str:
        return frame(self.path.read_text("utf-8"))


def show(run: "Run") -> ReportView:
    """Show report.html: a notebook shows what is returned; elsewhere the page is opened in the browser.

    Raises:
        DifrunError: If the run has no report yet.
    """
    path = run.folder.report
    if not path.is_file():
        raise DifrunError(f"{run.path} has no report yet. run.report() draws the pictures and writes it.")
    if not in_notebook():
        webbrowser.open(path.resolve().as_uri())
    return ReportView(path)


def in_notebook() -> bool:
    """Return whether the code runs in a kernel of Jupyter, which shows what a cell returns."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def animate(run: "Run") -> Film:
    """Return the film of the run's sampler, from noise to samples; a notebook plays it.

    Raises:
        DifrunError: If the data have no film.
    """
    if len(run.parts.dataset.shape) == 1 and isinstance(run.parts.process, GaussianProcess):
        return Vectors(run).reverse()[3]()
    left_out: list[str] = []
    made: dict[str, Any] = {drawing.stem: drawing.draw for drawing in DatasetPictures(run, left_out).drawings}
    film = made["reverse"]() if "reverse" in made else None
    if not isinstance(film, Film):
        why = f"dataset '{run.parts.dataset.name}' has no film" if not left_out else left_out[0]
        raise DifrunError(f"{why}. The pictures of the run are in {run.path}; run.show() shows them.")
    return film
