"""`colfw profile`: the activation profile of one workload, or of any diffusers pipeline on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import numpy as np
from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from colfw import overrides
from colfw.cli.common import PluginOptions, console, say, say_json, table
from colfw.errors import StoreError, StudyError
from colfw.masks import column_sparsity, hot_columns
from colfw.study import DEFAULT_GRID, DEFAULT_THRESHOLDS, study_from
from colfw.thresholds import check_thresholds
from colfw.vocabulary import Kind, Precision, SourceKind

if TYPE_CHECKING:
    from colfw.engine.tasks import Task
    from colfw.plugins import Registry
    from colfw.profile import ActivationProfile, SiteProfile

_AT_LEAST_ONE = Number(gte=1)


@Parameter(name="*")
@frozen(kw_only=True)
class ProfileOptions:
    """What workloads and pipelines have in common."""

    iterations: Annotated[int | None, Parameter(validator=_AT_LEAST_ONE)] = None
    """Denoising iterations; default: as many as the model is made for."""
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0
    """Of noise and conditioning; default: 0."""
    threshold: Annotated[tuple[float, ...], Parameter(negative="")] = ()
    """A threshold of |a| to show sparsity at; may be repeated; default: those of the study."""
    device: str = "cpu"
    """Where the denoiser runs, such as cuda; default: cpu."""
    precision: Precision | None = None
    """What it computes in: float32, bfloat16 or float16; default: float32."""
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("profile.safetensors")
    """Where the profile is written; default: profile.safetensors here."""
    json: Annotated[bool, Parameter(negative="")] = False
    """Print JSON instead of a table."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        return check_thresholds(sorted(set(self.threshold)) or DEFAULT_THRESHOLDS, "--threshold")


@Parameter(name="*")
@frozen(kw_only=True)
class PipelineOptions:
    """Which pipeline, and how it is called."""

    pipeline: Path | None = None
    """A folder that a diffusers pipeline was saved to; its feed-forward networks are discovered."""
    prompt: str | None = None
    """What the pipeline is asked for."""
    call: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """A further argument, such as height=512 or prompt_embeds=@embeds.npy; may be repeated."""
    denoiser: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """A component to profile; may be repeated; default: every unet and transformer."""
    discover_always: Annotated[bool, Parameter(negative="")] = False
    """Search every forward for feed-forward networks, not only the first one."""


@Parameter(name="*")
@frozen(kw_only=True)
class WorkloadOptions:
    """Which weights a workload has, and what is changed in it."""

    source: SourceKind | None = None
    """Where activations come from: checkpoint, miniature, published or random."""
    checkpoint: Path | None = None
    """The file or folder of the weights."""
    preset: str | None = None
    """A set of options that the workload declares."""
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = ()
    """An option of the workload, such as rows=paper; may be repeated."""
    samples: Annotated[int | None, Parameter(validator=_AT_LEAST_ONE)] = None
    """How many samples; default: 1."""


def profile(
    workload: str | None = None,
    *,
    options: ProfileOptions | None = None,
    of_pipeline: PipelineOptions | None = None,
    of_workload: WorkloadOptions | None = None,
    plugins: PluginOptions | None = None,
) -> None:
    """Run a denoiser once, and show how sparse its hidden activations are.

    Parameters
    ----------
    workload
        The name of a workload; see `colfw plugins list --kind workload`.
    """
    how = options or ProfileOptions()
    pipeline = of_pipeline or PipelineOptions()
    chosen = of_workload or WorkloadOptions()
    _check_what(workload, pipeline, chosen)
    _check_output(how.output)
    if workload is None:
        made = _of_pipeline(pipeline, how)
    else:
        made = _of_workload(workload, chosen, how, (plugins or PluginOptions()).load())
    _write(made, how.output)
    if how.json:
        say_json(_as_json(made, how))
    else:
        _print(made, how)


def _check_what(workload: str | None, pipeline: PipelineOptions, chosen: WorkloadOptions) -> None:
    """One thing is profiled, and an option of the other kind is no use."""
    if (workload is None) == (pipeline.pipeline is None):
        problem = "nothing is named" if workload is None else "a workload and a pipeline are named"
        raise StudyError(
            problem, where="colfw profile", hint="give the name of a workload, or --pipeline PATH"
        )
    given = chosen if workload is None else pipeline
    other = "workload" if workload is None else "pipeline"
    for name, value in attrs.asdict(given, recurse=False).items():
        if value not in (None, (), False):
            option = "set" if name == "settings" else name.replace("_", "-")
            raise StudyError(f"is for a {other}", where=f"--{option}")


def _check_output(path: Path) -> None:
    """What can be known now is not said after a long run."""
    if path.is_dir():
        raise StoreError("is a folder", where=f"--output {path}", hint="name a file in it")


# --- pipelines ------------------------------------------------------------------------------------


def _of_pipeline(pipeline: PipelineOptions, how: ProfileOptions) -> ActivationProfile:
    import sys  # noqa: PLC0415

    from colfw.observing.pipelines import PipelineRun, profile_pipeline  # noqa: PLC0415  (torch)

    assert pipeline.pipeline is not None
    run = PipelineRun(
        prompt=pipeline.prompt,
        call=dict(_argument(text) for text in pipeline.call),
        iterations=how.iterations,
        seed=how.seed,
        device=how.device,
        denoisers=pipeline.denoiser,
        discover_always=pipeline.discover_always,
        progress=sys.stderr.isatty() and not how.json,
    )
    grid = sorted({*how.thresholds, *DEFAULT_GRID})
    return profile_pipeline(pipeline.pipeline, run, thresholds=grid, precision=how.precision)


def _argument(text: str) -> tuple[str, Any]:
    """The argument that `NAME=VALUE` spells: TOML where it is, else text, or with `@` what a file holds."""
    name, equals, _ = text.partition("=")
    if not equals or not name.isidentifier():
        raise StudyError(
            "is no argument", where=f"--call {text}", hint="write NAME=VALUE, such as height=512"
        )
    value = overrides.parse_override(text).value
    return name, _tensor(Path(value[1:])) if isinstance(value, str) and value.startswith("@") else value


def _tensor(path: Path) -> Any:
    import torch  # noqa: PLC0415

    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except FileNotFoundError as error:
        raise StoreError("no such file", where=str(path)) from error
    except (OSError, ValueError, TypeError, EOFError) as error:
        hint = "numpy.save writes one"
        raise StoreError("holds no array of numbers", where=str(path), hint=hint) from error


# --- workloads ------------------------------------------------------------------------------------


def _of_workload(
    name: str, chosen: WorkloadOptions, how: ProfileOptions, registry: Registry
) -> ActivationProfile:
    """The same profile as a study of this workload makes, from the cache if one has made it."""
    from colfw.binding import bind  # noqa: PLC0415
    from colfw.engine.plan import plan_study  # noqa: PLC0415

    study = study_from(_study_data(name, chosen, how, registry), where="colfw profile")
    plan = plan_study(bind(study, registry, where="colfw profile"))
    [task] = (task for task in plan.tasks if task.step == "profile")
    return _performed(task, registry, quiet=how.json)


def _study_data(
    name: str, chosen: WorkloadOptions, how: ProfileOptions, registry: Registry
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in chosen.settings:
        overrides.apply(overrides.parse_override(text), options)
    workload = {"name": name, "preset": chosen.preset, "options": options}
    checkpoints = {} if chosen.checkpoint is None else {name: str(chosen.checkpoint)}
    given = {"iterations": how.iterations, "samples": chosen.samples, "precision": how.precision}
    return {
        "workloads": [{key: value for key, value in workload.items() if value is not None}],
        **{key: value for key, value in given.items() if value is not None},
        "seeds": [how.seed],
        "thresholds": list(how.thresholds),
        "source": {"kind": str(_source(name, chosen, registry)), "checkpoints": checkpoints},
        "device": how.device,
    }


def _source(name: str, chosen: WorkloadOptions, registry: Registry) -> SourceKind:
    """As it is said; else a checkpoint if one is named, else real weights if the workload ships them."""
    from colfw.records import WorkloadSpec  # noqa: PLC0415

    if chosen.source is not None or chosen.checkpoint is not None:
        return chosen.source or SourceKind.CHECKPOINT
    spec = registry.find(Kind.WORKLOAD, name).record
    assert isinstance(spec, WorkloadSpec)
    return SourceKind.MINIATURE if SourceKind.MINIATURE in spec.sources else SourceKind.RANDOM


def _performed(task: Task, registry: Registry, *, quiet: bool) -> ActivationProfile:
    from colfw.cli.display import display_for  # noqa: PLC0415
    from colfw.engine.steps.profiling import PROFILE_FILE  # noqa: PLC0415
    from colfw.engine.tasks import perform  # noqa: PLC0415
    from colfw.profile import ActivationProfile  # noqa: PLC0415
    from colfw.store.objects import ObjectStore, default_root  # noqa: PLC0415

    store = ObjectStore(default_root())
    stored = store.find(task.digest)
    if stored is None:
        display = display_for(quiet=quiet)
        display.planned([task])
        try:
            display.started(task)
            stored = perform(
                task, store, registry, advance=lambda work: display.progressed(task.digest, work)
            )
        finally:
            display.close()
    return ActivationProfile.from_file(stored.file(PROFILE_FILE))


# --- what is shown --------------------------------------------------------------------------------


def _write(made: ActivationProfile, path: Path) -> None:
    from colfw.store.atomic import write_bytes  # noqa: PLC0415

    write_bytes(path, made.to_bytes())


def _element_sparsity(site: SiteProfile, at: int) -> float:
    """The share of elements with |a| <= tau, of all iterations together."""
    return 1 - float(site.exceeding[:, at].sum() / site.elements.sum())


def _column_sparsity(site: SiteProfile, tau: float) -> float:
    """The share of columns that stay cold, mean over iterations."""
    return float(column_sparsity(hot_columns(site.maxima, tau)).mean())


def _sparsity(made: ActivationProfile, site: SiteProfile, tau: float) -> tuple[float, float]:
    return _element_sparsity(site, made.thresholds.index(tau)), _column_sparsity(site, tau)


def _print(made: ActivationProfile, how: ProfileOptions) -> None:
    about = made.provenance
    say(
        f"{about.workload}: {len(made.sites)} sites, {about.iterations} iterations,"
        f" {about.source.evidence}, rows {about.rows_convention}"
    )
    say("element / column sparsity in %: elements with |a| <= tau, columns with max|a| <= tau")
    listing = table("site", "rows>", "columns>", *(f"tau {tau:g}>" for tau in how.thresholds))
    for site in made.sites:
        shares = (_sparsity(made, site, tau) for tau in how.thresholds)
        cells = (f"{100 * element:.1f} / {100 * column:.1f}" for element, column in shares)
        listing.add_row(site.site.name, f"{site.site.rows:,}", f"{site.site.columns:,}", *cells)
    console().print(listing)
    say(f"profile {how.output}")


def _as_json(made: ActivationProfile, how: ProfileOptions) -> dict[str, Any]:
    return {
        "profile": str(how.output.absolute()),
        "provenance": attrs.asdict(made.provenance),
        "evidence": made.provenance.source.evidence,
        "thresholds": list(how.thresholds),
        "sites": [
            {
                **site.site.to_json(),
                "element_sparsity": [_sparsity(made, site, tau)[0] for tau in how.thresholds],
                "column_sparsity": [_sparsity(made, site, tau)[1] for tau in how.thresholds],
            }
            for site in made.sites
        ],
    }
