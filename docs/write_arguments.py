"""Write docs/arguments.md, the list of values that a component may ask for.

Run it as ``python docs/write_arguments.py``.
"""

from pathlib import Path

from difrun.api import KINDS
from difrun.plugin.signatures import ON_OFFER, PICTURES, Argument

PAGE = Path(__file__).with_name("arguments.md")

HEAD = """# What a component may ask for

A component's target is called by name, as a pytest fixture is. It receives the fields of its options, and those of
the values below that its signature names. It may leave out any of these values.

* A parameter with a default that is neither an option nor on offer keeps its default.
* An option has precedence over a value of the same name. `**kwargs` receives the options alone. The
  conformance kit wants every option named, and refuses `**kwargs`.
* A name without a default that is neither an option nor on offer is refused, with a suggestion:

```
metric 'mean-gap' (difrun-tour): a metric may ask for samples, reference, dataset, labels, generator;
`mean_gap` asks for `refrence`: did you mean `reference`?
```

This page is written by `python docs/write_arguments.py` from the table in `difrun.plugin.signatures`.
"""


def page() -> str:
    """The text of the page."""
    titles = {kind: kind.capitalize() for kind in KINDS}
    titles["format"] = "Format of `difrun export`"
    titles[PICTURES] = "Pictures of a dataset"
    alone = [kind for kind, arguments in ON_OFFER.items() if not arguments]
    sections = [HEAD, f"## {', '.join(titles[kind] for kind in alone).capitalize()}\n\nThe options alone.\n"]
    sections += [
        section(titles.get(kind, f"Event `{kind}`"), arguments)
        for kind, arguments in ON_OFFER.items()
        if arguments
    ]
    return "\n".join(sections)


def section(title: str, arguments: tuple[Argument, ...]) -> str:
    """One table."""
    rows = [
        "| `{}` | `{}` | {} |".format(each.name, each.type.replace("|", "\\|"), each.meaning)
        for each in arguments
    ]
    return "\n".join([f"## {title}\n", "| name | type | meaning |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
