"""What a dataset shows of itself, in one line and in a notebook."""

from typing import TYPE_CHECKING

from difrun.report.card import card, paragraphs
from difrun.text import few, listed

if TYPE_CHECKING:
    from difrun.data.dataset import Dataset


def one_line(dataset: "Dataset") -> str:
    """Return ``<Dataset 'rings': 10000 training examples of shape (2,), 10000 held out, columns x, y>``."""
    parts = [
        f"{len(dataset.train)} training examples of shape {dataset.shape}",
        f"{len(dataset.held_out)} held out",
    ]
    parts += [f"{name} {value}" for name, value in _names(dataset) if value]
    return f"<Dataset '{dataset.name}': {', '.join(parts)}>"


def as_html(dataset: "Dataset") -> str:
    """Return a table of what the dataset holds and what is known of its distribution, and its notes."""
    known = []
    if dataset.fresh is not None:
        known.append("it can be sampled")
    if dataset.distribution is not None or dataset.log_density is not None:
        known.append("its density is known")
    rows = [
        ("training examples", len(dataset.train)),
        ("held out", len(dataset.held_out)),
        ("shape", dataset.shape),
        *_names(dataset),
        ("scaling", "" if dataset.scaling is None else dataset.scaling.kind),
        ("distribution", listed(known, " and ")),
    ]
    return card(
        f"Dataset '{dataset.name}'", [row for row in rows if row[1]], after=paragraphs(*dataset.notes)
    )


def _names(dataset: "Dataset") -> list[tuple[str, str]]:
    """The names of columns, classes and conditions, where there are any, each as one text."""
    condition = "" if dataset.condition is None else f"of shape {dataset.condition.shape}"
    return [
        ("columns", few(dataset.columns)),
        ("classes", few(dataset.classes)),
        ("condition", condition),
    ]
