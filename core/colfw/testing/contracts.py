"""Contracts: what a plugin of each kind promises, as tests that its author inherits.

A test class of yours inherits a contract and gives the fixtures that it asks for; pytest does the rest.
Attributes say what your plugin is capable of, where plugins may differ.

    class TestMyLayout(LayoutContract):
        @pytest.fixture
        def layout(self):
            return MyLayout(MyConfig())

Needs pytest and hypothesis: `pip install colfw[testing]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colfw.masks import MaskPolicy, SiteMask, masks_of
from colfw.placement import Epoch, SitePlacement
from colfw.profile import ColumnMaxima
from colfw.program import Program
from colfw.protocols import LoweringRequest, StageEvent
from colfw.sites import Ffn, Site, check_distinct
from colfw.testing.strategies import flags, profiles, programs
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from colfw.profile import ActivationProfile, SiteProfile
    from colfw.protocols import (
        Accelerator,
        DenoiseRequest,
        Layout,
        Memory,
        Metric,
        ObserverFactory,
        ReportSection,
        RunListener,
        Workload,
    )
    from colfw.samples import Samples

_THOROUGH = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # fixtures make stateless objects: examples may share one
        HealthCheck.differing_executors,  # many test classes inherit one test: that is what it is for
    ],
)


class WorkloadContract:
    """A denoiser shows all its sites to all observers and obeys its masks, reproducibly."""

    @pytest.fixture
    def workload(self) -> Workload:
        """The workload under test."""
        raise NotImplementedError

    @pytest.fixture
    def denoise_request(self) -> DenoiseRequest:
        """A small request: two iterations at least, thresholds that part its activations."""
        raise NotImplementedError

    @staticmethod
    def observed(workload: Workload, request: DenoiseRequest) -> tuple[Samples, ColumnMaxima]:
        """The dense samples, and what their run showed."""
        sites = workload.sites(request)
        fold = ColumnMaxima(sites, iterations=request.iterations, thresholds=request.thresholds)
        return workload.denoise(request, [fold], None), fold

    def test_sites_are_known_before_it_runs(
        self, workload: Workload, denoise_request: DenoiseRequest
    ) -> None:
        """Sites have distinct names and are the same whenever one asks."""
        sites = workload.sites(denoise_request)
        assert sites
        check_distinct(sites, "sites")
        assert workload.sites(denoise_request) == sites

    def test_every_site_is_shown_in_every_iteration(
        self, workload: Workload, denoise_request: DenoiseRequest
    ) -> None:
        """An observer sees each site, at its width, in each iteration."""
        _, fold = self.observed(workload, denoise_request)
        shown = {entry.site.name for entry in fold.site_profiles()}
        assert shown == {site.name for site in workload.sites(denoise_request)}

    def test_the_seed_decides_the_samples(self, workload: Workload, denoise_request: DenoiseRequest) -> None:
        """The same seed gives the same samples to the bit, another seed gives others."""
        first = workload.denoise(denoise_request, [], None)
        again = workload.denoise(denoise_request, [], None)
        other = workload.denoise(evolve(denoise_request, seed=denoise_request.seed + 1), [], None)
        assert first.data.shape[0] == denoise_request.samples
        assert np.array_equal(first.data, again.data)
        assert not np.array_equal(first.data, other.data)

    def test_observing_changes_nothing(self, workload: Workload, denoise_request: DenoiseRequest) -> None:
        """Samples are the same with and without observers."""
        observed, _ = self.observed(workload, denoise_request)
        assert np.array_equal(observed.data, workload.denoise(denoise_request, [], None).data)

    def test_a_mask_without_a_cold_column_changes_nothing(
        self, workload: Workload, denoise_request: DenoiseRequest
    ) -> None:
        """All columns hot is the dense run, to the bit."""
        dense, _ = self.observed(workload, denoise_request)
        masked = workload.denoise(denoise_request, [], self._masks(workload, denoise_request, hot=True))
        assert np.array_equal(dense.data, masked.data)

    def test_cold_columns_change_the_samples(
        self, workload: Workload, denoise_request: DenoiseRequest
    ) -> None:
        """Masking every column after iteration 0 cannot go unnoticed."""
        dense, _ = self.observed(workload, denoise_request)
        masked = workload.denoise(denoise_request, [], self._masks(workload, denoise_request, hot=False))
        assert not np.array_equal(dense.data, masked.data)

    @staticmethod
    def _masks(workload: Workload, request: DenoiseRequest, *, hot: bool) -> Any:
        from colfw.masks import MaskSet  # noqa: PLC0415

        def flags_of(site: Site) -> NDArray[np.bool_]:
            flags = np.full((request.iterations, site.columns), hot)
            flags[0] = True
            return flags

        sites = workload.sites(request)
        masks = tuple(SiteMask(site=site, tau=None, hot=flags_of(site)) for site in sites)
        return MaskSet(policy=MaskPolicy.dense(), sites=masks)

    def test_weights_have_one_digest(self, workload: Workload, denoise_request: DenoiseRequest) -> None:
        """The digest of the weights is the same whenever one asks."""
        digest = workload.weights_digest(denoise_request)
        assert digest == workload.weights_digest(denoise_request)


class LayoutContract:
    """A layout gives every column a slot, fetches what is hot, and decides from what has happened."""

    decided_by_iteration: int | None = 0
    """The last iteration that a static layout looks at; None for one that decides again while running."""

    @pytest.fixture
    def layout(self) -> Layout:
        """The layout under test."""
        raise NotImplementedError

    @_THOROUGH
    @given(profile=profiles(min_iterations=2), tau=st.floats(0, 2))
    def test_what_is_hot_is_fetched(self, layout: Layout, profile: ActivationProfile, tau: float) -> None:
        """Each placement is a bijection of its site's columns and serves every hot column."""
        for entry, mask in _entries(profile, tau):
            placed = layout.place(entry, mask)
            assert placed.site == entry.site
            placed.check_serves(mask.hot)

    @_THOROUGH
    @given(profile=profiles(min_iterations=2), tau=st.floats(0, 2))
    def test_equal_inputs_are_placed_equally(
        self, layout: Layout, profile: ActivationProfile, tau: float
    ) -> None:
        """A layout is deterministic."""
        for entry, mask in _entries(profile, tau):
            one, other = layout.place(entry, mask), layout.place(entry, mask)
            assert np.array_equal(one.fetched, other.fetched)
            assert len(one.epochs) == len(other.epochs)
            for left, right in zip(one.epochs, other.epochs, strict=True):
                assert np.array_equal(left.slot_of_column, right.slot_of_column)

    @_THOROUGH
    @given(profile=profiles(min_iterations=3), tau=st.floats(0, 2))
    def test_the_future_is_not_known(self, layout: Layout, profile: ActivationProfile, tau: float) -> None:
        """What comes after the iteration that decides does not move a column."""
        if self.decided_by_iteration is None:
            pytest.skip("decides again while running: there is no last iteration to decide by")
        later = self.decided_by_iteration + 1
        for entry, mask in _entries(profile, tau):
            maxima, hot = entry.maxima.copy(), mask.hot.copy()
            maxima[later:], hot[later:] = maxima[later:][:, ::-1], ~hot[later:]
            other = layout.place(evolve(entry, maxima=maxima), evolve(mask, hot=hot))
            slots = layout.place(entry, mask).epochs[0].slot_of_column
            assert np.array_equal(slots, other.epochs[0].slot_of_column)

    @_THOROUGH
    @given(profile=profiles(min_iterations=2))
    def test_all_hot_fetches_all(self, layout: Layout, profile: ActivationProfile) -> None:
        """With every column hot, every column is fetched in every iteration."""
        for entry, mask in zip(profile.sites, masks_of(profile, MaskPolicy.dense()).sites, strict=True):
            assert layout.place(entry, mask).fetched.all()

    @_THOROUGH
    @given(profile=profiles(min_iterations=2), taus=st.tuples(st.floats(0, 2), st.floats(0, 2)))
    def test_a_higher_threshold_never_fetches_more(
        self, layout: Layout, profile: ActivationProfile, taus: tuple[float, float]
    ) -> None:
        """Fewer hot columns are never more to fetch."""
        low, high = sorted(taus)
        for (entry, more), (_, fewer) in zip(_entries(profile, low), _entries(profile, high), strict=True):
            fetched = [np.count_nonzero(layout.place(entry, mask).fetched) for mask in (more, fewer)]
            assert fetched[1] <= fetched[0]


def _entries(profile: ActivationProfile, tau: float) -> list[tuple[SiteProfile, SiteMask]]:
    masks = masks_of(profile, MaskPolicy.uniform(tau))
    return list(zip(profile.sites, masks.sites, strict=True))


_SITE = Site(name="mlp", rows=8, columns=24, operator=Ffn(d_in=4, d_out=6))


class AcceleratorContract:
    """A machine turns what is fetched into a program, and asks for nothing else."""

    site: Site = _SITE
    """A site that the machine can lower."""
    statistics: Mapping[str, Mapping[str, Any]] = {}
    """What its observers found at that site, where its record asks for observers."""

    @pytest.fixture
    def accelerator(self) -> Accelerator:
        """The machine under test."""
        raise NotImplementedError

    def lower(self, accelerator: Accelerator, fetched: NDArray[np.bool_], iteration: int = 1) -> Program:
        """The program of one iteration that fetches and needs these columns, placed in their own order."""
        epoch = Epoch(
            first_iteration=0, slot_of_column=np.arange(self.site.columns), hot_slots=self.site.columns
        )
        request = LoweringRequest(
            site=self.site,
            iteration=iteration,
            mask=SiteMask(site=self.site, tau=None, hot=fetched),
            placement=SitePlacement(site=self.site, epochs=(epoch,), fetched=fetched),
            statistics=self.statistics,
        )
        return accelerator.lower(request)

    @_THOROUGH
    @given(data=st.data())
    def test_equal_requests_give_equal_programs(self, accelerator: Accelerator, data: st.DataObject) -> None:
        """Programs compare by content, so that what repeats is simulated once."""
        fetched = data.draw(flags(2, self.site.columns))
        assert isinstance(self.lower(accelerator, fetched), Program)
        assert self.lower(accelerator, fetched) == self.lower(accelerator, fetched.copy())

    @_THOROUGH
    @given(data=st.data())
    def test_fetching_more_never_moves_less(self, accelerator: Accelerator, data: st.DataObject) -> None:
        """A further column in iteration 1 never lowers the bytes moved or the cycles computed."""
        fewer = data.draw(flags(2, self.site.columns))
        more = fewer | data.draw(flags(2, self.site.columns))
        less_work, more_work = (self.lower(accelerator, each).work for each in (fewer, more))
        assert less_work.moved_bytes <= more_work.moved_bytes
        assert less_work.compute_core_cycles <= more_work.compute_core_cycles

    @pytest.mark.parametrize("hot", [False, True])
    def test_the_edges_are_programs_too(self, accelerator: Accelerator, *, hot: bool) -> None:
        """All columns cold and all columns hot can be lowered, in the dense iteration as well."""
        fetched = np.full((2, self.site.columns), hot)
        fetched[0] = True
        for iteration in (0, 1):
            assert self.lower(accelerator, fetched, iteration).core_clock_hz > 0


class MemoryContract:
    """A memory answers every program, with numbers that hold against it."""

    @pytest.fixture
    def memory(self) -> Memory:
        """The memory under test."""
        raise NotImplementedError

    @_THOROUGH
    @given(program=programs())
    def test_an_answer_is_an_answer_to_the_program(self, memory: Memory, program: Program) -> None:
        """Bytes and cycles are those asked for, and the sanity block holds."""
        timing = memory.run(program)
        timing.check_answers(program)
        assert timing.core_cycles >= timing.compute_core_cycles + timing.other_core_cycles

    @_THOROUGH
    @given(program=programs())
    def test_a_memory_is_deterministic(self, memory: Memory, program: Program) -> None:
        """The same program takes the same time whenever it runs: nothing is left behind."""
        assert memory.run(program) == memory.run(program)

    def test_nothing_takes_no_time(self, memory: Memory) -> None:
        """A program without a step moves nothing and computes nothing."""
        empty = Program(name="empty", core_clock_hz=1_000_000, tensors=(), buffers=(), steps=())
        timing = memory.run(empty)
        assert timing.moved_bytes == timing.compute_core_cycles == 0

    @_THOROUGH
    @given(program=programs())
    def test_more_work_never_takes_less_time(self, memory: Memory, program: Program) -> None:
        """A program with its steps twice takes at least as long as with its steps once."""
        twice = evolve(program, steps=program.steps * 2)
        assert memory.run(twice).core_cycles >= memory.run(program).core_cycles


class MetricContract:
    """A metric gives equal sets its best value, and cares for nothing that does not matter."""

    identity_value: float = 0.0
    """What it gives two equal sets."""
    symmetric: bool = False
    """Whether dense and masked may change places."""
    order_invariant: bool = True
    """Whether the order of samples, the same in both sets, does not matter."""
    relative_tolerance: float = 1e-9
    """Of values that should be equal and are computed in another order."""

    @pytest.fixture
    def metric(self) -> Metric:
        """The metric under test."""
        raise NotImplementedError

    @pytest.fixture
    def dense(self) -> Samples:
        """A few dense samples of a modality that it is for."""
        raise NotImplementedError

    @pytest.fixture
    def masked(self, dense: Samples) -> Samples:
        """The same with a little noise."""
        noise = np.random.default_rng(0).normal(0, 0.1, dense.data.shape)
        return evolve(dense, data=(dense.data + noise).astype(dense.data.dtype))

    def _same(self, one: float, other: float) -> bool:
        return one == pytest.approx(other, rel=self.relative_tolerance)

    def test_equal_sets_get_the_best_value(self, metric: Metric, dense: Samples) -> None:
        """Nothing is nearer to a set than the set itself."""
        assert self._same(metric.score(dense, dense).value, self.identity_value)

    def test_other_sets_get_another_value(self, metric: Metric, dense: Samples, masked: Samples) -> None:
        """Noise is noticed, the same way each time, over all samples."""
        score = metric.score(dense, masked)
        assert not self._same(score.value, self.identity_value)
        assert score.value == metric.score(dense, masked).value
        assert score.samples == dense.data.shape[0]

    def test_symmetry_where_it_is_promised(self, metric: Metric, dense: Samples, masked: Samples) -> None:
        """A symmetric metric gives the same value both ways round."""
        if not self.symmetric:
            pytest.skip("promises no symmetry")
        there, back = metric.score(dense, masked), metric.score(masked, dense)
        assert self._same(there.value, back.value)

    def test_order_where_it_does_not_matter(self, metric: Metric, dense: Samples, masked: Samples) -> None:
        """Pairs may come in any order."""
        if not self.order_invariant:
            pytest.skip("the order of samples matters to it")
        turned = [evolve(each, data=each.data[::-1].copy()) for each in (dense, masked)]
        assert self._same(metric.score(*turned).value, metric.score(dense, masked).value)


class ObserverContract:
    """An observer folds what it sees, however it is cut into pieces."""

    @pytest.fixture
    def factory(self) -> ObserverFactory:
        """The factory of observers under test."""
        raise NotImplementedError

    @_THOROUGH
    @given(cut=st.integers(1, _SITE.rows - 1), seed=st.integers(0, 99))
    def test_pieces_fold_like_the_whole(self, factory: ObserverFactory, cut: int, seed: int) -> None:
        """Rows that come in two calls give the statistics that they give in one, keyed by site."""
        activation = np.random.default_rng(seed).standard_normal((_SITE.rows, _SITE.columns), np.float32)
        whole, pieces = (factory.start([_SITE], iterations=1) for _ in range(2))
        whole.observe(_SITE, 0, activation)
        pieces.observe(_SITE, 0, activation[:cut])
        pieces.observe(_SITE, 0, activation[cut:])
        expected, found = whole.statistics(), pieces.statistics()
        assert set(expected) == set(found) == {_SITE.name}
        for name, array in expected[_SITE.name].items():
            np.testing.assert_allclose(found[_SITE.name][name], array, rtol=1e-6)


class ListenerContract:
    """A listener takes every event."""

    @pytest.fixture
    def listener(self) -> RunListener:
        """The listener under test."""
        raise NotImplementedError

    @pytest.mark.parametrize(
        "event",
        [
            StageEvent(stage="profile", label="profile it"),
            StageEvent(stage="place", label="place it", cached=True, seconds=0.0),
            StageEvent(stage="score", label="score it", seconds=1.5, error="it is broken"),
        ],
        ids=["plain", "cached", "failed"],
    )
    def test_every_event_is_taken(self, listener: RunListener, event: StageEvent) -> None:
        """Started, finished and failed are heard without an exception and answered with nothing."""
        told: Any = listener
        answers = [told.stage_started(event), told.stage_finished(event), told.stage_failed(event)]
        assert answers == [None, None, None]


class SectionContract:
    """A section renders whatever tables there are."""

    tables: Mapping[str, list[dict[str, Any]]] = {}
    """Rows of tables that the section is made for, by table name."""

    @pytest.fixture
    def section(self) -> ReportSection:
        """The section under test."""
        raise NotImplementedError

    def test_it_renders_with_and_without_tables(self, section: ReportSection) -> None:
        """Title and HTML are text, also in a run that got nowhere."""
        for tables in ({}, self.tables):
            title, body = section.render(tables)
            assert isinstance(title, str)
            assert title
            assert isinstance(body, str)


CONTRACTS: Mapping[Kind, type] = {
    Kind.WORKLOAD: WorkloadContract,
    Kind.LAYOUT: LayoutContract,
    Kind.ACCELERATOR: AcceleratorContract,
    Kind.MEMORY: MemoryContract,
    Kind.METRIC: MetricContract,
    Kind.OBSERVER: ObserverContract,
    Kind.LISTENER: ListenerContract,
    Kind.SECTION: SectionContract,
}
"""The contract of each kind of plugin."""
