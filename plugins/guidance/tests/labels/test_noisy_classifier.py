"""The classifier of noised examples: what it learns, and when it is trained."""

import attrs
import pytest
import torch

from difrun.errors import DifrunError, Interrupted
from difrun.guidance import Context
from difrun.randomness import torch_generator
from difrun.testing.references import ReferenceVE, ReferenceVP
from difrun_guidance.labels import noisy_classifier
from difrun_guidance.labels.noisy_classifier import FILE, load_or_train

from .overlapping import CLASS_OF_COMPONENT, MIXTURE, Exploding, exact, labelled


def test_a_classifier_learns_the_posterior():
    """After 400 steps |p̂ − p| of the exact p_t(A | x_t) is below 0.035 on average at noises from 0.1 to 10, where a
    guess of ½ is off by up to 0.48; where class A lies its gradient is off by less than half of the exact one."""
    process = Exploding()
    data = labelled(5000)
    posterior = load_or_train(exact(process), Context(data, seed=3), steps=400, width=64)
    of_a = MIXTURE.part(CLASS_OF_COMPONENT == 0).sample(1000, torch_generator(4)).float()
    for noise in (0.1, 0.5, 2.0, 10.0):
        at = process.at(noise)
        x = process.sample(data.held_out[:1000], noise, 5)
        truth = exact(process).log_posterior(x.double(), at)[:, 0].exp()
        got = posterior(x, at)[:, 0].detach().exp().double()
        assert float((got - truth).abs().mean()) < 0.035, noise
        near = process.sample(of_a, noise, 6)
        learned, want = (
            process.condition(exact(process), lambda x, at, f=f: f(x, at)[:, 0], 1.0).gradient(near, at)
            for f in (posterior, exact(process).log_posterior)
        )
        assert float((learned - want).norm() / want.norm()) < 0.5, noise


def test_a_classifier_is_trained_once_and_for_its_own_run(tmp_path, monkeypatch):
    """The file gives the same numbers bit for bit; another process or other data are refused, other options train."""
    data, process, notes = labelled(200), ReferenceVP(), []
    context = Context(data, folder=tmp_path, note=notes.append)
    x, at = data.train[:5], process.at(0.4)
    first = load_or_train(exact(process), context, steps=3, width=8)(x, at)
    assert [note for note in notes if "is trained, 3 steps" in note]
    with monkeypatch.context() as no_training:
        no_training.setattr(noisy_classifier, "_train", None)
        assert torch.equal(load_or_train(exact(process), context, steps=3, width=8)(x, at), first)
    with pytest.raises(
        DifrunError, match=r"of another process: it was trained on ReferenceVP.* has ReferenceVE"
    ):
        load_or_train(exact(ReferenceVE()), context, steps=3, width=8)
    with pytest.raises(DifrunError, match=r"of another dataset: .*overlapping \(201 examples"):
        load_or_train(exact(process), attrs.evolve(context, dataset=labelled(201)), steps=3, width=8)
    load_or_train(exact(process), context, steps=4, width=8)
    assert "trained with steps 3, width 8; it is trained anew" in notes[-2]
    (tmp_path / FILE).unlink()
    load_or_train(exact(process), attrs.evolve(context, trial=True), steps=10**9, width=8)
    assert not (tmp_path / FILE).exists()
    with pytest.raises(Interrupted, match="Stopped at step 0 of 3 of the classifier"):
        load_or_train(exact(process), attrs.evolve(context, stopping=lambda: True), steps=3, width=8)
