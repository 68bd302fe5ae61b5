"""What the objects that plugins make must do. `colfw.testing` holds a contract for each.

Nothing needs to inherit from these protocols; a class that has the methods is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from colfw.vocabulary import Precision, Reuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from colfw.comparison import Comparison
    from colfw.masks import MaskSet, SiteMask
    from colfw.placement import SitePlacement
    from colfw.profile import ActivationProfile, SiteProfile, Statistics
    from colfw.program import Program
    from colfw.report.figures import Figure
    from colfw.samples import Samples, Score
    from colfw.sites import Site
    from colfw.timing import Timing
    from colfw.vocabulary import SourceKind


@frozen(kw_only=True)
class DenoiseRequest:
    """One run of a denoising loop: what to load, how long, how many samples, from which seed."""

    source: SourceKind
    iterations: int
    samples: int
    seed: int
    checkpoint: Path | None = None
    """The local file or folder of the weights, where the source is a checkpoint."""
    thresholds: tuple[float, ...] = ()
    """The grid at which elements are counted; a synthesised profile states its counts there."""
    reuse: Reuse = Reuse.ZERO
    """What cold columns hold where masks are given."""
    device: str = "cpu"
    """Where the denoiser runs, as torch names it: `cpu`, `cuda`, `cuda:1`."""
    precision: Precision = Precision.FLOAT32


class Observer(Protocol):
    """Folds activations into statistics while they pass; keeps no activation."""

    def observe(self, site: Site, iteration: int, activation: Any) -> None:
        """Take in one activation `[..., columns]`; several calls a site and iteration are allowed.

        A denoiser of torch shows tensors, on its own device and in its own precision; others, numpy arrays.
        """

    def statistics(self) -> Statistics:
        """What was found: site name -> statistic name -> array."""


class ObserverFactory(Protocol):
    """What an observer's factory makes: observers for a given run."""

    def start(self, sites: Sequence[Site], *, iterations: int) -> Observer: ...


class Workload(Protocol):
    """A denoiser. Making one is cheap: the model is built when it first runs.

    One that counts rows by another convention than its own code's says so in an attribute `rows_convention`
    (`colfw.vocabulary.RowConvention`), and every table repeats it. One that reads files besides its weights
    has a method `inputs_digest(request) -> str | None`, by which results of other files are told apart.
    """

    def sites(self, request: DenoiseRequest) -> tuple[Site, ...]:
        """The sites in execution order, known without building the model."""

    def weights_digest(self, request: DenoiseRequest) -> str | None:
        """A hash of the weights that would run; None where seed and code decide them."""

    def denoise(
        self, request: DenoiseRequest, observers: Sequence[Observer], masks: MaskSet | None
    ) -> Samples:
        """Run the loop, show every site's activation to every observer, and apply the masks."""


class SynthesisingWorkload(Workload, Protocol):
    """A workload that also knows published statistics and can make a profile of them, without a model."""

    def synthesise(self, request: DenoiseRequest) -> ActivationProfile: ...


class Layout(Protocol):
    """Decides where the columns of a site lie, from iterations that have happened, and what is fetched."""

    def place(self, profile: SiteProfile, mask: SiteMask) -> SitePlacement: ...


@frozen(kw_only=True)
class LoweringRequest:
    """One site in one iteration, with all that a machine may look at."""

    site: Site
    iteration: int
    mask: SiteMask
    placement: SitePlacement
    sites: tuple[Site, ...] = ()
    """All sites of the workload, in execution order, for a machine that looks beyond its own."""
    statistics: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    """Of this site, by observer name: the observers that the accelerator's record asks for."""


class Accelerator(Protocol):
    """Turns one site in one iteration into the program that its memory runs."""

    def lower(self, request: LoweringRequest) -> Program: ...


class Memory(Protocol):
    """Runs a program and reports its timing; deterministic."""

    def run(self, program: Program) -> Timing: ...


class Metric(Protocol):
    """Compares masked samples with the dense ones of the same seeds.

    What cannot be measured is an `UnavailableError` that says why; what is to be known of a value, a warning.
    Both come into the table. A metric that reads files, such as a network's weights, has a method
    `inputs_digest() -> str | None`, by which results of other files are told apart.
    """

    def score(self, dense: Samples, masked: Samples) -> Score: ...


@frozen(kw_only=True)
class StageEvent:
    """A piece of work of a run, as listeners see it."""

    stage: str
    label: str
    cached: bool = False
    seconds: float | None = None
    error: str | None = None


class RunListener(Protocol):
    """Told of each piece of work. An exception here is reported and never stops the run."""

    def stage_started(self, event: StageEvent) -> None: ...

    def stage_finished(self, event: StageEvent) -> None: ...

    def stage_failed(self, event: StageEvent) -> None: ...


class ReportSection(Protocol):
    """A titled piece of HTML made from the tables of a run: table name -> rows."""

    def render(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[str, str]:
        """Title and HTML body."""


class Experiment(Protocol):
    """A study that is ready to run, and what becomes of its tables; deterministic and cheap to make."""

    def study(self) -> Mapping[str, Any]:
        """The study as plain data, as a study file would hold it."""

    def comparisons(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Sequence[Comparison]:
        """Published numbers beside those of a run of the study: table name -> rows."""

    def figures(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Sequence[Figure]:
        """What to draw of a run of the study, beside the figures that every report has."""
