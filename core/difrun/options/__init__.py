"""Options of components: attrs classes that become flags, keys of files and records of runs."""

from difrun.options.fields import (
    Field,
    Section,
    build,
    build_all,
    fields,
    names_of,
    read,
    record,
    unknown_option,
    values,
    variable,
)
from difrun.options.types import Mismatch, coerce, describe, parse

__all__ = [
    "Field",
    "Mismatch",
    "Section",
    "build",
    "build_all",
    "coerce",
    "describe",
    "fields",
    "names_of",
    "parse",
    "read",
    "record",
    "unknown_option",
    "values",
    "variable",
]
