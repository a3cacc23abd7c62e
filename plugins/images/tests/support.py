"""Images and files that the tests make."""

import gzip
import struct

import numpy as np
from PIL import Image


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_idx(path, array):
    """An IDX file of bytes, gzipped where its name says so."""
    data = (
        struct.pack(">BBBB", 0, 0, 8, array.ndim)
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def mnist_files(folder, train=40, test=10, side=6, zipped=()):
    """The four files, and their arrays."""
    folder.mkdir(exist_ok=True)
    arrays = {
        "train-images-idx3-ubyte": pixels(0, train, side, side),
        "train-labels-idx1-ubyte": np.arange(train, dtype=np.uint8) % 3,
        "t10k-images-idx3-ubyte": pixels(1, test, side, side),
        "t10k-labels-idx1-ubyte": np.arange(test, dtype=np.uint8) % 3,
    }
    for name, array in arrays.items():
        write_idx(folder / (f"{name}.gz" if name in zipped else name), array)
    return arrays


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def class_folder(folder, each=15, side=6):
    """Two classes of grey PNG files with known pixels: class k is of brightness 60 + 100 k and a stamp per file."""
    for k, name in enumerate(("cats", "dogs")):
        for i in range(each):
            array = np.full((side, side), 60 + 100 * k, dtype=np.uint8)
            array[0, 0], array[0, 1] = i % 256, k
            save(folder / name / f"{i:03d}.png", array)
    return folder
