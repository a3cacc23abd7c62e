"""The rule for components that no other rule can try, so that none passes in silence."""

from difrun.plugin.compatibility import VOCABULARY
from difrun.runs.rehearsal import Untried, rehearse
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, RuleBroken, ensure
from difrun.text import did_you_mean, in_one_line, listed


@check("none", once=True)
def works_in_a_tiny_run(subject: ComponentUnderTest) -> None:
    """A component that no rule of its kind can try works in a tiny run with the components that fit.

    A capability that nothing provides, and that no plugin of this project knows, is a mistake: the component could
    never be used.
    """
    entry, registry = subject.entry, subject.registry
    offered = {token for other in registry.entries() for token in other.component.provides} | VOCABULARY
    unknown = sorted(entry.component.requires - offered)
    guesses = "".join(did_you_mean(token, sorted(offered)) for token in unknown)
    ensure(
        not unknown,
        f"it requires {listed(map(repr, unknown))}, which nothing provides.{guesses}",
        "known capabilities",
    )
    outcome = rehearse(registry, entry)
    if isinstance(outcome, Untried):
        raise NotTried(f"no rule fits what it requires, and no tiny run could be made: {outcome.reason}")
    if outcome is not None:
        guilty, error = outcome
        raise RuleBroken(
            f"{guilty} failed: {in_one_line(error)}", "two steps of training and three of sampling"
        )
