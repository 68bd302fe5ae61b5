"""What masked generation costs: full-size denoisers with random weights, dense and masked, in turn.

    python benchmarks/masking.py                                  SD and DiT on the CPU
    python benchmarks/masking.py --device cuda --precision float16
    python benchmarks/masking.py videocrafter2 --device cuda --iterations 10

Half of the columns of each site are cold in iterations 1 and later, with both policies of reuse. Dense and
masked runs alternate, so that a slow moment of a shared machine meets both. Prints the medians and the median
of the pairs' ratios; exits with 1 if that is above the limit.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from statistics import median

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it, before torch is loaded

import numpy as np
import torch
from attrs import evolve

from colfw.binding import Choice
from colfw.masks import MaskPolicy, MaskSet, SiteMask
from colfw.plugins import load_plugins
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import Kind, Precision, Reuse, SourceKind

LIMIT_PERCENT = 5.0
ITERATIONS = 2  # the first one is dense


def half_cold(model, request: DenoiseRequest) -> MaskSet:  # noqa: ANN001
    """Masks in which every other column is cold."""

    def mask(site) -> SiteMask:  # noqa: ANN001
        hot = np.ones((request.iterations, site.columns), np.bool_)
        hot[1:, ::2] = False
        return SiteMask(site=site, tau=None, hot=hot)

    return MaskSet(policy=MaskPolicy.uniform(0.0), sites=tuple(map(mask, model.sites(request))))


def seconds(model, request: DenoiseRequest, masks: MaskSet | None) -> float:  # noqa: ANN001
    """One run, with the device's work done."""
    began = time.perf_counter()
    model.denoise(request, [], masks)
    if torch.device(request.device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def overhead(name: str, request: DenoiseRequest, pairs: int) -> float:
    """Percent that masking adds, the median over pairs; printed with what it is made of."""
    registered = load_plugins().find(Kind.WORKLOAD, name)
    model = Choice(name=name, registered=registered, options=None).make()
    masks = half_cold(model, request)
    seconds(model, request, masks)  # the weights, and kernels that are chosen on first use
    timed = [(seconds(model, request, None), seconds(model, request, masks)) for _ in range(pairs)]
    percent = 100 * (median(masked / dense for dense, masked in timed) - 1)
    dense, masked = (median(column) for column in zip(*timed, strict=True))
    print(f"{name:14} {request.reuse:6} dense {dense:8.3f} s   masked {masked:8.3f} s   {percent:+5.1f} %")
    return percent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", default=["sd-v1-4", "dit-xl-2"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    request = DenoiseRequest(
        source=SourceKind.RANDOM,
        iterations=given.iterations,
        samples=1,
        seed=0,
        device=given.device,
        precision=Precision(given.precision),
    )
    found = [
        overhead(name, evolve(request, reuse=reuse), given.pairs)
        for name in given.workloads
        for reuse in (Reuse.ZERO, Reuse.STALE)
    ]
    return int(max(found) > LIMIT_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
