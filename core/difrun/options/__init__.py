"""Options of components: attrs classes that become flags, keys of files and records of runs."""

from difrun.options.attrs_fields import Section, build, fields, record, values, variable

__all__ = [
    "Section",
    "build",
    "fields",
    "record",
    "values",
    "variable",
]
