"""`colfw.observe`: the activation profile of any torch module, while you run it as you always do."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor, nn

from colfw.errors import InvariantError
from colfw.names import did_you_mean
from colfw.observing.discovery import Discovery
from colfw.observing.hooks import layers_called, watching
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance, SiteProfile
from colfw.sites import Ffn, Site
from colfw.store.atomic import write_bytes
from colfw.study import DEFAULT_GRID, DEFAULT_THRESHOLDS
from colfw.thresholds import check_thresholds
from colfw.vocabulary import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.observing.discovery import FoundFfn

DEFAULT: Final = tuple(sorted({*DEFAULT_THRESHOLDS, *DEFAULT_GRID}))
"""The thresholds at which a study counts elements, unless it says otherwise."""

_FIRST_ROOM: Final = 64
"""Iterations for which room is made at first; it doubles when there are more."""


@contextmanager
def observe(  # noqa: PLR0913  (each may be left out, and stands for itself)
    model: nn.Module,
    *,
    thresholds: Iterable[float] = DEFAULT,
    forwards_per_iteration: int = 1,
    keep_passes_apart: bool = False,
    sites: Collection[str] | None = None,
    discover_always: bool = False,
    samples: int = 1,
    seed: int | None = None,
    weights_digest: bool = True,
) -> Iterator[Observation]:
    """Observe every feed-forward network of a module in the forwards that run in this block.

    The first forward finds them (`colfw.observing.discovery` says what is one) and counts already; later
    ones only look at what enters their second layers. Every element is looked at, and nothing is kept but
    maxima and counts. Compiled parts run as the Python that they were made from, fused encoder layers step by
    step; in the end the module is as it was, whatever happened.

    `forwards_per_iteration` is 2 where guidance takes two forwards a step: they count as one iteration, and
    with `keep_passes_apart` each of them can be asked for. `sites` are names, or patterns such as
    `up_blocks.*`, of those to keep. `discover_always` searches every forward, for modules that run other
    parts later; it takes longer. `samples` says how many run together, and `seed` what they were drawn from
    (None: the seed of torch's own generator); `weights_digest=False` saves the time of hashing the weights.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4))
    >>> with observe(model) as run:
    ...     for _ in range(3):
    ...         _ = model(torch.zeros(2, 4))
    >>> profile = run.profile()
    >>> profile.sites[0].site.name, profile.sites[0].site.columns, profile.provenance.iterations
    ('1', 16, 3)
    """
    _check_model(model)
    _check_at_least_one(forwards_per_iteration=forwards_per_iteration, samples=samples)
    record = Record(thresholds=thresholds, wanted=sites, apart=keep_passes_apart)

    def ended() -> None:
        if record.forwards == forwards_per_iteration:
            record.end_iteration()

    follower = Follower(model, record, ended=ended, discover_always=discover_always, digest=weights_digest)
    origin = Origin(name=follower.name, seed=_seed(seed), samples=samples)
    with follower.following():
        yield Observation(record=record, followers=[follower], origin=origin)


@frozen(kw_only=True)
class Origin:
    """What a profile is to say about where it comes from."""

    name: str
    seed: int
    samples: int
    options: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Observation:
    """One observed run: what has been seen so far, and the profile of it."""

    record: Record
    followers: Sequence[Follower]
    origin: Origin

    @property
    def sites(self) -> tuple[Site, ...]:
        """In the order in which they were found; rows are those of the largest iteration so far, a sample."""
        return tuple(log.site(self.origin.samples) for log in self.record.logs.values())

    @property
    def found(self) -> tuple[FoundFfn, ...]:
        """What is known of each site's network."""
        return tuple(log.ffn for log in self.record.logs.values())

    def profile(self, *, pass_: int | None = None) -> ActivationProfile:
        """The profile of all iterations; where passes were kept apart, of one (from 0) or of all."""
        self.record.check_whole(pass_)
        return ActivationProfile(
            provenance=self._provenance(pass_),
            thresholds=self.record.thresholds,
            sites=tuple(
                log.profile(self.record.iteration, pass_, self.origin.samples)
                for log in self.record.logs.values()
            ),
        )

    def save(self, path: Path, *, pass_: int | None = None) -> None:
        """Write the profile, whole or not at all."""
        write_bytes(path, self.profile(pass_=pass_).to_bytes())

    def _provenance(self, pass_: int | None) -> Provenance:
        stated = {"activations": sorted({ffn.activation for ffn in self.found})}
        return Provenance(
            workload=self.origin.name,
            source=SourceKind.CHECKPOINT,
            seed=self.origin.seed,
            samples=self.origin.samples,
            iterations=self.record.iteration,
            weights_digest=_together([follower.digest for follower in self.followers]),
            options={**self.origin.options, **stated, **({} if pass_ is None else {"pass": pass_})},
        )


# --- what was seen --------------------------------------------------------------------------------


class Record:
    """The maxima and counts of all sites, and which iteration it is."""

    def __init__(
        self,
        *,
        thresholds: Iterable[float] = DEFAULT,
        wanted: Collection[str] | None = None,
        apart: bool = False,
    ) -> None:
        self.thresholds = check_thresholds(thresholds, "thresholds to count")
        self.iteration = 0
        """Iterations that have ended: the number of the one that runs."""
        self.forwards = 0
        """Of the iteration that runs."""
        self.logs: dict[str, _SiteLog] = {}
        self._passed_over: set[str] = set()
        self._wanted = None if wanted is None else tuple(wanted)
        self._apart = apart
        self._passes = 1
        self._failed: int | None = None

    def see(self, name: str, ffn: FoundFfn, activation: Tensor) -> None:
        """Take in one hidden activation of the site of this name."""
        if not self._is_wanted(name):
            self._passed_over.add(name)
            return
        _check_has_values(activation, f"site {name}")
        log = self.logs.setdefault(name, _SiteLog(name, ffn, self.thresholds))
        log.see(self.iteration, self.forwards if self._apart else 0, activation)

    def _is_wanted(self, name: str) -> bool:
        return self._wanted is None or any(fnmatchcase(name, pattern) for pattern in self._wanted)

    def end_forward(self) -> None:
        self.forwards += 1
        if self._apart:
            self._passes = max(self._passes, self.forwards)

    def end_iteration(self) -> None:
        """What ran since the last call was one iteration; the first one must have shown sites."""
        if self.iteration == 0:
            self.check_sites()
        self.iteration += 1
        self.forwards = 0

    def fail(self) -> None:
        """A forward broke off: what it has counted cannot be taken back."""
        self._failed = self.iteration

    @property
    def is_untouched(self) -> bool:
        """Whether nothing ran yet."""
        return not (self.iteration or self.forwards or self.logs) and self._failed is None

    def check_sites(self) -> None:
        """Refuse a run without sites, and names of sites that are none."""
        seen = [*self.logs, *self._passed_over]
        for pattern in self._wanted or ():
            if seen and not any(fnmatchcase(name, pattern) for name in seen):
                raise InvariantError(f"no site {pattern!r} was seen", hint=did_you_mean(pattern, seen))
        if not self.logs:
            raise InvariantError(
                "no feed-forward network was seen: linear, GELU, SiLU or ReLU, linear back to the same width",
                hint="its layers must be nn.Linear, and the second one must take what the activation gives",
            )

    def check_whole(self, pass_: int | None) -> None:
        """Refuse to make numbers of a run that broke off, or has not got to the end of an iteration."""
        if self._failed is not None:
            raise InvariantError(
                f"a forward of iteration {self._failed} ended in an error, and left it half counted",
                hint="observe again, without it",
            )
        if self.is_untouched:
            raise InvariantError("no forward was observed", hint="run the module itself inside the block")
        if self.forwards:
            raise InvariantError(
                f"iteration {self.iteration} has not ended: {self.forwards} forward(s) since the one before",
                hint="see forwards_per_iteration",
            )
        self._check_pass(pass_)

    def _check_pass(self, pass_: int | None) -> None:
        if pass_ is not None and not self._apart:
            raise InvariantError("passes were not kept apart", hint="observe with keep_passes_apart=True")
        if pass_ is not None and not 0 <= pass_ < self._passes:
            raise InvariantError(f"there is no pass {pass_}", hint=f"they are 0 to {self._passes - 1}")


class _SiteLog:
    """All that is kept of one site, in as many iterations as come."""

    def __init__(self, name: str, ffn: FoundFfn, thresholds: tuple[float, ...]) -> None:
        self.ffn = ffn
        self._thresholds = thresholds
        operator = Ffn(d_in=ffn.d_in, d_out=ffn.d_out, gated=ffn.gated)
        self._site = Site(name=name, rows=1, columns=ffn.columns, operator=operator)
        # By pass. Each has the iterations from the one before it on; their numbers are those of the run.
        self._folds: dict[int, list[tuple[int, ColumnMaxima]]] = {}

    def see(self, iteration: int, pass_: int, activation: Tensor) -> None:
        folds = self._folds.setdefault(pass_, [])
        if not folds or iteration >= folds[-1][0]:
            room = max(_FIRST_ROOM, 2 * iteration)
            folds.append((room, ColumnMaxima([self._site], iterations=room, thresholds=self._thresholds)))
        folds[-1][1].observe(self._site, iteration, activation)

    def site(self, samples: int) -> Site:
        """The site with the rows of one sample in its largest iteration."""
        elements = self._totals(None)["elements"]
        return self._with_rows(int(elements.max(initial=1)), samples)

    def profile(self, iterations: int, pass_: int | None, samples: int) -> SiteProfile:
        """What was seen in the iterations; one in which the site was not called is an error."""
        found = self._totals(pass_)
        elements = _resized(found["elements"], iterations)
        missing = np.flatnonzero(elements == 0)
        if missing.size:
            named = f"pass {pass_} of iteration" if pass_ is not None else "iteration"
            raise InvariantError(
                f"was not called in {named} {missing[0]}",
                where=f"site {self._site.name}",
                hint="leave it out by `sites`, or observe only iterations in which it runs",
            )
        return SiteProfile(
            site=self._with_rows(int(elements.max()), samples),
            maxima=_resized(found["maxima"], iterations),
            exceeding=_resized(found["exceeding"], iterations),
            elements=elements,
        )

    def _with_rows(self, elements: int, samples: int) -> Site:
        rows = -(-elements // (self._site.columns * samples))
        return Site(name=self._site.name, rows=rows, columns=self._site.columns, operator=self._site.operator)

    def _totals(self, pass_: int | None) -> Mapping[str, NDArray[Any]]:
        """Maxima and counts by iteration, of one pass or of all."""
        total: dict[str, NDArray[Any]] = {}
        for of_pass, folds in self._folds.items():
            for _, fold in folds if pass_ in (None, of_pass) else ():
                for name, found in fold.statistics()[self._site.name].items():
                    before = _resized(total.get(name, found[:0]), len(found))
                    total[name] = np.maximum(before, found) if name == "maxima" else before + found
        return total or {"elements": np.zeros(0, np.int64)}


def _resized(array: NDArray[Any], iterations: int) -> NDArray[Any]:
    """The first iterations, or all and zeros for what follows."""
    sized = np.zeros((iterations, *array.shape[1:]), array.dtype)
    kept = min(iterations, len(array))
    sized[:kept] = array[:kept]
    return sized


# --- how it is seen -------------------------------------------------------------------------------


class Follower:
    """Shows a record the hidden activations of one module, in its forwards and not outside of them."""

    def __init__(
        self,
        model: nn.Module,
        record: Record,
        *,
        ended: Callable[[], None] | None = None,
        prefix: str = "",
        discover_always: bool = False,
        digest: bool = True,
    ) -> None:
        # Compiled modules are wrapped; what is inside runs, and has the names that its author gave.
        self._model: nn.Module = getattr(model, "_orig_mod", model)
        self._record = record
        self._ended = ended
        self._prefix = prefix
        self._always = discover_always
        self._hashes = digest
        self.digest: str | None = None
        self._started = False
        self._depth = 0
        self._thread: int | None = None
        self._completed = False
        self._discovery: Discovery | None = None
        self._attached = ExitStack()

    @property
    def name(self) -> str:
        return type(self._model).__name__

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow the module in this block, and leave it as it was."""
        with layers_called(self._model), self._attached:
            for handle in (
                self._model.register_forward_pre_hook(self._before, prepend=True),
                self._model.register_forward_hook(self._after),
                # This one is called after an exception too.
                self._model.register_forward_hook(self._at_last, always_call=True),
            ):
                self._attached.callback(handle.remove)
            self._attached.callback(self._stop_discovery)
            yield

    def _before(self, *_: Any) -> None:
        self._depth += 1
        if self._depth > 1:  # the module calls itself: that is a part of its forward
            self._refuse_second_thread()
            return
        self._thread = get_ident()
        self._refuse_late_compiling()
        _check_not_transformed(self.name)
        self._completed = False
        if self._hashes and not self._started:
            self.digest = _digest(self._model)
        if self._always or not self._started:
            self._discovery = Discovery(self._model, self._see)
            self._discovery.start()

    def _after(self, *_: Any) -> None:
        if self._depth > 1:
            return
        discovery = self._discovery
        self._stop_discovery()
        self._completed = True
        self._record.end_forward()
        if discovery is not None and not self._started:
            self._started = True
            self._settle(discovery)
        if self._ended is not None:
            self._ended()

    def _at_last(self, *_: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and not self._completed:
            self._stop_discovery()
            self._record.fail()

    def _stop_discovery(self) -> None:
        if self._discovery is not None:
            self._discovery.stop()
            self._discovery = None

    def _refuse_late_compiling(self) -> None:
        if torch.compiler.is_compiling():
            raise InvariantError(
                "is compiled while it is observed", where=self.name, hint="compile it before, or afterwards"
            )

    def _refuse_second_thread(self) -> None:
        if self._thread != get_ident():
            raise InvariantError(
                "runs in two threads at once, whose activations cannot be told apart",
                where=self.name,
                hint="run one forward after the other, or a copy of the module in each thread",
            )

    # --- later forwards ---

    def _settle(self, discovery: Discovery) -> None:
        """Know what later forwards will do: then hooks on the second layers are enough."""
        if not all(ffn.called for ffn in discovery.found):
            self._always = True  # what is not called cannot be hooked
        if self._always:
            return
        seen: dict[str, Callable[[Tensor], None]] = {}
        for ffn in discovery.found:
            together = [other for other in discovery.found if other.linear2 == ffn.linear2]
            seen[ffn.linear2] = self._seen_at(together)
        for path in discovery.unseen_second_layers():
            seen[path] = self._refusal_at(path)
        self._attached.enter_context(watching(self._model, seen))

    def _seen_at(self, ffns: Sequence[FoundFfn]) -> Callable[[Tensor], None]:
        def seen(entering: Tensor) -> None:
            if self._depth:  # recomputation for gradients calls layers outside of a forward: it counts once
                for ffn in ffns:
                    self._see(ffn, ffn.of(entering))

        return seen

    def _refusal_at(self, path: str) -> Callable[[Tensor], None]:
        """A layer that could be a second one and was not run by the forward that was searched."""

        def refuse(_: Tensor) -> None:
            if self._depth:
                raise InvariantError(
                    f"runs in iteration {self._record.iteration} and did not in the first forward,"
                    " the only one that is searched",
                    where=f"module {path}",
                    hint="discover_always=True searches every forward",
                )

        return refuse

    def _see(self, ffn: FoundFfn, activation: Tensor) -> None:
        self._record.see(self._prefix + ffn.site, ffn, activation)


def _check_has_values(activation: Tensor, where: str) -> None:
    if activation.is_meta:
        raise InvariantError("is on the meta device: it has no values", where=where)
    _check_not_transformed(where)


def _check_not_transformed(where: str) -> None:
    if torch._C._functorch.peek_interpreter_stack() is not None:  # noqa: SLF001  (torch has no public way)
        raise InvariantError(
            "runs inside a transform of torch.func, which hides its values",
            where=where,
            hint="observe the plain forward",
        )


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise InvariantError(
            f"a {type(model).__name__} is no torch module",
            where="observe",
            hint="of a pipeline, its denoiser",
        )


def _check_at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise InvariantError(f"must be at least 1, not {number}", where=name)


def _seed(seed: int | None) -> int:
    return torch.initial_seed() if seed is None else seed


def _digest(model: nn.Module) -> str | None:
    """SHA-256 over the names, types, shapes and values of parameters and buffers; None without values."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor):
            if tensor.is_meta:
                return None
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            # One at a time: together they may not fit into the memory of the host.
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _together(digests: Sequence[str | None]) -> str | None:
    """One digest for all; unknown if one is."""
    known = [digest for digest in digests if digest is not None]
    if len(known) < len(digests):
        return None
    return known[0] if len(known) == 1 else hashlib.sha256("\n".join(known).encode()).hexdigest()
