"""Small pieces of text for messages."""

import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path

PLURALS = {"process": "processes", "loss": "losses"}


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is closest to one that is perhaps misspelt; None if none is close."""
    plain = {name.lower().replace("_", "-"): name for name in known}
    # Two swapped letters of a short word: half of it still matches.
    cutoff = 0.5 if len(word) <= 3 else 0.6
    close = difflib.get_close_matches(word.lower().replace("_", "-"), plain, n=1, cutoff=cutoff)
    return plain[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'ising'?`` for the closest known word; empty if none is close."""
    guess = closest(word, known)
    return "" if guess is None else f" Did you mean '{guess}'?"


def listed(words: Iterable[str], last: str = ", ") -> str:
    """``a, b, c``, or ``a, b or c`` with `last` = " or "."""
    items = list(words)
    return ", ".join(items) if len(items) < 2 else ", ".join(items[:-1]) + last + items[-1]


def plural(kind: str) -> str:
    """``process`` -> ``processes``."""
    return PLURALS.get(kind, kind + "s")


def quoted(path: Path | str) -> str:
    """A path as a shell takes it: quoted where it holds a space or another sign that the shell would read."""
    return shlex.quote(str(path))
