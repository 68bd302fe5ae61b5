"""What the profiler costs: full-size denoisers with random weights, watched and not, in turn.

    python benchmarks/profiler.py                                   SD and DiT on the CPU
    python benchmarks/profiler.py --device cuda --precision float16
    python benchmarks/profiler.py videocrafter2 --device cuda --full profiles/

One iteration (both guidance passes) is timed without and with column maxima and counts at all thresholds of
a default study, alternately, so that a slow moment of a shared machine meets both. Prints the medians, the
median of the pairs' ratios, and how far the peak memory rises, against the largest activation. `--full` runs
all iterations instead and writes the profile.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it, before torch is loaded

import numpy as np
import torch
from attrs import evolve

from colfw.binding import Choice
from colfw.folding import fold_rows
from colfw.observing.observing import DEFAULT as THRESHOLDS
from colfw.plugins import load_plugins
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import Kind, Precision, SourceKind

LIMIT_PERCENT = {"cpu": 5.0, "cuda": 3.0}


def workload(name: str):  # noqa: ANN201  (what a plugin makes)
    """The workload of that name with its published size."""
    registered = load_plugins().find(Kind.WORKLOAD, name)
    return Choice(name=name, registered=registered, options=None).make()


def seconds(model, request, observers) -> float:  # noqa: ANN001
    """One run, with the device's work done."""
    began = time.perf_counter()
    model.denoise(request, observers, None)
    if torch.device(request.device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_mib(device: str) -> float:
    """The most memory that was in use since the last call (CUDA), or ever (CPU)."""
    if torch.device(device).type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return peak
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def overhead(name: str, request: DenoiseRequest, pairs: int) -> float:
    """Print what watching costs; returns it in percent."""
    model = workload(name)
    sites = model.sites(request)

    def watched() -> float:
        return seconds(model, request, [ColumnMaxima(sites, iterations=1, thresholds=THRESHOLDS)])

    fold_rows(np.ones((1024, 1024), np.float32), np.ones(1, np.float32))  # compiles it, which takes memory
    seconds(model, request, [])  # builds the model
    plain_peak = peak_mib(request.device)
    watched()
    watched_peak = peak_mib(request.device)
    times = [(seconds(model, request, []), watched()) for _ in range(pairs)]
    percent = 100 * (median(with_ / without for without, with_ in times) - 1)
    plain, seen = (median(column) for column in zip(*times, strict=True))
    elements = sum(site.rows * site.columns for site in sites)
    largest = max(site.rows * site.columns for site in sites) * torch.finfo(_dtype(request)).bits // 8 / 2**20
    print(
        f"{name:<16} {request.device} {request.precision}: {plain:.3f} s, watched {seen:.3f} s,"
        f" median of {pairs} ratios {percent:+.2f} %; {elements:,} elements;"
        f" peak memory {watched_peak - plain_peak:+.0f} MiB, largest activation {largest:.0f} MiB"
    )
    return percent


def _dtype(request: DenoiseRequest) -> torch.dtype:
    return getattr(torch, request.precision)


def full_profile(name: str, request: DenoiseRequest, folder: Path) -> None:
    """All iterations, and the profile on disk."""
    model = workload(name)
    sites = model.sites(request)
    fold = ColumnMaxima(sites, iterations=request.iterations, thresholds=THRESHOLDS)
    taken = seconds(model, request, [fold])
    provenance = Provenance(
        workload=name,
        source=request.source,
        seed=request.seed,
        samples=request.samples,
        iterations=request.iterations,
        rows_convention=model.rows_convention,
    )
    profile = ActivationProfile(provenance=provenance, thresholds=THRESHOLDS, sites=fold.site_profiles())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    path.write_bytes(profile.to_bytes())
    print(f"{name:<16} {request.iterations} iterations in {taken:.1f} s with the model's making: {path}")


def main() -> int:
    """Measure what was asked for; fail where watching costs more than the limit of the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=["sd-v1-4", "dit-xl-2"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=[str(entry) for entry in Precision])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--full", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    request = DenoiseRequest(
        source=SourceKind.RANDOM,
        iterations=1,
        samples=1,
        seed=0,
        thresholds=THRESHOLDS,
        device=given.device,
        precision=Precision(given.precision),
    )
    if given.full is not None:
        for name in given.workloads:
            full_profile(name, evolve(request, iterations=50), given.full)
        return 0
    costs = [overhead(name, request, given.pairs) for name in given.workloads]
    limit = LIMIT_PERCENT.get(torch.device(given.device).type, 5.0)
    if max(costs) > limit:
        print(f"more than {limit} %")
    return int(max(costs) > limit)


if __name__ == "__main__":
    sys.exit(main())
