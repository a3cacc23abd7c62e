"""Draw the pictures of a run and write its report."""

from pathlib import Path
from typing import TYPE_CHECKING

from difrun.runs.report import standard_pictures
from difrun.runs.report.content import write_report

if TYPE_CHECKING:
    from difrun.runs.run import Run


def draw_and_write(run: "Run", redraw: bool) -> Path:
    """Write report.html and return its path; redraw: draw the pictures in the folder again."""
    run.listener.stage("draw")
    left_out: list[str] = []
    return write_report(run, standard_pictures.draw_all(run, redraw=redraw, left_out=left_out), left_out)
