"""The example keeps the promises of its kinds: each test class inherits a contract of `colfw.testing`."""

import numpy as np
import pytest

from colfw.protocols import DenoiseRequest
from colfw.samples import Samples
from colfw.testing.contracts import (
    AcceleratorContract,
    ExperimentContract,
    LayoutContract,
    ListenerContract,
    MemoryContract,
    MetricContract,
    ObserverContract,
    SectionContract,
    WorkloadContract,
)
from colfw.vocabulary import SourceKind
from colfw_tiny.config import ArrayConfig, BusConfig, DenoiserConfig
from colfw_tiny.experiment import BusWidths
from colfw_tiny.extras import Diary, Note, ValueRange
from colfw_tiny.layout import HotFirst
from colfw_tiny.machine import TinyArray, TinyBus
from colfw_tiny.metric import RootMeanSquare
from colfw_tiny.workload import TinyDenoiser


class TestDenoiser(WorkloadContract):
    @pytest.fixture
    def workload(self) -> TinyDenoiser:
        return TinyDenoiser(DenoiserConfig())

    @pytest.fixture
    def denoise_request(self) -> DenoiseRequest:
        return DenoiseRequest(
            source=SourceKind.RANDOM, iterations=3, samples=2, seed=5, thresholds=(0.1, 0.5)
        )


class TestHotFirst(LayoutContract):
    @pytest.fixture
    def layout(self) -> HotFirst:
        return HotFirst()


class TestArray(AcceleratorContract):
    computes_ffn = False  # it moves weights alone, those of both matrices in one tensor

    @pytest.fixture
    def accelerator(self) -> TinyArray:
        return TinyArray(ArrayConfig())


class TestBus(MemoryContract):
    @pytest.fixture
    def memory(self) -> TinyBus:
        return TinyBus(BusConfig())


class TestDistance(MetricContract):
    symmetric = True

    @pytest.fixture
    def metric(self) -> RootMeanSquare:
        return RootMeanSquare()

    @pytest.fixture
    def dense(self) -> Samples:
        data = np.random.default_rng(1).standard_normal((4, 3, 2))
        return Samples(modality="vector", data=data, seed=1)


class TestRange(ObserverContract):
    @pytest.fixture
    def factory(self) -> ValueRange:
        return ValueRange()


class TestDiary(ListenerContract):
    @pytest.fixture
    def listener(self, tmp_path, monkeypatch) -> Diary:
        monkeypatch.setenv("TINY_DIARY", str(tmp_path / "diary"))
        return Diary()


class TestNote(SectionContract):
    tables = {"totals": [{"layout": "l", "mask": "m", "machine": "<b>", "cycle_reduction": 0.5}]}

    @pytest.fixture
    def section(self) -> Note:
        return Note()

    def test_what_is_not_its_own_is_escaped(self, section: Note) -> None:
        """Names come from a study: they are text, not HTML."""
        _, body = section.render(self.tables)
        assert "&lt;b&gt;" in body
        assert "<b>" not in body


class TestBusWidths(ExperimentContract):
    tables = {
        "totals": [
            {"workload": "tiny-denoiser", "machine": "width-8", "core_cycles": 40},
            {"workload": "tiny-denoiser", "machine": "width-16", "core_cycles": 20},
        ]
    }

    @pytest.fixture
    def experiment(self) -> BusWidths:
        return BusWidths()
