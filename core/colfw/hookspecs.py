"""What can be plugged in. A plugin implements any of these hooks and is found through an entry point in
the group `colfw`; each hook yields records that declare what there is, and loads nothing.
The examples have `from colfw import hookimpl` and the records of `colfw.records` at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy import HookspecMarker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colfw import records

hookspec = HookspecMarker("colfw")


@hookspec
def colfw_workloads() -> Iterable[records.WorkloadSpec]:
    """Denoisers whose activations can be profiled and masked.

    >>> @hookimpl
    ... def colfw_workloads():
    ...     yield WorkloadSpec(name="my-denoiser", summary="A denoiser of mine", api_version=1,
    ...                        factory="my_plugin:Denoiser", group="transformer", modality="image")
    """
    raise NotImplementedError


@hookspec
def colfw_layouts() -> Iterable[records.LayoutSpec]:
    """Policies that decide where columns lie in DRAM.

    >>> @hookimpl
    ... def colfw_layouts():
    ...     yield LayoutSpec(name="reversed", summary="Columns in reverse order", api_version=1,
    ...                      factory="my_plugin:Reversed", masks=("dense", "threshold"))
    """
    raise NotImplementedError


@hookspec
def colfw_accelerators() -> Iterable[records.AcceleratorSpec]:
    """Machines that turn a site and its mask into a program of tiles and transfers.

    >>> @hookimpl
    ... def colfw_accelerators():
    ...     yield AcceleratorSpec(name="my-array", summary="A systolic array of mine", api_version=1,
    ...                           factory="my_plugin:Array", config="my_plugin:ArrayConfig")
    """
    raise NotImplementedError


@hookspec
def colfw_memories() -> Iterable[records.MemorySpec]:
    """Memories that run a program and report its timing.

    >>> @hookimpl
    ... def colfw_memories():
    ...     yield MemorySpec(name="my-dram", summary="A DRAM of mine", api_version=1,
    ...                      factory="my_plugin:Dram", config="my_plugin:DramConfig",
    ...                      presets={"wide": {"channels": 8}})
    """
    raise NotImplementedError


@hookspec
def colfw_metrics() -> Iterable[records.MetricSpec]:
    """Measures of how far masked samples are from dense ones.

    >>> @hookimpl
    ... def colfw_metrics():
    ...     yield MetricSpec(name="my-distance", summary="A distance of mine", api_version=1,
    ...                      factory="my_plugin:Distance", direction="lower is better", unit="1",
    ...                      modalities=("image",))
    """
    raise NotImplementedError


@hookspec
def colfw_observers() -> Iterable[records.ObserverSpec]:
    """Further statistics of activations, for machines that need more than column maxima.

    >>> @hookimpl
    ... def colfw_observers():
    ...     yield ObserverSpec(name="value-range", summary="Smallest and largest value", api_version=1,
    ...                        factory="my_plugin:ValueRange")
    """
    raise NotImplementedError


@hookspec
def colfw_listeners() -> Iterable[records.ListenerSpec]:
    """Observers of a run: told when stages start, finish and fail.

    >>> @hookimpl
    ... def colfw_listeners():
    ...     yield ListenerSpec(name="chat", summary="Tells the team", api_version=1,
    ...                        factory="my_plugin:Chat")
    """
    raise NotImplementedError


@hookspec
def colfw_report_sections() -> Iterable[records.SectionSpec]:
    """Sections of the report, made from the tables of the run.

    >>> @hookimpl
    ... def colfw_report_sections():
    ...     yield SectionSpec(name="my-view", summary="What I look at first", api_version=1,
    ...                       factory="my_plugin:MyView")
    """
    raise NotImplementedError


@hookspec
def colfw_experiments() -> Iterable[records.ExperimentSpec]:
    """Studies that are ready to run: what is published beside what is found, one knob turned, a tour.

    >>> @hookimpl
    ... def colfw_experiments():
    ...     yield ExperimentSpec(name="my-table-2", summary="Table 2 of my paper", api_version=1,
    ...                          factory="my_plugin:Table2", group="reproduction")
    """
    raise NotImplementedError
