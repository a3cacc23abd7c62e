"""The names that follow from one name, and those that cannot be taken."""

import builtins
import functools
import importlib.util
import keyword
import re
from importlib import resources

import attrs

from difrun.cli.scaffold.kinds import KINDS, NewKind
from difrun.errors import ConfigError
from difrun.plugin.known import known_plugins
from difrun.plugin.packages import canonical
from difrun.plugin.registry import Registry

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40


@attrs.frozen
class Names:
    """What a plugin and its parts are called.

    Attributes:
        name: The name of the component, which users write.
        kind: The kind of plugin, a key of `KINDS`.
        object: The class or function that the component names.
    """

    name: str
    kind: str
    object: str

    @property
    def of_kind(self) -> NewKind:
        """What is known of the kind."""
        return KINDS[self.kind]

    @property
    def dist(self) -> str:
        """The name of the distribution."""
        return f"difrun-{self.name}"

    @property
    def package(self) -> str:
        """The name of the Python package."""
        return self.dist.replace("-", "_")

    @property
    def options(self) -> str:
        """The name of the class of options."""
        return f"{_camel(self.name)}Options"


def names_for(text: str, kind: str, registry: Registry) -> Names:
    """Return the names of a new plugin.

    Args:
        text: The name that the user wrote; ``difrun-`` before it is left out.
        kind: A key of `KINDS`.
        registry: The components that are installed.

    Raises:
        ConfigError: If the name is none, or is taken by a component, a plugin or a Python package.
    """
    name = text.removeprefix("difrun-")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ConfigError(
            f"'{text[:60]}' cannot be the name of a plugin: write lower-case words of letters and digits, joined by "
            f"hyphens, that start with a letter and have at most {_LONGEST} characters, such as my-{_last(kind)}."
        )
    if name in ("none", "default", "file"):
        raise ConfigError(f"'{name}' has a meaning of its own as a value of difrun: choose another name.")
    names = Names(name, kind, _object(name, kind))
    _refuse_taken(names, registry)
    return names


def _last(kind: str) -> str:
    """The last word of a kind: ``discrete-process`` -> ``process``."""
    return kind.split("-")[-1]


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _object(name: str, kind: str) -> str:
    """The class or function of a component; a name that Python or a template uses gets its kind behind it."""
    word = _last(kind)
    of_class = KINDS[kind].is_class
    proper = _camel(name) if of_class else name.replace("-", "_")
    clashes = keyword.iskeyword(proper) or hasattr(builtins, proper) or proper in _words_of_templates(kind)
    if not clashes:
        return proper
    return f"{proper}{word.capitalize()}" if of_class else f"{proper}_{word}"


@functools.cache
def _words_of_templates(kind: str) -> frozenset[str]:
    """Every word of the templates of a kind: what they import, define and call their arguments is among them."""
    folder = resources.files(__package__).joinpath("templates", kind.replace("-", "_"))
    texts = [
        template.read_text(encoding="utf-8")
        for part in ("package", "tests")
        for template in folder.joinpath(part).iterdir()
    ]
    return frozenset(re.findall(r"[A-Za-z_]\w*", re.sub(r"{{.*?}}", " ", " ".join(texts))))


def _refuse_taken(names: Names, registry: Registry) -> None:
    component = names.of_kind.component
    for entry in registry.entries(component or None):
        if entry.name == names.name and component:
            raise ConfigError(f"{entry} exists already: choose another name.")
    if names.dist in {canonical(plugin.dist) for plugin in registry.plugins}:
        raise ConfigError(f"The plugin {names.dist} is installed already: choose another name.")
    if any(known.dist == names.dist for known in known_plugins()):
        raise ConfigError(
            f"{names.dist} is the name of another plugin ('difrun plugins --known'): choose another name."
        )
    if importlib.util.find_spec(names.package) is not None:
        raise ConfigError(f"A Python package {names.package} exists already: choose another name.")
