"""--model.weights: a network begins with the weights of a user's file, or says what does not fit."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from difrun.config.plan import resolve
from difrun.errors import ConfigError, DifrunError
from difrun.model import MLP
from difrun.runs import reopen, start

NAMED = {"process": "ou", "dataset": "moons", "model": "mlp", "metric": ["energy"]}
SMALL = {"model": {"width": 8, "depth": 1}, "dataset": {"n": 100}, "sample": {"n": 50, "steps": 3}}


def plan(**changes):
    options = {name: dict(inner) for name, inner in SMALL.items()}
    options["train"] = {"steps": 0}
    for section, inner in changes.items():
        options.setdefault(section, {}).update(inner)
    return resolve(NAMED, options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(3)
    network = MLP((2,), width=8, depth=1)
    torch.nn.init.normal_(network.last.weight)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_file({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    return path, network


def test_a_run_of_no_training_steps_samples_the_network_of_the_file(weights, tmp_path):
    path, network = weights
    run = start(plan(model={"weights": str(path)}), tmp_path / "run")
    run.execute()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(run.model.network.state_dict()[name], tensor, rtol=0, atol=0)
    copy = tmp_path / "copy.safetensors"
    path.rename(copy)  # from here on the run depends on its own folder alone
    again = reopen(tmp_path / "run")
    copy.rename(path)
    torch.testing.assert_close(again.model.network.last.weight, network.last.weight, rtol=0, atol=0)
    assert f'weights = "{path}"' in (tmp_path / "run" / "run.toml").read_text(encoding="utf-8")
    other = start(plan(model={}), tmp_path / "random")
    assert "weights =" not in (tmp_path / "random" / "run.toml").read_text(encoding="utf-8")
    other.execute()
    assert np.abs((run.samples - other.samples).numpy()).max() > 1e-3


def test_what_does_not_fit_is_a_table(weights, tmp_path):
    path, _ = weights
    tensors = load_file(path)
    del tensors["module.last.bias"]
    tensors["module.extra"] = torch.zeros(3)
    tensors["module.first.weight"] = torch.zeros(8, 5)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(DifrunError) as caught:
        start(plan(model={"weights": str(tmp_path / "other.safetensors")}), tmp_path / "run")
    lines = str(caught.value).splitlines()
    assert "do not fit the network of model 'mlp': 3 differences" in lines[0]
    assert [line.split() for line in lines[1:3]] == [
        ["missing", "last.bias", "(2,)"],
        ["unexpected", "extra", "(3,)"],
    ]
    assert lines[3].split(maxsplit=3)[-1] == "(8, 5) in the file, (8, 2) in the network"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["net.pt", "net.ckpt", "net.bin", "pickle.safetensors"])
def test_a_pickled_checkpoint_is_refused_with_how_to_convert(weights, tmp_path, name):
    torch.save(weights[1].state_dict(), tmp_path / name)
    with pytest.raises(DifrunError, match=r"pickled checkpoint.*(?s:.)*weights_only=True.*save_file"):
        start(plan(model={"weights": str(tmp_path / name)}), tmp_path / "run")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("weights", encoding="utf-8")
    save_file({"first.weight": torch.full((8, 2), torch.nan)}, tmp_path / "few.safetensors")
    for name, message in (
        ("none.safetensors", "There is no file"),
        ("text.safetensors", "not a safetensors file"),
    ):
        with pytest.raises(DifrunError, match=message):
            start(plan(model={"weights": str(tmp_path / name)}), tmp_path / "run")
    with pytest.raises(DifrunError, match="more"):
        start(plan(model={"weights": str(tmp_path / "few.safetensors"), "depth": 9}), tmp_path / "run")


def test_an_exact_model_has_no_weights(weights):
    with pytest.raises(ConfigError, match="weights"):
        resolve(
            {"process": "ou", "dataset": "blobs", "model": "exact"}, {"model": {"weights": str(weights[0])}}
        )
