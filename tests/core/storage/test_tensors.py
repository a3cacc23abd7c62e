"""Files of tensors hold what was put in, and damaged ones are refused. How files are written: `test_atomic`."""

import os
import pickle

import pytest
import torch

from difrun.errors import DifrunError
from difrun.storage.tensors import read_tensors, write_tensors

TENSORS = {
    "network.weight": torch.randn((5, 3), generator=torch.Generator().manual_seed(0)),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "double": torch.tensor(3.25, dtype=torch.float64),
    "step": torch.tensor(12345678901),
    "empty": torch.empty(0),
}


def test_tensors_survive_the_round_trip(tmp_path):
    path = tmp_path / "state.safetensors"
    write_tensors(path, TENSORS, {"note": "σ = 1", "step": "7"})
    tensors, metadata = read_tensors(path)
    assert metadata == {"note": "σ = 1", "step": "7"}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert os.listdir(tmp_path) == ["state.safetensors"]


def test_views_of_one_tensor_and_transposes(tmp_path):
    """Flat parameters share their memory, and weights may lie in any order of strides."""
    flat = torch.arange(12.0)
    tensors = {"a": flat[:6].view(2, 3), "b": flat[4:].view(2, 4), "t": flat.view(3, 4).T}
    write_tensors(tmp_path / "x", tensors)
    tensors, metadata = read_tensors(tmp_path / "x")
    assert metadata == {}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in tensors.items())


def test_what_was_read_does_not_change_with_the_file(tmp_path):
    path = tmp_path / "x"
    write_tensors(path, {"a": torch.ones(1000)})
    tensors, _ = read_tensors(path)
    path.write_bytes(bytes(len(path.read_bytes())))
    assert torch.equal(tensors["a"], torch.ones(1000))


def test_files_that_cannot_be_read_are_an_error(tmp_path):
    with pytest.raises(DifrunError, match=r"There is no file .*nothing"):
        read_tensors(tmp_path / "nothing")
    with pytest.raises(DifrunError, match="is a folder"):
        read_tensors(tmp_path)


def test_truncated_files_are_refused(tmp_path):
    path = tmp_path / "x"
    write_tensors(path, TENSORS, {"note": "cut"})
    whole = path.read_bytes()
    for length in (9, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DifrunError, match="is cut short"):
            read_tensors(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"[train]\nsteps = 4000\n",
        pickle.dumps({"weights": [1.0, 2.0]}),
        b"PK\x03\x04" + bytes(100),
    ],
    ids=["empty", "short", "toml", "pickle", "zip"],
)
def test_files_of_other_programs_are_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(DifrunError, match="is not a safetensors file"):
        read_tensors(path)
