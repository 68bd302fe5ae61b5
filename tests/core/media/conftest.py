"""What the tests of media share: small sets of each modality."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve

from colfw.media import animation
from colfw.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterator

Sets = Callable[[str], tuple[Samples, dict[str, Samples]]]

SHAPES = {
    "image/digits": (1, 8, 8),
    "image": (3, 5, 7),
    "video": (6, 3, 6, 8),
    "audio": (900,),
    "motion": (6, 4, 3),
    "latent": (2, 3),
}
RATES = {"video": 8.0, "audio": 1000.0, "motion": 20.0}


def made(modality: str, count: int = 3, seed: int = 0) -> Samples:
    values = np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPES[modality])).astype(np.float32)
    bones = ((0, 1), (1, 2), (0, 3)) if modality == "motion" else ()
    return Samples(modality=modality, data=values, seed=5, rate_hz=RATES.get(modality), bones=bones)


@pytest.fixture
def sets() -> Sets:
    """A dense set of a modality, and two masked ones that differ from it."""

    def of(modality: str) -> tuple[Samples, dict[str, Samples]]:
        dense = made(modality)
        masked = {
            label: evolve(dense, data=0.5 * made(modality, seed=seed).data, mask_digest=f"{seed}" * 64)
            for seed, label in enumerate(["tau=0.2", "rho=0.5 static"], start=1)
        }
        return dense, masked

    return of


@pytest.fixture
def _without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine that has none."""
    animation.mp4_encoder.cache_clear()
    monkeypatch.setattr(animation.shutil, "which", lambda _: None)
    monkeypatch.setattr(animation, "find_spec", lambda _: None)
    yield
    animation.mp4_encoder.cache_clear()
