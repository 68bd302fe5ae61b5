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

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colfw.addresses import WeightMap
from colfw.masks import MaskPolicy, SiteMask, masks_of
from colfw.placement import Epoch, SitePlacement
from colfw.profile import ColumnMaxima
from colfw.program import Program
from colfw.protocols import LoweringRequest, StageEvent
from colfw.sites import Ffn, Site, check_distinct
from colfw.study import study_from
from colfw.testing.ffn import Network, Storage, expected, run_ffn
from colfw.testing.ideal_memory import IdealMemory
from colfw.testing.strategies import flags, graded_profiles, observed_masks, programs
from colfw.vocabulary import Direction, Kind, Reuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from colfw.addresses import Matrix
    from colfw.profile import ActivationProfile, SiteProfile
    from colfw.protocols import (
        Accelerator,
        DenoiseRequest,
        Experiment,
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
    report_multiple_bugs=False,  # one failure a test is what its author needs
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # fixtures make stateless objects: examples may share one
        HealthCheck.differing_executors,  # many test classes inherit one test: that is what it is for
    ],
)
_MORE_THOROUGH = settings(_THOROUGH, max_examples=150)
"""For what few draws can break: two thresholds must part the columns of one profile."""


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


_SHARES = st.integers(0, 16).map(lambda sixteenths: sixteenths / 16)
"""Spread over 0..1: floats come in swarms near its ends, where thresholds part nothing."""


class LayoutContract:
    """A layout gives every column a slot, fetches what is hot, and decides from what has happened."""

    decided_by_iteration: int | None = 0
    """The last iteration that a static layout looks at; None for one that decides again while running."""
    fewer_hot_fetch_no_more: bool = True
    """False for one whose later decisions may differ so much that fewer hot columns cost it more."""
    fetches_only_what_is_hot: bool = False
    """True for one that skips every cold column of a sparse iteration, wherever it lies."""

    @pytest.fixture
    def layout(self) -> Layout:
        """The layout under test."""
        raise NotImplementedError

    def entries(self, data: st.DataObject, *, further_iterations: int = 1) -> tuple[SiteProfile, SiteMask]:
        """A profile and a mask, with iterations enough to decide and so many more."""
        needed = (self.decided_by_iteration or 0) + 1 + further_iterations
        masks = observed_masks(min_iterations=needed, max_iterations=max(16, needed))
        return data.draw(masks)

    @_THOROUGH
    @given(data=st.data())
    def test_what_is_hot_is_fetched(self, layout: Layout, data: st.DataObject) -> None:
        """Each placement is a bijection of its site's columns and serves every hot column."""
        entry, mask = self.entries(data)
        placed = layout.place(entry, mask)
        assert placed.site == entry.site
        placed.check_serves(mask.hot)

    @_THOROUGH
    @given(data=st.data())
    def test_the_dense_iteration_fetches_all(self, layout: Layout, data: st.DataObject) -> None:
        """Iteration 0 computes every column, so it fetches every column, whatever the mask says."""
        assert layout.place(*self.entries(data)).fetched[0].all()

    @_THOROUGH
    @given(data=st.data())
    def test_equal_inputs_are_placed_equally(self, layout: Layout, data: st.DataObject) -> None:
        """A layout is deterministic, and asking it about something else in between changes nothing."""
        entry, mask = self.entries(data)
        one = layout.place(entry, mask)
        layout.place(entry, evolve(mask, hot=~mask.hot))
        other = layout.place(entry, mask)
        assert np.array_equal(one.fetched, other.fetched)
        assert _slots_by_start(one) == _slots_by_start(other)

    @_THOROUGH
    @given(data=st.data())
    def test_the_future_is_not_known(self, layout: Layout, data: st.DataObject) -> None:
        """What happens from some iteration on moves no column before it, and changes nothing fetched before.

        A static layout may look at the iterations that decide it, and at none after them.
        """
        entry, mask = self.entries(data)
        first_unknown = (self.decided_by_iteration or 0) + 1
        later = data.draw(st.integers(first_unknown, len(mask.hot) - 1))
        maxima, hot = entry.maxima.copy(), mask.hot.copy()
        maxima[later:], hot[later:] = maxima[later:][:, ::-1], ~hot[later:]
        known = layout.place(entry, mask)
        other = layout.place(evolve(entry, maxima=maxima), evolve(mask, hot=hot))
        assert np.array_equal(known.fetched[:later], other.fetched[:later])
        assert _slots_by_start(known, until=later) == _slots_by_start(other, until=later)

    @_THOROUGH
    @given(data=st.data())
    def test_a_static_layout_moves_nothing(self, layout: Layout, data: st.DataObject) -> None:
        """What is decided once is one epoch; only a layout that decides again may begin another."""
        placed = layout.place(*self.entries(data))
        assert self.decided_by_iteration is None or len(placed.epochs) == 1

    @_THOROUGH
    @given(data=st.data())
    def test_the_hot_region_comes_first(self, layout: Layout, data: st.DataObject) -> None:
        """The first slots are the hot region, and hold every column that was hot when it was decided."""
        entry, mask = self.entries(data)
        epoch = layout.place(entry, mask).epochs[0]
        in_region = set(epoch.column_of_slot[: epoch.hot_slots].tolist())
        if self.decided_by_iteration is not None:
            assert set(np.flatnonzero(mask.hot[self.decided_by_iteration]).tolist()) <= in_region

    @_THOROUGH
    @given(data=st.data())
    def test_every_element_has_one_address(self, layout: Layout, data: st.DataObject) -> None:
        """In range, on bursts, no two elements or matrices in one place; and the address leads back."""
        placed = layout.place(*self.entries(data))
        burst_bytes = data.draw(_BURSTS)
        weights = WeightMap.of(placed.site, alignment_bytes=burst_bytes)
        for matrix, following in pairwise(weights.matrices):
            assert matrix.end_bytes <= following.base_bytes
        for epoch in placed.epochs:
            for matrix in weights.matrices:
                _check_addresses(matrix, epoch, burst_bytes)

    @_THOROUGH
    @given(data=st.data())
    def test_all_hot_is_the_traffic_of_row_major(self, layout: Layout, data: st.DataObject) -> None:
        """With every column hot, all is fetched in every iteration, in one piece a matrix, and stays."""
        entry, mask = self.entries(data)
        placed = layout.place(entry, evolve(mask, tau=None, hot=np.ones_like(mask.hot)))
        assert placed.fetched.all()
        assert len(placed.epochs) == 1
        for iteration in range(len(mask.hot)):
            assert placed.fetched_runs(iteration) == ((0, placed.site.columns),)

    @_MORE_THOROUGH
    @given(profile=graded_profiles(min_iterations=3), taus=st.tuples(_SHARES, _SHARES))
    def test_a_higher_threshold_never_fetches_more(
        self, layout: Layout, profile: ActivationProfile, taus: tuple[float, float]
    ) -> None:
        """Fewer hot columns are never more to fetch, in any iteration."""
        low, high = sorted(taus)
        self._check_no_more_fetched(layout, profile, MaskPolicy.uniform(low), MaskPolicy.uniform(high))

    @_MORE_THOROUGH
    @given(profile=graded_profiles(min_iterations=3), targets=st.tuples(_SHARES, _SHARES))
    def test_a_lower_target_never_fetches_more(
        self, layout: Layout, profile: ActivationProfile, targets: tuple[float, float]
    ) -> None:
        """A lower target hot ratio is a higher threshold at every site."""
        low, high = sorted(targets)
        self._check_no_more_fetched(layout, profile, MaskPolicy.per_layer(high), MaskPolicy.per_layer(low))

    def _check_no_more_fetched(
        self, layout: Layout, profile: ActivationProfile, more_hot: MaskPolicy, fewer_hot: MaskPolicy
    ) -> None:
        if not self.fewer_hot_fetch_no_more:
            pytest.skip(
                "decides differently for other masks, and does not promise that this is for the better"
            )
        _skip_unless_it_can_decide(self.decided_by_iteration, profile)
        each = (masks_of(profile, policy).sites for policy in (more_hot, fewer_hot))
        for entry, more, fewer in zip(profile.sites, *each, strict=True):
            fetched_of_more, fetched_of_fewer = (
                np.count_nonzero(layout.place(entry, mask).fetched, axis=1) for mask in (more, fewer)
            )
            assert (fetched_of_fewer <= fetched_of_more).all()

    @_THOROUGH
    @given(data=st.data())
    def test_bytes_fetched_cover_bytes_needed(self, layout: Layout, data: st.DataObject) -> None:
        """Whole bursts are never fewer bytes than what is needed; equal where vectors fill their bursts
        and nothing cold is fetched.
        """
        entry, mask = self.entries(data)
        placed = layout.place(entry, mask)
        weights = WeightMap.of(placed.site, alignment_bytes=data.draw(_BURSTS))
        filled = weights.padded_unit_bytes == weights.unit_bytes
        for iteration in range(1, len(mask.hot)):
            needed_bytes = np.count_nonzero(mask.hot[iteration]) * weights.unit_bytes
            units = sum(count for _, count in placed.fetched_runs(iteration))
            fetched_bytes = units * weights.padded_unit_bytes
            assert fetched_bytes >= needed_bytes
            if self.fetches_only_what_is_hot and filled:
                assert fetched_bytes == needed_bytes

    @_THOROUGH
    @given(data=st.data())
    def test_permuted_hidden_units_compute_the_same(self, layout: Layout, data: st.DataObject) -> None:
        """A feed-forward network reads its hidden units from the slots that are fetched, in their order,
        and gives what it gives with cold columns left out in the order of the model.
        """
        entry, mask = self.entries(data)
        placed = layout.place(entry, mask)
        network = _Network.drawn(placed.site, seed=data.draw(st.integers(0, 99)))
        for iteration, hot in enumerate(mask.hot):
            stored_at = placed.epoch_at(iteration).column_of_slot
            stored = network.with_units(stored_at).with_units(placed.fetched_slots(iteration))
            read_hot = hot[stored_at][placed.fetched_slots(iteration)]
            assert np.array_equal(stored.output(read_hot), network.output(hot))


_BURSTS = st.sampled_from([2, 32, 64])
"""Bytes in a burst; 2 is one element, which every vector fills."""


def _skip_unless_it_can_decide(decided_by_iteration: int | None, profile: ActivationProfile) -> None:
    if (decided_by_iteration or 0) >= profile.provenance.iterations:
        pytest.skip("looks at later iterations than this test draws")


def _slots_by_start(placed: SitePlacement, *, until: int | None = None) -> dict[int, tuple[int, list[int]]]:
    """Of the epochs that begin no later than `until`: hot slots and the slot of each column, by start."""
    return {
        epoch.first_iteration: (epoch.hot_slots, epoch.slot_of_column.tolist())
        for epoch in placed.epochs
        if until is None or epoch.first_iteration <= until
    }


def _check_addresses(matrix: Matrix, epoch: Epoch, alignment_bytes: int) -> None:
    taken: set[int] = set()
    for column, slot in enumerate(epoch.slot_of_column.tolist()):
        assert matrix.address_of(slot, 0) % alignment_bytes == 0
        for element in range(matrix.elements):
            address = matrix.address_of(slot, element)
            its_bytes = range(address, address + matrix.element_bytes)
            assert taken.isdisjoint(its_bytes)
            taken.update(its_bytes)
            found = matrix.element_at(address)
            assert found is not None
            assert (int(epoch.column_of_slot[found[0]]), found[1]) == (column, element)
    assert matrix.base_bytes <= min(taken)
    assert max(taken) < matrix.end_bytes


@frozen(kw_only=True, eq=False)
class _Network:
    """A feed-forward network of whole numbers, so that no sum depends on its order."""

    inputs: NDArray[np.int64]
    into: tuple[NDArray[np.int64], ...]
    """One matrix `[input, unit]`, or two where it is gated."""
    out: NDArray[np.int64]
    """`[unit, output]`."""

    @classmethod
    def drawn(cls, site: Site, seed: int) -> _Network:
        random = np.random.default_rng(seed)
        d_in, d_out, units = site.operator.d_in, site.operator.d_out, site.columns
        return cls(
            inputs=random.integers(-9, 10, (site.rows, d_in)),
            into=tuple(random.integers(-9, 10, (d_in, units)) for _ in range(1 + site.operator.gated)),
            out=random.integers(-9, 10, (units, d_out)),
        )

    def with_units(self, units: NDArray[np.int64]) -> _Network:
        """These hidden units, in this order, in all matrices together."""
        return evolve(self, into=tuple(matrix[:, units] for matrix in self.into), out=self.out[units])

    def output(self, hot: NDArray[np.bool_]) -> NDArray[np.int64]:
        up, *gates = (self.inputs @ matrix for matrix in self.into)
        hidden = np.maximum(up, 0)
        for gate in gates:
            hidden = hidden * gate
        return np.asarray((hidden * hot) @ self.out, np.int64)


_ITERATIONS = st.sampled_from([0, 1])

_SITE = Site(name="mlp", rows=8, columns=24, operator=Ffn(d_in=4, d_out=6))


class AcceleratorContract:
    """A machine turns what is fetched into a program that computes the network, and asks for nothing else."""

    site: Site = _SITE
    """A site that the machine can lower."""
    statistics: Mapping[str, Mapping[str, Any]] = {}
    """What its observers found at that site, where its record asks for observers."""
    computes_ffn: bool = True
    """False for one whose programs do not store things as `colfw.testing.ffn` describes, and so cannot be run
    there."""
    storage: Storage = Storage(row_tile=16)
    """How it stores what its programs move."""
    reuse: Reuse = Reuse.ZERO
    """What cold columns contribute to its outputs."""

    @pytest.fixture
    def accelerator(self) -> Accelerator:
        """The machine under test."""
        raise NotImplementedError

    def lower(
        self,
        accelerator: Accelerator,
        fetched: NDArray[np.bool_],
        iteration: int = 1,
        *,
        hot: NDArray[np.bool_] | None = None,
        slot_of_column: NDArray[np.int64] | None = None,
    ) -> Program:
        """The program of one iteration that fetches these columns.

        All of them are needed unless `hot` says less, and each lies in a slot of its own number unless
        `slot_of_column` says otherwise.
        """
        slots = np.arange(self.site.columns) if slot_of_column is None else slot_of_column
        epoch = Epoch(first_iteration=0, slot_of_column=slots, hot_slots=self.site.columns)
        request = LoweringRequest(
            site=self.site,
            iteration=iteration,
            mask=SiteMask(site=self.site, tau=None, hot=fetched if hot is None else hot),
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

    @_THOROUGH
    @given(data=st.data())
    def test_needing_more_never_computes_less(self, accelerator: Accelerator, data: st.DataObject) -> None:
        """Of the same columns fetched, a further hot one lowers neither bytes moved nor cycles computed."""
        fetched = data.draw(flags(2, self.site.columns))
        more = fetched & data.draw(flags(2, self.site.columns))
        fewer = more & data.draw(flags(2, self.site.columns))
        less_work, more_work = (self.lower(accelerator, fetched, hot=hot).work for hot in (fewer, more))
        assert less_work.moved_bytes <= more_work.moved_bytes
        assert less_work.compute_core_cycles <= more_work.compute_core_cycles

    @_THOROUGH
    @given(data=st.data(), bytes_per_clock=st.sampled_from([1, 64, 4096]))
    def test_what_is_asked_for_is_served_and_takes_its_time(
        self, accelerator: Accelerator, data: st.DataObject, bytes_per_clock: int
    ) -> None:
        """In any memory: every byte arrives, and neither array nor bus is faster than it is."""
        memory = IdealMemory(bytes_per_clock=bytes_per_clock)
        program = self.lower(accelerator, data.draw(flags(2, self.site.columns)), data.draw(_ITERATIONS))
        timing, work = memory.run(program), program.work
        timing.check_answers(program)
        assert timing.moved_bytes == work.moved_bytes
        assert timing.core_cycles >= work.busy_core_cycles
        bus_seconds = Fraction(work.moved_bytes, bytes_per_clock * memory.clock_hz)
        assert timing.core_cycles >= bus_seconds * program.core_clock_hz

    @pytest.mark.parametrize("hot", [False, True])
    def test_the_edges_are_programs_too(self, accelerator: Accelerator, *, hot: bool) -> None:
        """All columns cold and all columns hot can be lowered, in the dense iteration as well."""
        fetched = np.full((2, self.site.columns), hot)
        fetched[0] = True
        for iteration in (0, 1):
            self._check_computes(self.lower(accelerator, fetched, iteration), fetched[iteration], iteration)

    @_THOROUGH
    @given(data=st.data(), iteration=_ITERATIONS)
    def test_its_tiles_compute_the_network(
        self, accelerator: Accelerator, data: st.DataObject, iteration: int
    ) -> None:
        """Run in whole numbers, from what each tile loads and no more, a program gives the outputs of the
        network with its cold columns left out: exactly, wherever columns lie and whatever else is fetched.
        """
        fetched = data.draw(flags(2, self.site.columns))
        fetched[0] = True
        hot = fetched & data.draw(flags(2, self.site.columns))
        slot_of_column = np.array(data.draw(st.permutations(range(self.site.columns))))
        program = self.lower(accelerator, fetched, iteration, hot=hot, slot_of_column=slot_of_column)
        hot_slots = np.zeros(self.site.columns, np.bool_)
        hot_slots[slot_of_column] = hot[iteration]
        self._check_computes(program, hot_slots, iteration)

    def _check_computes(self, program: Program, hot_slots: NDArray[np.bool_], iteration: int) -> None:
        if not self.computes_ffn:
            assert program.core_clock_hz > 0
            return
        network, dense = Network.drawn(self.site, seed=iteration), iteration == 0
        found = run_ffn(program, network, self.storage, hot_slots, dense=dense)
        right = expected(network, hot_slots, dense=dense, reuses=self.reuse is Reuse.STALE)
        assert np.array_equal(found.output, right.output)
        assert np.array_equal(found.reused, right.reused)


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
    """A metric gives equal sets its best value, worse sets worse ones, and cares for nothing else."""

    identity_value: float | None = 0.0
    """What it gives two equal sets; None for one that judges the masked set and compares it with nothing."""
    direction: Direction = Direction.LOWER
    """As its record says."""
    symmetric: bool = False
    """Whether dense and masked may change places."""
    order_invariant: bool = True
    """Whether the order of samples, the same in both sets, does not matter."""
    noise_levels: tuple[float, ...] = (0.02, 0.1, 0.5)
    """Standard deviations of noise that make samples worse and worse; none if noise says nothing to it."""
    relative_tolerance: float = 1e-9
    """Of values that should be equal and are computed in another order."""
    absolute_tolerance: float = 1e-12
    """The same, near zero."""

    @pytest.fixture
    def metric(self) -> Metric:
        """The metric under test."""
        raise NotImplementedError

    @pytest.fixture
    def dense(self) -> Samples:
        """A few dense samples of a modality that it is for."""
        raise NotImplementedError

    def metric_in_batches(self, batch_samples: int) -> Metric:  # noqa: ARG002  (of those that have batches)
        """The metric, looking at so many samples at once, if that can be chosen."""
        pytest.skip("has no batches")

    def noisy(self, dense: Samples, deviation: float) -> Samples:
        """The samples, and their other forms, with noise added: the same noise at every level, scaled."""
        generator = np.random.default_rng(0)

        def with_noise(array: NDArray[Any]) -> NDArray[Any]:
            return (array + deviation * generator.standard_normal(array.shape)).astype(array.dtype)

        views = {name: with_noise(array) for name, array in dense.views.items()}
        return evolve(dense, data=with_noise(dense.data), views=views)

    @pytest.fixture
    def masked(self, dense: Samples) -> Samples:
        """The same with a little noise."""
        return self.noisy(dense, 0.1)

    def _same(self, one: float, other: float) -> bool:
        return one == pytest.approx(other, rel=self.relative_tolerance, abs=self.absolute_tolerance)

    def test_equal_sets_get_the_best_value(self, metric: Metric, dense: Samples) -> None:
        """Nothing is nearer to a set than the set itself."""
        if self.identity_value is None:
            pytest.skip("compares nothing")
        assert self._same(metric.score(dense, dense).value, self.identity_value)

    def test_other_sets_get_another_value(self, metric: Metric, dense: Samples, masked: Samples) -> None:
        """Noise is noticed, over all samples."""
        score = metric.score(dense, masked)
        assert not self._same(score.value, metric.score(dense, dense).value)
        assert score.samples == len(dense)

    def test_equal_sets_are_scored_equally(self, metric: Metric, dense: Samples, masked: Samples) -> None:
        """Value and interval are the same each time, and no sample is changed by being looked at."""
        before = [each.to_bytes() for each in (dense, masked)]
        assert metric.score(dense, masked) == metric.score(dense, masked)
        assert [each.to_bytes() for each in (dense, masked)] == before

    def test_more_noise_is_never_better(self, metric: Metric, dense: Samples) -> None:
        """The value gets worse, in its own direction, as samples get worse."""
        if not self.noise_levels:
            pytest.skip("noise says nothing to it")
        values = [metric.score(dense, self.noisy(dense, level)).value for level in self.noise_levels]
        best_first = sorted(values, reverse=self.direction is Direction.HIGHER)
        assert values == best_first
        assert values[0] != values[-1]

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
        turned = [each.at(np.arange(len(each))[::-1]) for each in (dense, masked)]
        assert self._same(metric.score(*turned).value, metric.score(dense, masked).value)

    @pytest.mark.parametrize("batch_samples", [1, 2, 3])
    def test_batches_do_not_matter(
        self, metric: Metric, dense: Samples, masked: Samples, batch_samples: int
    ) -> None:
        """How many samples are looked at together is a matter of memory and speed alone."""
        in_batches = self.metric_in_batches(batch_samples)
        assert self._same(in_batches.score(dense, masked).value, metric.score(dense, masked).value)


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


class ExperimentContract:
    """An experiment states a sound study, and makes something of whatever tables a run of it left."""

    tables: Mapping[str, list[dict[str, Any]]] = {}
    """Rows of tables of a run of its study, by table name."""

    @pytest.fixture
    def experiment(self) -> Experiment:
        """The experiment under test."""
        raise NotImplementedError

    def test_its_study_is_a_study(self, experiment: Experiment) -> None:
        """The study is one that a file could hold, and the same whenever one asks."""
        stated = experiment.study()
        assert study_from({"name": "contract", **stated}, where="contract").workloads
        assert experiment.study() == stated

    def test_it_compares_with_and_without_tables(self, experiment: Experiment) -> None:
        """A run that got nowhere is compared without a crash, and each number is compared once."""
        for tables in ({}, self.tables):
            found = experiment.comparisons(tables)
            keys = [(row.table, row.model, row.quantity, row.machine) for row in found]
            assert len(set(keys)) == len(keys)

    def test_it_draws_with_and_without_tables(self, experiment: Experiment) -> None:
        """Figures have names of their own, whatever there is to draw."""
        for tables in ({}, self.tables):
            names = [figure.name for figure in experiment.figures(tables)]
            assert len(set(names)) == len(names)


CONTRACTS: Mapping[Kind, type] = {
    Kind.WORKLOAD: WorkloadContract,
    Kind.LAYOUT: LayoutContract,
    Kind.ACCELERATOR: AcceleratorContract,
    Kind.MEMORY: MemoryContract,
    Kind.METRIC: MetricContract,
    Kind.OBSERVER: ObserverContract,
    Kind.LISTENER: ListenerContract,
    Kind.SECTION: SectionContract,
    Kind.EXPERIMENT: ExperimentContract,
}
"""The contract of each kind of plugin."""
