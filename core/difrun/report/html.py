"""The report of a run: one HTML file that holds its pictures, needs no network and can be sent by mail."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
from jinja2 import Environment, StrictUndefined
from PIL import Image, UnidentifiedImageError

from difrun.errors import DifrunError
from difrun.report.floors import alone, has_exact
from difrun.report.verdict import legend, times, verdict
from difrun.report.verdict import text as number
from difrun.storage.atomic import write_text
from difrun.storage.regular import read_bounded
from difrun.text import listed

FILE_NAME = "report.html"

_MEDIA_TYPES = {"PNG": "image/png", "GIF": "image/gif", "JPEG": "image/jpeg", "WEBP": "image/webp"}
# Largest width of a picture on the page, in CSS pixels, if its file does not give its resolution (a GIF cannot).
_WIDTH_WITHOUT_DPI = 440
_MOST_OF_A_PICTURE = 2**28  # bytes


@attrs.frozen
class Picture:
    """A picture of the report: a file and the words that go with it.

    Attributes:
        title: Its heading.
        caption: The sentences below it.
        path: A PNG, GIF, JPEG or WebP file.
        alt: What the picture shows, for readers who cannot see it; the caption where it is empty.
    """

    title: str
    caption: str
    path: Path = attrs.field(converter=Path)
    alt: str = ""


@attrs.frozen(kw_only=True)
class ReportContext:
    """The content of a report. Empty parts are left out of the page.

    Attributes:
        title: The heading.
        summary: Sentences on what was run, the process first.
        headline: Label -> name, such as process, sampler and dataset.
        metrics: Name -> {"value", "value_sd", "exact", "floor", "floor_sd", "n", "of", "units", "better", "ratio"}, as
            metrics.json has them; all but the value may be missing or None.
        metric_notes: Name -> what the metric means, in one line.
        verdict: A few sentences; None makes them from the metrics and their floors (`difrun.report.verdict`).
        likelihood: Rows of quantity, nats, bits per dimension and meaning.
        likelihood_notes: Sentences below them.
        signal: Label -> value: what is left of the data at T and what is sampled instead.
        warnings: Sentences that a reader must see.
        pictures: In the order of the page.
        training_pictures: Those that belong to the training: the loss curve.
        training: Label -> value.
        sampling: Label -> value.
        config_text: The text of run.toml.
        versions: Package -> version.
        commands: Shell lines that reproduce the run.
    """

    title: str
    summary: Sequence[str] = ()
    headline: Mapping[str, str] = attrs.field(factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    metric_notes: Mapping[str, str] = attrs.field(factory=dict)
    verdict: str | None = None
    likelihood: Sequence[tuple[str, str, str, str]] = ()
    likelihood_notes: Sequence[str] = ()
    signal: Mapping[str, Any] = attrs.field(factory=dict)
    warnings: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    training_pictures: Sequence[Picture] = ()
    training: Mapping[str, Any] = attrs.field(factory=dict)
    sampling: Mapping[str, Any] = attrs.field(factory=dict)
    config_text: str = ""
    versions: Mapping[str, str] = attrs.field(factory=dict)
    commands: Sequence[str] = ()


def write(folder: Path | str, context: ReportContext) -> Path:
    """Write `report.html` into the folder, whole or not at all, and return its path.

    Raises:
        DifrunError: If a picture cannot be read or the file cannot be written; an older report then stays.
    """
    return write_text(Path(folder) / FILE_NAME, render(context))


def render(context: ReportContext) -> str:
    """Return the report as an HTML page, all text escaped. Raises DifrunError as `write` does."""
    template = resources.files("difrun.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    return environment.from_string(template).render(
        run=context,
        verdict=verdict(context.metrics) if context.verdict is None else context.verdict,
        rows=[
            _row(name, metric, context.metric_notes.get(name, "")) for name, metric in context.metrics.items()
        ],
        counted=any(metric.get("n") is not None for metric in context.metrics.values()),
        known=any(has_exact(metric) for metric in context.metrics.values()),
        table_notes=_table_notes(context.metrics),
        pictures=[_inline(picture) for picture in context.pictures],
        training_pictures=[_inline(picture) for picture in context.training_pictures],
    )


def _table_notes(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How to read the table, and which metrics were measured on another file than samples.npz."""
    notes = legend(metrics)
    if any(metric.get("n") is not None for metric in metrics.values()):
        notes.insert(1, "n: how many samples were compared.")
    others: dict[str, list[str]] = {}
    for name, metric in metrics.items():
        if metric.get("of", "samples.npz") != "samples.npz":
            others.setdefault(metric["of"], []).append(name)
    return notes + [f"Measured on the samples in {file}: {listed(names)}." for file, names in others.items()]


def _row(name: str, metric: Mapping[str, Any], meaning: str) -> dict[str, str]:
    n = metric.get("n")
    return {
        "name": name,
        "value": _with_deviation(metric, "value"),
        "exact": number(metric["exact"]) if has_exact(metric) else "",
        "floor": _with_deviation(metric, "floor"),
        "ratio": times(metric),
        "n": "" if n is None else number(n),
        "meaning": meaning,
    }


def _with_deviation(metric: Mapping[str, Any], key: str) -> str:
    """The "value" or the "floor" of a metric with its standard deviation; empty where it is missing."""
    value, sd = metric.get(key), metric.get(f"{key}_sd")
    if value is None:
        return ""
    if alone(metric, key):
        return f"{number(value)} ± –"
    return number(value) if sd is None else f"{number(value)} ± {number(float(f'{sd:.2g}'))}"


def _inline(picture: Picture) -> dict[str, Any]:
    """A picture for the template: a data URL of the file's bytes, and its size on the page in CSS pixels."""
    try:
        content = read_bounded(picture.path, _MOST_OF_A_PICTURE, within=picture.path.parent)
        with Image.open(BytesIO(content)) as image:
            kind, (width, height), dots = image.format, image.size, image.info.get("dpi", (0, 0))[0]
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        kind = None
    except OSError as error:
        raise DifrunError(
            f"report: cannot read the picture {picture.path}: {error.strerror or error}"
        ) from error
    if kind not in _MEDIA_TYPES:
        raise DifrunError(
            f"report: {picture.path} is not a picture that a browser shows (PNG, GIF, JPEG, WebP)"
        )
    shown = width * 96 / dots if dots else min(width, _WIDTH_WITHOUT_DPI)
    return {
        "title": picture.title,
        "caption": picture.caption,
        "alt": picture.alt or picture.caption or picture.title,
        "url": f"data:{_MEDIA_TYPES[kind]};base64,{base64.b64encode(content).decode()}",
        "width": round(shown),
        "height": round(shown * height / width),
    }
