"""Every built-in layout keeps the contract, with each option that changes what it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.plugins import load_plugins
from colfw.sites import Ffn, Site
from colfw.testing.contracts import LayoutContract
from colfw.testing.strategies import observed_masks
from colfw.typed import structure
from colfw.vocabulary import Kind, MaskKind
from colfw_layouts.config import DynamicConfig, HotColdConfig, RowMajorConfig
from colfw_layouts.dynamic import DynamicHotCold
from colfw_layouts.hot_cold import HotCold
from colfw_layouts.row_major import RowMajor

if TYPE_CHECKING:
    from colfw.masks import SiteMask
    from colfw.plugins import Registered
    from colfw.profile import SiteProfile

BUILT_IN = {
    registered.record.name: registered
    for registered in load_plugins().all(Kind.LAYOUT)
    if registered.owner.distribution == "colfw"
}


def made(name: str, **options: Any) -> Any:
    """The layout of this name as a study would make it."""
    registered = BUILT_IN[name]
    config: Any = registered.config_class()
    return registered.make(structure(config, options, where=name))


class TestRowMajor(LayoutContract):
    """Gathers what is hot, wherever it lies."""

    fetches_only_what_is_hot = True

    @pytest.fixture
    def layout(self) -> Any:
        return made("row-major")


class TestRowMajorFetchingAll(LayoutContract):
    """Skips no traffic."""

    @pytest.fixture
    def layout(self) -> Any:
        return made("row-major", fetch="all")


class TestUniformHotCold(LayoutContract):
    """Streams its hot region."""

    @pytest.fixture
    def layout(self) -> Any:
        return made("uniform-hot-cold")


class TestPerLayerHotCold(LayoutContract):
    """The same policy under the other name."""

    @pytest.fixture
    def layout(self) -> Any:
        return made("per-layer-hot-cold")


class TestGathered(LayoutContract):
    """Skips cold columns inside the hot region too."""

    fetches_only_what_is_hot = True

    @pytest.fixture
    def layout(self) -> Any:
        return made("uniform-hot-cold", hot_region="gather")


class TestFromTheFirstSparseIteration(LayoutContract):
    """Looks at iteration 1."""

    decided_by_iteration = 1

    @pytest.fixture
    def layout(self) -> Any:
        return made("uniform-hot-cold", decide_from="first-sparse")


class TestFromAUnion(LayoutContract):
    """Looks at iterations 0 and 1."""

    decided_by_iteration = 1

    @pytest.fixture
    def layout(self) -> Any:
        return made("per-layer-hot-cold", decide_from="union")


class TestFromAUnionOfOthers(LayoutContract):
    """Looks at iterations that a study lists, in any order."""

    decided_by_iteration = 2

    @pytest.fixture
    def layout(self) -> Any:
        return made("uniform-hot-cold", decide_from="union", union_of=[2, 0])


class TestDynamicHotCold(LayoutContract):
    """Decides again; what it fetches later depends on moves, which other masks may not pay for."""

    decided_by_iteration = None
    fewer_hot_fetch_no_more = False

    @pytest.fixture
    def layout(self) -> Any:
        return made("dynamic-hot-cold")


class TestEagerDynamicHotCold(TestDynamicHotCold):
    """Believes each iteration, so that it moves often."""

    @pytest.fixture
    def layout(self) -> Any:
        return made("dynamic-hot-cold", look_back=1, horizon=9, scattered_extra=0.5)


class TestGatheredDynamicHotCold(TestDynamicHotCold):
    """Moves for locality alone, so it fetches what is hot."""

    fewer_hot_fetch_no_more = True
    fetches_only_what_is_hot = True

    @pytest.fixture
    def layout(self) -> Any:
        return made("dynamic-hot-cold", hot_region="gather", look_back=1, horizon=9, scattered_extra=0.5)


TESTED = {
    "row-major": (TestRowMajor, TestRowMajorFetchingAll),
    "uniform-hot-cold": (TestUniformHotCold, TestGathered, TestFromTheFirstSparseIteration),
    "per-layer-hot-cold": (TestPerLayerHotCold, TestFromAUnion, TestFromAUnionOfOthers),
    "dynamic-hot-cold": (TestDynamicHotCold, TestEagerDynamicHotCold, TestGatheredDynamicHotCold),
}


def test_every_built_in_layout_is_held_to_the_contract() -> None:
    """Each layout in the registry has test classes here that inherit the contract."""
    assert set(TESTED) == set(BUILT_IN)
    assert all(issubclass(each, LayoutContract) for classes in TESTED.values() for each in classes)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("row-major", (MaskKind.DENSE,)),
        ("uniform-hot-cold", (MaskKind.UNIFORM,)),
        ("per-layer-hot-cold", (MaskKind.PER_LAYER,)),
        ("dynamic-hot-cold", (MaskKind.UNIFORM,)),
    ],
)
def test_a_layout_is_simulated_with_the_masks_of_the_study(name: str, kinds: tuple[MaskKind, ...]) -> None:
    """Row-major is the dense baseline; the others get one threshold, or one target a site."""
    assert BUILT_IN[name].record.masks == kinds  # type: ignore[attr-defined]


@pytest.mark.parametrize("registered", BUILT_IN.values(), ids=BUILT_IN)
@given(drawn=observed_masks(min_iterations=2))
def test_presets_can_be_used(registered: Registered, drawn: tuple[SiteProfile, SiteMask]) -> None:
    """Each named set of options makes a layout; `paper` skips every cold column, wherever it lies."""
    entry, mask = drawn
    for name, options in registered.record.presets.items():
        placed = made(registered.record.name, **options).place(entry, mask)
        assert name == "paper"
        assert np.array_equal(placed.fetched[1:], mask.hot[1:])


# --- masks that do not belong to the profile ----------------------------------------------------------

LAYOUTS = [
    RowMajor(RowMajorConfig()),
    HotCold(HotColdConfig()),
    DynamicHotCold(DynamicConfig()),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: type(layout).__name__)
@given(drawn=observed_masks(min_iterations=2), extra=st.integers(1, 3))
def test_a_mask_of_another_length_is_refused(
    layout: Any, drawn: tuple[SiteProfile, SiteMask], extra: int
) -> None:
    """A mask of more iterations than the profile has is refused in a line that names both shapes."""
    entry, mask = drawn
    longer = evolve(mask, hot=np.concatenate([mask.hot, mask.hot[:extra]]))
    with pytest.raises(InvariantError, match=r"is of shape .* the profile of") as refusal:
        layout.place(entry, longer)
    assert refusal.value.where == f"mask of site {mask.site.name}"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: type(layout).__name__)
@given(drawn=observed_masks())
def test_a_mask_of_another_width_is_refused(layout: Any, drawn: tuple[SiteProfile, SiteMask]) -> None:
    """A mask of another site, wider by a column, is refused in a line that names both sites."""
    entry, mask = drawn
    columns = mask.site.columns + 1
    other = Site(name="wider", rows=1, columns=columns, operator=Ffn(d_in=1, d_out=1))
    wider = evolve(mask, site=other, hot=np.ones((len(mask.hot), columns), np.bool_))
    with pytest.raises(InvariantError, match="another site") as refusal:
        layout.place(entry, wider)
    assert refusal.value.where == "mask of site wider"
    assert mask.site.name in str(refusal.value)
