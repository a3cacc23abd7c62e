"""Small pieces of text for messages."""

import difflib
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

MOST_OF_AN_ERROR = 1000
"""The most characters of the text of an error that a message repeats."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is closest to a misspelt one, or None if none is close."""
    if len(word) > 100:  # comparing takes time, and nothing known is as long
        return None
    plain = {name.lower().replace("_", "-"): name for name in known}
    # If two letters of a short word are swapped, only half of it still matches.
    cutoff = 0.5 if len(word) <= 3 else 0.6
    word = word.lower().replace("_", "-")
    close = difflib.get_close_matches(word, plain, n=5, cutoff=cutoff)
    # Of several that are as close, the first in the alphabet.
    likeness = [difflib.SequenceMatcher(None, name, word).ratio() for name in close]
    return plain[min(zip((-ratio for ratio in likeness), close, strict=True))[1]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'ising'?`` for the closest known word, or an empty text if none is close."""
    guess = closest(word, known)
    return "" if guess is None else f" Did you mean '{guess}'?"


def listed(words: Iterable[str], last: str = ", ") -> str:
    """Join words to ``a, b, c``, or with `last` = " or " to ``a, b or c``."""
    items = list(words)
    return ", ".join(items) if len(items) < 2 else ", ".join(items[:-1]) + last + items[-1]


def few(words: Sequence[str]) -> str:
    """Join the first words of many: ``a, b, c, d, e, and 7 more``; all of them if they are at most six."""
    return listed(words if len(words) <= 6 else [*words[:5], f"and {len(words) - 5} more"])


def clipped(text: str, most: int = 100) -> str:
    """Cut what goes on for pages: the first characters, and how many there are."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def described(value: object) -> str:
    """Return a value in one line of bounded length: an array by its type and shape, others as Python writes them."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if dtype is not None and isinstance(shape, tuple) and shape and not isinstance(value, type):
        return f"{type(value).__name__} of {dtype} with shape {tuple(shape)}"
    try:
        return clipped(" ".join(repr(value).split()))
    except Exception:  # the text of an object is the work of its class
        return f"an object of {type(value).__name__}"


def plural(kind: str) -> str:
    """Return the plural of a kind: ``process`` -> ``processes``."""
    return kind + ("es" if kind.endswith("s") else "s")


def counted(count: int, what: str) -> str:
    """``1 check``, ``2 checks``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def quoted(path: Path | str) -> str:
    """Quote a path for a shell, if it contains characters that the shell would interpret."""
    return shlex.quote(str(path))


def in_one_line(error: BaseException) -> str:
    """Return ``ImportError: no module named x``, whatever the text of the error is and whether it has one."""
    try:
        text = str(error)
    except BaseException:  # the text is the work of whoever raises
        text = "(its text cannot be shown)"
    text = clipped(" ".join(text.split()), MOST_OF_AN_ERROR)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
