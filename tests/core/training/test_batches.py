"""Batches: every epoch a permutation, bounded in memory, on the device of training."""

import pytest
import torch

from difrun.training import batches

from .support import DATA, Net, trainer


def test_examples_that_stay_elsewhere_are_brought_to_the_device_of_training(monkeypatch):
    """Examples, their noise and labels lie on the CPU; the loss sees those of a block on the device, and no others."""
    seen = []

    class Looks:
        def draw(self, model, x0, generator, noise):
            seen.append((x0.device.type, noise.device.type, tuple(x0.shape)))
            return {"x": x0}

    monkeypatch.setattr(batches, "torch_generator", lambda *path, device="cpu": torch.Generator())
    data, labels = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), torch.arange(50)
    found = batches.Batches(None, Looks(), data, 5, 0, data, labels, device="meta")[0]
    assert seen == [("meta", "meta", (batches.BLOCK_STEPS * 5, 2))]
    assert (found["x"].device.type, found["label"].device.type) == ("meta", "meta")
    assert data.device.type == "cpu"


@pytest.mark.parametrize("n", [1, 7, 300, 5000])
def test_every_epoch_is_a_permutation(n):
    ours = trainer(Net(), torch.zeros(n, 2))
    rows = ours.batches.order(0, 3 * n)
    for epoch in rows.split(n):
        assert epoch.sort().values.equal(torch.arange(n))
    if n > 7:
        assert not torch.equal(rows[:n], rows[n : 2 * n])
    # Any stretch is the same, wherever one starts to ask.
    again = trainer(Net(), torch.zeros(n, 2)).batches.order(n + n // 2, 2 * n + n // 3)
    assert again.equal(rows[n + n // 2 : 2 * n + n // 3])


def test_batches_hold_the_examples_in_that_order():
    """x_t = α x_0 + σ ε, and the target is ε: so x_0 can be told from what the network gets."""
    ours = trainer(Net())
    for k in (0, 1, 63, 64, 100):
        batch = ours.batches[k]
        sigma_over_alpha = torch.exp(4 * batch["level"])[:, None]  # the level is ¼ ln(σ/α)
        alpha = (1 + sigma_over_alpha**2) ** -0.5
        x0 = batch["input"] / alpha - sigma_over_alpha * batch["target"]
        wanted = DATA[ours.batches.order(8 * k, 8 * k + 8)]
        clear = (sigma_over_alpha < 10).squeeze(1)
        assert int(clear.sum()) >= 4
        torch.testing.assert_close(x0[clear], wanted[clear], rtol=1e-3, atol=1e-4)


def test_blocks_are_bounded_in_memory():
    """Large examples are drawn for few steps at once, and never for none."""
    assert trainer(Net(), batch=8).batches.steps == 64
    assert trainer(Net(), batch=100_000).batches.steps == 10
    assert trainer(Net(), batch=2_000_000).batches.steps == 1
