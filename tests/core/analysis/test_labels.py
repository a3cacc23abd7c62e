"""The likelihood and its bound for examples with labels."""

import torch
from tests.core.mixtures import CLASS_OF_COMPONENT, MIXTURE

from difrun.analysis import elbo, log_likelihood
from difrun.model import (
    ExactMixture,
)
from difrun.randomness import torch_generator
from difrun.testing.references import ReferenceVP


def test_the_likelihood_of_labelled_examples_is_that_of_their_classes():
    """log p(x | class) by the flow and the ELBO, the rows in chunks: what each class's own model says, to 1e-9."""
    process = ReferenceVP()
    model = ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT)
    x, component = MIXTURE.sample_with_components(6, torch_generator(5))
    labels = CLASS_OF_COMPONENT[component]
    assert 0 < int(labels.sum()) < 6

    def flat(x):  # the prior is another test's
        return x.new_zeros(len(x))

    def parts(model, chunk=None):
        found = elbo(model, x, times=2, chunk=chunk)
        return found.diffusion + found.reconstruction

    flow = log_likelihood(model.condition_on(labels), x, steps=2, chunk=4, prior=flat).nats
    for label in (0, 1):
        alone = ExactMixture(MIXTURE.part(label == CLASS_OF_COMPONENT), process)
        alone.mean, alone.var = model.mean, model.var  # of the frame
        own = labels == label
        want = log_likelihood(alone, x[own], steps=2, prior=flat).nats
        torch.testing.assert_close(flow[own], want, rtol=0, atol=1e-9)
    first = parts(model.condition_on(torch.ones_like(labels)))
    torch.testing.assert_close(first, parts(alone), rtol=0, atol=1e-9)
    whole = parts(model.condition_on(labels))
    torch.testing.assert_close(parts(model.condition_on(labels), 5000), whole, rtol=0, atol=1e-9)
    assert not torch.allclose(whole, first, rtol=0, atol=1e-3)
