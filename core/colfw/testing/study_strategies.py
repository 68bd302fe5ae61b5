"""Hypothesis strategies for studies: every study they draw is valid, and none is likely to be plain."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from colfw.study import (
    LayoutChoice,
    MachineChoice,
    Output,
    PluginChoice,
    ProfileSettings,
    Source,
    Study,
    WorkloadChoice,
)
from colfw.vocabulary import MaskKind, OverTime, Precision, Reuse, SourceKind

_WORD = st.text(alphabet=string.ascii_lowercase + string.digits, min_size=1, max_size=6)


def names() -> st.SearchStrategy[str]:
    """Names of plugins, machines and studies."""
    return st.builds(
        lambda words, joint: joint.join(words),
        st.lists(_WORD, min_size=1, max_size=3),
        st.sampled_from("-."),
    )


def plugin_names() -> st.SearchStrategy[str]:
    """Names of plugins, some with their distribution in front."""
    return names() | st.builds("{}/{}".format, st.sampled_from(["colfw", "My_Plugins", "x.y"]), names())


def plain_values() -> st.SearchStrategy[Any]:
    """All that a study's free tables may hold: text, numbers, true, false, lists and tables of these."""
    scalars = (
        st.text(max_size=20)
        | st.integers(min_value=-(2**63), max_value=2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.booleans()
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )


def options() -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.text(max_size=8), plain_values(), max_size=3)


def paths() -> st.SearchStrategy[Path]:
    characters = st.characters(codec="utf-8", exclude_characters="\0")
    return st.text(characters, min_size=1, max_size=20).map(Path)


def plugin_choices() -> st.SearchStrategy[PluginChoice]:
    return st.builds(PluginChoice, name=plugin_names(), preset=st.none() | names(), options=options())


def workload_choices() -> st.SearchStrategy[WorkloadChoice]:
    return st.builds(
        WorkloadChoice,
        name=plugin_names(),
        preset=st.none() | names(),
        options=options(),
        source=st.none() | st.sampled_from(SourceKind),
    )


def layout_choices() -> st.SearchStrategy[LayoutChoice]:
    return st.builds(
        LayoutChoice,
        name=plugin_names(),
        preset=st.none() | names(),
        options=options(),
        masks=st.none() | _distinct(st.sampled_from(MaskKind), min_size=1),
    )


def machine_choices() -> st.SearchStrategy[MachineChoice]:
    return st.builds(MachineChoice, name=names(), accelerator=plugin_choices(), memory=plugin_choices())


def thresholds() -> st.SearchStrategy[tuple[float, ...]]:
    finite = st.floats(min_value=0, allow_infinity=False)
    return st.sets(finite, max_size=6).map(lambda drawn: tuple(sorted(drawn)))


def sources() -> st.SearchStrategy[Source]:
    checkpoints = st.dictionaries(plugin_names(), paths(), max_size=3)
    return st.builds(Source, kind=st.just(SourceKind.CHECKPOINT), checkpoints=checkpoints) | st.builds(
        Source, kind=st.sampled_from(SourceKind)
    )


@st.composite
def studies(draw: st.DrawFn) -> Study:
    """Valid studies of any shape."""
    simulates = draw(st.booleans())
    return Study(
        name=draw(names()),
        workloads=draw(_distinct(workload_choices(), min_size=1)),
        iterations=draw(st.none() | st.integers(min_value=1, max_value=2**31)),
        samples=draw(st.integers(min_value=1, max_value=2**31)),
        calibration_samples=draw(st.none() | st.integers(min_value=1, max_value=2**31)),
        seeds=draw(_distinct(st.integers(min_value=0, max_value=2**63 - 1), min_size=1)),
        thresholds=draw(thresholds()),
        target_hot_ratios=draw(_distinct(st.floats(min_value=0, max_value=1))),
        target_element_ratios=draw(_distinct(st.floats(min_value=0, max_value=1))),
        metrics=draw(_distinct(plugin_choices())),
        mask_reuse=draw(st.sampled_from(Reuse)),
        mask_over_time=draw(st.sampled_from(OverTime)),
        device=draw(st.sampled_from(["cpu", "cuda", "cuda:1"])),
        precision=draw(st.sampled_from(Precision)),
        source=draw(sources()),
        profile=ProfileSettings(grid=draw(thresholds()), observers=draw(_distinct(plugin_names()))),
        layouts=draw(_distinct(layout_choices(), min_size=1)) if simulates else (),
        machines=draw(_machines()) if simulates else (),
        output=draw(st.builds(Output, directory=st.none() | paths(), samples=st.booleans())),
    )


def _machines() -> st.SearchStrategy[tuple[MachineChoice, ...]]:
    drawn = st.lists(machine_choices(), min_size=1, max_size=3, unique_by=lambda machine: machine.name)
    return drawn.map(tuple)


def _distinct(entries: st.SearchStrategy[Any], min_size: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    # By comparison: choices hold tables and cannot be hashed, as a set would want.
    return st.lists(entries, min_size=min_size, max_size=3).map(_without_repeats)


def _without_repeats(entries: list[Any]) -> tuple[Any, ...]:
    return tuple(entry for position, entry in enumerate(entries) if entries.index(entry) == position)
