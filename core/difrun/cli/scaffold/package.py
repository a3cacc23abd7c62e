"""The files of a new plugin, rendered from templates and written as a whole or not at all."""

import datetime
import json
import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from difrun import __version__
from difrun.cli.scaffold.names import Names
from difrun.errors import ConfigError, DifrunError
from difrun.storage.atomic import advice

_HIDDEN = {"github": ".github", "gitignore": ".gitignore"}
"""Names that templates have without their dot, because packaging tools leave out what is hidden."""


def files_of(names: Names, author: str = "", summary: str = "") -> dict[str, str]:
    """Return the files of a new plugin: path in its folder -> text.

    Args:
        names: What it is called.
        author: Who has written it, for the licence; empty: its authors.
        summary: What it does, in one line; empty: what the templates do.

    Raises:
        ConfigError: If the author or the summary is not one line of text, or the summary is too short or too long.
    """
    summary = summary.strip().removesuffix(".") or names.of_kind.summary
    if not summary.isprintable() or not 8 <= len(summary) <= 110:
        raise ConfigError(
            "The summary is one line of 8 to 110 printable characters that says what the plugin does."
        )
    author = author.strip() or f"The {names.dist} authors"
    if not author.isprintable() or len(author) > 200:
        raise ConfigError("The author is one line of at most 200 printable characters.")
    environment = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {"quoted": _quoted, "in_docstring": lambda text: _quoted(text)[1:-1]}
    values = _values(names, author, summary)
    root = resources.files(__package__).joinpath("templates")
    files = {}
    for folder in ("common", names.kind.replace("-", "_")):
        for path, template in _templates(root.joinpath(folder)):
            files[_placed(path, names)] = environment.from_string(template).render(values)
    return files


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files into a new folder, all of them or none.

    Raises:
        ConfigError: If the folder exists, or the one that is to hold it does not.
        DifrunError: If it cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise ConfigError(f"{folder} exists already: choose another folder with --out, or another name.")
    if not folder.parent.is_dir():
        raise ConfigError(f"There is no folder {folder.parent} to put {folder.name} into: make it first.")
    part = None
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for path, text in files.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).write_text(text, encoding="utf-8", newline="\n")
        part.chmod(0o777 & ~_umask())  # mkdtemp made it private
        part.rename(folder)
    except OSError as error:
        raise DifrunError(
            f"Cannot write {folder}: {error.strerror or error}. {advice(error)}".rstrip()
        ) from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _values(names: Names, author: str, summary: str) -> dict[str, Any]:
    """What the templates may name."""
    kind = names.of_kind
    major, minor = __version__.split(".")[:2]
    core, following = f"{major}.{minor}", f"{major}.{int(minor) + 1}"
    return {
        "author": author,
        "year": datetime.date.today().year,
        "name": names.name,
        "dist": names.dist,
        "package": names.package,
        "module": kind.module,
        "object": names.object,
        "options": names.options,
        "summary": summary,
        "kind_in_words": names.kind.replace("-", " "),
        "example": kind.command.format(name=names.name),
        "what_it_shows": textwrap.fill(kind.outcome.format(name=names.name), 110),
        "has_options": kind.component != "",
        "dependencies": sorted([f"difrun>={core},<{following}", *kind.needs]),
        "core": core,
        "next_core": following,
    }


def _templates(folder: Traversable, inside: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{inside}{entry.name}"
        if entry.is_dir():
            yield from _templates(entry, f"{path}/")
        elif path.endswith(".j2"):
            yield path.removesuffix(".j2"), entry.read_text(encoding="utf-8")


def _placed(path: str, names: Names) -> str:
    """Where the file of a template stands in the new folder."""
    first, *rest = path.split("/")
    first = names.package if first == "package" else _HIDDEN.get(first, first)
    return "/".join([first, *rest])


def _quoted(value: Any) -> str:
    """A text or a list of texts as TOML and Python write it, which is as JSON does."""
    return json.dumps(value, ensure_ascii=False)
