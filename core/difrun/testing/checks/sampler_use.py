"""Rules for the use of samplers of Gaussian processes: seeds, chunks, devices, shapes."""

import torch
from torch import Tensor

from difrun.grid.fixed import logsnr
from difrun.randomness.generator import Generator
from difrun.sampler.integration import generate, integrate
from difrun.testing.checks.sampler import USABLE, exact, refuses_no_signal, start
from difrun.testing.references import Disturbed, Isotropic, ReferenceVP, two_gaussians
from difrun.testing.rules import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import (
    ensure,
    ensure_close,
    ensure_equal,
    ensure_finite,
    ensure_in_proportion,
    name_of,
)


@check("sampler", alone_in=USABLE)
def repeats_itself(subject: ComponentUnderTest) -> None:
    """One seed gives one result, also after another run: a sampler keeps no state. Global states do not change.

    Nor do the start, and the mean and variance of the model.
    """
    sampler, model = subject.make(), exact(subject.partners[0])
    times = logsnr(model.process, 6)
    x = start(model, 5)
    before, moments = x.clone(), [torch.as_tensor(value).clone() for value in (model.mean, model.var)]
    with global_randomness_untouched():
        first = integrate(sampler, model, x, times, generator=3)
        integrate(sampler, model, -x, times[1:], generator=4)
        again = integrate(sampler, model, x, times, generator=3)
    ensure_equal(x, before, "the start, after sampling,")
    for name, value in zip(("mean", "var"), moments, strict=True):
        ensure_equal(
            torch.as_tensor(getattr(model, name)), value, f"the {name} of the model, after sampling,"
        )
    ensure_equal(again, first, "the samples of one seed after another run")
    fresh = integrate(subject.make(), model, x, times, generator=3)
    ensure_equal(fresh, first, "the samples of one seed by a new sampler")


@check("sampler", alone_in=USABLE)
def gives_samples_that_do_not_depend_on_their_chunk(subject: ComponentUnderTest) -> None:
    """Sample i does not depend on the chunk size or on the other samples in the chunk, to rounding."""
    sampler, model = subject.make(), exact(subject.partners[0])
    times = logsnr(model.process, 6)
    whole, parts = (
        generate(sampler, model, 10, times, seed=5, chunk=chunk, dtype=torch.float64) for chunk in (10, 3)
    )
    ensure_close(parts, whole, "samples drawn in chunks of 3 instead of 10", rtol=1e-9, atol=1e-10)


@check("sampler", alone_in=USABLE)
def takes_one_step_and_one_example(subject: ComponentUnderTest) -> None:
    """One step gives a finite answer; a batch of 1 works; float32 and float64 are kept.

    Where α = 0 at T, a sampler may raise DifrunError instead.
    """
    sampler = subject.make()
    for process in subject.vanishing:
        model = exact(process)
        if refuses_no_signal(sampler, model):
            continue
        for dtype in (torch.float32, torch.float64):
            x = integrate(sampler, model, start(model, 1, dtype=dtype), logsnr(process, 1), generator=1)
            ensure_equal(tuple(x.shape), (1, 2), "the shape of one sample")
            ensure_equal(x.dtype, dtype, "the dtype of one sample")
            ensure_finite(x, f"one step on {name_of(process)}")


@check("sampler", alone_in=USABLE)
def computes_in_the_precision_of_its_samples(subject: ComponentUnderTest) -> None:
    """In float64 a change of the start by 1e-10 changes the end as one by 1e-7 does, in proportion, to 1 %.

    The start is halfway in λ, and two steps follow, with one seed. A sampler that rounds to float32 on the way loses
    the smaller change.
    """
    sampler, model = subject.make(), exact(subject.partners[0])
    times = logsnr(model.process, 6)[2:5]
    x = model.process.sample(two_gaussians().sample(8, torch.Generator().manual_seed(1)), times[0], 2)

    def end(change: float) -> Tensor:
        return integrate(sampler, model, x + change, times, generator=3)

    plain = end(0.0)
    small, large = ((end(change) - plain) / change for change in (1e-10, 1e-7))
    ensure_in_proportion(small, large, "a change by 1e-10")


@check("sampler", alone_in=USABLE)
def keeps_no_autograd_graph(subject: ComponentUnderTest) -> None:
    """Samples of a model with parameters need no gradient."""
    weight = torch.zeros(2, requires_grad=True, dtype=torch.float64)
    model = Disturbed(exact(subject.partners[0]), weight, lambda x, at: 1.0)
    x = integrate(subject.make(), model, start(model, 2), logsnr(model.process, 2), generator=1)
    ensure(not x.requires_grad, "samples that require a gradient", "samples without a graph")


@check("sampler", alone_in=USABLE)
def runs_where_its_tensors_are(subject: ComponentUnderTest) -> None:
    """Sampling stays on the device "meta", where a tensor made on the CPU raises; also if the process has a mean μ."""
    for process in (subject.partners[0], _Shifted()):
        model = exact(process)
        x = generate(subject.make(), model, 3, logsnr(process, 2), device="meta")
        ensure(x.is_meta, "samples that are not on 'meta'", "samples where they are asked for")


class _Shifted(ReferenceVP):
    """The reference process about μ = (0.5, −2)."""

    centre = (0.5, -2.0)


@check("sampler", alone_in=USABLE)
def takes_images(subject: ComponentUnderTest) -> None:
    """Examples may have any shape: images are sampled as the vectors of their pixels would be."""
    sampler = subject.make()
    image, vector = Isotropic((2, 3, 3)), Isotropic((18,))
    times = logsnr(image.process, 5)
    images = integrate(sampler, image, start(image, 4), times, generator=Generator(2))
    vectors = integrate(sampler, vector, start(vector, 4), times, generator=Generator(2))
    ensure_close(
        images.flatten(1), vectors, "images, against the vectors of their pixels,", rtol=1e-9, atol=1e-10
    )
