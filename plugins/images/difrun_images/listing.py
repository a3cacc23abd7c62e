"""The files of a folder of images: classes by subfolder, links followed, and what is left out by name."""

import os
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from difrun.errors import DifrunError
from difrun_images.decode import suffixes
from difrun_images.store import CACHE

MOST_NAMED = 10
"""Files that a sentence names; more are counted."""


@attrs.frozen(eq=False)
class Listing:
    """The images in a folder, in the order of their names.

    Attributes:
        paths: The files.
        labels: Their classes (N,), int64; 0 where there are no classes.
        classes: The names of the classes.
        notes: Sentences on files and folders that are left out.
    """

    paths: list[Path]
    labels: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...]


@attrs.define
class _Found:
    """What a walk through a folder finds, each by the parts of its path inside the folder."""

    images: list[tuple[str, ...]] = attrs.field(factory=list)
    others: list[tuple[str, ...]] = attrs.field(factory=list)
    hidden: list[tuple[str, ...]] = attrs.field(factory=list)
    broken: list[tuple[str, ...]] = attrs.field(factory=list)
    folders: list[tuple[str, ...]] = attrs.field(factory=list)


def listed(folder: Path) -> Listing:
    """List the images in a folder.

    Classes are the subfolders that hold images, at any depth; links to folders and files are followed. Hidden files and
    folders, and files of other kinds, are left out and named.

    Raises:
        DifrunError: If there is no such folder, no image in it, or images both in subfolders and beside them.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DifrunError(f"--dataset.folder {folder} {what}; expected a folder of images.")
    found = _Found()
    try:
        _walk(folder, (), found, ())
    except OSError as error:
        raise DifrunError(f"--dataset.folder {folder} cannot be read: {error.strerror}.") from None
    images = sorted(found.images)
    notes = _notes(found, images)
    if not images:
        left_out = "".join(f" {note}." for note in notes)
        raise DifrunError(
            f"--dataset.folder {folder} holds no image: no file in it or in its subfolders has a name that ends as "
            f"those of images do (.png, .jpg, .tif, .webp and all others that Pillow reads).{left_out}"
        )
    paths = [folder.joinpath(*parts) for parts in images]
    beside = [parts for parts in images if len(parts) == 1]
    if not beside:
        classes = tuple(sorted({parts[0] for parts in images}))
        numbers = {name: number for number, name in enumerate(classes)}
        return Listing(paths, np.array([numbers[parts[0]] for parts in images]), classes, notes)
    if len(beside) < len(images):
        raise DifrunError(
            f"--dataset.folder {folder} holds images beside its subfolders ({beside[0][0]}) and in them "
            f"({next('/'.join(parts) for parts in images if len(parts) > 1)}). Subfolders are classes: put every "
            "image into one, or none."
        )
    return Listing(paths, np.zeros(len(paths), dtype=np.int64), (), notes)


def _walk(folder: Path, parts: tuple[str, ...], found: _Found, above: tuple[tuple[int, int], ...]) -> None:
    """Sort the entries of a folder and of those below it; above: the folders that led here, which end a circle."""
    stat = folder.stat()
    here = stat.st_dev, stat.st_ino
    if here in above:
        found.broken.append(parts)
        return
    for entry in os.scandir(folder):
        place = (*parts, entry.name)
        if entry.name.startswith("."):
            if entry.name != CACHE:
                found.hidden.append(place)
        elif entry.is_dir():
            found.folders.append(place)
            _walk(folder / entry.name, place, found, (*above, here))
        elif not entry.is_file():  # a link to nothing, a pipe, a device
            found.broken.append(place)
        elif Path(entry.name).suffix.lower() in suffixes():
            found.images.append(place)
        else:
            found.others.append(place)


def _notes(found: _Found, images: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Sentences on what is left out."""
    filled = {parts[:depth] for parts in images for depth in range(1, len(parts))}
    empty = [parts for parts in found.folders if parts not in filled and parts not in found.broken]
    # Of a folder without images the ones inside it need no mention.
    empty = [parts for parts in empty if parts[:-1] not in empty]
    kinds = {
        ("file", "files", "without the name of an image"): found.others,
        ("hidden entry", "hidden entries", ""): found.hidden,
        ("entry", "entries", "(links to nothing or in a circle, or no files)"): found.broken,
        ("folder", "folders", "without images"): empty,
    }
    return tuple(
        f"{len(some)} {one if len(some) == 1 else several} {what}{' ' if what else ''}left out: {named(some)}"
        for (one, several, what), some in kinds.items()
        if some
    )


def named(parts: Sequence[Sequence[str]]) -> str:
    """The first of some paths, and how many more there are."""
    shown = ["/".join(each) for each in sorted(map(tuple, parts))]
    more = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return ", ".join(shown[:MOST_NAMED]) + more
