from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from colfw.media import pictures
from colfw.media.images import Images
from colfw.media.writing import write_samples
from colfw.samples import Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

sides = st.integers(1, 130)


def grey(width: int, height: int, shade: int = 0) -> Image.Image:
    return Image.new("L", (width, height), shade)


@given(hnp.arrays(np.float64, 5, elements=st.floats(-1, 1)))
def test_a_shade_is_within_half_a_step_of_its_value(values: NDArray[np.float64]) -> None:
    """-1 is 0 and 1 is 255, evenly between."""
    np.testing.assert_allclose(pictures.shades(values) / 127.5 - 1, values, atol=0.5 / 127.5 + 1e-9)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_what_lies_outside_is_the_nearer_end(kind: type[np.floating]) -> None:
    """Also where a number is as large as its type can hold."""
    huge = np.finfo(kind).max
    assert pictures.shades(np.array([-huge, -1.5, -1, 1, 1.5, huge], kind)).tolist() == [
        0,
        0,
        0,
        255,
        255,
        255,
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_every_pixel(tmp_path_factory: pytest.TempPathFactory, channels: int) -> None:
    """Alone, an image is as it was made: rows down, columns to the right, red, green, blue."""
    folder = tmp_path_factory.mktemp("png") / "out"
    steps = np.arange(channels * 6).reshape(1, channels, 2, 3) * 10
    samples = Samples(modality="image", data=steps / 127.5 - 1, seed=0)
    with Image.open(write_samples(folder, samples, {})[0]) as found:
        pixels = np.asarray(found).reshape(2, 3, channels)
    np.testing.assert_array_equal(np.moveaxis(pixels, -1, 0), steps[0])


@given(sides, sides)
def test_tiny_pictures_become_large_enough_to_see(width: int, height: int) -> None:
    """The longer side has 96 pixels at least, less than twice 96 where it grew; large ones stay."""
    found = pictures.enlarged(grey(width, height))
    factor = found.width // width
    assert found.size == (width * factor, height * factor)
    assert max(found.size) >= 96
    assert factor == 1 or max(found.size) < 2 * 96


def test_enlarging_invents_no_shade() -> None:
    """Every pixel becomes a square of its own shade."""
    small = np.arange(64, dtype=np.uint8).reshape(8, 8)
    found = np.asarray(pictures.enlarged(Image.fromarray(small)))
    np.testing.assert_array_equal(found, np.kron(small, np.ones((12, 12), np.uint8)))


def test_a_sheet_has_a_row_a_sample_and_a_column_a_set() -> None:
    """Each picture is where its row and column meet, whole, at the same place below its label."""
    rows = [[grey(100, 50, 10 * row + column) for column in range(3)] for row in range(1, 5)]
    page = np.asarray(pictures.sheet(rows, ["dense", "a", "b"], ["0", "1", "2", "3"]))
    for row in range(4):
        for column in range(3):
            shade = 10 * (row + 1) + column
            top, left = 20 + 56 * row, page.shape[1] - 3 * 100 - 2 * 6 + 106 * column
            region = page[top : top + 50, left : left + 100]
            assert (region == shade).all()
    assert page.shape[0] == 20 + 4 * 50 + 3 * 6


def test_labels_and_names_are_written() -> None:
    """There is ink above each column and before each row, and none where there is no text."""
    rows = [[grey(100, 50, 255) for _ in range(2)] for _ in range(2)]
    page = np.asarray(pictures.sheet(rows, ["dense", "tau=0.2"], ["0000", "0001"]))
    margin = page.shape[1] - 2 * 100 - 6
    ink = page < 128
    assert ink[:20, margin : margin + 100].any()
    assert ink[:20, margin + 106 :].any()
    assert ink[20:70, :margin].any()
    assert ink[76:, :margin].any()
    assert not ink[20:, margin:].any()


def test_a_column_is_wide_enough_for_its_label() -> None:
    """No label runs into the next one, however small the pictures, and columns stay columns."""
    rows = [[grey(5, 5, 200), grey(5, 5, shade)] for shade in (10, 20)]
    labels = ("a label of some length", "a")
    pages = [np.asarray(pictures.sheet(rows, [label, "b"], ["", ""])) for label in labels]
    assert pages[0].shape[1] > pages[1].shape[1] + 80
    for page in pages:
        columns = [np.nonzero(page[20:] == shade)[1] for shade in (10, 20)]  # below the labels' own greys
        assert [len(column) for column in columns] == [25, 25]
        assert columns[0].min() == columns[1].min()


def test_one_picture_in_colour_makes_a_sheet_of_colour() -> None:
    """Greys alone stay grey, which is smaller and exact in a GIF."""
    red = Image.new("RGB", (9, 9), (255, 0, 0))
    assert pictures.labelled([grey(9, 9)], ["a"]).mode == "L"
    mixed = pictures.labelled([grey(9, 9), red], ["a", "b"])
    assert mixed.mode == "RGB"
    assert (255, 0, 0) in [colour for _, colour in mixed.getcolors() or []]


def test_stills_of_images_are_the_images() -> None:
    """Of one scale in a row: the same shade is the same value."""
    small = np.full((1, 96, 96), 0.5)
    first, second = Images().stills([small, small / 2])
    assert (np.asarray(first) == 191).all()
    assert (np.asarray(second) == 159).all()
