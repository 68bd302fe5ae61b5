"""The activation profile of any diffusers pipeline: no plugin is written, its sites are discovered.

An iteration ends where the pipeline's loop calls `scheduler.step`; the forwards before it, such as the two of
guidance, belong to it. Schedulers that look twice at one time step, as Heun's does, step twice.
"""

from __future__ import annotations

import functools
import inspect
import json
import warnings
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import torch
from attrs import field, frozen
from torch import Tensor, nn

from colfw.errors import ColfwError, InvariantError, StoreError, StudyError, UnavailableError
from colfw.names import did_you_mean
from colfw.observing.observing import DEFAULT, Follower, Observation, Origin, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from colfw.profile import ActivationProfile
    from colfw.vocabulary import Precision

_INDEX: Final = "model_index.json"
_DENOISERS: Final = ("unet", "transformer", "prior", "decoder", "denoiser", "dit")
"""How pipelines call their denoisers, perhaps with a number or a word behind: `transformer_2`."""
_BATCH: Final = ("prompt", "class_labels", "prompt_embeds", "batch_size")
_COPIES: Final = ("num_images_per_prompt", "num_videos_per_prompt", "num_waveforms_per_prompt")
_SHORTAGE: Final = (torch.OutOfMemoryError, MemoryError)


@frozen(kw_only=True)
class PipelineRun:
    """How a pipeline is called."""

    prompt: str | None = None
    call: Mapping[str, Any] = field(factory=dict)
    """Further arguments, as the pipeline names them."""
    iterations: int | None = None
    """None is as many as the pipeline is made for."""
    seed: int = 0
    device: str = "cpu"
    denoisers: Collection[str] = ()
    """Of its components; none named are all that look like one."""
    discover_always: bool = False
    """Search every forward for sites, for denoisers that run other parts later."""
    progress: bool = False
    """Whether the pipeline shows its own progress bar."""


def profile_pipeline(
    path: Path,
    run: PipelineRun | None = None,
    *,
    thresholds: Iterable[float] = DEFAULT,
    precision: Precision | None = None,
) -> ActivationProfile:
    """Load the pipeline in a folder, run it once, and profile its denoisers; nothing is downloaded."""
    return profile_loaded(load_pipeline(path, precision), run, thresholds=thresholds, where=str(path))


def load_pipeline(path: Path, precision: Precision | None = None) -> Any:
    """The pipeline that a folder holds, without a safety checker; None is what diffusers chooses."""
    import diffusers  # noqa: PLC0415  (slow to import)

    read: Any = diffusers.DiffusionPipeline.from_pretrained
    index = _index(path)
    with _quietly():
        options = _left_out(index, getattr(diffusers, str(index.get("_class_name")), None))
    if precision is not None:
        old = diffusers.__version__.startswith("0.")  # version 1 forgets the old name
        options["torch_dtype" if old else "dtype"] = getattr(torch, precision)
    try:
        with _quietly():
            return read(str(path), local_files_only=True, **options)
    except Exception as error:
        raise StoreError(
            f"cannot be loaded: {_first_line(error)}",
            where=str(path),
            hint=_advice_on_loading(),
        ) from error


def _advice_on_loading() -> str:
    advice = "is every component there, and made for the versions that are installed?"
    return advice if find_spec("accelerate") else f"{advice} some need `pip install accelerate`"


def profile_loaded(
    pipeline: Any,
    run: PipelineRun | None = None,
    *,
    thresholds: Iterable[float] = DEFAULT,
    where: str | None = None,
) -> ActivationProfile:
    """Run a pipeline once and profile its denoisers; `where` names it in errors."""
    how = run or PipelineRun()
    name = where or type(pipeline).__name__
    denoisers = _denoisers(pipeline, how.denoisers, name)
    arguments = _arguments(pipeline, how, name)
    _move(pipeline, how.device)
    pipeline.set_progress_bar_config(disable=not how.progress)
    observation = _observed(pipeline, denoisers, arguments, how, Record(thresholds=thresholds))
    _check_steps(observation.record, name)
    return observation.profile()


# --- the folder -----------------------------------------------------------------------------------


def _index(path: Path) -> Mapping[str, Any]:
    """What the folder says of itself."""
    if not (path / _INDEX).is_file():
        problem = f"is no diffusers pipeline: it has no {_INDEX}" if path.is_dir() else "no such folder"
        raise StoreError(
            problem, where=str(path), hint="name a folder that `save_pretrained` of a pipeline wrote"
        )
    try:
        index = json.loads((path / _INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot be read: {_first_line(error)}", where=str(path / _INDEX)) from error
    if not isinstance(index, dict):
        raise StoreError("is no JSON object", where=str(path / _INDEX))
    return index


def _left_out(index: Mapping[str, Any], pipeline: type | None) -> dict[str, Any]:
    """Parts to do without: a checker of pictures, which nobody makes here, and what was saved without."""
    checker = {"safety_checker": None, "requires_safety_checker": False}
    left_out = {name: value for name, value in checker.items() if name in index}
    if pipeline is not None:
        parts = inspect.signature(pipeline).parameters
        empty = (name for name in parts if index.get(name) in (None, [None, None]))
        left_out |= {name: None for name in empty if _is_required(parts[name])}
    return left_out


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep pipelines from advising and from drawing bars while they load; errors are raised all the same."""
    with ExitStack() as restored, warnings.catch_warnings(action="ignore", category=FutureWarning):
        for package in ("diffusers", "transformers"):
            if find_spec(package) is not None:
                restored.callback(_silence(import_module(f"{package}.utils.logging")))
        yield


def _silence(settings: Any) -> Callable[[], None]:
    """No advice and no bars from a package; what is returned brings them back."""
    verbosity, bars = settings.get_verbosity(), settings.is_progress_bar_enabled()
    settings.set_verbosity_error()
    settings.disable_progress_bar()

    def restore() -> None:
        settings.set_verbosity(verbosity)
        if bars:
            settings.enable_progress_bar()

    return restore


# --- what is run ----------------------------------------------------------------------------------


def _denoisers(pipeline: Any, chosen: Collection[str], where: str) -> dict[str, nn.Module]:
    """The denoisers by component name: those chosen, or all that look like one."""
    modules = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    for name in chosen:
        if name not in modules:
            raise StudyError(f"has no module {name!r}", where=where, hint=did_you_mean(name, modules))
    names = chosen or [name for name in modules if name.split("_")[0] in _DENOISERS]
    if not names:
        known = ", ".join(modules) or "none"
        raise InvariantError(
            "has no transformer or unet", where=where, hint=f"name the denoiser; its modules: {known}"
        )
    return {name: modules[name] for name in names}


def _arguments(pipeline: Any, run: PipelineRun, where: str) -> dict[str, Any]:
    """The arguments of the call; one that the pipeline does not know, or lacks, is refused by name."""
    if run.iterations is not None and run.iterations < 1:
        raise StudyError(f"must be at least 1, not {run.iterations}", where="iterations")
    known = inspect.signature(pipeline.__call__).parameters
    named = {"prompt": run.prompt, "num_inference_steps": run.iterations}
    given = {**{name: value for name, value in named.items() if value is not None}, **run.call}
    if not _forwards_arguments(pipeline, known.values()):
        _check_known(given, known, where)
    generator = torch.Generator().manual_seed(run.seed)
    arguments = {name: value for name, value in _offered(generator).items() if name in known} | given
    missing = [name for name, parameter in known.items() if _is_required(parameter) and name not in arguments]
    if missing:
        raise StudyError(
            f"needs {', '.join(missing)}", where=where, hint=f"--call {missing[0]}=VALUE; --prompt TEXT"
        )
    return arguments


def _forwards_arguments(pipeline: Any, known: Iterable[inspect.Parameter]) -> bool:
    """Whether any other argument may have a meaning; diffusers' own pipelines that take any ignore them."""
    ignores = getattr(type(pipeline).__call__, "__module__", "").startswith("diffusers.")
    return not ignores and any(parameter.kind is parameter.VAR_KEYWORD for parameter in known)


def _offered(generator: torch.Generator) -> dict[str, Any]:
    """What every pipeline gets that knows it: noise from the seed, and no decoding of what it made."""
    return {"generator": generator, "output_type": "latent"}


def _check_known(given: Iterable[str], known: Mapping[str, inspect.Parameter], where: str) -> None:
    names = [name for name, parameter in known.items() if not _is_open_ended(parameter)]
    for name in given:
        if name not in names:
            raise StudyError(f"takes no {name!r}", where=where, hint=did_you_mean(name, names))


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and not _is_open_ended(parameter)


def _is_open_ended(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)


def _move(pipeline: Any, device: str) -> None:
    try:
        pipeline.to(torch.device(device))
    except _SHORTAGE as error:
        raise _shortage(device) from error
    except (RuntimeError, AssertionError) as error:  # torch has a way of its own to say so for each device
        raise UnavailableError(
            f"there is no device {device!r} here", where="pipeline", hint="cpu always works"
        ) from error


# --- running it -----------------------------------------------------------------------------------


def _observed(
    pipeline: Any,
    denoisers: Mapping[str, nn.Module],
    arguments: dict[str, Any],
    run: PipelineRun,
    record: Record,
) -> Observation:
    followers = [
        Follower(
            denoiser,
            record,
            prefix=f"{name}." if len(denoisers) > 1 else "",
            discover_always=run.discover_always,
        )
        for name, denoiser in denoisers.items()
    ]
    with ExitStack() as following:
        following.enter_context(_seeded(run))
        following.enter_context(_steps_end_iterations(pipeline, record))
        for follower in followers:
            following.enter_context(follower.following())
        _call(pipeline, arguments, record, run.device)
    origin = Origin(
        name=type(pipeline).__name__,
        seed=run.seed,
        samples=_samples(arguments),
        options={"denoisers": list(denoisers), "call": _described(arguments)},
    )
    return Observation(record=record, followers=followers, origin=origin)


def _call(pipeline: Any, arguments: dict[str, Any], record: Record, device: str) -> None:
    """Until one forward has ended, an error is about the arguments; later ones are the pipeline's own."""
    try:
        pipeline(**arguments)
    except ColfwError:
        raise
    except _SHORTAGE as error:
        raise _shortage(device) from error
    except Exception as error:
        if record.iteration or record.forwards:
            raise
        raise StudyError(
            f"cannot be called like this: {_first_line(error)}",
            where=type(pipeline).__name__,
            hint="arguments: --prompt TEXT, --call NAME=VALUE",
        ) from error


@contextmanager
def _seeded(run: PipelineRun) -> Iterator[None]:
    """Some pipelines draw from torch's own generator; it goes on afterwards as if they had not."""
    device = torch.device(run.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(run.seed)
        yield


@contextmanager
def _steps_end_iterations(pipeline: Any, record: Record) -> Iterator[None]:
    """Have every step of a scheduler end an iteration, if a denoiser ran since the one before.

    The method is exchanged in the class, since pipelines copy their schedulers.
    """
    parts = pipeline.components.values()
    schedulers = {type(part) for part in parts if callable(getattr(part, "step", None))}
    with ExitStack() as restored:
        for scheduler in schedulers:
            restored.callback(_exchange(scheduler, "step", _counting(scheduler.step, record)))
        yield


def _counting(step: Any, record: Record) -> Any:
    @functools.wraps(step)  # pipelines look at its signature
    def counted(*args: Any, **kwargs: Any) -> Any:
        if record.forwards:
            record.end_iteration()
        return step(*args, **kwargs)

    return counted


def _exchange(owner: type, name: str, value: Any) -> functools.partial[None]:
    """Set a class attribute; what is returned brings the old one back."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    if own is None:  # it was inherited
        return functools.partial(delattr, owner, name)
    return functools.partial(setattr, owner, name, own)


def _check_steps(record: Record, where: str) -> None:
    if record.is_untouched:
        raise InvariantError("its denoiser did not run", where=where, hint="is another module the denoiser?")
    if record.forwards:
        raise InvariantError(
            f"its loop did not call scheduler.step after the last {record.forwards} forward(s)",
            where=where,
            hint="colfw.observe its denoiser, which counts forwards",
        )


# --- what is said of it ---------------------------------------------------------------------------


def _samples(arguments: Mapping[str, Any]) -> int:
    """How many samples run together, as far as the arguments tell."""
    sizes = [_size(arguments[name]) for name in _BATCH if name in arguments]
    copies = [int(arguments[name]) for name in _COPIES if name in arguments]
    return max([1, *sizes]) * max([1, *copies])


def _size(value: Any) -> int:
    if isinstance(value, int):
        return value
    return len(value) if isinstance(value, (list, tuple, Tensor)) else 1


def _described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as plain data; of a tensor its shape."""
    return {
        name: value if _is_plain(value) else f"{type(value).__name__} {list(getattr(value, 'shape', []))}"
        for name, value in arguments.items()
        if name != "generator"
    }


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _shortage(device: str) -> ColfwError:
    return ColfwError(
        f"the memory of device {device!r} ran out",
        where="pipeline",
        hint="fewer samples at once, a lower precision, or a larger device",
    )
