"""Contracts that cannot fail are worth nothing: who breaks a promise is caught, by the right test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attrs import evolve

from colfw.errors import InvariantError
from colfw.protocols import DenoiseRequest
from colfw.samples import Samples, Score
from colfw.testing import contracts
from colfw.testing.contracts import CONTRACTS
from colfw.vocabulary import Kind, SourceKind
from colfw_tiny.config import ArrayConfig, BusConfig, DenoiserConfig
from colfw_tiny.extras import RangeFold, ValueRange
from colfw_tiny.layout import HotFirst
from colfw_tiny.machine import TinyArray, TinyBus
from colfw_tiny.workload import TinyDenoiser

REQUEST = DenoiseRequest(source=SourceKind.RANDOM, iterations=3, samples=2, seed=5, thresholds=(0.1,))
DENSE = Samples(modality="vector", data=np.random.default_rng(1).standard_normal((4, 3)), seed=1)


class Unseeded(TinyDenoiser):
    """Draws from a generator that nobody seeds."""

    def denoise(self, request: Any, observers: Any, masks: Any) -> Samples:
        made = super().denoise(request, observers, masks)
        return evolve(made, data=made.data + np.random.default_rng().random(dtype=np.float32))


class Unmasked(TinyDenoiser):
    """Ignores its masks."""

    def denoise(self, request: Any, observers: Any, masks: Any) -> Samples:
        return super().denoise(request, observers, None)


class Hiding(TinyDenoiser):
    """Shows nothing in the last iteration."""

    def denoise(self, request: Any, observers: Any, masks: Any) -> Samples:
        return super().denoise(evolve(request, iterations=request.iterations - 1), observers, masks)


class Prophet(HotFirst):
    """Sorts columns by what is hot in the last iteration."""

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, evolve(mask, hot=mask.hot[::-1].copy()))
        return evolve(placed, fetched=placed.fetched | mask.hot)


class Thrifty(HotFirst):
    """Fetches nothing after iteration 0."""

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, mask)
        return evolve(placed, fetched=placed.fetched & (np.arange(len(mask.hot)) == 0)[:, None])


class Assured(HotFirst):
    """Trusts iteration 0 to show what is hot: it does not fetch the rest even then."""

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, mask)
        fetched = placed.fetched.copy()
        fetched[0] = mask.hot[0]
        return evolve(placed, fetched=fetched)


class Restless(HotFirst):
    """Turns all slots round in the last iteration."""

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, mask)
        (first,) = placed.epochs
        slots = first.slot_of_column[::-1].copy()
        moved = int(np.count_nonzero(slots != first.slot_of_column))
        last = evolve(first, first_iteration=len(mask.hot) - 1, slot_of_column=slots, moved_columns=moved)
        return evolve(placed, epochs=(first, last))


class ColdFirst(HotFirst):
    """Puts the hot columns last."""

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, mask)
        (epoch,) = placed.epochs
        return evolve(
            placed, epochs=(evolve(epoch, slot_of_column=mask.site.columns - 1 - epoch.slot_of_column),)
        )


class Moody(HotFirst):
    """Fetches all whenever it was last asked about something else."""

    last = None

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, mask)
        changed, self.last = self.last is not profile, profile
        return evolve(placed, fetched=np.ones_like(placed.fetched)) if changed else placed


class Panicking(HotFirst):
    """Fetches all where little is hot."""

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, mask)
        return placed if mask.hot.mean() > 0.5 else evolve(placed, fetched=np.ones_like(placed.fetched))


class Misplacing(HotFirst):
    """Makes a placement whose columns are not where it says."""

    def place(self, profile: Any, mask: Any) -> Any:
        placed = super().place(profile, mask)
        (epoch,) = placed.epochs
        object.__setattr__(epoch, "slot_of_column", np.zeros_like(epoch.slot_of_column))
        return placed


class GatheringContract(contracts.LayoutContract):
    """Of layouts that say they fetch only what is hot."""

    fetches_only_what_is_hot = True


class Forgetful(TinyBus):
    """Is slower each time."""

    runs = 0

    def run(self, program: Any) -> Any:
        self.runs += 1
        timing = super().run(program)
        slower = timing.core_cycles + self.runs
        return evolve(timing, core_cycles=slower, stall_core_cycles=timing.stall_core_cycles + self.runs)


class Deaf(TinyBus):
    """Reports what another program asks for."""

    def run(self, program: Any) -> Any:
        timing = super().run(program)
        served = timing.read_bytes_served + 1
        return evolve(
            timing, read_bytes_served=served, read_bytes_requested=served, peak_bytes=timing.peak_bytes + 1
        )


class Named(TinyArray):
    """Gives every program a name of its own."""

    made = 0

    def lower(self, request: Any) -> Any:
        self.made += 1
        return evolve(super().lower(request), name=f"program {self.made}")


class First:
    """Looks at the first pair only."""

    def score(self, dense: Samples, masked: Samples) -> Score:
        return Score(value=float(np.abs(dense.data[0] - masked.data[0]).sum()), samples=len(dense.data))


class Constant:
    """Finds everything alike."""

    def score(self, dense: Samples, masked: Samples) -> Score:
        return Score(value=0.0, samples=len(dense.data))


class Averse:
    """Finds something wrong with every set."""

    def score(self, dense: Samples, masked: Samples) -> Score:
        return Score(value=1.0 + float(np.abs(dense.data - masked.data).mean()), samples=len(dense))


class Meddling:
    """Works on the samples that it is given, not on a copy."""

    def score(self, dense: Samples, masked: Samples) -> Score:
        masked.data[...] -= dense.data
        return Score(value=float(np.abs(masked.data).mean()), samples=len(dense))


class Flattering:
    """Finds samples better the worse they are."""

    def score(self, dense: Samples, masked: Samples) -> Score:
        return Score(value=-float(np.abs(dense.data - masked.data).mean()), samples=len(dense))


class Averaging:
    """Averages over batches, however many samples the last one has."""

    def __init__(self, batch_samples: int) -> None:
        self.batch_samples = batch_samples

    def score(self, dense: Samples, masked: Samples) -> Score:
        apart = np.abs(dense.data - masked.data).mean(axis=tuple(range(1, dense.data.ndim)))
        firsts = range(0, len(apart), self.batch_samples)
        means = [apart[first : first + self.batch_samples].mean() for first in firsts]
        return Score(value=float(np.mean(means)), samples=len(dense))


class AveragingContract(contracts.MetricContract):
    """For a metric with batches."""

    def metric_in_batches(self, batch_samples: int) -> Averaging:
        return Averaging(batch_samples)


class LastSeen(ValueRange):
    """Keeps the range of the last piece instead of all pieces."""

    def start(self, sites: Any, *, iterations: int) -> Any:
        class Fold(RangeFold):
            def observe(self, site: Any, iteration: int, activation: Any) -> None:
                self.__init__(sites, iterations)  # type: ignore[misc]
                super().observe(site, iteration, activation)

        return Fold(sites, iterations)


class Chatty:
    """Answers, and cannot take a failure."""

    def stage_started(self, event: Any) -> str:
        return "thanks"

    stage_finished = stage_failed = stage_started


class Undecided:
    """States another study each time."""

    def __init__(self) -> None:
        self.asked = 0

    def study(self) -> dict[str, Any]:
        self.asked += 1
        return {"workloads": ["tiny"], "samples": self.asked}


class Untitled:
    """Has no title."""

    def render(self, tables: Any) -> tuple[str, str]:
        return "", "<p></p>"


def masked() -> Samples:
    return contracts.MetricContract.masked.__wrapped__(contracts.MetricContract(), DENSE)  # type: ignore[attr-defined,no-any-return]


CONFIG = DenoiserConfig()
BROKEN: list[tuple[Any, str, tuple[Any, ...]]] = [
    (contracts.WorkloadContract(), "test_the_seed_decides_the_samples", (Unseeded(CONFIG), REQUEST)),
    (contracts.WorkloadContract(), "test_cold_columns_change_the_samples", (Unmasked(CONFIG), REQUEST)),
    (
        contracts.WorkloadContract(),
        "test_every_site_is_shown_in_every_iteration",
        (Hiding(CONFIG), REQUEST),
    ),
    (contracts.LayoutContract(), "test_the_future_is_not_known", (Prophet(),)),
    (contracts.LayoutContract(), "test_what_is_hot_is_fetched", (Thrifty(),)),
    (contracts.LayoutContract(), "test_all_hot_is_the_traffic_of_row_major", (Thrifty(),)),
    (contracts.LayoutContract(), "test_the_dense_iteration_fetches_all", (Assured(),)),
    (contracts.LayoutContract(), "test_a_static_layout_moves_nothing", (Restless(),)),
    (contracts.LayoutContract(), "test_the_hot_region_comes_first", (ColdFirst(),)),
    (contracts.LayoutContract(), "test_equal_inputs_are_placed_equally", (Moody(),)),
    (contracts.LayoutContract(), "test_a_higher_threshold_never_fetches_more", (Panicking(),)),
    (contracts.LayoutContract(), "test_a_lower_target_never_fetches_more", (Panicking(),)),
    (contracts.LayoutContract(), "test_every_element_has_one_address", (Misplacing(),)),
    (contracts.LayoutContract(), "test_permuted_hidden_units_compute_the_same", (Misplacing(),)),
    (contracts.LayoutContract(), "test_bytes_fetched_cover_bytes_needed", (Thrifty(),)),
    (GatheringContract(), "test_bytes_fetched_cover_bytes_needed", (HotFirst(),)),
    (contracts.AcceleratorContract(), "test_equal_requests_give_equal_programs", (Named(ArrayConfig()),)),
    (contracts.MemoryContract(), "test_a_memory_is_deterministic", (Forgetful(BusConfig()),)),
    (contracts.MemoryContract(), "test_an_answer_is_an_answer_to_the_program", (Deaf(BusConfig()),)),
    (contracts.MetricContract(), "test_order_where_it_does_not_matter", (First(), DENSE, masked())),
    (contracts.MetricContract(), "test_other_sets_get_another_value", (Constant(), DENSE, masked())),
    (contracts.MetricContract(), "test_equal_sets_get_the_best_value", (Averse(), DENSE)),
    (contracts.MetricContract(), "test_equal_sets_are_scored_equally", (Meddling(), DENSE, masked())),
    (contracts.MetricContract(), "test_more_noise_is_never_better", (Flattering(), DENSE)),
    (AveragingContract(), "test_batches_do_not_matter", (Averaging(10**6), DENSE, masked(), 3)),
    (contracts.ObserverContract(), "test_pieces_fold_like_the_whole", (LastSeen(),)),
    (contracts.ListenerContract(), "test_every_event_is_taken", (Chatty(), None)),
    (contracts.SectionContract(), "test_it_renders_with_and_without_tables", (Untitled(),)),
    (contracts.ExperimentContract(), "test_its_study_is_a_study", (Undecided(),)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("contract", "test", "arguments"), BROKEN, ids=[f"{type(c).__name__}-{t}" for c, t, _ in BROKEN]
)
def test_a_broken_promise_is_caught(contract: Any, test: str, arguments: tuple[Any, ...]) -> None:
    """The named test of the contract fails for the plugin that breaks what it states."""
    with pytest.raises((AssertionError, InvariantError)):
        getattr(contract, test)(*arguments)


def test_every_kind_has_a_contract() -> None:
    """No kind of plugin is without one, and each of its tests states its rule."""
    assert set(CONTRACTS) == set(Kind)
    for contract in CONTRACTS.values():
        tests = [getattr(contract, name) for name in dir(contract) if name.startswith("test_")]
        assert tests
        assert all(test.__doc__ for test in tests)
