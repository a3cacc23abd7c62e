"""The IDX files of MNIST: a header with the shape, then bytes."""

import gzip
import math
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np

from difrun.errors import DifrunError
from difrun.storage.regular import memory, read_bounded, size

FILES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
"""The files of a folder; each may end in .gz, and have a dot before idx."""

WHERE = (
    "They come from the MNIST pages (yann.lecun.com/exdb/mnist) and their mirrors; Fashion-MNIST and KMNIST have files "
    "of the same names."
)


def read_mnist(folder: Path) -> dict[str, np.ndarray]:
    """Read the four arrays of `FILES`.

    Args:
        folder: The folder of the files.

    Returns:
        The arrays of bytes, by their names in `FILES`: images (n, rows, columns) and labels (n,).

    Raises:
        DifrunError: If there is no such folder, files are missing (all of them are named), truncated or not IDX files,
            or the numbers of images and labels differ.
    """
    if not folder.is_dir():
        raise DifrunError(f"--dataset.folder {folder}: there is no such folder. {_wanted()}")
    paths = {what: _find(folder, name) for what, name in FILES.items()}
    missing = [FILES[what] for what, path in paths.items() if path is None]
    if missing:
        raise DifrunError(f"--dataset.folder {folder} lacks {', '.join(missing)}. {_wanted()}")
    arrays = {what: read_idx(path, 3 if "images" in what else 1) for what, path in paths.items() if path}
    for part in ("train", "test"):
        images, labels = arrays[f"{part} images"], arrays[f"{part} labels"]
        if len(images) != len(labels):
            raise DifrunError(
                f"{paths[f'{part} images']} holds {len(images)} images, {paths[f'{part} labels']} {len(labels)} "
                "labels; they do not belong together."
            )
    return arrays


def _wanted() -> str:
    return f"The files are {', '.join(FILES.values())}, each as it is or gzipped (.gz). {WHERE}"


def _find(folder: Path, name: str) -> Path | None:
    """The file in the folder, or in MNIST/raw below it, where torchvision puts it."""
    for place in (folder, folder / "raw", folder / "MNIST" / "raw"):
        for written in (name, name.replace("-idx", ".idx")):
            for path in (place / written, place / f"{written}.gz"):
                if path.is_file():
                    return path
    return None


def read_idx(path: Path, axes: int) -> np.ndarray:
    """Read an array of bytes from an IDX file, gzipped or not.

    Args:
        path: The file.
        axes: The number of axes that the array must have.

    Returns:
        The array.

    Raises:
        DifrunError: If the file cannot be read, is not an IDX file of bytes with these axes, or its length is not that
            of its header.
    """
    data = _contents(path)
    start, magic = 4 + 4 * axes, bytes((0, 0, 8, axes))
    if len(data) < start and data and magic.startswith(data[:4]):
        raise DifrunError(
            f"file '{path}' is truncated: its header alone takes {start} bytes; found {len(data)}. Fetch it again."
        )
    if data[:4] != magic:
        raise DifrunError(
            f"file '{path}' is not an IDX file of bytes with {axes} {'axis' if axes == 1 else 'axes'}: it begins with "
            f"{data[:4].hex(' ') or 'nothing'}; expected 00 00 08 0{axes}."
        )
    shape = tuple(int(size) for size in np.frombuffer(data[4:start], dtype=">u4"))
    expected = start + math.prod(shape)
    if len(data) != expected:
        raise DifrunError(
            f"file '{path}' is {'truncated' if len(data) < expected else 'too long'}: its header says "
            f"{'x'.join(map(str, shape))}, which takes {expected} bytes; found {len(data)}. Fetch it again."
        )
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def _contents(path: Path) -> bytes:
    """The bytes of a file, decompressed if it is gzipped."""
    try:
        data = read_bounded(path, memory())
    except OSError as error:
        raise DifrunError(f"file '{path}' cannot be read: {error.strerror}.") from None
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        most = max(
            2**28, 64 * len(data)
        )  # images compress a few times; a file that claims more is made to fill memory
        with gzip.GzipFile(fileobj=BytesIO(data)) as file:
            expanded = file.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DifrunError(
            f"file '{path}' ({len(data)} bytes) is a damaged or truncated gzip file: {str(error).rstrip('.')}. "
            "Fetch it again."
        ) from None
    if len(expanded) > most:
        raise DifrunError(
            f"file '{path}' ({len(data)} bytes) expands to more than {size(most)}. Fetch it again."
        )
    return expanded
