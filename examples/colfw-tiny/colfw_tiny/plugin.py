"""What this distribution plugs in. Nothing here imports what does the work."""

from collections.abc import Iterator

from colfw import hookimpl
from colfw.records import (
    AcceleratorSpec,
    ExperimentSpec,
    LayoutSpec,
    ListenerSpec,
    MemorySpec,
    MetricSpec,
    ObserverSpec,
    SectionSpec,
    WorkloadSpec,
)


@hookimpl
def colfw_workloads() -> Iterator[WorkloadSpec]:
    yield WorkloadSpec(
        name="tiny-denoiser",
        summary="Two feed-forward layers that denoise short vectors, with seeded random weights",
        api_version=1,
        factory="colfw_tiny.workload:TinyDenoiser",
        config="colfw_tiny.config:DenoiserConfig",
        group="pure_transformer",
        modality="vector",
        iterations=8,
    )


@hookimpl
def colfw_layouts() -> Iterator[LayoutSpec]:
    yield LayoutSpec(
        name="tiny-hot-first",
        summary="Columns that were hot in iteration 0 come first",
        api_version=1,
        factory="colfw_tiny.layout:HotFirst",
        masks=("dense", "threshold", "target-hot-ratio"),
    )


@hookimpl
def colfw_accelerators() -> Iterator[AcceleratorSpec]:
    yield AcceleratorSpec(
        name="tiny-array",
        summary="Loads the fetched columns of both matrices, one tile a column",
        api_version=1,
        factory="colfw_tiny.machine:TinyArray",
        config="colfw_tiny.config:ArrayConfig",
    )


@hookimpl
def colfw_memories() -> Iterator[MemorySpec]:
    yield MemorySpec(
        name="tiny-bus",
        summary="A bus of fixed width without rows or refresh",
        api_version=1,
        factory="colfw_tiny.machine:TinyBus",
        config="colfw_tiny.config:BusConfig",
        presets={"wide": {"bytes_per_cycle": 64}},
    )


@hookimpl
def colfw_metrics() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="tiny-distance",
        summary="Root mean square difference of dense and masked samples",
        api_version=1,
        factory="colfw_tiny.metric:RootMeanSquare",
        direction="lower is better",
        unit="the samples' own",
        modalities=("vector",),
    )


@hookimpl
def colfw_observers() -> Iterator[ObserverSpec]:
    yield ObserverSpec(
        name="tiny-range",
        summary="Smallest and largest value of each site in each iteration",
        api_version=1,
        factory="colfw_tiny.extras:ValueRange",
    )


@hookimpl
def colfw_listeners() -> Iterator[ListenerSpec]:
    yield ListenerSpec(
        name="tiny-diary",
        summary="Appends a line a stage to the file that TINY_DIARY names, if it names one",
        api_version=1,
        factory="colfw_tiny.extras:Diary",
    )


@hookimpl
def colfw_report_sections() -> Iterator[SectionSpec]:
    yield SectionSpec(
        name="tiny-note",
        summary="One sentence about the best case of a run",
        api_version=1,
        factory="colfw_tiny.extras:Note",
    )


@hookimpl
def colfw_experiments() -> Iterator[ExperimentSpec]:
    yield ExperimentSpec(
        name="tiny-bus-widths",
        summary="The dense run on wider and wider buses",
        api_version=1,
        factory="colfw_tiny.experiment:BusWidths",
        group="ablation",
    )
