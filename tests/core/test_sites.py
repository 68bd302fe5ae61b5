from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.sites import OPERATORS, Ffn, Site, check_distinct
from colfw.testing.strategies import sites


@given(sites())
def test_a_site_comes_back_from_json(site: Site) -> None:
    """A site written as JSON text and read again is the same site."""
    assert Site.from_json(json.loads(json.dumps(site.to_json()))) == site


@given(sites())
def test_the_json_of_a_site_names_its_operator(site: Site) -> None:
    """The operator's kind stands beside its fields, so that another operator cannot be mistaken for it."""
    operator = site.to_json()["operator"]
    assert OPERATORS[operator.pop("kind")](**operator) == site.operator


@given(sites())
def test_an_unknown_operator_is_refused_by_name(site: Site) -> None:
    """An operator that this colfw does not know is named, with the site that has it."""
    data = site.to_json()
    data["operator"]["kind"] = "rotor"
    with pytest.raises(InvariantError, match="unknown operator 'rotor'") as refusal:
        Site.from_json(data)
    assert refusal.value.where == f"site {site.name}"


@pytest.mark.parametrize("change", [{"name": ""}, {"rows": 0}, {"columns": 0}, {"columns": -3}])
def test_a_site_without_name_or_elements_is_refused(change: dict[str, Any]) -> None:
    """A site has a name, a row and a column at least."""
    site = Site(name="mlp", rows=1, columns=1, operator=Ffn(d_in=4, d_out=2))
    with pytest.raises(ValueError, match=next(iter(change))):
        attrs.evolve(site, **change)


@pytest.mark.parametrize("width", ["d_in", "d_out"])
def test_a_network_without_width_is_refused(width: str) -> None:
    """A feed-forward network reads and writes a number at least."""
    with pytest.raises(ValueError, match=width):
        Ffn(d_in=int(width != "d_in"), d_out=int(width != "d_out"))


@given(st.lists(sites(), max_size=4).map(tuple))
def test_sites_are_told_apart_by_name(several: tuple[Site, ...]) -> None:
    """Sites are distinct iff their names are, whatever else differs; the refusal says which one is not."""
    names = [site.name for site in several]
    repeated = [name for name in names if names.count(name) > 1]
    if not repeated:
        check_distinct(several, "workload tiny")
        assert len(set(names)) == len(several)
        return
    with pytest.raises(InvariantError, match="declared twice") as refusal:
        check_distinct(several, "workload tiny")
    assert any(repr(name) in refusal.value.problem for name in repeated)
    assert refusal.value.where == "workload tiny"
