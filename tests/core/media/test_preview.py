from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve
from PIL import Image

from colfw.errors import UnavailableError
from colfw.media import preview
from colfw.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    Sets = Callable[[str], tuple[Samples, dict[str, Samples]]]


def seen(png: bytes) -> Image.Image:
    picture = Image.open(BytesIO(png))
    assert picture.format == "PNG"
    return picture


@pytest.mark.parametrize("modality", ["image", "image/digits", "video", "audio", "motion"])
def test_a_preview_is_a_small_picture(sets: Sets, modality: str) -> None:
    """Whatever can be seen fits into 640 pixels, and equal samples give equal bytes."""
    dense, _ = sets(modality)
    assert preview(dense) == preview(dense)
    assert seen(preview(dense)).width <= 640
    assert preview(dense) != preview(evolve(dense, data=dense.data[::-1]))


def test_large_samples_are_made_small() -> None:
    """A page is not filled by one image of 1024 pixels, and its shape stays."""
    large = Samples(modality="image", data=np.zeros((1, 3, 512, 1024)), seed=0)
    assert seen(preview(large)).size == (256, 128)


def test_samples_stand_in_lines(sets: Sets) -> None:
    """As many beside one another as there is room for, then the next line, in order."""
    shades = np.linspace(-1, 1, 8)
    digits = Samples(
        modality="image/digits", data=np.ones((8, 1, 8, 8)) * shades[:, None, None, None], seed=0
    )
    picture = np.asarray(seen(preview(digits)))
    assert picture.shape == (2 * 96 + 6, 6 * 96 + 5 * 6)
    found = [picture[50 + 102 * (at // 6), 50 + 102 * (at % 6)] for at in range(8)]
    assert found == np.rint((shades + 1) * 127.5).astype(int).tolist()
    assert seen(preview(digits, limit=2)).size == (2 * 96 + 6, 96)


def test_what_nobody_can_see_has_no_preview(sets: Sets) -> None:
    """A report leaves the picture out and says why."""
    with pytest.raises(UnavailableError, match="cannot be shown") as refusal:
        preview(sets("latent")[0])
    assert refusal.value.where == "latent samples of seed 5"
