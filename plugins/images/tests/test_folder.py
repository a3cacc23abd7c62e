"""Folders of images: pixels against what was written, and every refusal in words."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from difrun.errors import DifrunError
from difrun_images.data import image_folder
from difrun_images.decode import ImageFormat, decode
from difrun_images.options import FolderOptions

from .support import class_folder, pixels, save


def grey(data):
    """Pixels 0 to 255 of all images of a grey data set with labels: (stamp, class mark, brightness) -> label."""
    images = torch.cat((data.train, data.held_out))
    bytes_ = ((images[:, 0] + 1) * 127.5).round().int()
    labels = torch.cat((data.labels, data.held_out_labels))
    return {(int(x[0, 0]), int(x[0, 1]), int(x[3, 3])): int(y) for x, y in zip(bytes_, labels, strict=True)}


def test_subfolders_are_classes_and_pixels_are_kept(tmp_path):
    """30 files, each found once with the label of its subfolder; a fifth of each class held out."""
    data = image_folder(seed=0, folder=class_folder(tmp_path / "f"), colour="grey")
    assert data.classes == ("cats", "dogs")
    assert grey(data) == {(i, k, 60 + 100 * k): k for i in range(15) for k in range(2)}
    assert data.held_out_labels.bincount().tolist() == [3, 3]
    assert data.shape == (1, 6, 6)


def test_without_subfolders_there_are_no_classes(tmp_path):
    images = pixels(0, 25, 5, 4, 3)
    for i, image in enumerate(images):
        save(tmp_path / f"{i:02d}.png", image)
    data = image_folder(seed=0, folder=tmp_path)
    assert data.labels is None
    assert data.classes == ()
    assert data.shape == (3, 5, 4)
    found = ((torch.cat((data.train, data.held_out)) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    assert sorted(map(bytes, found)) == sorted(map(bytes, images))
    assert image_folder(seed=0, folder=tmp_path, flat=True).shape == (60,)


def test_how_an_image_comes_to_its_size(tmp_path):
    """Left half black, right half white, 4 x 8: cropped the middle, stretched the whole, cut the middle pixels."""
    array = np.zeros((4, 8), dtype=np.uint8)
    array[:, 4:] = 255
    path = save(tmp_path / "a.png", array)
    assert decode(path, ImageFormat((4, 4), "cut", True))[0].tolist() == [[0, 0, 255, 255]] * 4
    assert decode(path, ImageFormat((4, 4), "crop", True))[0].tolist() == [[0, 0, 255, 255]] * 4
    assert decode(path, ImageFormat((2, 8), "stretch", True))[0].tolist() == [[0] * 4 + [255] * 4] * 2
    small = decode(path, ImageFormat((2, 2), "crop", True))[0]
    assert small[:, 0].max() < 40 < 215 < small[:, 1].min()
    assert decode(path, ImageFormat((5, 4), "cut", True)) == "it is 4x8, too small to cut 5x4 from"
    assert decode(path, ImageFormat()).shape == (3, 4, 8)


def test_colours_depth_and_orientation(tmp_path):
    """RGB is kept and made grey by the luma of ITU-R 601; 16 bits become 8; EXIF turns an image upright."""
    colour = pixels(0, 3, 5, 3)
    path = save(tmp_path / "c.png", colour)
    assert np.array_equal(decode(path, ImageFormat()).transpose(1, 2, 0), colour)
    luma = colour.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(decode(path, ImageFormat(grey=True))[0] - luma).max() <= 0.51
    deep = np.array([[0, 257, 65535], [257 * 100, 257 * 7, 257 * 255]], dtype=np.uint16)
    assert decode(save(tmp_path / "d.png", deep), ImageFormat(grey=True))[0].tolist() == [
        [0, 1, 255],
        [100, 7, 255],
    ]
    image, exif = Image.fromarray(colour), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    image.save(tmp_path / "e.png", exif=exif)
    assert np.array_equal(decode(tmp_path / "e.png", ImageFormat()).transpose(1, 2, 0), np.rot90(colour, -1))


def test_an_unreadable_image_is_named_and_refused_or_skipped(tmp_path):
    folder = class_folder(tmp_path / "f")
    whole = (folder / "cats" / "003.png").read_bytes()
    (folder / "cats" / "003.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dogs" / "007.png").write_text("no image")
    with pytest.raises(
        DifrunError, match=r"(cats/003|dogs/007)\.png cannot be used: .*--dataset.unreadable skip"
    ):
        image_folder(seed=0, folder=folder, colour="grey")
    data = image_folder(seed=0, folder=folder, colour="grey", unreadable="skip")
    rest = {(i, k, 60 + 100 * k): k for i in range(15) for k in range(2)}
    del rest[3, 0, 60], rest[7, 1, 160]
    assert grey(data) == rest
    assert "cats/003.png" in data.notes[0]
    assert "dogs/007.png" in data.notes[0]


def test_bad_folders_are_refused_in_words(tmp_path):
    with pytest.raises(DifrunError, match=r"needs a folder of images: --dataset\.folder"):
        image_folder(seed=0)
    with pytest.raises(DifrunError, match="none does not exist; expected a folder of images"):
        image_folder(seed=0, folder=tmp_path / "none")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("x")
    save(empty / ".hidden" / "a.png", pixels(0, 4, 4))
    with pytest.raises(
        DifrunError, match=r"holds no image: no file .* \(\.png, \.jpg, .* left out: notes\.txt"
    ):
        image_folder(seed=0, folder=empty)
    with pytest.raises(DifrunError, match=r"a\.png is a file; expected a folder"):
        image_folder(seed=0, folder=empty / ".hidden" / "a.png")
    folder = class_folder(tmp_path / "f")
    save(folder / "cats" / "zz.png", pixels(0, 5, 7))
    with pytest.raises(
        DifrunError, match=r"several sizes: .* is 6x6, cats/zz\.png is 5x7 .*--dataset\.size 6,6"
    ):
        image_folder(seed=0, folder=folder, held_out=0.001)
    assert image_folder(seed=0, folder=folder, size=(6,)).shape == (3, 6, 6)
    assert image_folder(seed=0, folder=folder, size=(4, 5), fit="cut").shape == (3, 4, 5)
    save(folder / "beside.png", pixels(0, 6, 6))
    with pytest.raises(
        DifrunError, match=r"beside its subfolders \(beside\.png\) and in them \(cats/000\.png\)"
    ):
        image_folder(seed=0, folder=folder)
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DifrunError, match=r"none of 1 files can be read as an image; a\.jpg: "):
        image_folder(seed=0, folder=bad)
    few = class_folder(tmp_path / "few", each=10)
    with pytest.raises(DifrunError, match="of 20 images 16 are left to train on; at least 20 are needed"):
        image_folder(seed=0, folder=few)


def test_options_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="images that keep their size have no use for fit"):
        FolderOptions(fit="cut")
    with pytest.raises(ValueError, match="size must be one positive number"):
        FolderOptions(size=(1, 2, 3))
    assert FolderOptions(size=(8,), fit="cut").fit == "cut"


def test_large_sets_are_decoded_once_into_a_file_with_the_same_pixels(tmp_path):
    """Beyond --dataset.memory the examples are a mapped file, bit for bit those in memory; a second run reads it again,
    another size or changed files do not."""
    folder = class_folder(tmp_path / "f")
    (folder / "dogs" / "007.png").write_text("no image")
    how = {"seed": 0, "folder": folder, "colour": "grey", "unreadable": "skip"}
    plain, mapped = image_folder(**how), image_folder(**how, memory=0.0)
    for part in ("train", "held_out", "labels", "held_out_labels"):
        assert torch.equal(getattr(plain, part), getattr(mapped, part)), part
    assert plain.notes == mapped.notes
    (file,) = (folder / ".difrun-cache").glob("*.npy")
    before = file.stat().st_mtime_ns
    again = image_folder(**how, memory=0.0)
    assert file.stat().st_mtime_ns == before
    assert torch.equal(again.train, plain.train)
    again.train[0] = 5.0  # of this process alone
    assert torch.equal(image_folder(**how, memory=0.0).train, plain.train)
    image_folder(**how, memory=0.0, size=(3,))
    os.utime(folder / "cats" / "001.png", ns=(1, 1))
    image_folder(**how, memory=0.0)
    assert len(list((folder / ".difrun-cache").glob("*.npy"))) == 3
    assert not list((folder / ".difrun-cache").glob(".*"))


def test_a_file_for_the_pixels_that_cannot_be_written_is_told(tmp_path):
    folder = class_folder(tmp_path / "f")
    (tmp_path / "taken").write_text("")
    with pytest.raises(DifrunError, match=r"decoded images cannot be written .*--dataset\.cache"):
        image_folder(seed=0, folder=folder, memory=0.0, cache=tmp_path / "taken")


def test_processes_give_what_one_gives(tmp_path):
    folder = class_folder(tmp_path / "f", each=260, side=4)
    one, several = (image_folder(seed=0, folder=folder, colour="grey", workers=n) for n in (1, 2))
    assert torch.equal(one.train, several.train)
    assert torch.equal(one.labels, several.labels)


@pytest.mark.parametrize(
    "suffix", [".bmp", ".tif", ".tiff", ".webp", ".gif", ".PPM", ".tga", ".jp2", ".jfif", ".pgm"]
)
def test_all_formats_that_pillow_reads_are_read(tmp_path, suffix):
    """30 files of one colour each, grey 8·i: every one is found, whatever its suffix."""
    for i in range(30):
        path = tmp_path / f"{i:02d}{suffix}"
        options = {"lossless": True} if suffix == ".webp" else {}
        Image.fromarray(np.full((8, 8), 8 * i, dtype=np.uint8)).save(path, **options)
    data = image_folder(seed=0, folder=tmp_path, colour="grey")
    found = ((torch.cat((data.train, data.held_out)) + 1) * 127.5).mean((1, 2, 3)).sort().values
    np.testing.assert_allclose(found, 8.0 * np.arange(30), atol=1.0 if suffix in (".jfif", ".jp2") else 1e-3)


def test_class_folders_and_files_that_are_links_are_followed_and_circles_are_not(tmp_path):
    real = class_folder(tmp_path / "real")
    folder = tmp_path / "f"
    folder.mkdir()
    for name in ("cats", "dogs"):
        (folder / name).symlink_to(real / name)
    (folder / "birds").mkdir()
    for i in range(3):
        (folder / "birds" / f"{i}.png").symlink_to(real / "cats" / f"{i:03d}.png")
    (folder / "cats" / "back").symlink_to(folder)
    (folder / "birds" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("x")
    (folder / ".trash").mkdir()
    data = image_folder(seed=0, folder=folder, colour="grey", held_out=0.2)
    assert data.classes == ("birds", "cats", "dogs")
    assert torch.cat((data.labels, data.held_out_labels)).bincount().tolist() == [3, 15, 15]
    assert data.notes == (
        "1 file without the name of an image left out: notes.txt",
        "1 hidden entry left out: .trash",
        "2 entries (links to nothing or in a circle, or no files) left out: birds/gone.png, cats/back",
        "1 folder without images left out: empty",
    )


def test_only_so_many_files_are_named(tmp_path):
    folder = class_folder(tmp_path / "f")
    for i in range(25):
        (folder / f"{i:02d}.txt").write_text("x")
    (note,) = image_folder(seed=0, folder=folder).notes
    assert note.startswith("25 files without the name of an image left out: 00.txt, 01.txt, ")
    assert note.endswith("09.txt and 15 more")


def test_what_is_not_read_as_it_is_is_counted(tmp_path):
    """In memory and from the file of a second run alike."""
    folder = class_folder(tmp_path / "f", each=12)
    for i in range(3):
        save(folder / "cats" / f"clear{i}.png", np.full((6, 6, 4), 100, dtype=np.uint8))
    save(folder / "dogs" / "deep.png", np.full((6, 6), 257 * 50 + 200, dtype=np.uint16))
    frames = [Image.fromarray(np.full((6, 6), k, dtype=np.uint8)) for k in (30, 60)]
    frames[0].save(folder / "dogs" / "film.gif", save_all=True, append_images=frames[1:])
    Image.new("CMYK", (6, 6), (0, 0, 0, 255)).save(folder / "dogs" / "print.tif")
    expected = (
        "3 images are transparent: laid on #80c0ff (--dataset.background)",
        "1 image is of several frames or pages: the first is taken",
        "1 image is of 16 bits: reduced to 8",
        "1 image is in CMYK: turned into RGB by Pillow, without a colour profile",
    )
    for memory in (2.0, 0.0, 0.0):
        data = image_folder(seed=0, folder=folder, colour="grey", background="#80c0ff", memory=memory)
        assert data.notes == expected
    grey = {int(x) for x in ((torch.cat((data.train, data.held_out))[:, 0, 3, 3] + 1) * 127.5).round()}
    assert {51, 30, 0} <= grey  # 50.78 rounds to 51; the first frame; black


def test_images_whose_numbers_have_no_range_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "f.tif")
    assert "real numbers of 32 bits" in decode(tmp_path / "f.tif", ImageFormat())
    Image.fromarray(np.full((4, 4), 70000, dtype=np.int32)).save(tmp_path / "i.tif")
    assert "whole numbers of 32 bits" in decode(tmp_path / "i.tif", ImageFormat())
    deep = tmp_path / "d.pgm"
    deep.write_bytes(b"P5 2 1 65535\n" + (257 * 3).to_bytes(2, "big") + (257 * 200).to_bytes(2, "big"))
    assert decode(deep, ImageFormat(grey=True))[0].tolist() == [[3, 200]]


@pytest.mark.parametrize("limit", [10, 30])
def test_an_image_beyond_pillows_limit_is_an_error_in_words(tmp_path, monkeypatch, limit):
    """Pillow warns from its limit and refuses from twice that: both are refused and named."""
    folder = class_folder(tmp_path / "f")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DifrunError, match=rf"more than {limit} pixels, Pillow's limit"):
        image_folder(seed=0, folder=folder)


def test_postscript_is_never_run(tmp_path):
    """Pillow would hand it to Ghostscript, under any name."""
    folder = class_folder(tmp_path / "f")
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n%%EndComments\nshowpage\n"
    (folder / "cats" / "a.eps").write_bytes(text)
    assert "a.eps" in image_folder(seed=0, folder=folder).notes[0]
    (folder / "cats" / "b.png").write_bytes(text)
    with pytest.raises(DifrunError, match=r"cats/b\.png cannot be used: it is not an image"):
        image_folder(seed=0, folder=folder)
