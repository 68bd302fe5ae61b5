"""Train the judges of the miniatures and write all that is shipped of them: weights, figures and the card.

    python tools/train_judges.py

Each judge is trained by a process of its own on one thread, from a fixed seed: the weights come out the same
whatever the number of cores, on the same kind of processor with the same versions of torch and numpy. What is
measured afterwards is measured on the miniatures that are shipped: train those first (`train_miniatures.py`).
"""
# ruff: noqa: INP001  (a script, no package)

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import asdict, evolve, frozen
from jinja2 import Environment, StrictUndefined
from safetensors.torch import save
from torch.nn import functional

from colfw.masks import MaskPolicy, column_sparsity, masks_of, side_by_side
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance
from colfw.protocols import DenoiseRequest
from colfw.samples import Samples
from colfw.vocabulary import SourceKind
from colfw_metrics import fd_digits, fd_motion, judges
from colfw_metrics.frechet import frechet_distance, moments_of
from colfw_workloads.miniature_options import STYLES, MiniatureOptions
from colfw_workloads.miniatures import gait
from colfw_workloads.miniatures.motion import Walker
from colfw_workloads.miniatures.transformer import DigitsDit
from colfw_workloads.miniatures.unet import DigitsUnet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from colfw.masks import MaskSet
    from colfw_metrics.judges import Judge, JudgeNetwork
    from colfw_workloads.miniatures.workload import Miniature

    Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
    """So many examples, as samples are stored, and the number of the class of each."""

SEED = 20
TRAINED_IMAGES = 1500
"""Of the 1797 digits, in the order of scikit-learn, as for the miniatures; the rest is held out."""
MOVED = 0.3
"""The share of digits that are shown moved by up to a pixel each way."""
SMOOTHING = 0.1
"""Of labels: a judge that need not be certain keeps apart what is unlike within a class."""
SETTLED_EXAMPLES = 2000
"""Over which features have the mean 0 and the variance 1."""
HELD_OUT_WALKS = 1200
ITERATIONS = 50
SIZES = (64, 128, 256, 512)
"""Numbers of samples at which distances are compared."""
FLOOR_DRAWS = 20
TAUS = (0.05, 0.1, 0.164, 0.2, 0.3, 0.4, 0.6)
SIZED_TAU = 0.3
"""The threshold at which the interval is compared over numbers of samples."""
CURVE_SAMPLES = 256
PROFILED_SAMPLES = 4
CARD = Path(__file__).with_name("judges_card.md.jinja")


# --- data -----------------------------------------------------------------------------------------


@cache
def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, `[1797, 1, 8, 8]` from -1 to 1, and which digit each is."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # noqa: PLC0415  (walks do without)

    data = load_digits()
    images = torch.from_numpy(data.images.astype(np.float32)) / 8 - 1
    return images[:, None], torch.from_numpy(data.target.astype(np.int64))


def moved_digits(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Digits that are trained on, some of them moved; what moves in is paper."""
    images, labels = digits()
    chosen = torch.randint(TRAINED_IMAGES, (count,), generator=generator)
    framed = functional.pad(images[chosen, 0], (1, 1, 1, 1), value=-1.0)
    corner = torch.randint(3, (count, 2), generator=generator)
    corner[torch.rand(count, generator=generator) >= MOVED] = 1
    rows, columns = (corner[:, axis, None] + torch.arange(8) for axis in range(2))
    shown = framed[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return shown[:, None], labels[chosen]


def some_digits(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Different ones of all 1797, as they are."""
    images, labels = digits()
    chosen = torch.randperm(len(images), generator=generator)[:count]
    return images[chosen], labels[chosen]


def held_out_digits() -> tuple[Tensor, Tensor]:
    images, labels = digits()
    return images[TRAINED_IMAGES:], labels[TRAINED_IMAGES:]


def drawn_walks(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    styles = torch.randint(len(STYLES), (count,), generator=generator)
    return gait.joints(gait.walks(styles, generator)), styles


def held_out_walks() -> tuple[Tensor, Tensor]:
    return drawn_walks(HELD_OUT_WALKS, torch.Generator().manual_seed(SEED + 1))


# --- training -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Recipe:
    """How one judge is trained, and by what it is tried."""

    judge: Judge
    metric: str
    data: str
    draw: Draw
    real: Draw
    """Real samples that are all different."""
    held_out: Callable[[], tuple[Tensor, Tensor]]
    steps: int
    batch: int = 64
    peak_rate: float = 3e-3
    """Of learning, reached after three tenths of the steps."""
    miniatures: tuple[type[Miniature], ...]
    noise: tuple[float, ...]
    """Standard deviations, in the unit of the samples."""


RECIPES = {
    "digits": Recipe(
        judge=fd_digits.JUDGE,
        metric="fd-digits",
        data="1500 of the UCI ML hand-written digits (CC BY 4.0), as scikit-learn ships them",
        draw=moved_digits,
        real=some_digits,
        held_out=held_out_digits,
        steps=1500,
        miniatures=(DigitsDit, DigitsUnet),
        noise=(0.05, 0.1, 0.2, 0.4, 0.8),
    ),
    "walks": Recipe(
        judge=fd_motion.JUDGE,
        metric="fd-motion",
        data="walks of colfw_workloads.miniatures.gait, drawn anew for every step (Apache-2.0)",
        draw=drawn_walks,
        real=drawn_walks,
        held_out=held_out_walks,
        steps=600,
        miniatures=(Walker,),
        noise=(0.002, 0.005, 0.01, 0.02, 0.05),
    ),
}


def train(recipe: Recipe, steps: int) -> tuple[JudgeNetwork, list[float]]:
    """The network, and the loss of every step."""
    torch.manual_seed(SEED)
    network = recipe.judge.build().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.peak_rate, weight_decay=0.05)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(SEED)
    losses = []
    for _ in range(steps):
        examples, labels = recipe.draw(recipe.batch, generator)
        logits = network(recipe.judge.show(examples))
        loss = functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
        losses.append(loss.item())
    settle(network, recipe.judge.show(recipe.draw(SETTLED_EXAMPLES, generator)[0]))
    return network, losses


@torch.no_grad()
def settle(network: JudgeNetwork, shown: Tensor) -> None:
    """Give the features mean 0 and variance 1 over these, exactly; averages of training lag behind it."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of all batches, of which there is one
    network.train()(shown)
    network.eval()


def write_weights(network: JudgeNetwork, path: Path, facts: dict[str, Any]) -> None:
    """Half precision; one entry of metadata, because safetensors keeps no order of several."""
    state = network.state_dict().items()
    tensors = {
        key: (tensor.half() if tensor.is_floating_point() else tensor).contiguous() for key, tensor in state
    }
    path.write_bytes(save(tensors, metadata={"colfw": json.dumps(facts, sort_keys=True)}))


# --- what it sees ---------------------------------------------------------------------------------


def samples_of(recipe: Recipe, data: Tensor | NDArray[Any]) -> Samples:
    """Data as a workload of these samples would hand it out."""
    workload = recipe.miniatures[0]
    array = np.asarray(data, np.float32)
    return Samples(modality=workload.modality, data=array, seed=SEED, rate_hz=workload.rate_hz)


def distance(judge: Judge, one: Samples, other: Samples) -> float:
    first, second = (moments_of(judge.features(each)) for each in (one, other))
    return frechet_distance(first, second)


def accuracy_percent(recipe: Recipe, judge: Judge) -> float:
    examples, labels = recipe.held_out()
    return 100 * float(np.mean(judge.classes(samples_of(recipe, examples)) == labels.numpy()))


def floor(recipe: Recipe, judge: Judge) -> list[dict[str, float]]:
    """How far apart two sets of different real samples are that differ by nothing but chance."""
    generator = torch.Generator().manual_seed(SEED + 2)
    rows = []
    for size in SIZES:
        pairs = (recipe.real(2 * size, generator)[0] for _ in range(FLOOR_DRAWS))
        halves = (samples_of(recipe, pair) for pair in pairs)
        found = [distance(judge, both.at(slice(size)), both.at(slice(size, None))) for both in halves]
        rows.append({"samples": size, "mean": float(np.mean(found)), "deviation": float(np.std(found))})
    return rows


def noise_response(recipe: Recipe, judge: Judge) -> list[dict[str, float]]:
    """Real samples against the same with noise."""
    generator = torch.Generator().manual_seed(SEED + 3)
    clean = recipe.real(CURVE_SAMPLES, generator)[0]
    added = torch.randn(clean.shape, generator=generator)
    rows = []
    for sigma in recipe.noise:
        pair = samples_of(recipe, clean), samples_of(recipe, clean + sigma * added)
        kept = judges.agreement(judge, *pair).value
        rows.append({"sigma": sigma, "distance": distance(judge, *pair), "kept_percent": kept})
    return rows


def tried(recipe: Recipe, judge: Judge, kind: type[Miniature], samples: int) -> dict[str, Any]:
    """A miniature against real samples, and masked against dense over thresholds and numbers of samples."""
    real = samples_of(recipe, recipe.real(samples, torch.Generator().manual_seed(SEED + 4))[0])
    dense = made(kind, samples, None)
    curve, by_size = [], []
    for tau in TAUS:
        masks = masks_at(kind, tau)
        cold = {"tau": tau, "column_sparsity_percent": _sparsity(masks)}
        masked = made(kind, samples if tau == SIZED_TAU else min(samples, CURVE_SAMPLES), masks)
        curve.append({**cold, **_scores(judge, dense, masked)})
        if tau == SIZED_TAU:
            sizes = [size for size in SIZES if size < samples] + [samples]
            by_size = [_scores(judge, dense, masked.at(slice(size))) for size in sizes]
    return {"to_real": distance(judge, real, dense), "samples": samples, "curve": curve, "by_size": by_size}


def _scores(judge: Judge, dense: Samples, masked: Samples) -> dict[str, Any]:
    """Of as many pairs as there are masked samples."""
    twins = dense.at(slice(len(masked)))
    kept = judges.agreement(judge, twins, masked).value
    return {**asdict(judges.distance(judge, twins, masked, name=judge.name)), "kept_percent": kept}


def made(kind: type[Miniature], samples: int, masks: MaskSet | None) -> Samples:
    """Samples of all classes in turn, made as any run of colfw makes them."""
    options = MiniatureOptions(labels=tuple(range(kind.classes)), batch_samples=64)
    return kind(options).denoise(_request(samples), [], masks)


@cache
def profile(kind: type[Miniature]) -> ActivationProfile:
    """Of a few samples: the more there are, the fewer columns are cold in all of them."""
    options = MiniatureOptions(labels=tuple(range(kind.classes)))
    workload, request = kind(options), _request(PROFILED_SAMPLES)
    seen = ColumnMaxima(workload.sites(request), iterations=ITERATIONS, thresholds=TAUS)
    workload.denoise(request, [seen], None)
    provenance = Provenance(
        workload=kind.name,
        source=SourceKind.MINIATURE,
        seed=SEED,
        samples=PROFILED_SAMPLES,
        iterations=ITERATIONS,
    )
    return ActivationProfile(provenance=provenance, thresholds=TAUS, sites=seen.site_profiles())


def masks_at(kind: type[Miniature], tau: float) -> MaskSet:
    return masks_of(profile(kind), MaskPolicy.uniform(tau))


def _request(samples: int) -> DenoiseRequest:
    return DenoiseRequest(source=SourceKind.MINIATURE, iterations=ITERATIONS, samples=samples, seed=SEED)


def _sparsity(masks: MaskSet) -> float:
    """The mean share of cold columns over iterations 1 and later, in per cent."""
    return 100 * float(column_sparsity(side_by_side(masks.sites))[1:].mean())


# --- one judge, and both --------------------------------------------------------------------------


def make(name: str, folder: Path, steps: int | None, samples: int) -> str:
    """Train a judge, write its weights and what was measured; returns a line that says how it went."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    recipe, started = RECIPES[name], time.process_time()
    network, losses = train(recipe, steps or recipe.steps)
    seconds = time.process_time() - started
    facts = _facts(recipe, network, losses)
    judge = evolve(recipe.judge, folder=folder)
    write_weights(network, judge.weights, facts)
    found = {
        **facts,
        "training_processor_seconds": round(seconds),
        "file_bytes": judge.weights.stat().st_size,
        **measured(recipe, judge, samples),
    }
    (folder / f"{name}.json").write_text(json.dumps(_rounded(found), indent=1) + "\n", encoding="utf-8")
    return f"{name}: {seconds:.0f} s of one core, {found['accuracy_percent']:.1f} % of held-out samples right"


def measured(recipe: Recipe, judge: Judge, samples: int) -> dict[str, Any]:
    return {
        "accuracy_percent": accuracy_percent(recipe, judge),
        "held_out": len(recipe.held_out()[1]),
        "floor": floor(recipe, judge),
        "noise": noise_response(recipe, judge),
        "miniatures": {kind.name: tried(recipe, judge, kind, samples) for kind in recipe.miniatures},
    }


def _facts(recipe: Recipe, network: JudgeNetwork, losses: Sequence[float]) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {
        "kind": "judge weights",
        "name": recipe.judge.name,
        "metric": recipe.metric,
        "script": "tools/train_judges.py",
        "seed": SEED,
        "steps": len(losses),
        "batch": recipe.batch,
        "peak_learning_rate": recipe.peak_rate,
        "last_loss": round(float(np.mean(losses[-50:])), 4),
        "data": recipe.data,
        "licence": "Apache-2.0",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "torch": torch.__version__,
    }


def _rounded(found: Any) -> Any:
    """Numbers to six digits: what lies beyond differs between processors."""
    if isinstance(found, dict):
        return {key: _rounded(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_rounded(value) for value in found]
    return float(f"{found:.6g}") if isinstance(found, float) else found


def write_card(folder: Path) -> None:
    """The card of the judges whose facts lie in the folder."""
    paths = {name: folder / f"{name}.json" for name in RECIPES}
    facts = {name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.is_file()}
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(  # noqa: S701
        CARD.read_text("utf-8")  # Markdown, which nothing need be escaped for
    )
    card = template.render(
        judges=facts,
        features=judges.FEATURES,
        seed=SEED,
        trained_images=TRAINED_IMAGES,
        moved_percent=round(100 * MOVED),
        smoothing=SMOOTHING,
        settled=SETTLED_EXAMPLES,
        floor_draws=FLOOR_DRAWS,
        curve_samples=CURVE_SAMPLES,
        profiled_samples=PROFILED_SAMPLES,
        iterations=ITERATIONS,
        sized_tau=SIZED_TAU,
        styles=STYLES,
    )
    (folder / "MODEL_CARD.md").write_text(re.sub(r"\n{3,}", "\n\n", card), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--steps", type=int, help="of training, instead of each recipe's own: 20 is a trial")
    parser.add_argument("--samples", type=int, default=max(SIZES), help="of each miniature: 40 is a trial")
    parser.add_argument("--into", type=Path, default=Path(judges.__file__).parent)
    parser.add_argument("--processes", type=int, default=len(RECIPES))
    given = parser.parse_args()
    one = partial(make, folder=given.into, steps=given.steps, samples=given.samples)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for line in pool.map(one, given.only):
            sys.stdout.write(f"{line}\n")
    write_card(given.into)


if __name__ == "__main__":
    main()
