"""What the tests of pictures read from them, and a path to draw."""

import io

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageSequence


def normal_density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def offsets(axes, index=-1):
    return np.asarray(axes.collections[index].get_offsets())


def gif_frames(content: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(content)) as image:
        return [np.asarray(frame.convert("RGB"), dtype=int) for frame in ImageSequence.Iterator(image)]


def centres_of(color: str, frame: np.ndarray, axes) -> np.ndarray:
    """Centres, in coordinates of the axes, of the connected spots of a colour in a picture."""
    from scipy.ndimage import center_of_mass, label

    tint = np.array(to_rgb(color)) * 255
    spots = np.abs(frame - tint).sum(axis=2) < 150
    labels, count = label(spots)
    rows_columns = np.array(center_of_mass(spots, labels, range(1, count + 1)))
    pixels = np.column_stack([rows_columns[:, 1] + 0.5, frame.shape[0] - rows_columns[:, 0] - 0.5])
    return axes.transData.inverted().transform(pixels)


def make_path(rng, frames=30, n=12):
    """Points that come to rest on a 4 x 3 lattice."""
    end = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
    weight = np.linspace(1, 0, frames)[:, None, None]
    return (1 - weight) * end + weight * rng.normal(size=(1, n, 2)), np.linspace(2.0, 0.01, frames)
