"""`colfw glossary`: what every table and column means, and in which unit."""

from __future__ import annotations

from colfw.cli.common import console, say, table
from colfw.errors import ColfwError
from colfw.names import did_you_mean
from colfw.report.schemas import SCHEMAS


def glossary(name: str | None = None) -> None:
    """Say what a table's columns mean; without a name, of every table.

    Parameters
    ----------
    name
        A table or a column.
    """
    columns = {column.name for schema in SCHEMAS.values() for column in schema.columns}
    if name is not None and name not in SCHEMAS and name not in columns:
        raise ColfwError(f"no table or column {name!r}", hint=did_you_mean(name, {*SCHEMAS, *columns}))
    out = console()
    for schema in SCHEMAS.values():
        whole = name in (None, schema.name)
        wanted = [column for column in schema.columns if whole or column.name == name]
        if wanted:
            say(f"{schema.name}: {schema.meaning}")
            listing = table("column", "unit", "meaning")
            for column in wanted:
                listing.add_row(column.name, column.unit, column.meaning)
            out.print(listing)
