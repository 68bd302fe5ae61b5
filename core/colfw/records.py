"""What a hook returns: small frozen records that declare a plugin and load nothing.

`factory` and `config` are lazy imports, written `package.module:attribute`. The factory makes the
object that does the work (`colfw.protocols` says what it must do); it is called with an instance of
the config class, or with nothing where there is none. Core validates each record when it registers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping  # noqa: TC003  (cattrs and attrs resolve annotations)
from typing import Any, ClassVar

from attrs import field, frozen

from colfw.vocabulary import Direction, ExperimentGroup, Kind, MaskKind, SourceKind, is_kind_of

API_VERSION = 1
"""The version of the plugin API that this colfw speaks; it rises when a plugin would have to change."""
OLDEST_API_VERSION = 1
"""The oldest version whose plugins still work unchanged."""


def _source_kinds(words: Iterable[str]) -> frozenset[SourceKind]:
    return frozenset(SourceKind(word) for word in words)


def _mask_kinds(words: Iterable[str]) -> tuple[MaskKind, ...]:
    return tuple(MaskKind(word) for word in words)


@frozen(kw_only=True)
class Declaration:
    """What every record says: a name to type, a line to read, what makes it, and for which API."""

    kind: ClassVar[Kind]

    name: str
    summary: str
    factory: str
    api_version: int
    config: str | None = None
    presets: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    """Named sets of options; a study that names one may still override single options."""


@frozen(kw_only=True)
class WorkloadSpec(Declaration):
    """A denoiser: its group and modality, how many iterations it is made for, what it can load."""

    kind: ClassVar[Kind] = Kind.WORKLOAD

    group: str
    modality: str
    iterations: int = 50
    sources: frozenset[SourceKind] = field(default=frozenset({SourceKind.RANDOM}), converter=_source_kinds)
    checkpoint_formats: tuple[str, ...] = ()


@frozen(kw_only=True)
class LayoutSpec(Declaration):
    """A layout policy, and the kinds of mask it is simulated with unless a study says otherwise."""

    kind: ClassVar[Kind] = Kind.LAYOUT

    masks: tuple[MaskKind, ...] = field(converter=_mask_kinds)


@frozen(kw_only=True)
class AcceleratorSpec(Declaration):
    """A machine, and the activation observers whose statistics it needs beyond column maxima."""

    kind: ClassVar[Kind] = Kind.ACCELERATOR

    observers: tuple[str, ...] = ()


@frozen(kw_only=True)
class MemorySpec(Declaration):
    """A memory backend; `validated` names what it was compared with, or is None.

    `standard` is a lazy import of a `colfw.dram.spec.DramSpec`, for a backend that simulates the DRAM it is
    given: its factory is called with the spec and an instance of the config class (or None).
    """

    kind: ClassVar[Kind] = Kind.MEMORY

    validated: str | None = None
    standard: str | None = None


@frozen(kw_only=True)
class MetricSpec(Declaration):
    """A quality metric: which way it gets better, in which unit, for what, and what it needs."""

    kind: ClassVar[Kind] = Kind.METRIC

    direction: Direction = field(converter=Direction)
    unit: str
    modalities: tuple[str, ...]
    weights: tuple[str, ...] = ()
    """Released files that it needs, and where a user gets them."""
    minimum_samples: int = 1

    def suits(self, modality: str) -> bool:
        """Whether it compares samples of a modality."""
        return any(is_kind_of(modality, wanted) for wanted in self.modalities)


@frozen(kw_only=True)
class ObserverSpec(Declaration):
    """A further statistic of activations, folded in the same run as the column maxima."""

    kind: ClassVar[Kind] = Kind.OBSERVER


@frozen(kw_only=True)
class ListenerSpec(Declaration):
    """Someone who is told when stages start, finish and fail."""

    kind: ClassVar[Kind] = Kind.LISTENER


@frozen(kw_only=True)
class SectionSpec(Declaration):
    """A section of the report, made from the tables of the run."""

    kind: ClassVar[Kind] = Kind.SECTION


@frozen(kw_only=True)
class ExperimentSpec(Declaration):
    """A study that is ready to run, with what its results are held against and how they are drawn."""

    kind: ClassVar[Kind] = Kind.EXPERIMENT

    group: ExperimentGroup = field(converter=ExperimentGroup)


KINDS: Mapping[Kind, type[Declaration]] = {
    record.kind: record
    for record in (
        WorkloadSpec,
        LayoutSpec,
        AcceleratorSpec,
        MemorySpec,
        MetricSpec,
        ObserverSpec,
        ListenerSpec,
        SectionSpec,
        ExperimentSpec,
    )
}
"""Every kind of plugin and the record that declares it."""
