"""Doctests of the hook specifications read like a plugin: they have `hookimpl` and the records at hand."""

from __future__ import annotations

from typing import Any

import pytest

from colfw import hookimpl, records


@pytest.fixture(autouse=True)
def plugin_author(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["hookimpl"] = hookimpl
    doctest_namespace.update({spec.__name__: spec for spec in records.KINDS.values()})
