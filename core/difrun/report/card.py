"""What a notebook shows of an object: a heading, a small table, and what follows it."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

TYPES = {".gif": "image/gif", ".png": "image/png"}


def card(title: str, rows: Iterable[Sequence[object]] = (), head: Sequence[str] = (), after: str = "") -> str:
    """Return HTML of a heading and a table, in the notebook's own style.

    Args:
        title: The heading, as text.
        rows: The rows, each of as many cells as the others; cells are written as text.
        head: The names of the columns; empty where the first cell of a row names it.
        after: HTML below the table.

    Returns:
        The HTML.
    """
    top = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table>{top}{body}</table>" if body else ""
    return f"<div><p><b>{escape(title)}</b></p>{table}{after}</div>"


def paragraphs(*texts: str) -> str:
    """Return HTML of one paragraph for each text that is not empty."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts if text)


def embedded(picture: Path, alt: str) -> str:
    """Return HTML of a .gif or .png file, with the file in it."""
    data = base64.b64encode(picture.read_bytes()).decode()
    return (
        f'<img alt="{escape(alt)}" src="data:{TYPES[picture.suffix]};base64,{data}" style="max-width: 420px">'
    )


def frame(page: str) -> str:
    """Return HTML of a frame with a whole page in it, which may run its own scripts and nothing else."""
    return (
        f'<iframe srcdoc="{escape(page)}" sandbox="allow-scripts" style="width: 100%; height: 720px; border: 0">'
        "</iframe>"
    )
