"""Guidances with one known fault each, for the tests of the conformance kit."""

import copy

import torch

from difrun.errors import DifrunError
from difrun.guidance import towards_class
from difrun.model import ModelWrapper, ScoreModel


class Fine(ModelWrapper):
    """Classifier-free guidance in x̂_0: any class, and s times what the class of the row adds."""

    kind = "x0"

    def __init__(self, model, *, scale=1.5):
        super().__init__(model)
        self.scale = scale

    def forward(self, x, at):
        of_class = self.inner.predict(x, at, "x0")
        if self.inner.labels is None or self.scale == 1:
            return of_class
        any_class = self.inner.condition_on(torch.full_like(self.inner.labels, -1)).predict(x, at, "x0")
        return any_class + self.scale * (of_class - any_class)


class Added(Fine):
    """The guided x̂_0, and something that is wrong."""

    def forward(self, x, at):
        return super().forward(x, at) + self.wrong(x, at)


class Opposite(Fine):
    """Leads away from the class."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=-scale)


class Backwards(Fine):
    """Bayes' theorem with the gradient subtracted, on a model that knows the class."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=1 - scale)


@towards_class(lambda noise, *, scale: scale)
def stronger(model, *, scale=1.5):
    """Half as much more than it declares."""
    return Fine(model, scale=scale + 0.5)


@towards_class(lambda noise, *, scale: scale)
def weaker(model, *, scale=1.5):
    """The square root of what it declares."""
    return Fine(model, scale=scale**0.5)


class NeverOff(Added):
    """At scale 1, said to be off, it still adds a little."""

    def wrong(self, x, at):
        return 1e-13


class HalfOff(Fine):
    """At scale 1, said to be off, its prior is another."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=scale)
        self.var = 1.1 * self.var

    def moments(self):
        return self.mean, self.var


class Divided(Added):
    """Divides by α, which is 0 at the end of a rectified flow."""

    def wrong(self, x, at):
        return 0.0 / at.alpha


class NotFinite(Added):
    """NaN where the noise is least."""

    def wrong(self, x, at):
        noise = (
            torch.as_tensor(at.sigma / at.alpha if at.alpha else 1.0)
            if isinstance(at.t, float)
            else torch.ones(1)
        )
        return torch.where(noise < 0.0021, torch.nan, 0.0).to(x.dtype).to(x.device)


class Averaging(Added):
    """Adds a part of the mean over the batch."""

    def wrong(self, x, at):
        return 0.01 * x.mean(0)


class FirstRow(Added):
    """Adds a part of the first row."""

    def wrong(self, x, at):
        return 0.01 * x[:1]


class Random(Added):
    """Draws from the global random state."""

    def wrong(self, x, at):
        return 1e-14 * torch.randn(x.shape, dtype=x.dtype, device=x.device)


class Counting(Added):
    """Its guidance grows with every call."""

    calls = 0

    def wrong(self, x, at):
        self.calls += 1
        return 1e-14 * self.calls


class Spoiling(Fine):
    """Changes the mean of the model that it guides."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=scale)
        model.mean.mul_(1.1)


class OtherProcess(Fine):
    """Has a copy of the process."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=scale)
        self.process = copy.copy(model.process)


class Constant(Fine):
    """A variance of 0, to which no prior can be matched."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=scale)
        self.var = torch.zeros(2)


class NoInner(ScoreModel):
    """Is no wrapper."""

    kind = "x0"

    def __init__(self, model, *, scale=1.5):
        self.process, self.shape, self.mean, self.var = model.process, model.shape, model.mean, model.var
        self.model, self.scale = model, scale

    def forward(self, x, at):
        return self.scale * self.model.predict(x, at, "x0")


class OnCpu(Added):
    """Makes a tensor on the CPU."""

    def wrong(self, x, at):
        return torch.zeros(2)


class Liar(Fine):
    """`forward` gives the noise, and `kind` says x0."""

    def predict(self, x, at, kind):
        return self.process.convert(super().forward(x, at), x, at, "x0", kind)

    def forward(self, x, at):
        return self.predict(x, at, "noise")


class TwoFaced(Fine):
    """x̂_0 is another one than the noise says."""

    def predict(self, x, at, kind):
        return super().predict(x, at, kind) + (0.01 if kind == "x0" else 0.0)


class Gradients(Fine):
    """Differentiates where gradients are switched off."""

    def forward(self, x, at):
        point = x.detach().requires_grad_()
        guided = super().forward(point, at)
        torch.autograd.grad(guided.sum(), point)
        return guided.detach()


class Idle(Fine):
    """Ignores its scale."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=1.5)


def always_refuses(model, *, scale=1.5):
    """Refuses every model."""
    raise DifrunError("this model cannot be guided")


class Single(Added):
    """Answers in float32."""

    def forward(self, x, at):
        return super().forward(x, at).float()

    def wrong(self, x, at):
        return 0.0


class Scribbling(Added):
    """Writes into x."""

    def wrong(self, x, at):
        x.mul_(1 + 1e-13)
        return 0.0


class Nowhere(Fine):
    """Its mean is not finite."""

    def __init__(self, model, *, scale=1.5):
        super().__init__(model, scale=scale)
        self.mean = torch.full((2,), torch.nan)


@towards_class(lambda noise, *, scale: scale)
def one_class(model, *, scale=1.5):
    """Leads to the first class, whatever the labels."""
    return _OneClass(model, scale=scale)


class _OneClass(Fine):
    def forward(self, x, at):
        any_class = self.inner.condition_on(torch.full((len(x),), -1)).predict(x, at, "x0")
        return any_class + self.scale * (
            self.inner.condition_on(torch.zeros(len(x), dtype=torch.int64)).predict(x, at, "x0") - any_class
        )


class Halved(Fine):
    """Computes in bfloat16."""

    def forward(self, x, at):
        return super().forward(x, at).bfloat16().to(x.dtype)


class FirstTime(Added):
    """Takes the first time of a batch for all."""

    def wrong(self, x, at):
        return 0.01 * at.sigma[:1] if isinstance(at.sigma, torch.Tensor) else 0.01 * at.sigma


class Switching(Added):
    """Switches gradients off for the whole program."""

    def wrong(self, x, at):
        torch.set_grad_enabled(False)
        return 0.0


class Single64(Fine):
    """Answers in the precision of x, but computes in float32."""

    def forward(self, x, at):
        return super().forward(x, at).float().to(x.dtype)
