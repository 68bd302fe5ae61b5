"""Hypothesis strategies for the nouns of colfw, for the tests of plugins as well as its own.

What they draw is small, consistent in itself, and fond of edges: maxima that lie exactly on a
threshold, zeros of both signs, the smallest and the largest float32, single rows and columns. This is
the only module of colfw that needs hypothesis.

>>> from hypothesis import given, settings
>>> @settings(deadline=None, max_examples=10)
... @given(programs())
... def my_memory_reports_all_bytes(program):
...     assert program.work.moved_bytes == program.work.read_bytes + program.work.written_bytes
>>> my_memory_reports_all_bytes()
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.dram.counts import ChannelCounts, total
from colfw.masks import MaskPolicy, MaskSet, SiteMask
from colfw.placement import Epoch, Placement, SitePlacement
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance, SiteProfile
from colfw.program import Advance, Buffer, Gather, Program, Repeat, Tensor, Tile, Transfer, Work
from colfw.samples import Samples, Score
from colfw.sites import Ffn, Site
from colfw.thresholds import float32_floor
from colfw.timing import Timing
from colfw.vocabulary import MaskKind, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy
    from numpy.typing import NDArray

    from colfw.profile import Statistics
    from colfw.program import Step

    Flags = NDArray[np.bool_]
    Matrix = NDArray[np.float32]

_SITE_LETTERS = "abcxyz019._-/µ"
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


# --- sites ----------------------------------------------------------------------------------------


def ffns() -> SearchStrategy[Ffn]:
    """Feed-forward operators, gated or not."""
    width = st.integers(1, 64)
    return st.builds(Ffn, d_in=width, d_out=width, gated=st.booleans())


def sites(*, max_rows: int = 4, max_columns: int = 6) -> SearchStrategy[Site]:
    """Sites of a few rows and columns."""
    return st.builds(
        Site,
        name=st.text(_SITE_LETTERS, min_size=1, max_size=8),
        rows=st.integers(1, max_rows),
        columns=st.integers(1, max_columns),
        operator=ffns(),
    )


def site_tuples(
    *, max_sites: int = 3, max_rows: int = 4, max_columns: int = 6
) -> SearchStrategy[tuple[Site, ...]]:
    """The sites of one workload: at least one, each with a name of its own."""
    one = sites(max_rows=max_rows, max_columns=max_columns)
    several = st.lists(one, min_size=1, max_size=max_sites, unique_by=lambda site: site.name)
    return several.map(tuple)


# --- thresholds and activations -------------------------------------------------------------------


def thresholds() -> SearchStrategy[float]:
    """Thresholds as a study spells them: float64, often between two float32, sometimes out of range."""
    usual = st.sampled_from([0.0, 0.1, 0.15, 0.164, 0.17, 0.2, 0.5, 1.0])
    extreme = st.sampled_from([5e-324, 1e-60, _SMALLEST, _SMALLEST * 1.5, _LARGEST, 1e39, 1e300])
    return usual | st.floats(0.0, 2.0) | extreme


def threshold_grids(*, min_size: int = 0, max_size: int = 4) -> SearchStrategy[tuple[float, ...]]:
    """Ascending thresholds without repeats: what a profile counts."""
    distinct = st.lists(thresholds(), min_size=min_size, max_size=max_size, unique=True)
    return distinct.map(lambda drawn: tuple(sorted(drawn)))


def activation_values(edges: Iterable[float] = ()) -> SearchStrategy[float]:
    """Finite float32 values: ordinary ones, extremes, and those just at, above and below `edges`."""
    notable = {0.0, 1.0, _SMALLEST, _LARGEST}
    for edge in edges:
        notable.update(_around(edge))
    signed = [sign * value for value in sorted(notable) for sign in (1.0, -1.0)]
    return st.sampled_from(signed) | st.floats(-2.0, 2.0, width=32)


def _around(tau: float) -> set[float]:
    floor = float32_floor(tau)
    step = np.float32(np.inf)
    above = float(np.nextafter(floor, step)) if float(floor) < _LARGEST else _LARGEST
    return {float(floor), above, float(np.nextafter(floor, -step)) if floor > 0 else 0.0}


def activations(site: Site, *, edges: Iterable[float] = ()) -> SearchStrategy[Matrix]:
    """Activations `[rows, columns]` of a site in one iteration, fond of the thresholds in `edges`."""
    return _arrays_of((site.rows, site.columns), activation_values(edges))


def _arrays_of(shape: tuple[int, ...], values: SearchStrategy[float]) -> SearchStrategy[Matrix]:
    # A few values, and a byte an element to pick one: ties abound, and a draw stays cheap.
    size = math.prod(shape)

    def arranged(few: list[float], picks: bytes) -> Matrix:
        chosen = np.frombuffer(picks, np.uint8) % len(few)
        return np.array(few, np.float32)[chosen].reshape(shape)

    return st.builds(
        arranged, st.lists(values, min_size=1, max_size=8), st.binary(min_size=size, max_size=size)
    )


# --- profiles -------------------------------------------------------------------------------------


@frozen(kw_only=True, eq=False)
class ObservedRun:
    """A small run seen in full: its profile, and every activation that was folded into it."""

    profile: ActivationProfile
    activations: Mapping[str, tuple[Matrix, ...]]
    """Site name -> one matrix `[rows, columns]` an iteration."""


def provenances(*, iterations: int) -> SearchStrategy[Provenance]:
    """Origins of a profile of that many iterations, from every kind of source."""
    options = st.dictionaries(
        st.sampled_from(["guidance", "prompt", "steps"]),
        st.none() | st.booleans() | st.integers(-3, 3) | st.floats(0, 10) | st.text(max_size=4),
        max_size=2,
    )
    return st.builds(
        Provenance,
        workload=st.sampled_from(["tiny", "mdm", "sd-v1.4"]),
        source=st.sampled_from(SourceKind),
        seed=st.integers(0, 2**32 - 1),
        samples=st.integers(1, 3),
        iterations=st.just(iterations),
        weights_digest=st.none() | st.just("5f" * 32),
        options=options,
    )


def statistics(site_names: Sequence[str]) -> SearchStrategy[dict[str, Statistics]]:
    """What further observers found at these sites: arrays of several types and ranks, scalars too."""
    dtype = st.sampled_from([np.float32, np.int64, np.uint8])
    shape = hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)
    array = hnp.arrays(dtype, shape, elements=st.integers(0, 9))
    found = st.dictionaries(st.sampled_from(["mean", "low/high"]), array, min_size=1)
    by_site = st.dictionaries(st.sampled_from(list(site_names)), found, min_size=1)
    return st.dictionaries(st.sampled_from(["range", "acme/range"]), by_site, max_size=2)


@st.composite
def observed_runs(
    draw: DrawFn, *, min_iterations: int = 1, max_iterations: int = 6, max_rows: int = 4
) -> ObservedRun:
    """Runs with every activation beside the profile that `ColumnMaxima` folds from them."""
    seen_at = draw(site_tuples(max_rows=max_rows))
    iterations = draw(st.integers(min_iterations, max_iterations))
    grid = draw(threshold_grids())
    values = activation_values(grid)
    shown = {
        site.name: tuple(draw(_arrays_of((iterations, site.rows, site.columns), values))) for site in seen_at
    }
    fold = ColumnMaxima(seen_at, iterations=iterations, thresholds=grid)
    for site in seen_at:
        for iteration, activation in enumerate(shown[site.name]):
            fold.observe(site, iteration, activation)
    profile = ActivationProfile(
        provenance=draw(provenances(iterations=iterations)),
        thresholds=grid,
        sites=fold.site_profiles(),
    )
    return ObservedRun(profile=profile, activations=shown)


@st.composite
def profiles(draw: DrawFn, *, min_iterations: int = 1, max_iterations: int = 6) -> ActivationProfile:
    """Profiles folded from small activations, so consistent in themselves; some with further statistics."""
    profile = draw(observed_runs(min_iterations=min_iterations, max_iterations=max_iterations)).profile
    if draw(st.booleans()):
        return profile
    return evolve(profile, statistics=draw(statistics([entry.site.name for entry in profile.sites])))


# --- masks ----------------------------------------------------------------------------------------


def mask_policies() -> SearchStrategy[MaskPolicy]:
    """Mask policies of every kind."""
    uniform = thresholds().map(MaskPolicy.uniform)
    targets = st.sampled_from([0.0, 0.164, 1.0]) | st.floats(0.0, 1.0)
    per_layer = targets.map(MaskPolicy.per_layer) | targets.map(MaskPolicy.per_layer_elements)
    return st.just(MaskPolicy.dense()) | uniform | per_layer


def flags(iterations: int, columns: int) -> SearchStrategy[Flags]:
    """Any flags `[iteration, column]`: hot columns, fetched columns."""
    return hnp.arrays(np.bool_, (iterations, columns))


def site_masks(site: Site, *, iterations: int, policy: MaskPolicy) -> SearchStrategy[SiteMask]:
    """Masks of one site that the policy could have made: all hot where it is dense."""
    if policy.kind is MaskKind.DENSE:
        hot = np.ones((iterations, site.columns), np.bool_)
        return st.just(SiteMask(site=site, tau=None, hot=hot))
    tau = thresholds() if policy.calibrated else st.just(policy.value)
    return st.builds(SiteMask, site=st.just(site), tau=tau, hot=flags(iterations, site.columns))


@st.composite
def mask_sets(draw: DrawFn, *, min_iterations: int = 1, max_iterations: int = 6) -> MaskSet:
    """Masks of a few sites over the same iterations, under any policy."""
    policy = draw(mask_policies())
    iterations = draw(st.integers(min_iterations, max_iterations))
    masked = draw(site_tuples())
    masks = (draw(site_masks(site, iterations=iterations, policy=policy)) for site in masked)
    return MaskSet(policy=policy, sites=tuple(masks))


# --- placements -----------------------------------------------------------------------------------


@st.composite
def lasting_flags(draw: DrawFn, iterations: int, columns: int) -> Flags:
    """Flags `[iteration, column]` that mostly stay from one iteration to the next, as hot columns do."""
    # A few sets of columns, each for a stretch of iterations, and a few columns that differ here and there.
    few = draw(st.integers(1, 3))
    stretches = draw(st.lists(st.integers(0, few - 1), min_size=iterations, max_size=iterations).map(sorted))
    lasting: Flags = (draw(_bytes_of(few, columns)) % 2 == 1)[stretches]
    odd = draw(st.lists(st.tuples(st.integers(0, iterations - 1), st.integers(0, columns - 1)), max_size=3))
    for iteration, column in odd:
        lasting[iteration, column] ^= True
    return lasting


@st.composite
def observed_masks(
    draw: DrawFn, *, min_iterations: int = 1, max_iterations: int = 16, max_columns: int = 12
) -> tuple[SiteProfile, SiteMask]:
    """One site's profile, and its mask at one threshold, over enough iterations for hot sets to change."""
    site = draw(sites(max_columns=max_columns))
    iterations = draw(st.integers(min_iterations, max_iterations))
    shape = iterations, site.columns
    mixed = _bytes_of(*shape).map(lambda drawn: drawn % 2 == 1)
    hot = draw(lasting_flags(*shape) | mixed | flags(*shape))
    return _with_maxima(site, np.where(hot, 2, 1)), SiteMask(site=site, tau=1.0, hot=hot)


@st.composite
def graded_profiles(
    draw: DrawFn, *, min_iterations: int = 1, max_iterations: int = 6, max_columns: int = 12
) -> ActivationProfile:
    """Profiles of one site whose maxima lie in 0..1 and often differ: what thresholds in 0..1 part."""
    site = draw(sites(max_columns=max_columns))
    iterations = draw(st.integers(min_iterations, max_iterations))
    entry = _with_maxima(site, draw(_bytes_of(iterations, site.columns)) / 255)
    return ActivationProfile(
        provenance=draw(provenances(iterations=iterations)), thresholds=(), sites=(entry,)
    )


def _bytes_of(rows: int, columns: int) -> SearchStrategy[NDArray[np.uint8]]:
    # Unlike hypothesis' own arrays, not filled up with one value: rows and columns differ.
    size = rows * columns
    drawn = st.binary(min_size=size, max_size=size)
    return drawn.map(lambda content: np.frombuffer(content, np.uint8).reshape(rows, columns))


def _with_maxima(site: Site, maxima: NDArray[Any]) -> SiteProfile:
    iterations = len(maxima)
    return SiteProfile(
        site=site,
        maxima=maxima.astype(np.float32),
        exceeding=np.zeros((iterations, 0), np.int64),
        elements=np.full(iterations, site.rows * site.columns, np.int64),
    )


def bijections(columns: int) -> SearchStrategy[NDArray[np.int64]]:
    """Ways to give each column a slot of its own."""
    return st.permutations(range(columns)).map(lambda order: np.array(order, np.int64))


@st.composite
def site_placements(draw: DrawFn, site: Site, *, iterations: int) -> SitePlacement:
    """Placements of one site with one epoch or several; moved columns are those that changed slots."""
    later = draw(st.sets(st.integers(1, iterations - 1), max_size=2)) if iterations > 1 else set()
    epochs: list[Epoch] = []
    for start in (0, *sorted(later)):
        slots = draw(bijections(site.columns))
        moved = int(np.count_nonzero(slots != epochs[-1].slot_of_column)) if epochs else 0
        epochs.append(
            Epoch(
                first_iteration=start,
                slot_of_column=slots,
                hot_slots=draw(st.integers(0, site.columns)),
                moved_columns=moved,
            )
        )
    return SitePlacement(site=site, epochs=tuple(epochs), fetched=draw(flags(iterations, site.columns)))


@st.composite
def placements(draw: DrawFn, *, max_iterations: int = 6) -> Placement:
    """Placements of a few sites over the same iterations."""
    iterations = draw(st.integers(1, max_iterations))
    placed = (draw(site_placements(site, iterations=iterations)) for site in draw(site_tuples()))
    return Placement(layout=draw(st.sampled_from(["row-major", "hot-cold"])), sites=tuple(placed))


# --- programs -------------------------------------------------------------------------------------

_TENSORS = ("weights", "inputs", "outputs")
_BUFFERS = ("left", "right")


@st.composite
def transfers(draw: DrawFn) -> Transfer:
    """Transfers of one run or of several that do not overlap, between a few tensors and buffers."""
    run_bytes = draw(st.integers(1, 32))
    runs = draw(st.integers(1, 3))
    return Transfer(
        tensor=draw(st.sampled_from(_TENSORS)),
        buffer=draw(st.sampled_from(_BUFFERS)),
        direction=draw(st.sampled_from(("read", "write"))),
        offset_bytes=draw(st.integers(0, 64)),
        run_bytes=run_bytes,
        runs=runs,
        stride_bytes=run_bytes + draw(st.integers(0, 16)) if runs > 1 else 0,
    )


@st.composite
def gathers(draw: DrawFn) -> Gather:
    """Runs of several sizes, some one right after the other, between a few tensors and buffers."""
    sizes = np.array(draw(st.lists(st.integers(1, 32), min_size=1, max_size=4)), np.int64)
    gaps = draw(st.lists(st.integers(0, 16), min_size=len(sizes), max_size=len(sizes)))
    return Gather.of(
        tensor=draw(st.sampled_from(_TENSORS)),
        buffer=draw(st.sampled_from(_BUFFERS)),
        direction=draw(st.sampled_from(("read", "write"))),
        offsets_bytes=np.cumsum(sizes + np.array(gaps, np.int64)) - sizes,
        run_bytes=sizes,
    )


def tiles() -> SearchStrategy[Tile]:
    """Tiles with a few transfers, or with none."""
    return st.builds(
        Tile,
        transfers=st.lists(transfers() | gathers(), max_size=2).map(tuple),
        compute_core_cycles=st.integers(0, 100),
        other_core_cycles=st.integers(0, 10),
        waiting_core_cycles=st.integers(0, 10),
    )


def steps() -> SearchStrategy[Step]:
    """Tiles and repetitions of them, nested, whose offsets advance."""
    advance = st.builds(Advance, tensor=st.sampled_from(_TENSORS), step_bytes=st.integers(0, 40))
    return st.recursive(
        tiles(),
        lambda inner: st.builds(
            Repeat,
            rounds=st.integers(1, 4),
            body=st.lists(inner, min_size=1, max_size=2).map(tuple),
            advances=st.lists(advance, max_size=2).map(tuple),
        ),
        max_leaves=4,
    )


@st.composite
def programs(draw: DrawFn, *, max_steps: int = 3) -> Program:
    """Programs with nested repetition, in tensors and buffers as large as needed or larger."""
    described = tuple(draw(st.lists(steps(), max_size=max_steps)))
    slack = st.integers(0, 16)
    tensors: list[Tensor] = []
    for name, needed_bytes in tensor_sizes_bytes(described).items():
        base_bytes = (tensors[-1].end_bytes if tensors else 0) + draw(slack)
        tensors.append(Tensor(name=name, base_bytes=base_bytes, size_bytes=needed_bytes + draw(slack)))
    buffers = [
        Buffer(name=name, slot_bytes=needed_bytes + draw(slack), slots=draw(st.integers(1, 3)))
        for name, needed_bytes in slot_sizes_bytes(described).items()
    ]
    return Program(
        name="drawn",
        core_clock_hz=draw(st.sampled_from([1, 800_000_000])),
        tensors=tuple(draw(st.permutations(tensors))),
        buffers=tuple(buffers),
        steps=described,
        window_requests=draw(st.none() | st.integers(1, 32)),
    )


# What a program comes to, the long way: for small programs, and to check the short way against.


def unrolled(described: Iterable[Step], moved: Mapping[str, int] | None = None) -> Iterator[Tile]:
    """Every tile in the order it runs, at the offsets it runs at: what a small description stands for."""
    for step in described:
        if isinstance(step, Tile):
            yield _moved(step, moved or {})
        else:
            yield from _rounds(step, moved or {})


def _rounds(step: Repeat, moved: Mapping[str, int]) -> Iterator[Tile]:
    here = dict(moved)
    for _ in range(step.rounds):
        yield from unrolled(step.body, here)
        for advance in step.advances:
            here[advance.tensor] = here.get(advance.tensor, 0) + advance.step_bytes


def _moved(tile: Tile, moved: Mapping[str, int]) -> Tile:
    shifted = (transfer.moved_on(moved.get(transfer.tensor, 0)) for transfer in tile.transfers)
    return evolve(tile, transfers=tuple(shifted))


def tensor_sizes_bytes(described: Iterable[Step]) -> dict[str, int]:
    """How large each tensor must be at least for these steps to stay inside; 1 where nothing touches it."""
    sizes = dict.fromkeys(_TENSORS, 1)
    for tile in unrolled(described):
        for transfer in tile.transfers:
            sizes[transfer.tensor] = max(sizes[transfer.tensor], transfer.end_bytes)
    return sizes


def slot_sizes_bytes(described: Iterable[Step]) -> dict[str, int]:
    """How large a slot of each buffer must be at least for what one tile reads into it or writes from it."""
    sizes = dict.fromkeys(_BUFFERS, 1)
    for tile in unrolled(described):
        filled: Counter[tuple[str, str]] = Counter()
        for transfer in tile.transfers:
            filled[transfer.buffer, transfer.direction] += transfer.size_bytes
        for (buffer, _), size_bytes in filled.items():
            sizes[buffer] = max(sizes[buffer], size_bytes)
    return sizes


# --- timings and samples --------------------------------------------------------------------------


@st.composite
def channel_counts(draw: DrawFn, *, clocks: int | None = None, may_leave_over: bool = True) -> ChannelCounts:
    """Counts of a DRAM channel that contradict nothing, with bursts of 64 bytes, over so many clocks."""
    few = st.integers(0, 40)
    read, written, forwarded, merged, undecided = (draw(few) for _ in range(5))
    undecided = undecided if may_leave_over else 0
    left_over = undecided + (draw(st.integers(0, 10)) if may_leave_over else 0)
    decided = read + written + left_over - undecided
    hits = draw(st.integers(0, decided))
    misses = draw(st.integers(0, decided - hits))
    accepted = read + written + forwarded + merged + left_over
    writes = draw(st.integers(0, accepted))
    issued, waiting = draw(few), draw(few)
    commands = draw(st.dictionaries(st.sampled_from(["ACT", "RD", "WR"]), few))
    latencies = draw(st.dictionaries(st.integers(1, 99), st.integers(1, 9), max_size=5))
    return ChannelCounts(
        burst_bytes=64,
        clocks=draw(few) if clocks is None else clocks,
        busy_clocks=draw(few),
        peak_bytes=(read + written) * 64 + draw(few),
        reads=accepted - writes,
        writes=writes,
        reads_served=read,
        writes_served=written,
        reads_forwarded=forwarded,
        writes_merged=merged,
        left_over=left_over,
        row_hits=hits,
        row_misses=misses,
        row_conflicts=decided - hits - misses,
        undecided=undecided,
        open_clocks=draw(few),
        closed_clocks=draw(few),
        refreshes_issued=issued,
        refreshes_waiting=waiting,
        refreshes_due=issued + waiting,
        commands=tuple(sorted(commands.items())),
        read_latency_clocks=tuple(sorted(latencies.items())),
    )


@st.composite
def timings(draw: DrawFn, *, answering: Program | None = None) -> Timing:
    """Timings that pass their sanity block; those `answering` a program report the work it asks for."""
    count = st.integers(0, 10**6)
    work = answering.work if answering else draw(_works())
    stall, hits, misses, conflicts, issued, waiting = (draw(count) for _ in range(6))
    return Timing(
        **_of_work(work, stall),
        memory_cycles=draw(count),
        peak_bytes=work.moved_bytes + draw(count),
        accesses=hits + misses + conflicts,
        row_hits=hits,
        row_misses=misses,
        row_conflicts=conflicts,
        refreshes_issued=issued,
        refreshes_waiting=waiting,
        refreshes_due=issued + waiting,
    )


@st.composite
def channel_timings(draw: DrawFn, *, channels: int = 2) -> Timing:
    """Timings of a memory with so many channels, at least one, which add up to its totals."""
    count = st.integers(0, 10**6)
    clocks = draw(count)
    each = tuple(draw(channel_counts(clocks=clocks, may_leave_over=False)) for _ in range(channels))
    added = total(each)
    read_bytes = draw(st.integers(0, added.peak_bytes))
    work = Work(
        compute_core_cycles=draw(count),
        other_core_cycles=draw(count),
        read_bytes=read_bytes,
        written_bytes=draw(st.integers(0, added.peak_bytes - read_bytes)),
    )
    return Timing(
        **_of_work(work, draw(count)),
        memory_cycles=clocks,
        peak_bytes=added.peak_bytes,
        accesses=added.accesses,
        row_hits=added.row_hits,
        row_misses=added.row_misses,
        row_conflicts=added.row_conflicts,
        refreshes_issued=added.refreshes_issued,
        refreshes_waiting=added.refreshes_waiting,
        refreshes_due=added.refreshes_due,
        channels=each,
    )


def _of_work(work: Work, stall_core_cycles: int) -> dict[str, Any]:
    return {
        "core_cycles": work.compute_core_cycles + work.other_core_cycles + stall_core_cycles,
        "compute_core_cycles": work.compute_core_cycles,
        "stall_core_cycles": stall_core_cycles,
        "other_core_cycles": work.other_core_cycles,
        "read_bytes_requested": work.read_bytes,
        "read_bytes_served": work.read_bytes,
        "written_bytes_requested": work.written_bytes,
        "written_bytes_served": work.written_bytes,
    }


def _works() -> SearchStrategy[Work]:
    count = st.integers(0, 10**6)
    return st.builds(
        Work, compute_core_cycles=count, other_core_cycles=count, read_bytes=count, written_bytes=count
    )


def sample_arrays() -> SearchStrategy[NDArray[Any]]:
    """Finite arrays `[sample, ...]` of the types in which samples are kept."""
    shape = hnp.array_shapes(min_dims=2, max_dims=4, max_side=3)
    real = st.sampled_from([np.float16, np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(dtype, shape, elements={"allow_nan": False, "allow_infinity": False})
    )
    return real | hnp.arrays(np.uint8, shape)


def samples() -> SearchStrategy[Samples]:
    """Samples of any modality, dense or masked, with a rate or without."""
    return st.builds(
        Samples,
        modality=st.sampled_from(["image", "video", "audio", "motion"]),
        data=sample_arrays(),
        seed=st.integers(0, 2**32 - 1),
        mask_digest=st.none() | st.just("0a" * 32),
        rate_hz=st.none() | st.sampled_from([20.0, 16000.0]),
    )


@st.composite
def scores(draw: DrawFn) -> Score:
    """Scores, some with an interval around their value; infinity is a score too (PSNR of equals)."""
    low, value, high = sorted(draw(st.lists(st.floats(allow_nan=False), min_size=3, max_size=3)))
    count = draw(st.integers(1, 1000))
    if draw(st.booleans()):
        return Score(value=value, samples=count)
    return Score(value=value, samples=count, interval_low=low, interval_high=high)
