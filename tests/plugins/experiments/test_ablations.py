"""Ablations: each knob's study, its table and its figure; and, run for real, what no knob may do."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve

from colfw.binding import bind
from colfw.dram.spec import resolve
from colfw.engine.listeners import Silent
from colfw.engine.run import RunOptions, run_study
from colfw.errors import InvariantError
from colfw.masks import SiteMask
from colfw.placement import Epoch, SitePlacement
from colfw.plugins import load_plugins
from colfw.protocols import DenoiseRequest, LoweringRequest
from colfw.report.schemas import TOTALS
from colfw.store.tables import read_parquet
from colfw.study import study_from
from colfw.testing.contracts import ExperimentContract
from colfw.vocabulary import Kind, SourceKind
from colfw_experiments import knobs
from colfw_experiments.ablations import REDUCTION, TIME, Setting
from colfw_experiments.knobs import KNOBS
from colfw_memory import standards

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from colfw.binding import BoundMachine
    from colfw.sites import Site
    from colfw_experiments.ablations import Ablation

    Row = Mapping[str, Any]

STUDIED_PEAK_BYTES_PER_SECOND = 96e9
"""Table 2 of the study."""


def total(
    workload: str, machine: str, mask: str = "dense", core_cycles: int = 1000, **more: Any
) -> dict[str, Any]:
    """A row of the totals of a run, as far as ablations read it."""
    return {
        "workload": workload,
        "seed": 0,
        "evidence": "synthesised",
        "rows_convention": "paper",
        "machine": machine,
        "layout": "row-major" if mask == "dense" else "uniform-hot-cold",
        "mask": mask,
        "core_cycles": core_cycles,
        "memory_cycles": core_cycles * 5 // 4,
        "read_bytes": 30_000,
        "written_bytes": 10_000,
        "compute_share": 0.1,
        "stall_share": 0.85,
        "bus_utilisation": 0.4,
        "cycle_reduction": None if mask == "dense" else 0.3,
        **more,
    }


def totals_of(ablation: Ablation) -> list[dict[str, Any]]:
    """A run of its study, every machine a little quicker than the one before."""
    study = ablation.study()
    masks = ["dense", "tau=0.164"][: len(study["layouts"])]
    return [
        total(workload["name"], machine["name"], mask, core_cycles=10_000 - 100 * place)
        for place, machine in enumerate(study["machines"])
        for workload in study["workloads"]
        for mask in masks
    ]


ALL_TOTALS = [row for knob in KNOBS for row in totals_of(knob())]
every_knob = pytest.mark.parametrize("knob", KNOBS, ids=[knob.__name__ for knob in KNOBS])


class TestEveryKnob(ExperimentContract):
    """Each is an experiment, whatever tables a run left."""

    tables = {"totals": ALL_TOTALS}  # noqa: RUF012  (an attribute of the contract, never changed)

    @pytest.fixture(params=KNOBS, ids=[knob.__name__ for knob in KNOBS])
    def experiment(self, request: pytest.FixtureRequest) -> Ablation:
        made: Ablation = request.param()
        return made


def test_each_knob_is_registered_under_its_name() -> None:
    """`colfw ablate NAME` finds each knob, and makes the same ablation."""
    registry = load_plugins()
    for knob in KNOBS:
        assert registry.find(Kind.EXPERIMENT, knob().name).make(None) == knob()


def bound_machines(study: Row) -> dict[str, BoundMachine]:
    bound = bind(study_from(study, where="x"), load_plugins(), where="x")
    return {machine.name: machine for machine in bound.machines}


@every_knob
def test_its_study_binds(knob: Callable[[], Ablation]) -> None:
    """Every machine names plugins that exist and options that they take."""
    assert len(bound_machines(knob().study())) == len(knob().machines) * len(knob().settings)


@every_knob
def test_positions_differ(knob: Callable[[], Ablation]) -> None:
    """No two machines are the same but for their names: each position turns something."""
    machines = bound_machines(knob().study()).values()
    turned = [(machine.accelerator.identity, machine.memory.identity) for machine in machines]
    assert all(one != other for one, other in itertools.combinations(turned, 2))


@every_knob
def test_the_baseline_is_the_accelerator_as_it_is(knob: Callable[[], Ablation]) -> None:
    """On the first machine, its options at the baseline are those that it has when nobody turns the knob."""
    ablation, first = knob(), knob().machines[0]
    plain = bound_machines({**ablation.study(), "machines": [first]})[first["name"]]
    turned = bound_machines(ablation.study())[ablation.machine_name(first, ablation.baseline)]
    assert turned.accelerator.options == plain.accelerator.options


@pytest.fixture(scope="module")
def shapes() -> list[Site]:
    """One site of every shape that the workloads of the study have."""
    request = DenoiseRequest(source=SourceKind.PUBLISHED, iterations=1, samples=1, seed=0)
    workloads = bind(study_from(knobs.window().study(), where="x"), load_plugins(), where="x").workloads
    sites = [site for bound in workloads for site in bound.choice.make().sites(request)]
    return list({(site.rows, site.columns, site.operator): site for site in sites}.values())


@every_knob
def test_every_position_can_lower_every_shape(knob: Callable[[], Ablation], shapes: list[Site]) -> None:
    """No position is too small for a layer of any workload."""
    for machine in bound_machines(knob().study()).values():
        accelerator = machine.accelerator.make()
        for site in shapes:
            assert accelerator.lower(dense_request(site)).work.compute_core_cycles > 0


def dense_request(site: Site) -> LoweringRequest:
    everything = np.ones((1, site.columns), np.bool_)
    in_order = Epoch(first_iteration=0, slot_of_column=np.arange(site.columns), hot_slots=site.columns)
    return LoweringRequest(
        site=site,
        iteration=0,
        mask=SiteMask(site=site, tau=None, hot=everything),
        placement=SitePlacement(site=site, epochs=(in_order,), fetched=everything),
        sites=(site,),
    )


def test_machines_are_named_after_the_knob() -> None:
    """The position stands in the name, and the machine too where the knob is turned on two."""
    assert [machine["name"] for machine in knobs.window().study()["machines"]] == [
        *("window-8", "window-16", "window-32", "window-64", "window-unlimited"),
    ]
    assert knobs.channels().study()["machines"][0]["name"] == "paper-channels-1"


def test_a_knob_without_its_baseline_is_refused() -> None:
    """What one holds the others against must be among them."""
    with pytest.raises(InvariantError, match="none of its positions"):
        evolve(knobs.window(), baseline="12")


def test_another_dram_leaves_the_options_of_the_first_behind() -> None:
    """A preset or an option belongs to the memory that was replaced."""
    machine = {"name": "m", "accelerator": {"name": "a"}, "memory": {"name": "one", "preset": "p"}}
    turned = Setting(label="x", dram="other", memory={"channels": 2}).applied(machine, "n")
    assert turned["memory"] == {"name": "other", "options": {"channels": 2}}


# --- the table --------------------------------------------------------------------------------------


def drawn_rows(ablation: Ablation, totals: Sequence[Row]) -> list[Row]:
    (figure,) = ablation.figures({"totals": totals})
    return list(figure.data.rows)


@every_knob
def test_the_baseline_is_relative_to_itself(knob: Callable[[], Ablation]) -> None:
    """It takes all of its own time and moves all of its own bytes."""
    ablation = knob()
    own = [
        row for row in drawn_rows(ablation, totals_of(ablation)) if row[ablation.knob] == ablation.baseline
    ]
    assert own
    assert {(row["relative_time"], row["relative_traffic"]) for row in own} == {(1.0, 1.0)}


def test_each_workload_is_held_against_its_own_baseline() -> None:
    """Half the time of the same workload at the baseline is one half."""
    totals = [
        total("mdm", "window-16", core_cycles=1000),
        total("mdm", "window-64", core_cycles=500),
        total("edge", "window-16", core_cycles=8000),
        total("edge", "window-64", core_cycles=2000, read_bytes=10_000),
    ]
    rows = {(row["workload"], row["window"]): row for row in drawn_rows(knobs.window(), totals)}
    assert rows["mdm", "64"]["relative_time"] == 0.5
    assert rows["edge", "64"]["relative_time"] == 0.25
    assert rows["edge", "64"]["relative_traffic"] == 0.5
    assert rows["mdm", "64"]["time_s"] == pytest.approx(500 / 800e6)
    assert rows["mdm", "64"]["bandwidth_gb_per_s"] == pytest.approx(40_000 / (500 / 800e6) / 1e9)
    assert rows["mdm", "64"]["bytes_per_memory_cycle"] == pytest.approx(40_000 / 625)


def test_without_a_baseline_nothing_is_relative() -> None:
    """A run whose baseline failed still shows the others' times."""
    (row,) = drawn_rows(knobs.window(), [total("mdm", "window-64")])
    assert row["relative_time"] is None
    assert row["time_s"] > 0


def test_machines_of_no_knob_are_left_out() -> None:
    """A machine that a user adds is in the tables of the run and in no ablation."""
    assert not knobs.window().figures({"totals": [total("mdm", "mine")]})


def test_masked_runs_are_drawn_only_where_a_measure_asks() -> None:
    """Times are those of dense runs, reductions those of masked ones."""
    assert TIME.shows(total("mdm", "m"))
    assert not TIME.shows(total("mdm", "m", "tau=0.164"))
    assert REDUCTION.shows(total("mdm", "m", "tau=0.164"))
    figure = knobs.dense_period().figures({"totals": totals_of(knobs.dense_period())})[0]
    assert [panel["transform"] for panel in figure.chart["hconcat"]] == [[{"filter": REDUCTION.filter}]]


# --- what is held equal ---------------------------------------------------------------------------


def peaks(ablation: Ablation) -> dict[str, tuple[float, int]]:
    """Peak bandwidth and row size of each position's memory."""
    specs = {spec.name: spec for spec in vars(standards).values() if hasattr(spec, "channel_width_bits")}
    found = {}
    for machine in ablation.study()["machines"]:
        memory = machine["memory"]
        options = memory.get("options", {})
        device = resolve(specs[memory["name"]], organisation_overrides=options.get("organisation", {}))
        found[machine["name"]] = (device.peak_bytes_per_second * options["channels"], device.row_bytes)
    return found


def test_bursts_are_compared_at_one_peak_and_one_row_size() -> None:
    """Only the length of a burst differs."""
    assert set(peaks(knobs.burst()).values()) == {(STUDIED_PEAK_BYTES_PER_SECOND, 8192)}


def test_standards_are_compared_at_about_one_peak() -> None:
    """Within a fifth of the study's: whole devices come no nearer."""
    for peak, _ in peaks(knobs.dram()).values():
        assert abs(peak / STUDIED_PEAK_BYTES_PER_SECOND - 1) < 1 / 5


# --- run for real -----------------------------------------------------------------------------------


def run(ablation: Ablation, tmp_path: Path, **changes: Any) -> list[Row]:
    """The table of an ablation whose study is run, with some of the study changed."""
    registry = load_plugins()
    study = study_from({**ablation.study(), **changes}, where=ablation.name)
    options = RunOptions(runs_root=tmp_path / "runs", cache_root=tmp_path / "cache")
    ended = run_study(bind(study, registry, where=ablation.name), registry, options, Silent())
    totals = read_parquet(ended.directory.path / "tables" / "totals.parquet", TOTALS)
    return drawn_rows(ablation, totals.rows)


MINIATURES = [{"name": "walker", "source": "miniature"}, {"name": "digits-unet", "source": "miniature"}]
"""One plain and one gated denoiser, small enough to run every time."""


def over_the_knob(rows: Sequence[Row], ablation: Ablation, column: str) -> dict[tuple[str, str], list[Any]]:
    """For each machine and workload the values of a column in the order of the positions, dense."""
    found: dict[tuple[str, str], list[Any]] = {}
    for label in ablation.positions:
        for row in rows:
            if row[ablation.knob] == label and row["mask"] == "dense":
                found.setdefault((row["base_machine"], row["workload"]), []).append(row[column])
    return found


def descending(values: Sequence[float], slack: float = 0.0) -> bool:
    """Whether no value exceeds the one before it by more than a share of it."""
    return all(after <= (1 + slack) * before for before, after in itertools.pairwise(values))


@pytest.mark.parametrize("knob", [knobs.window, knobs.channels])
def test_more_of_what_serves_memory_is_never_slower(knob: Callable[[], Ablation], tmp_path: Path) -> None:
    """A wider window or a further channel moves the same bytes in no more time.

    But for a hundredth: among more requests, reads and writes change places, and the bus turns more often.
    """
    rows = run(knob(), tmp_path, workloads=MINIATURES)
    assert {row["relative_traffic"] for row in rows} == {1.0}
    for cycles in over_the_knob(rows, knob(), "core_cycles").values():
        assert descending(cycles, slack=0.01)
        assert cycles[-1] < cycles[0]


def test_larger_row_tiles_stream_weights_less_often(tmp_path: Path) -> None:
    """Each doubling of the tile saves traffic and time of networks with rows enough."""
    rows = run(knobs.row_tile(), tmp_path, workloads=MINIATURES)
    for column in ("moved_bytes", "core_cycles"):
        for values in over_the_knob(rows, knobs.row_tile(), column).values():
            assert descending(values)
            assert values[-1] < values[0]


def test_more_dense_iterations_save_less(tmp_path: Path) -> None:
    """Of twelve iterations, more are dense the shorter the period: the reduction falls with each.

    At a threshold that leaves the miniature a third of its columns to skip.
    """
    ablation = knobs.dense_period()
    rows = run(ablation, tmp_path, workloads=MINIATURES[:1], iterations=12, thresholds=[0.5])
    for base in ("paper", "reference"):
        saved = {
            row["dense_period"]: row["cycle_reduction"]
            for row in rows
            if row["base_machine"] == base and row["mask"] != "dense"
        }
        assert saved["first-only"] == saved["25"] > saved["10"] > saved["5"] > 0


# --- at full size -------------------------------------------------------------------------------------


def published(*names: str) -> list[dict[str, Any]]:
    """Workloads of the study at their full size."""
    return [{"name": name, "source": "published", "options": {"rows": "paper"}} for name in names]


@pytest.mark.slow
def test_a_narrow_window_is_bound_by_latency_and_a_deep_one_by_bank_groups(tmp_path: Path) -> None:
    """Eight requests of 64 bytes in some 30 clocks are 17 bytes a clock; four channels that stay in a bank
    group end below 45.6, where DiT computes for a ninth of the time.

    Writes turn the bus, so that layers stay a little below the bandwidth of reads alone.
    """
    rows = run(knobs.window(), tmp_path, workloads=published("dit-xl-2", "edge"))
    by_position = {(row["workload"], row["window"]): row for row in rows}
    for workload in ("dit-xl-2", "edge"):
        assert by_position[workload, "8"]["bytes_per_memory_cycle"] == pytest.approx(17, rel=0.05)
        assert by_position[workload, "unlimited"]["bytes_per_memory_cycle"] == pytest.approx(45.6, rel=0.05)
    assert by_position["dit-xl-2", "unlimited"]["compute_share"] == pytest.approx(0.113, abs=0.005)


@pytest.mark.slow
def test_twice_the_rows_halve_the_weights_at_full_size(tmp_path: Path) -> None:
    """Weights are nearly all of the traffic, so that it halves with them; what is left are activations."""
    rows = run(knobs.row_tile(), tmp_path, workloads=published("dit-xl-2", "mdm", "edge"))
    for relative in over_the_knob(rows, knobs.row_tile(), "relative_traffic").values():
        assert relative == pytest.approx([1.0, 1 / 2, 1 / 4], abs=0.05)


def test_every_ablation_has_its_line_in_the_documentation() -> None:
    """The page names the command of each knob, and of the roofline."""
    page = (Path(__file__).parents[3] / "docs" / "ablations.md").read_text(encoding="utf-8")
    for name in [*(knob().name for knob in KNOBS), "roofline"]:
        assert f"`colfw ablate {name}`" in page
