"""Listeners: objects that follow the progress of a run."""


class Listener:
    """Follows the progress of a run. This base class does nothing; the one of the command line shows progress."""

    def stage(self, name: str) -> None:
        """A stage begins: train, sample, evaluate, draw, tune N for N steps, compare, likelihood, bound, half-steps."""

    def train(self, step: int, steps: int, loss: float, rate: float, eta: float) -> None:
        """Training has come to a step; rate is in steps per second, eta in seconds."""

    def sample(self, done: int, total: int) -> None:
        """Sampling or comparing has done some of its steps, on average over the chunks of samples.

        In the stage "tune" iterations are counted, in the stage "bound" examples.
        """

    def note(self, text: str) -> None:
        """Something the user should know."""

    def stopping(self) -> bool:
        """Whether the user asked to stop; the run then saves its state and raises Interrupted."""
        return False
