"""The page to read: tables with their units, sections of plugins, the study and who computed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from colfw.store.tables import Column, Table

_ROWS_SHOWN: Final = 200
_NUMERIC: Final = ("integer", "real")
_OPEN_AT_FIRST: Final = ("regimes", "totals", "scores")

_EVIDENCE_SENTENCES: Final[Mapping[str, str]] = {
    "measured": "Activations were measured on real weights.",
    "measured-random": "Activations were measured on seeded random weights: they show shapes and"
    " mechanics, not the sparsity of a trained model.",
    "synthesised": "Activations were synthesised to published statistics: no model was run.",
}


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
) -> str:
    """The report as one HTML page that needs nothing else."""
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
        tables=[_shown(table) for table in tables.values()],
        sections=shown,
        study=study,
        plugins=list(plugins),
    )


def evidence_sentences(tables: Mapping[str, Table]) -> str:
    """What the numbers of a run rest on, in words."""
    profiles = tables.get("profiles")
    kinds = sorted({str(row["evidence"]) for row in profiles.rows}) if profiles else []
    sentences = " ".join(_EVIDENCE_SENTENCES[kind] for kind in kinds)
    if len(kinds) > 1:
        return f"This run mixes sources; the column `evidence` says which number rests on which. {sentences}"
    return sentences


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
