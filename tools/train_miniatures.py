"""Train the three miniatures and write all that is shipped of them: weights, figures and the model card.

    python tools/train_miniatures.py

Each miniature is trained by a process of its own on one thread, from a fixed seed: the weights come out the
same whatever the number of cores, on the same kind of processor with the same versions of torch and numpy.
"""
# ruff: noqa: INP001  (a script, no package)

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import field, frozen
from jinja2 import Environment, StrictUndefined
from PIL import Image, ImageDraw
from safetensors.torch import save
from torch.nn import functional

from colfw.masks import MaskPolicy, classify, masks_of
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import SourceKind
from colfw_workloads import miniatures
from colfw_workloads.miniature_options import STYLES, MiniatureOptions
from colfw_workloads.miniatures import gait
from colfw_workloads.miniatures.motion import Walker
from colfw_workloads.miniatures.transformer import DigitsDit
from colfw_workloads.miniatures.unet import DigitsUnet
from colfw_workloads.samplers.schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from colfw.protocols import Observer
    from colfw_workloads.miniatures.workload import Miniature

    Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
    """So many examples, and the number of the class of each."""

SEED = 20
DROPPED_LABELS = 0.1
"""The share of examples that are shown without their class, so that guidance is possible."""
AVERAGING = 0.998
"""Of the weights over training steps: what is shipped is the moving average."""
TRAINED_IMAGES = 1500
"""Of the 1797 digits, in the order of scikit-learn; the rest is held out."""
ITERATIONS = 50
THRESHOLDS = (0.10, 0.164, 0.20)
PROFILED_SAMPLES = 4
JUDGED_DIGITS = 200
JUDGED_WALKS = 204
DATA_WALKS = 1020
CARD = Path(__file__).with_name("model_card.md.jinja")


# --- data -----------------------------------------------------------------------------------------


@cache
def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, `[1797, 1, 8, 8]` from -1 to 1, and which digit each is."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # noqa: PLC0415  (the walker does without)

    data = load_digits()
    images = torch.from_numpy(data.images.astype(np.float32)) / 8 - 1
    return images[:, None], torch.from_numpy(data.target.astype(np.int64))


def drawn_digits(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    images, labels = digits()
    chosen = torch.randint(TRAINED_IMAGES, (count,), generator=generator)
    return images[chosen], labels[chosen]


def drawn_walks(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    styles = torch.randint(len(STYLES), (count,), generator=generator)
    return gait.normalised(gait.walks(styles, generator)), styles


# --- training -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Recipe:
    """How one miniature is trained."""

    workload: type[Miniature]
    data: str
    draw: Draw
    schedule: Schedule = field(factory=Schedule.linear)
    predicts_noise: bool = True
    steps: int
    batch: int
    peak_rate: float
    """Of learning, reached after three tenths of the steps."""


UCI = "1500 of the UCI ML hand-written digits (CC BY 4.0), as scikit-learn ships them"
MADE_UP = "walks of colfw_workloads.miniatures.gait, drawn anew for every step (Apache-2.0)"
RECIPES = {
    "digits-dit": Recipe(
        workload=DigitsDit, data=UCI, draw=drawn_digits, steps=2200, batch=96, peak_rate=3e-3
    ),
    "digits-unet": Recipe(
        workload=DigitsUnet, data=UCI, draw=drawn_digits, steps=1600, batch=64, peak_rate=1.5e-3
    ),
    "walker": Recipe(
        workload=Walker,
        data=MADE_UP,
        draw=drawn_walks,
        schedule=Schedule.cosine(),
        predicts_noise=False,
        steps=1300,
        batch=64,
        peak_rate=2e-3,
    ),
}


def train(recipe: Recipe, steps: int) -> tuple[nn.Module, list[float]]:
    """The averaged network, and the loss of every step."""
    torch.manual_seed(SEED)
    model = recipe.workload.network()
    start_as_identity(model)
    averaged = deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(SEED)
    losses = []
    for _ in range(steps):
        loss = loss_of_batch(model, recipe, generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()
        follow(averaged, model)
        losses.append(loss.item())
    return averaged, losses


def start_as_identity(model: nn.Module) -> None:
    """adaLN-Zero: at the start every block lets through what comes in."""
    for name, parameter in model.named_parameters():
        if "adaLN_modulation" in name:
            torch.nn.init.zeros_(parameter)


@torch.no_grad()
def follow(averaged: nn.Module, model: nn.Module) -> None:
    """Move the averaged weights a little towards those of now."""
    for slow, quick in zip(averaged.parameters(), model.parameters(), strict=True):
        slow.lerp_(quick, 1 - AVERAGING)


def loss_of_batch(model: nn.Module, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """The mean squared error of what is predicted, at a random step for each example."""
    clean, labels = recipe.draw(recipe.batch, generator)
    hidden = torch.rand(recipe.batch, generator=generator) < DROPPED_LABELS
    labels = labels.masked_fill(hidden, recipe.workload.classes)
    step = torch.randint(len(recipe.schedule), (recipe.batch,), generator=generator)
    share = torch.from_numpy(recipe.schedule.alphas_cumprod).float()[step]
    share = share.view(-1, *[1] * (clean.ndim - 1))
    noise = torch.randn(clean.shape, generator=generator)
    predicted = model(share.sqrt() * clean + (1 - share).sqrt() * noise, step, labels)
    return functional.mse_loss(predicted, noise if recipe.predicts_noise else clean)


def write_weights(model: nn.Module, path: Path, facts: dict[str, Any]) -> None:
    """Half precision; one entry of metadata, because safetensors keeps no order of several."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: tensor.half().contiguous() for key, tensor in model.state_dict().items()}
    path.write_bytes(save(tensors, metadata={"colfw": json.dumps(facts, sort_keys=True)}))


# --- what comes out -------------------------------------------------------------------------------


def generated(
    recipe: Recipe, weights: Path, labels: Sequence[int], seed: int, observers: Sequence[Observer] = ()
) -> NDArray[np.float32]:
    """Samples of these classes as the model makes them, by the loop of any run of colfw."""
    workload = recipe.workload(MiniatureOptions(labels=tuple(labels), batch_samples=50))
    samples = workload.denoise(_request(weights, samples=len(labels), seed=seed), observers, None)
    return samples.views.get("features", samples.data)


def _request(weights: Path, *, samples: int, seed: int) -> DenoiseRequest:
    return DenoiseRequest(
        source=SourceKind.CHECKPOINT, iterations=ITERATIONS, samples=samples, seed=seed, checkpoint=weights
    )


def sparsity(recipe: Recipe, weights: Path) -> list[dict[str, float]]:
    """For each threshold, the mean over some single samples, in per cent but for the Jaccard index."""
    profiles = [_profile(recipe, weights, sample) for sample in range(PROFILED_SAMPLES)]
    rows = []
    for tau in THRESHOLDS:
        found = [_sparsity_of(profile, tau) for profile in profiles]
        means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        rows.append({"tau": tau, **means})
    return rows


def _profile(recipe: Recipe, weights: Path, sample: int) -> ActivationProfile:
    sites = tuple(layer.site for layer in recipe.workload(MiniatureOptions()).layers())
    seen = ColumnMaxima(sites, iterations=ITERATIONS, thresholds=THRESHOLDS)
    generated(recipe, weights, [sample % recipe.workload.classes], sample, [seen])
    provenance = Provenance(
        workload=recipe.workload.name,
        source=SourceKind.CHECKPOINT,
        seed=sample,
        samples=1,
        iterations=ITERATIONS,
    )
    return ActivationProfile(provenance=provenance, thresholds=THRESHOLDS, sites=seen.site_profiles())


def _sparsity_of(profile: ActivationProfile, tau: float) -> dict[str, float]:
    hot = masks_of(profile, MaskPolicy.uniform(tau))
    columns = classify(hot)
    over = sum(entry.exceeding[1:, profile.thresholds.index(tau)].sum() for entry in profile.sites)
    elements = sum(entry.elements[1:].sum() for entry in profile.sites)
    return {
        "element_sparsity_percent": 100 * (1 - over / elements),
        "column_sparsity_percent": 100 * columns.mean_column_sparsity,
        "column_sparsity_first_percent": 100 * columns.first_column_sparsity,
        "column_sparsity_last_percent": 100 * columns.last_column_sparsity,
        "mean_jaccard": columns.mean_jaccard,
        "min_jaccard": columns.min_jaccard,
    }


def digit_quality(recipe: Recipe, weights: Path) -> dict[str, float]:
    """Whether a classifier of real digits sees what was asked for, and whether it is copied."""
    images, labels = (part.flatten(1).numpy() if part.ndim > 1 else part.numpy() for part in digits())
    seen, held_out = images[:TRAINED_IMAGES], images[TRAINED_IMAGES:]
    classifier = _classifier(seen, labels[:TRAINED_IMAGES])
    wanted = np.arange(JUDGED_DIGITS) % 10
    made = generated(recipe, weights, wanted.tolist(), SEED).reshape(JUDGED_DIGITS, -1)
    return {
        "recognised_percent": 100 * float(np.mean(classifier.predict(made) == wanted)),
        "recognised_held_out_percent": 100 * classifier.score(held_out, labels[TRAINED_IMAGES:]),
        "median_distance_to_training": float(np.median(_nearest(made, seen))),
        "median_distance_held_out": float(np.median(_nearest(held_out, seen))),
        "spread": _spread(made, wanted),
        "spread_of_data": _spread(seen, labels[:TRAINED_IMAGES]),
    }


def _classifier(examples: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # noqa: PLC0415  (only the judge needs it)

    return LogisticRegression(max_iter=2000).fit(examples, labels)


def _nearest(these: NDArray[np.float32], those: NDArray[np.float32]) -> NDArray[np.float64]:
    """The Euclidean distance of each of these to the nearest of those."""
    return np.asarray([np.linalg.norm(those - one, axis=1).min() for one in these])


def _spread(samples: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The standard deviation within a class, averaged over pixels and classes."""
    return float(np.mean([samples[labels == label].std(axis=0).mean() for label in np.unique(labels)]))


def walk_quality(recipe: Recipe, weights: Path) -> dict[str, Any]:
    """Whether walks are told apart as real ones are, and how their gait compares style by style."""
    generator = torch.Generator().manual_seed(SEED + 1)
    styles = torch.arange(DATA_WALKS) % len(STYLES)
    real, held_out = gait.walks(styles, generator), gait.walks(styles, generator)
    classifier = _classifier(_gist(real), styles.numpy())
    wanted = styles[:JUDGED_WALKS].numpy()
    made = torch.from_numpy(generated(recipe, weights, wanted.tolist(), SEED))
    return {
        "recognised_percent": 100 * float(np.mean(classifier.predict(_gist(made)) == wanted)),
        "recognised_held_out_percent": 100 * classifier.score(_gist(held_out), styles.numpy()),
        "styles": {
            style: {
                "data": _gait_of(held_out[styles == number]),
                "generated": _gait_of(made[wanted == number]),
            }
            for number, style in enumerate(STYLES)
        },
    }


def _gist(walks: Tensor) -> NDArray[np.float32]:
    """Mean and deviation of every feature over time."""
    seen = gait.normalised(walks)
    return torch.cat([seen.mean(dim=1), seen.std(dim=1)], dim=1).numpy()


def _gait_of(walks: Tensor) -> dict[str, float]:
    thigh, shin = (walks[..., gait.swing(f"left {joint}")] for joint in ("knee", "foot"))
    places = gait.joints(walks)
    feet = [places[..., gait.JOINTS.index(f"{side} foot"), 2] for side in ("left", "right")]
    return {
        "speed_metres_per_second": walks[..., gait.SPEED].mean().item(),
        "strides_hz": _strides_hz(thigh).mean().item(),
        "deepest_knee_bend_degrees": (thigh - shin).amax(dim=1).mean().rad2deg().item(),
        "lower_foot_above_ground_metres": torch.minimum(*feet).abs().mean().item(),
    }


def _strides_hz(swings: Tensor) -> Tensor:
    """The strongest frequency of each swing, from its spectrum padded to 1024 frames."""
    spectrum = torch.fft.rfft(swings - swings.mean(dim=1, keepdim=True), n=1024).abs()
    strongest: Tensor = spectrum.argmax(dim=1)
    return strongest * (gait.RATE_HZ / 1024)


# --- figures --------------------------------------------------------------------------------------


def draw_digits(recipe: Recipe, weights: Path, path: Path) -> None:
    """Ten rows of ten: a column a digit."""
    made = generated(recipe, weights, [place % 10 for place in range(100)], SEED + 2)
    shades = np.uint8(np.round((1 - made[:, 0]) * 127.5))
    tiles = np.pad(shades, ((0, 0), (1, 1), (1, 1)), constant_values=255)
    sheet = tiles.reshape(10, 10, 10, 10).transpose(0, 2, 1, 3).reshape(100, 100)
    Image.fromarray(sheet).resize((400, 400), Image.Resampling.NEAREST).save(path, optimize=True)


def draw_walks(recipe: Recipe, weights: Path, path: Path) -> None:
    """A row a style: every third frame, the right side in grey."""
    made = torch.from_numpy(generated(recipe, weights, list(range(len(STYLES))), SEED + 2))
    sheet = Image.new("L", (20 * 48 + 80, 110 * len(STYLES)), 255)
    pen = ImageDraw.Draw(sheet)
    for row, places in enumerate(gait.joints(made).numpy()):
        pen.text((4, 110 * row + 50), STYLES[row], fill=0)
        for column, pose in enumerate(places[::3]):
            _draw_pose(pen, pose, (110 + 48 * column, 110 * row + 102))
    sheet.save(path, optimize=True)


def _draw_pose(pen: ImageDraw.ImageDraw, pose: NDArray[np.float32], foot: tuple[int, int]) -> None:
    """Seen from the right, 50 pixels a metre."""
    across, up = foot[0] + 50 * (pose[:, 0] - pose[0, 0]), foot[1] - 50 * pose[:, 2]
    for bone in gait.BONES:
        ends = [gait.JOINTS.index(joint) for joint in (bone.parent, bone.child)]
        line = [(float(across[end]), float(up[end])) for end in ends]
        pen.line(line, fill=150 if "right" in bone.child else 0, width=2)


def draw_curve(curve: Sequence[Sequence[float]], path: Path) -> None:
    """Loss over steps, the loss on a logarithmic axis."""
    steps, losses = np.array(curve).T
    width, height, left, below = 480, 240, 60, 30
    lowest, highest = np.log10(losses.min()), np.log10(losses.max())
    across = left + (width - left - 15) * steps / steps[-1]
    down = 15 + (height - below - 15) * (highest - np.log10(losses)) / max(highest - lowest, 1e-9)
    sheet = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(sheet)
    pen.line([(left, 10), (left, height - below), (width - 10, height - below)], fill=0)
    pen.line([(float(x), float(y)) for x, y in zip(across, down, strict=True)], fill=0, width=2)
    for loss, y in ((losses.max(), 10), (losses.min(), height - below - 12)):
        pen.text((8, y), f"{loss:.3f}", fill=0)
    pen.text((width - 110, height - below + 8), f"{steps[-1]:.0f} steps", fill=0)
    sheet.save(path, optimize=True)


# --- one miniature, and all of them ---------------------------------------------------------------


def make(name: str, folder: Path, steps: int | None) -> str:
    """Train a miniature, write its weights, figures and facts; returns a line that says how it went."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    recipe, started = RECIPES[name], time.process_time()
    model, losses = train(recipe, steps or recipe.steps)
    seconds = time.process_time() - started
    facts = _facts(recipe, model, len(losses))
    weights = folder / "weights" / f"{name}.safetensors"
    write_weights(model, weights, facts)
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    is_walker = recipe.workload is Walker
    curve = _curve(losses)
    draw_curve(curve, figures / f"{name}-loss.png")
    (draw_walks if is_walker else draw_digits)(recipe, weights, figures / f"{name}-samples.png")
    found = {
        **facts,
        "training_processor_seconds": round(seconds),
        "file_bytes": weights.stat().st_size,
        "sparsity": sparsity(recipe, weights),
        "quality": (walk_quality if is_walker else digit_quality)(recipe, weights),
        "loss_by_step": curve,
    }
    (figures / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    recognised = found["quality"]["recognised_percent"]
    return f"{name}: {seconds:.0f} s of one core, loss {curve[-1][1]:.4f}, {recognised:.0f} % recognised"


def _facts(recipe: Recipe, model: nn.Module, steps: int) -> dict[str, Any]:
    """What a weights file says of itself."""
    return {
        "kind": "miniature weights",
        "name": recipe.workload.name,
        "script": "tools/train_miniatures.py",
        "seed": SEED,
        "steps": steps,
        "batch": recipe.batch,
        "peak_learning_rate": recipe.peak_rate,
        "data": recipe.data,
        "licence": "Apache-2.0",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "torch": torch.__version__,
    }


def _curve(losses: Sequence[float]) -> list[list[float]]:
    """At most 60 points: the step at which a stretch ends, and its mean loss."""
    stretches = np.array_split(np.array(losses), min(60, len(losses)))
    ends = np.cumsum([len(stretch) for stretch in stretches])
    return [[int(end), round(float(stretch.mean()), 5)] for end, stretch in zip(ends, stretches, strict=True)]


# --- the model card -------------------------------------------------------------------------------


def write_card(folder: Path) -> None:
    """The card of the miniatures whose facts lie in the folder."""
    paths = {name: folder / "figures" / f"{name}.json" for name in RECIPES}
    facts = {name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.is_file()}
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(  # noqa: S701
        CARD.read_text("utf-8")  # Markdown, which nothing need be escaped for
    )
    card = template.render(
        miniatures=facts,
        averaging=AVERAGING,
        seed=SEED,
        trained_images=TRAINED_IMAGES,
        iterations=ITERATIONS,
        profiled_samples=PROFILED_SAMPLES,
        judged_digits=JUDGED_DIGITS,
        judged_walks=JUDGED_WALKS,
        styles=STYLES,
    )
    tidy = re.sub(r"\n{3,}", "\n\n", card)
    (folder / "MODEL_CARD.md").write_text(tidy, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--steps", type=int, help="of training, instead of each recipe's own: 20 is a trial")
    parser.add_argument("--into", type=Path, default=Path(miniatures.__file__).parent)
    parser.add_argument("--processes", type=int, default=min(len(RECIPES), os.cpu_count() or 1))
    given = parser.parse_args()
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for line in pool.map(partial(make, folder=given.into, steps=given.steps), given.only):
            sys.stdout.write(f"{line}\n")
    write_card(given.into)


if __name__ == "__main__":
    main()
