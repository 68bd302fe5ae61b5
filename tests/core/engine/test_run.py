"""A run, whatever happens: what finished is kept and reported, and what failed names its owner."""

from __future__ import annotations

import json
import sys
import warnings
from html import unescape
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from attrs import evolve

from colfw import hookimpl
from colfw.binding import bind
from colfw.dram.counts import ChannelCounts
from colfw.dram.energy import Energy
from colfw.engine import run as run_module
from colfw.engine.estimate import estimate
from colfw.engine.listeners import Silent
from colfw.engine.plan import plan_study
from colfw.engine.run import RunOptions, run_study
from colfw.errors import StudyError, UnavailableError
from colfw.features import features_of
from colfw.plugins import Candidate, Owner, PluginPolicy, load_plugins
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance
from colfw.records import (
    AcceleratorSpec,
    ExperimentSpec,
    LayoutSpec,
    ListenerSpec,
    MemorySpec,
    MetricSpec,
    SectionSpec,
    WorkloadSpec,
)
from colfw.report.figures import Figure
from colfw.report.schemas import SCHEMAS
from colfw.samples import Score
from colfw.store.objects import ObjectStore
from colfw.store.runs import list_runs
from colfw.store.tables import Column, Table, TableSchema, read_parquet
from colfw.study import study_from
from colfw.vocabulary import SourceKind
from colfw_tiny import plugin as tiny
from colfw_tiny.config import ArrayConfig, BusConfig, DenoiserConfig
from colfw_tiny.layout import HotFirst
from colfw_tiny.machine import TinyArray, TinyBus
from colfw_tiny.workload import TinyDenoiser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from colfw.comparison import Comparison
    from colfw.engine.run import Run
    from colfw.masks import SiteMask
    from colfw.placement import SitePlacement
    from colfw.plugins import Registry
    from colfw.profile import SiteProfile
    from colfw.program import Program
    from colfw.protocols import DenoiseRequest, LoweringRequest, StageEvent
    from colfw.samples import Samples
    from colfw.timing import Timing


# --- plugins that misbehave -----------------------------------------------------------------------


class Forgetful:
    """A layout that fetches nothing after iteration 0."""

    def place(self, profile: SiteProfile, mask: SiteMask) -> SitePlacement:
        placed = HotFirst().place(profile, mask)
        fetched = placed.fetched.copy()
        fetched[1:] = False
        return evolve(placed, fetched=fetched)


class Liar:
    """A memory that says it served half of what was asked for."""

    def run(self, program: Program) -> Timing:
        honest = TinyBus(BusConfig()).run(program)
        half = honest.read_bytes_requested // 2
        return evolve(honest, read_bytes_requested=half, read_bytes_served=half)


class Channelled:
    """A memory of two channels, of which the second has nothing to do; it keeps a list of what it ran."""

    ran: ClassVar[list[Program]] = []

    def run(self, program: Program) -> Timing:
        self.ran.append(program)
        bus = TinyBus(BusConfig()).run(program)
        reads = 3 if bus.peak_bytes else 0
        busy = ChannelCounts(
            burst_bytes=1,
            clocks=bus.memory_cycles,
            peak_bytes=bus.peak_bytes,
            reads=reads,
            reads_served=reads,
            row_misses=reads,
            commands=(("ACT", reads), ("RD", reads)),
            read_latency_clocks=((20, 2), (50, 1)) if reads else (),
        )
        idle = ChannelCounts(burst_bytes=1, clocks=bus.memory_cycles)
        return evolve(bus, accesses=reads, row_misses=reads, channels=(busy, idle))


class Costing(Channelled):
    """The same, and a read costs 7 pJ; of a channel without one nothing is known."""

    def energy(self, counts: ChannelCounts) -> Energy | None:
        if not counts.reads:
            return None
        return Energy(
            by_command=(("RD", self.picojoules(counts)),),
            background=(),
            covered_states=("VDD 4R",),
            missing_states=("VDD 0", "VPP 4R"),
            source="made up",
        )

    def picojoules(self, counts: ChannelCounts) -> float:
        return 7.0 * counts.reads


class Creating(Costing):
    """A memory whose reads yield energy."""

    def picojoules(self, counts: ChannelCounts) -> float:
        return -1.0


class Nameless(TinyArray):
    """An array whose programs say nothing of the iteration: equal ones are equal."""

    def __init__(self) -> None:
        super().__init__(ArrayConfig())

    def lower(self, request: LoweringRequest) -> Program:
        return evolve(super().lower(request), name=request.site.name)


class Absent:
    """A metric without its weights."""

    def score(self, dense: Samples, masked: Samples) -> Score:
        raise UnavailableError("the weights of a network are missing", hint="get them there")


class Wary:
    """A metric that warns, looks at features, and reads a file, of which it tells by a hash."""

    file_content = "one"
    batch_samples = 2
    identity = "sums"
    looked: ClassVar[list[int]] = []

    def __call__(self, batch: Any) -> Any:
        self.looked.append(len(batch))
        return batch.sum(axis=(1, 2))

    def inputs_digest(self) -> str:
        return self.file_content

    def score(self, dense: Samples, masked: Samples) -> Score:
        warnings.warn("too few samples", UserWarning, stacklevel=2)
        apart = features_of(self, masked.data) - features_of(self, dense.data)
        return Score(value=float(np.abs(apart).mean()), samples=len(dense))


class Latent(TinyDenoiser):
    """A denoiser that notes its masks, and whose samples are not what it declares."""

    masks: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        super().__init__(DenoiserConfig())

    def denoise(self, request: DenoiseRequest, observers: Any, masks: Any) -> Samples:
        if masks is not None:
            self.masks.append(masks)
        return evolve(super().denoise(request, observers, masks), modality="vector-latent")


class Diverging(TinyDenoiser):
    """A denoiser whose activations overflow in iteration 3."""

    def __init__(self) -> None:
        super().__init__(DenoiserConfig())

    def denoise(self, request: DenoiseRequest, observers: Any, masks: Any) -> Samples:
        def poisoned(site: Any, iteration: int, activation: Any) -> None:
            for observer in observers:
                value = np.full_like(activation, np.nan) if iteration == 3 else activation
                observer.observe(site, iteration, value)

        return super().denoise(request, [SimpleNamespace(observe=poisoned)], masks)


class Interrupted(TinyDenoiser):
    """A denoiser at which somebody presses Ctrl-C, once masks are applied."""

    def __init__(self) -> None:
        super().__init__(DenoiserConfig())

    def denoise(self, request: DenoiseRequest, observers: Any, masks: Any) -> Samples:
        if masks is not None:
            raise KeyboardInterrupt
        return super().denoise(request, observers, masks)


class Published(TinyDenoiser):
    """A workload that knows statistics instead of weights."""

    def __init__(self) -> None:
        super().__init__(DenoiserConfig())

    def synthesise(self, request: DenoiseRequest) -> ActivationProfile:
        fold = ColumnMaxima(self.sites(request), iterations=request.iterations, thresholds=request.thresholds)
        rng = np.random.default_rng(request.seed)
        for site in self.sites(request):
            for iteration in range(request.iterations):
                fold.observe(site, iteration, rng.random((site.rows, site.columns), np.float32))
        origin = Provenance(
            workload="it", source=SourceKind.PUBLISHED, seed=0, samples=1, iterations=request.iterations
        )
        return ActivationProfile(provenance=origin, thresholds=request.thresholds, sites=fold.site_profiles())

    def denoise(self, request: DenoiseRequest, observers: Any, masks: Any) -> Samples:
        raise AssertionError("there is no model to run")


class Grumbling:
    """A listener that always raises."""

    def stage_started(self, event: StageEvent) -> None:
        raise RuntimeError("not again")

    stage_finished = stage_failed = stage_started


class Scribbling:
    """A section that cannot be rendered."""

    def render(self, tables: Mapping[str, Any]) -> tuple[str, str]:
        raise RuntimeError("out of ink")


class Doodling:
    """An experiment whose second figure has the name of its first."""

    def study(self) -> Mapping[str, Any]:
        raise AssertionError("the study names the experiment itself")

    def comparisons(self, tables: Mapping[str, Any]) -> Sequence[Comparison]:
        return ()

    def figures(self, tables: Mapping[str, Any]) -> Sequence[Figure]:
        rows = [{"layout": row["layout"]} for row in tables["totals"][:1]]
        layout = Column("layout", "text", "name", "The layout")
        schema = TableSchema(name="doodle", meaning="A layout", columns=(layout,), key=("layout",))
        chart = {"mark": "bar", "encoding": {"x": {"field": "layout"}}, "data": {"name": "rows"}}
        doodle = Figure(title="A doodle", caption="Drawn twice.", data=Table(schema, rows), chart=chart)
        return (doodle, doodle)


class Hooks:
    """Declares all of them."""

    @hookimpl
    def colfw_workloads(self) -> Iterator[WorkloadSpec]:
        for name, factory, sources in (
            ("diverging", "Diverging", ("random",)),
            ("interrupted", "Interrupted", ("random",)),
            ("published", "Published", ("published",)),
            ("latent", "Latent", ("random",)),
        ):
            yield WorkloadSpec(
                name=name,
                summary="A workload that misbehaves",
                api_version=1,
                factory=f"fake_run:{factory}",
                group="test",
                modality="vector",
                iterations=6,
                sources=sources,
            )

    @hookimpl
    def colfw_layouts(self) -> Iterator[LayoutSpec]:
        yield LayoutSpec(
            name="forgetful",
            summary="Fetches too little",
            api_version=1,
            factory="fake_run:Forgetful",
            masks=("dense", "threshold"),
        )

    @hookimpl
    def colfw_memories(self) -> Iterator[MemorySpec]:
        for name in ("liar", "channelled", "costing", "creating"):
            factory = f"fake_run:{name.capitalize()}"
            yield MemorySpec(name=name, summary="A memory", api_version=1, factory=factory)

    @hookimpl
    def colfw_accelerators(self) -> Iterator[AcceleratorSpec]:
        yield AcceleratorSpec(name="nameless", summary="An array", api_version=1, factory="fake_run:Nameless")

    @hookimpl
    def colfw_metrics(self) -> Iterator[MetricSpec]:
        for name in ("absent", "wary"):
            yield MetricSpec(
                name=name,
                summary="A metric",
                api_version=1,
                factory=f"fake_run:{name.capitalize()}",
                direction="lower is better",
                unit="1",
                modalities=("vector",),
            )


class Listeners:
    """Declares the listener."""

    @hookimpl
    def colfw_listeners(self) -> Iterator[ListenerSpec]:
        yield ListenerSpec(name="grumbling", summary="Raises", api_version=1, factory="fake_run:Grumbling")


class Sections:
    """Declares the section."""

    @hookimpl
    def colfw_report_sections(self) -> Iterator[SectionSpec]:
        yield SectionSpec(name="scribbling", summary="Raises", api_version=1, factory="fake_run:Scribbling")


class Experiments:
    """Declares the experiment."""

    @hookimpl
    def colfw_experiments(self) -> Iterator[ExperimentSpec]:
        yield ExperimentSpec(
            name="doodling", summary="Draws", api_version=1, factory="fake_run:Doodling", group="ablation"
        )


# --- running --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fake_run", sys.modules[__name__])


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a test about figures waits for them: drawing takes three times as long as these small runs."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("colfw.report.figures.standard.standard_figures", lambda tables: ())


@pytest.fixture
def drawn() -> None:
    """Asked for by a test that looks at the figures of every run."""


def registry_with(*hooks: type) -> Registry:
    mine = [Candidate(Owner("bad-luck", "1.3", hook.__name__), hook) for hook in (Hooks, *hooks)]
    example = Candidate(Owner("colfw-tiny", "0.1.0", "tiny", "colfw_tiny.plugin"), lambda: tiny)
    return load_plugins(PluginPolicy(), [example, *mine])


STUDY: dict[str, Any] = {
    "workloads": ["tiny-denoiser"],
    "iterations": 6,
    "thresholds": [0.1, 0.3],
    "target_hot_ratios": [0.5],
    "metrics": ["tiny-distance"],
    "layouts": [{"name": "tiny-hot-first", "masks": ["dense", "threshold"]}],
    "machines": [{"name": "it", "accelerator": "tiny-array", "memory": "tiny-bus"}],
}


def run(folder: Path, *hooks: type, fresh: bool = False, **changes: Any) -> Run:
    registry = registry_with(*hooks)
    bound = bind(study_from({**STUDY, **changes}, where="study"), registry, where="study")
    options = RunOptions(runs_root=folder / "runs", cache_root=folder / "cache", fresh=fresh)
    return run_study(bound, registry, options, Silent())


def rows(ended: Run, table: str) -> list[Any]:
    path = ended.directory.path / "tables" / f"{table}.parquet"
    return list(read_parquet(path, SCHEMAS[table]).rows)


def statuses(ended: Run) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for result in ended.results:
        found.setdefault(result.task.step, set()).add(str(result.outcome))
    return found


def test_a_layout_that_fetches_too_little_is_refused_and_the_rest_is_reported(tmp_path: Path) -> None:
    """The error names layout, owner, site and iteration; scores do not need it and are there."""
    ended = run(tmp_path, layouts=["forgetful"])
    assert ended.manifest.status == "failed"
    assert ended.failures[0].error is not None
    assert ended.failures[0].error.startswith(
        "layout 'forgetful' of bad-luck 1.3: placement of site layers.0.mlp"
    )
    assert "is hot in iteration 1 and is not fetched" in ended.failures[0].error
    assert statuses(ended)["simulate"] == {"skipped"}
    assert len(rows(ended, "scores")) == 2
    assert "InvariantError" in (ended.directory.path / "errors.txt").read_text(encoding="utf-8")


def test_a_memory_that_lies_is_caught_by_the_sanity_block(tmp_path: Path) -> None:
    """What a memory reports is held against the program that it was given."""
    machines = [{"name": "it", "accelerator": "tiny-array", "memory": "liar"}]
    ended = run(tmp_path, machines=machines)
    [error] = {result.error for result in ended.failures if result.task.context["mask"] == "dense"}
    assert error is not None
    assert error.startswith("memory 'liar' of bad-luck 1.3: timing of layers.0.mlp iteration 0: bytes read:")
    assert not (ended.directory.path / "tables" / "timing.csv").exists()


def with_memory(name: str, accelerator: str = "tiny-array") -> dict[str, Any]:
    return {"machines": [{"name": "it", "accelerator": accelerator, "memory": name}], "metrics": []}


def test_every_channel_of_a_memory_has_its_row(tmp_path: Path) -> None:
    """Beside each row of `timing` there is one a channel, with what follows from its counts."""
    ended = run(tmp_path, **with_memory("channelled"))
    timing, channels = rows(ended, "timing"), rows(ended, "memory_channels")
    assert len(channels) == 2 * len(timing)
    key = ("workload", "seed", "evidence", "machine", "layout", "mask", "site", "iteration")
    for busy, idle, total in zip(channels[::2], channels[1::2], timing, strict=True):
        assert [busy[name] for name in key] == [idle[name] for name in key] == [total[name] for name in key]
        assert (busy["channel"], idle["channel"]) == (0, 1)
        assert busy["clocks"] == idle["clocks"] == total["memory_cycles"]
        assert busy["bytes_per_clock"] == 3 / busy["clocks"]
        assert (busy["row_misses"], busy["row_buffer_hit_rate"]) == (total["row_misses"], 0.0)
        found = [busy[f"{name}_read_latency_clocks"] for name in ("average", "p50", "p95", "p99")]
        assert found == [30.0, 20, 50, 50]
        assert (busy["commands"], idle["commands"]) == ('{"ACT": 3, "RD": 3}', "{}")
        assert idle["row_buffer_hit_rate"] is idle["average_read_latency_clocks"] is None
        assert busy["energy_pj"] is busy["energy_missing_states"] is None


def test_the_energy_of_a_channel_is_what_its_memory_says(tmp_path: Path) -> None:
    """It stands beside the states that it lacks, and is null where the memory knows none."""
    ended = run(tmp_path, **with_memory("costing"))
    energies = [(row["energy_pj"], row["energy_missing_states"]) for row in rows(ended, "memory_channels")]
    assert energies[::2] == [(21.0, "VDD 0, VPP 4R")] * (len(energies) // 2)
    assert set(energies[1::2]) == {(None, None)}


def test_an_energy_that_is_none_names_the_memory(tmp_path: Path) -> None:
    """A memory that gains energy fails its own simulation, not the report."""
    ended = run(tmp_path, **with_memory("creating"))
    assert {result.error for result in ended.failures} == {
        "memory 'creating' of bad-luck 1.3: -1.0 pJ is no energy (while it worked out energy)"
    }
    assert (ended.directory.path / "report.html").exists()


def test_channels_change_no_other_table(tmp_path: Path) -> None:
    """A memory without channels has no table of them, and the rest is the same byte for byte."""
    plain = run(tmp_path, **with_memory("channelled")).manifest.tables
    costed = run(tmp_path, **with_memory("costing")).manifest.tables
    assert {name for name in plain if plain[name] != costed[name]} == {
        "tables/memory_channels.csv",
        "tables/memory_channels.parquet",
    }
    bare = run(tmp_path, **with_memory("tiny-bus")).manifest.tables
    assert plain.keys() - bare.keys() == {"tables/memory_channels.csv", "tables/memory_channels.parquet"}


def test_equal_programs_are_run_once(tmp_path: Path) -> None:
    """Every iteration has its rows, and those that ask for the same are simulated and kept once."""
    Channelled.ran.clear()
    dense = [{"name": "tiny-hot-first", "masks": ["dense"]}]
    ended = run(tmp_path, layouts=dense, **with_memory("channelled", "nameless"))
    sites = {row["site"] for row in rows(ended, "timing")}
    assert len(rows(ended, "memory_channels")) == 2 * 6 * len(sites)
    assert len(Channelled.ran) == len(set(Channelled.ran)) == len(sites)
    [task] = [result.task for result in ended.results if result.task.step == "simulate"]
    stored = ObjectStore(tmp_path / "cache").find(task.digest)
    assert stored is not None
    assert len(json.loads(stored.file("timings.json").read_bytes())["programs"]) == len(sites)


def test_nan_in_an_activation_names_site_and_iteration(tmp_path: Path) -> None:
    """A diverging denoiser is an error, and nothing that needs its profile is attempted."""
    ended = run(tmp_path, workloads=["diverging", "tiny-denoiser"])
    [failure] = ended.failures
    assert failure.error == (
        "workload 'diverging' of bad-luck 1.3: site layers.0.mlp: NaN or infinity in the activation of"
        " iteration 3 (while it denoised) (the denoiser diverged: look at its weights, precision and inputs)"
    )
    assert {row["workload"] for row in rows(ended, "totals")} == {"tiny-denoiser"}


def test_ctrl_c_leaves_what_is_finished_usable(tmp_path: Path) -> None:
    """An interrupted run has its tables, says so, and the next one starts where it stopped."""
    ended = run(tmp_path, workloads=["interrupted"])
    assert ended.manifest.status == "interrupted"
    assert len(rows(ended, "totals")) == 3
    assert ended.manifest.finished is not None
    again = run(tmp_path, workloads=["interrupted"], metrics=[])
    assert again.manifest.status == "finished"
    assert statuses(again)["simulate"] == {"cached"}


def test_a_metric_without_weights_leaves_its_cell_empty_with_the_reason(tmp_path: Path) -> None:
    """What cannot be measured here is no failure of the run."""
    ended = run(tmp_path, metrics=["absent", "tiny-distance"])
    assert ended.manifest.status == "finished"
    by_metric = {row["metric"]: row for row in rows(ended, "scores")}
    assert by_metric["absent"]["value"] is None
    assert by_metric["absent"]["note"] == "the weights of a network are missing (get them there)"
    assert by_metric["tiny-distance"]["value"] > 0


def test_what_a_metric_warns_of_stands_beside_its_value(tmp_path: Path) -> None:
    """A warning is a note, not a failure."""
    [row] = rows(run(tmp_path, metrics=["wary"], thresholds=[0.2]), "scores")
    assert row["value"] > 0
    assert row["note"] == "too few samples"


def test_dense_features_are_computed_once_for_all_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are found again by what was seen: one pass for the dense set, one for each masked one."""
    monkeypatch.setattr(Wary, "looked", [])
    run(tmp_path, metrics=["wary"], thresholds=[0.1, 0.2, 0.3], samples=3)
    assert Wary.looked == [2, 1] * 4


def test_a_metric_that_reads_another_file_scores_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash of what a metric reads decides whether its scores are found again."""
    run(tmp_path, metrics=["wary"], thresholds=[0.2])
    assert statuses(run(tmp_path, metrics=["wary"], thresholds=[0.2]))["score"] == {"cached"}
    monkeypatch.setattr(Wary, "file_content", "other")
    assert statuses(run(tmp_path, metrics=["wary"], thresholds=[0.2]))["score"] == {"done"}


def test_samples_of_another_modality_than_declared_are_not_scored(tmp_path: Path) -> None:
    """The row says what was made, what would do, and what to give the workload."""
    [row] = rows(run(tmp_path, workloads=["latent"], metrics=["wary"], thresholds=[0.2]), "scores")
    assert row["value"] is None
    assert row["note"] == (
        "compares vector, and these samples are vector-latent (some workloads have an option for what turns"
        " them into that, such as `decoder`)"
    )


def test_masks_of_few_samples_are_scored_on_many(tmp_path: Path) -> None:
    """The profile is of the samples that masks are taken from; dense and masked sets have all of them."""
    ended = run(tmp_path, metrics=["tiny-distance"], thresholds=[0.2], samples=5, calibration_samples=2)
    [profile] = rows(ended, "profiles")
    [score] = rows(ended, "scores")
    assert (profile["samples"], score["samples"]) == (2, 5)
    alone = run(tmp_path, metrics=["tiny-distance"], thresholds=[0.2], samples=2)
    assert score["mask_digest"] == rows(alone, "scores")[0]["mask_digest"]


@pytest.mark.parametrize("over_time", ["per-iteration", "static"])
def test_generation_is_dense_in_iteration_0_and_bears_the_simulated_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over_time: str
) -> None:
    """Later iterations are masked as simulated, and the digests of both agree."""
    monkeypatch.setattr(Latent, "masks", [])
    given = {"workloads": ["latent"], "metrics": ["wary"], "thresholds": [0.2], "mask_over_time": over_time}
    ended = run(tmp_path, **given)
    [mask] = Latent.masks
    hot = mask.sites[0].hot
    assert hot[0].all()
    assert not hot[1].all()
    assert (hot[1:] == hot[1]).all() == (over_time == "static")
    [score] = rows(ended, "scores")
    simulated = {row["mask_digest"] for row in rows(ended, "totals") if row["mask"] == score["mask"]}
    assert simulated == {score["mask_digest"]}
    assert score["mask"] == ("tau=0.2 static" if over_time == "static" else "tau=0.2")


def test_a_synthesised_profile_is_simulated_and_never_scored(tmp_path: Path) -> None:
    """Without a model there is nothing to mask; every number says that it is synthesised."""
    ended = run(tmp_path, workloads=[{"name": "published", "source": "published"}])
    assert ended.manifest.status == "finished"
    assert set(statuses(ended)) == {"profile", "place", "simulate", "report"}
    assert {row["evidence"] for row in rows(ended, "totals")} == {"synthesised"}


def test_a_listener_that_raises_is_reported_once_and_stops_nothing(tmp_path: Path) -> None:
    """It is told nothing more, and the run goes on."""
    ended = run(tmp_path, Listeners)
    assert ended.manifest.status == "finished"
    assert ended.notices == (
        "listener 'grumbling' of bad-luck 1.3: RuntimeError: not again"
        " (while it listened; it is told nothing more)",
    )


def test_a_section_that_cannot_be_rendered_loses_no_table(tmp_path: Path) -> None:
    """In its place the page names the owner and the error."""
    ended = run(tmp_path, Sections)
    page = unescape((ended.directory.path / "report.html").read_text(encoding="utf-8"))
    assert "section 'scribbling' of bad-luck 1.3: RuntimeError: out of ink" in page
    assert "saves the most" in page
    assert rows(ended, "totals")
    assert ended.notices == (
        "section 'scribbling' of bad-luck 1.3: RuntimeError: out of ink (while it wrote its section)",
    )


@pytest.mark.usefixtures("drawn")
def test_a_figure_that_cannot_be_drawn_loses_no_other(tmp_path: Path) -> None:
    """The figures of the run and of the experiment are there; the owner of the bad one is named."""
    ended = run(tmp_path, Experiments, experiments=["doodling"])
    drawn = {path.name for path in (ended.directory.path / "figures").iterdir()}
    assert {"doodle.svg", "doodle.csv", "time-breakdown.pdf", "cycle-reduction.vl.json"} <= drawn
    page = (ended.directory.path / "report.html").read_text(encoding="utf-8")
    assert page.index("A doodle") < page.index("Where the time of the dense run goes")
    (notice,) = ended.notices
    assert notice.startswith(
        "experiment 'doodling' of bad-luck 1.3: figures: two figures are called 'doodle'"
    )
    assert not any("figures" in name for name in ended.manifest.tables)


def test_a_damaged_result_is_computed_again_and_said_so(tmp_path: Path) -> None:
    """What was cut short on disk is set aside, never used."""
    first = run(tmp_path)
    [profile] = [result.task for result in first.results if result.task.step == "profile"]
    stored = ObjectStore(tmp_path / "cache").find(profile.digest)
    assert stored is not None
    stored.file("profile.safetensors").write_bytes(b"")
    again = run(tmp_path)
    assert statuses(again)["profile"] == {"done"}
    assert again.manifest.tables == first.manifest.tables
    assert any("damaged cache entry set aside" in notice for notice in again.notices)


def test_a_run_that_ends_in_a_bug_does_not_go_on_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised, the manifest says that the run failed, and the error keeps its traceback."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(run_module, "_deliver", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        run(tmp_path)
    [left] = list_runs(tmp_path / "runs")
    assert left.read_manifest().status == "failed"


def test_an_estimate_rests_on_what_was_measured(tmp_path: Path) -> None:
    """Without history time is unknown; with it, it is known; what is cached takes none."""
    registry = registry_with()
    plan = plan_study(bind(study_from(STUDY, where="study"), registry, where="study"))
    store = ObjectStore(tmp_path / "cache")
    assert estimate(plan, store).seconds is None
    run(tmp_path)
    assert estimate(plan, store).seconds == 0
    afresh = estimate(plan, store, fresh=True)
    assert afresh.seconds is not None
    assert afresh.seconds > 0
    files = [path for path in (tmp_path / "cache").rglob("*.*") if path.suffix in (".json", ".safetensors")]
    taken_bytes = sum(path.stat().st_size for path in files if path.parent.name != "figures")
    assert taken_bytes / 2 < afresh.disk_bytes < 2 * taken_bytes


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"workloads": ["tiny-denoser"]}, "workloads[0].name: unknown workload 'tiny-denoser'"),
        ({"workloads": [{"name": "tiny-denoiser", "source": "checkpoint"}]}, "has no source 'checkpoint'"),
        (
            {"source": {"kind": "checkpoint", "checkpoints": {"tiny-denoser": "weights.pt"}}},
            "source.checkpoints.tiny-denoser: no such workload here (did you mean 'tiny-denoiser'?)",
        ),
        ({"workloads": [{"name": "published", "preset": "x"}]}, "published has no presets"),
        ({"workloads": [{"name": "published", "options": {"x": 1}}]}, "published takes no options"),
        (
            {"workloads": [{"name": "tiny-denoiser", "options": {"row": 1}}]},
            "workloads[0].options.row: unknown key (did you mean 'rows'?)",
        ),
        (
            {"workloads": [{"name": "tiny-denoiser", "options": {"rows": 0}}]},
            "workloads[0].options.rows: must be greater than 0, not 0",
        ),
        (
            {"machines": [{**STUDY["machines"][0], "memory": {"name": "tiny-bus", "preset": "wid"}}]},
            "machines[0].memory.preset: tiny-bus has no preset 'wid' (did you mean 'wide'?)",
        ),
        ({"profile": {"observers": ["tiny-rage"]}}, "'tiny-rage' (did you mean 'tiny-range'?)"),
    ],
)  # fmt: skip
def test_a_study_that_the_plugins_cannot_do_is_refused_by_name(changes: dict[str, Any], problem: str) -> None:
    """File, key path, problem and the nearest name, before anything runs."""
    with pytest.raises(StudyError) as refusal:
        bind(study_from({**STUDY, **changes}, where="study"), registry_with(), where="study")
    assert str(refusal.value).startswith("study: ")
    assert problem in str(refusal.value)


def test_a_plugin_chosen_twice_has_two_labels(tmp_path: Path) -> None:
    """What sets them apart is in the label, so that no row of a table is ambiguous."""
    workloads = ["tiny-denoiser", {"name": "tiny-denoiser", "options": {"rows": 4}}]
    ended = run(tmp_path, workloads=workloads, metrics=[])
    assert {row["workload"] for row in rows(ended, "sites")} == {"tiny-denoiser", "tiny-denoiser[rows=4]"}


def test_renaming_a_machine_computes_nothing_again(tmp_path: Path) -> None:
    """A name labels a result; it decides nothing about it."""
    run(tmp_path)
    machines = [{**STUDY["machines"][0], "name": "renamed"}]
    again = run(tmp_path, machines=machines)
    assert statuses(again)["simulate"] == {"cached"}
    assert {row["machine"] for row in rows(again, "totals")} == {"renamed"}
