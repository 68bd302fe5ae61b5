"""The tour: what `colfw run` does when nobody says what."""

from __future__ import annotations

import pytest

from colfw.binding import bind
from colfw.plugins import load_plugins
from colfw.study import study_from
from colfw.testing.contracts import ExperimentContract
from colfw.vocabulary import SourceKind
from colfw_experiments.studied import MINIATURES, OPERATING_POINT, SEVEN
from colfw_experiments.tour import Tour


class TestTour(ExperimentContract):
    """The tour states a sound study."""

    @pytest.fixture
    def experiment(self) -> Tour:
        return Tour()


def test_miniatures_run_for_real_beside_the_seven() -> None:
    """Three workloads on their own weights, seven synthesised; no file is needed for any."""
    bound = bind(study_from({**Tour().study()}, where="tour"), load_plugins(), where="tour")
    sources = {workload.choice.name: workload.source for workload in bound.workloads}
    assert sources == {
        **dict.fromkeys(MINIATURES, SourceKind.MINIATURE),
        **dict.fromkeys(SEVEN, SourceKind.PUBLISHED),
    }


def test_both_machines_three_layouts_one_operating_point() -> None:
    """Dense, one threshold and one a layer, each on the machine of the paper and on the honest one."""
    bound = bind(study_from({**Tour().study()}, where="tour"), load_plugins(), where="tour")
    assert [machine.name for machine in bound.machines] == ["paper", "reference"]
    assert [[mask.label for mask in layout.masks] for layout in bound.layouts] == [
        ["dense"],
        [f"tau={OPERATING_POINT}"],
        [f"rho={OPERATING_POINT}"],
    ]
