"""The page to read: figures, tables with their units, sections of plugins, the study and who computed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from colfw.report.evidence import evidence_sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from colfw.report.figures.drawing import Picture
    from colfw.store.tables import Column, Table

_ROWS_SHOWN: Final = 200
_NUMERIC: Final = ("integer", "real")
_OPEN_AT_FIRST: Final = ("regimes", "totals", "scores")


@frozen(kw_only=True)
class Section:
    """A titled piece of the page; `body` is HTML and was escaped by whoever made it."""

    id: str
    title: str
    body: str


@frozen
class _Cell:
    text: str
    number: bool


def render(
    *,
    name: str,
    tables: Mapping[str, Table],
    sections: Sequence[Section],
    study: str,
    plugins: Iterable[str],
    pictures: Sequence[Picture] = (),
) -> str:
    """The report as one HTML page that needs nothing else; its links lead to files of the run beside it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("colfw", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [
        # The body of a plugin's section is the plugin's own HTML, as its protocol says.
        {"id": section.id, "title": section.title, "body": Markup(section.body)}  # noqa: S704
        for section in sections
    ]
    return environment.get_template("template.html.jinja").render(
        name=name,
        evidence=evidence_sentences(tables),
        # The converter writes the SVG and escapes its texts.
        pictures=[(picture.figure, Markup(picture.svg)) for picture in pictures],  # noqa: S704
        tables=[_shown(table) for table in tables.values()],
        sections=shown,
        study=study,
        plugins=list(plugins),
    )


def _shown(table: Table) -> dict[str, Any]:
    columns = table.schema.columns
    rows = [
        [_Cell(_shortened(column, row[column.name]), column.kind in _NUMERIC) for column in columns]
        for row in table.rows[:_ROWS_SHOWN]
    ]
    return {
        "name": table.schema.name,
        "meaning": table.schema.meaning,
        "columns": columns,
        "rows": rows,
        "rows_in_all": len(table),
        "open": table.schema.name in _OPEN_AT_FIRST,
    }


def _shortened(column: Column, value: Any) -> str:
    """The text of a cell; of a digest, as much as tells it apart. The files in `tables/` have it whole."""
    text = _text(value)
    return text[:8] if column.name.endswith("_digest") else text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
