"""The FFN-Reuse machine: what its programs compute, move and take."""

from __future__ import annotations

import json
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import colfw_accelerators
from colfw.addresses import WeightMap
from colfw.errors import InvariantError
from colfw.masks import SiteMask
from colfw.placement import Epoch, SitePlacement
from colfw.program import Repeat, Tile
from colfw.protocols import LoweringRequest
from colfw.sites import Ffn, Site
from colfw.testing.contracts import AcceleratorContract
from colfw.testing.ffn import Network, Storage, expected, run_ffn
from colfw.testing.ideal_memory import IdealMemory
from colfw.testing.strategies import unrolled
from colfw.typed import structure
from colfw.vocabulary import Reuse
from colfw_accelerators.config import FfnReuseConfig, Order
from colfw_accelerators.ffn_reuse import FfnReuse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.program import Program

    Flags = NDArray[np.bool_]

PLAIN = Site(name="mlp", rows=11, columns=40, operator=Ffn(d_in=6, d_out=10))
GATED = Site(name="geglu", rows=11, columns=40, operator=Ffn(d_in=6, d_out=10, gated=True))
SMALL: dict[str, Any] = {
    "array_rows": 2,
    "array_columns": 4,
    "array_depth": 4,
    "row_tile": 4,
    "input_slot_bytes": 32,
    "output_slot_bytes": 64,
    "weight_slot_bytes": 640,
}
"""Buffers so small that everything is cut: inputs and outputs into two slots, weights into many tiles."""
STORAGE = Storage(row_tile=4)
[SPEC] = colfw_accelerators.colfw_accelerators()


class TestRowTiles(AcceleratorContract):
    """All weights stream past each row tile."""

    site, storage = PLAIN, STORAGE

    @pytest.fixture
    def accelerator(self) -> FfnReuse:
        return FfnReuse(FfnReuseConfig(**SMALL))


class TestGated(AcceleratorContract):
    """Two matrices lead in, and row tiles do not lie packed."""

    site, storage = GATED, Storage(row_tile=4, activation_alignment_bytes=128)

    @pytest.fixture
    def accelerator(self) -> FfnReuse:
        return FfnReuse(FfnReuseConfig(**SMALL, activation_alignment_bytes=128))


class TestStale(AcceleratorContract):
    """Cold columns contribute what they did."""

    site, storage, reuse = PLAIN, STORAGE, Reuse.STALE

    @pytest.fixture
    def accelerator(self) -> FfnReuse:
        return FfnReuse(FfnReuseConfig(**SMALL, reuse=Reuse.STALE))


class TestWeightStationary(AcceleratorContract):
    """All row tiles pass each weight tile."""

    site, storage = GATED, STORAGE

    @pytest.fixture
    def accelerator(self) -> FfnReuse:
        return FfnReuse(FfnReuseConfig(**SMALL, order=Order.WEIGHT_STATIONARY))


class TestPaper(AcceleratorContract):
    """The study's machine, its hidden values between its phases."""

    site, storage = PLAIN, Storage(row_tile=16)

    @pytest.fixture
    def accelerator(self) -> FfnReuse:
        return machine("paper")


# --- what others are built from -------------------------------------------------------------------


def machine(preset: str, **options: Any) -> FfnReuse:
    return FfnReuse(structure(FfnReuseConfig, {**SPEC.presets[preset], **options}, where="test"))


def lowered(
    accelerator: FfnReuse,
    site: Site,
    fetched: Flags | None = None,
    *,
    hot: Flags | None = None,
    iteration: int = 1,
    sites: tuple[Site, ...] = (),
) -> Program:
    """Columns in their own slots, the same ones in every iteration; all of them unless told otherwise."""
    each = np.ones(site.columns, np.bool_) if fetched is None else fetched
    rounds = np.tile(each, (iteration + 1, 1))
    epoch = Epoch(first_iteration=0, slot_of_column=np.arange(site.columns), hot_slots=site.columns)
    request = LoweringRequest(
        site=site,
        iteration=iteration,
        mask=SiteMask(site=site, tau=None, hot=rounds if hot is None else np.tile(hot, (iteration + 1, 1))),
        placement=SitePlacement(site=site, epochs=(epoch,), fetched=rounds),
        sites=sites,
    )
    return accelerator.lower(request)


def bytes_of(program: Program) -> dict[str, int]:
    return dict(program.work.bytes_of_tensor)


def share_of(columns: int, share: float) -> Flags:
    return np.arange(columns) < round(share * columns)


# --- traffic --------------------------------------------------------------------------------------


@given(
    rows=st.integers(1, 70),
    d=st.integers(1, 8).map(lambda n: 32 * n),
    f=st.integers(1, 20).map(lambda n: 16 * n),
)
@settings(max_examples=25, deadline=None)
def test_a_dense_layer_moves_what_the_model_of_table_3_says(rows: int, d: int, f: int) -> None:
    """Weights once a row tile of 16, inputs, hidden values out and in, outputs: with two bytes an element."""
    site = Site(name="mlp", rows=rows, columns=f, operator=Ffn(d_in=d, d_out=d))
    moved = lowered(machine("paper"), site, iteration=0).work.moved_bytes
    assert moved == ceil(rows / 16) * 4 * d * f + rows * (4 * d + 4 * f)


def test_the_papers_gate_is_computed_and_not_fetched() -> None:
    """In its machine a gated layer moves two matrices and both factors of its hidden values; in the
    reference it moves three matrices and their product.
    """
    site = Site(name="geglu", rows=32, columns=1280, operator=Ffn(d_in=320, d_out=320, gated=True))
    plain = Site(name="mlp", rows=32, columns=1280, operator=Ffn(d_in=320, d_out=320))
    paper, reference = (lowered(machine(preset), site) for preset in ("paper", "reference"))
    assert paper.work.moved_bytes == 2 * 4 * 320 * 1280 + 32 * (4 * 320 + 8 * 1280)
    assert reference.work.moved_bytes == 2 * 6 * 320 * 1280 + 32 * (4 * 320 + 4 * 1280)
    assert (
        paper.work.compute_core_cycles * 2
        == 3 * lowered(machine("paper", row_core_cycles=0.0), plain).work.compute_core_cycles
    )


def test_weights_that_stay_are_read_once() -> None:
    """Stationary weights are read once in all; inputs, and sums beyond the first and the last tile, once for
    every weight tile.
    """
    site = Site(name="mlp", rows=40, columns=64, operator=Ffn(d_in=32, d_out=32))
    stationary = machine("reference", order="weight-stationary", weight_tile_columns=16)
    moved = bytes_of(lowered(stationary, site))
    assert moved["up"] == moved["down"] == 64 * 64
    assert moved["input"] == 4 * 40 * 64
    assert moved["hidden"] == 2 * 40 * 64 * 2
    assert moved["output"] == 40 * 64
    assert moved["partial-even"] + moved["partial-odd"] == (3 + 3) * 40 * 32 * 4


def test_with_one_row_tile_both_orders_are_one() -> None:
    """There is nothing to stay for."""
    site = Site(name="mlp", rows=6, columns=64, operator=Ffn(d_in=32, d_out=32))
    assert lowered(machine("reference", order="weight-stationary"), site) == lowered(
        machine("reference"), site
    )


@pytest.mark.parametrize("order", Order)
def test_what_is_reused_goes_to_dram_and_comes_back(order: Order) -> None:
    """A dense iteration writes rows x width once, a sparse one reads it; without reuse neither does."""
    site = Site(name="mlp", rows=40, columns=64, operator=Ffn(d_in=32, d_out=32))
    stale, zero = (machine("reference", order=order.value, reuse=reuse) for reuse in ("stale", "zero"))
    for iteration in (0, 1):
        assert bytes_of(lowered(stale, site, iteration=iteration))["reuse"] == 40 * 32 * 2
        assert "reuse" not in bytes_of(lowered(zero, site, iteration=iteration))
    work = [lowered(stale, site, iteration=iteration).work for iteration in (0, 1)]
    assert work[0].written_bytes - work[1].written_bytes >= 40 * 32 * 2


@pytest.mark.parametrize("reuse", Reuse)
@pytest.mark.parametrize("order", Order)
def test_all_cold_fetches_nothing(order: Order, reuse: Reuse) -> None:
    """Outputs are what is reused of them, and nothing else moves; nothing is computed."""
    site = Site(name="mlp", rows=40, columns=64, operator=Ffn(d_in=32, d_out=32))
    program = lowered(machine("reference", order=order.value, reuse=reuse.value), site, share_of(64, 0))
    assert set(bytes_of(program)) == ({"output", "reuse"} if reuse is Reuse.STALE else {"output"})
    assert program.work.compute_core_cycles == 0


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_sums_of_stationary_weights_keep_hot_and_cold_apart(data: st.DataObject) -> None:
    """A dense iteration that leaves something to reuse carries two sums for each output, both right."""
    hot = np.array(data.draw(st.lists(st.booleans(), min_size=40, max_size=40)))
    stationary = FfnReuse(FfnReuseConfig(**SMALL, order=Order.WEIGHT_STATIONARY, reuse=Reuse.STALE))
    network = Network.drawn(PLAIN, seed=0)
    for iteration, sum_bytes in ((0, 8), (1, 4)):
        program = lowered(stationary, PLAIN, hot=hot, iteration=iteration)
        storage = Storage(row_tile=4, partial_sum_bytes=sum_bytes)
        found = run_ffn(program, network, storage, hot, dense=iteration == 0)
        right = expected(network, hot, dense=iteration == 0, reuses=True)
        assert np.array_equal(found.output, right.output)
        assert np.array_equal(found.reused, right.reused)


@given(data=st.data(), gated=st.booleans())
@settings(max_examples=25, deadline=None)
def test_units_that_move_are_read_and_written_once(data: st.DataObject, gated: bool) -> None:  # noqa: FBT001
    """Before an epoch's first layer every vector that moves comes in once and goes out once, never over one
    that is still to be read; afterwards the layer computes what it should.
    """
    site = GATED if gated else PLAIN
    before, after = (np.array(data.draw(st.permutations(range(40)))) for _ in range(2))
    moved = int(np.count_nonzero(before != after))
    placement = SitePlacement(
        site=site,
        epochs=(
            Epoch(first_iteration=0, slot_of_column=before, hot_slots=40),
            Epoch(first_iteration=1, slot_of_column=after, hot_slots=40, moved_columns=moved),
        ),
        fetched=np.ones((3, 40), np.bool_),
    )
    mask = SiteMask(site=site, tau=None, hot=np.ones((3, 40), np.bool_))
    accelerator = FfnReuse(FfnReuseConfig(**SMALL))
    moving, still = (
        accelerator.lower(LoweringRequest(site=site, iteration=t, mask=mask, placement=placement))
        for t in (1, 2)
    )
    vectors = sum(matrix.vector_bytes for matrix in WeightMap.of(site).matrices)
    assert moving.work.read_bytes - still.work.read_bytes == moved * vectors
    assert moving.work.written_bytes - still.work.written_bytes == moved * vectors
    network, hot = Network.drawn(site, seed=1), np.ones(40, np.bool_)
    found = run_ffn(moving, network, STORAGE, hot, moves=placement.moves_before(1))
    assert np.array_equal(found.output, network.output(np.arange(40)))


# --- cycles ---------------------------------------------------------------------------------------


def test_the_reference_computes_whole_tiles_of_the_array() -> None:
    """Depth plus fill for each tile of outputs; the array is filled anew for every weight tile that leads
    out.
    """
    site = Site(name="mlp", rows=16, columns=100, operator=Ffn(d_in=64, d_out=48))
    work = lowered(machine("reference", weight_tile_columns=32), site).work
    into = 7 * (4 + 16)
    out_of = 3 * (7 + 4 * 16)
    assert work.compute_core_cycles == into + out_of
    assert work.other_core_cycles == 16 * 100 // 64


def test_cold_columns_that_are_fetched_are_not_computed() -> None:
    """What lies in a fetched region moves; only what is needed is computed, packed into whole groups."""
    site = Site(name="mlp", rows=16, columns=128, operator=Ffn(d_in=64, d_out=64))
    every = lowered(machine("reference"), site)
    needed = lowered(machine("reference"), site, hot=np.arange(128) % 8 == 0)
    alone = lowered(machine("reference"), site, share_of(128, 1 / 8))
    assert needed.work.moved_bytes == every.work.moved_bytes
    assert needed.work.compute_core_cycles == alone.work.compute_core_cycles < every.work.compute_core_cycles


@pytest.mark.parametrize(
    ("sparsity", "sparse_iterations", "saved"), [(0.7, 3, 0.525), (0.95, 9, 0.855)], ids=["VC2", "MLD"]
)
def test_a_period_saves_what_its_sparse_iterations_skip(
    sparsity: float, sparse_iterations: int, saved: float
) -> None:
    """s N / (N + 1): the two ends of the range that the study cites for FFN-Reuse."""
    site = Site(name="mlp", rows=16, columns=320, operator=Ffn(d_in=64, d_out=64))
    ideal = machine("reference", fill_core_cycles=0, dense_period=sparse_iterations + 1)
    hot = share_of(320, 1 - sparsity)
    period = [
        lowered(ideal, site, hot, iteration=iteration).work.compute_core_cycles
        for iteration in range(2 * (sparse_iterations + 1))
    ]
    assert period[0] == period[sparse_iterations + 1] > period[1]
    assert 1 - sum(period) / (len(period) * period[0]) == pytest.approx(saved, abs=0.001)


@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 200),
    share=st.floats(0, 1),
    preset=st.sampled_from(sorted(SPEC.presets)),
)
@settings(max_examples=40, deadline=None)
def test_cutting_loses_no_cycle(rows: int, columns: int, share: float, preset: str) -> None:
    """Costs belong to row tiles: how weights are cut, repeated or scattered changes none of them, but for
    the fills of the second matrix.
    """
    site = Site(name="mlp", rows=rows, columns=columns, operator=Ffn(d_in=64, d_out=64))
    hot = share_of(columns, share)
    scattered = np.zeros(columns, np.bool_)
    scattered[np.random.default_rng(0).permutation(columns)[: np.count_nonzero(hot)]] = True
    together, apart = (
        lowered(machine(preset, fill_core_cycles=0), site, each).work for each in (hot, scattered)
    )
    whole = lowered(machine(preset, fill_core_cycles=0, weight_tile_columns=208), site, hot).work
    for other in (apart, whole):
        assert together.compute_core_cycles == other.compute_core_cycles
        assert together.other_core_cycles == other.other_core_cycles


def test_nothing_is_loaded_while_a_layer_waits() -> None:
    """Loads run ahead by as many tiles as a buffer has slots; so many empty ones follow the wait."""
    site = Site(name="mlp", rows=16, columns=64, operator=Ffn(d_in=32, d_out=32))
    tiles = list(unrolled(lowered(machine("paper"), site).steps))
    assert tiles[:4] == [Tile(waiting_core_cycles=3200), Tile(), Tile(), Tile()]
    assert tiles[4].transfers


# --- descriptions ---------------------------------------------------------------------------------


def test_equal_work_is_an_equal_program() -> None:
    """Neither the name of a site nor the iteration makes a program another one."""
    one, other = (Site(name=name, rows=16, columns=64, operator=Ffn(d_in=32, d_out=32)) for name in "ab")
    assert lowered(machine("paper"), one, iteration=1) == lowered(machine("paper"), other, iteration=7)


def test_a_large_layer_is_a_small_program() -> None:
    """Descriptions do not grow with rows or with columns that lie together."""
    sizes = []
    for rows, columns in ((64, 1024), (6400, 65536)):
        site = Site(name="mlp", rows=rows, columns=columns, operator=Ffn(d_in=512, d_out=512))
        [row_tiles] = lowered(machine("reference"), site).steps
        assert isinstance(row_tiles, Repeat)
        sizes.append(len(row_tiles.body))
    assert sizes[0] == sizes[1] < 12


def test_a_template_stands_for_every_layer() -> None:
    """All sites are lowered as the commonest of the first level, without its gate; masks keep their share."""
    early = Site(name="early", rows=40, columns=256, operator=Ffn(d_in=64, d_out=64, gated=True))
    first = [
        Site(name=name, rows=40, columns=128, operator=Ffn(d_in=32, d_out=32, gated=True)) for name in "ab"
    ]
    deep = Site(name="deep", rows=10, columns=512, operator=Ffn(d_in=128, d_out=128, gated=True))
    sites = (early, *first, deep)
    template = machine("paper-template")
    programs = [lowered(template, site, share_of(site.columns, 0.25), sites=sites) for site in sites]
    assert len(set(programs)) == 1
    assert programs[0].work.moved_bytes == 3 * 4 * 32 * 32 + 40 * (4 * 32 + 4 * 32)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"row_tile": 64}, "input_slot_bytes"),
        ({"weight_slot_bytes": 1024}, "weight_slot_bytes"),
        ({"weight_tile_columns": 4096}, "weight_slot_bytes"),
        ({"output_slot_bytes": 512}, "output_slot_bytes"),
    ],
    ids=str,
)
def test_what_fits_no_buffer_is_refused(options: dict[str, Any], field: str) -> None:
    """The buffer is named, with what it would have to hold."""
    site = Site(name="mlp", rows=64, columns=8192, operator=Ffn(d_in=512, d_out=512))
    with pytest.raises(InvariantError) as refusal:
        lowered(machine("reference", **options), site)
    assert refusal.value.where == field
    assert refusal.value.hint is not None


def test_a_mask_of_another_width_is_refused() -> None:
    """Also where mask and placement agree with each other."""
    wide = Site(name="mlp", rows=4, columns=32, operator=Ffn(d_in=8, d_out=8))
    request = LoweringRequest(
        site=Site(name="mlp", rows=4, columns=16, operator=Ffn(d_in=8, d_out=8)),
        iteration=0,
        mask=SiteMask(site=wide, tau=None, hot=np.ones((1, 32), np.bool_)),
        placement=SitePlacement(
            site=wide,
            epochs=(Epoch(first_iteration=0, slot_of_column=np.arange(32), hot_slots=32),),
            fetched=np.ones((1, 32), np.bool_),
        ),
    )
    with pytest.raises(InvariantError, match="mask of site mlp: is 32 columns wide, the site has 16"):
        machine("reference").lower(request)


def test_clocks_need_not_divide() -> None:
    """The ratio of two clocks is a fraction: what takes 3 clocks at 3 Hz takes 2 core cycles at 2 Hz."""
    site = Site(name="mlp", rows=1, columns=1, operator=Ffn(d_in=1, d_out=1))
    program = lowered(machine("reference", core_clock_hz=2, element_passes=0, fill_core_cycles=0), site)
    timing = IdealMemory(bytes_per_clock=1, clock_hz=3).run(program)
    assert timing.core_cycles * 3 >= timing.memory_cycles * 2 > (timing.core_cycles - 2) * 3


# --- the published totals -------------------------------------------------------------------------

_SHAPES = {
    "dit": (28, 256, 1152, 4608),
    "edge": (10, 3300, 512, 1024),
}
"""Layers, rows, width and hidden width of the two workloads whose layers are all alike and plain."""


@pytest.mark.parametrize("model", _SHAPES)
def test_the_papers_totals_of_plain_layers(golden_root: Path, model: str) -> None:
    """In the study's memory, ticks within 0.5 %, compute within 0.5 and stall within 1.5 points."""
    path = golden_root / "paper" / "published.json"
    if not path.exists():
        pytest.skip("these golden data hold nothing of the study")
    published = json.loads(path.read_text())["table3_baseline"][model]
    memories = pytest.importorskip("colfw_memory.backend")
    standards, config = (pytest.importorskip(f"colfw_memory.{part}") for part in ("standards", "config"))
    options = config.DramConfig(
        channels=4, refresh="none", writes="read-latency", organisation={"columns": 4096}
    )
    memory = memories.SimulatedDram(standards.GDDR6_PAPER, options)
    layers, rows, d, f = _SHAPES[model]
    site = Site(name="mlp", rows=rows, columns=f, operator=Ffn(d_in=d, d_out=d))
    timing = memory.run(lowered(machine("paper"), site, iteration=0))
    ticks = timing.memory_cycles * layers * 50
    assert ticks == pytest.approx(published["ticks_G"] * 1e9, rel=0.005)
    assert 100 * timing.compute_core_cycles / timing.core_cycles == pytest.approx(
        published["compute_pct"], abs=0.5
    )
    assert 100 * timing.stall_core_cycles / timing.core_cycles == pytest.approx(
        published["stall_pct"], abs=1.5
    )
