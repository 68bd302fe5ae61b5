from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw import arrayfile
from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.samples import FORMS, SAMPLES_SCHEMA_VERSION, Samples, Score
from colfw.testing.strategies import samples, scores
from colfw.vocabulary import is_kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOTION = Samples(
    modality="motion/dance",
    data=np.arange(3 * 5 * 4 * 3, dtype=np.float32).reshape(3, 5, 4, 3),
    seed=7,
    mask_digest="0a" * 32,
    rate_hz=20.0,
    lengths=np.array([5, 1, 3]),
    views={"humanml3d": np.arange(6.0).reshape(3, 2), "latent": np.arange(3)},
    bones=((0, 1), (1, 2), (3, 1)),
)
"""A set that has all that a set can have."""


def same(found: Samples, expected: Samples) -> bool:
    """Whether two sets are equal in every field, types and order of views aside."""
    arrays = [(found.data, expected.data), (found.lengths, expected.lengths)]
    arrays += [(found.views[name], array) for name, array in expected.views.items()]
    for one, other in arrays:
        np.testing.assert_array_equal(one, other, strict=True)
    others = [
        (each.modality, each.seed, each.mask_digest, each.rate_hz, each.bones, set(each.views))
        for each in (found, expected)
    ]
    return others[0] == others[1]


@given(samples())
def test_samples_come_back_from_their_file(tmp_path_factory: pytest.TempPathFactory, made: Samples) -> None:
    """Data, modality, seed, mask and rate are read as they were written."""
    path = tmp_path_factory.getbasetemp() / "samples.safetensors"
    path.write_bytes(made.to_bytes())
    found = Samples.from_file(path)
    np.testing.assert_array_equal(found.data, made.data, strict=True)
    for name in ("modality", "seed", "mask_digest", "rate_hz"):
        assert getattr(found, name) == getattr(made, name)


@given(samples(), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_no_sample_holds_nan(made: Samples, bad: float, data: st.DataObject) -> None:
    """A sample with NaN or infinity anywhere is no sample; the refusal names modality and seed."""
    values = made.data.astype(np.float64)
    values.flat[data.draw(st.integers(0, values.size - 1))] = bad
    with pytest.raises(InvariantError, match="NaN or infinity") as refusal:
        attrs.evolve(made, data=values)
    assert refusal.value.where == f"{made.modality} samples of seed {made.seed}"


@pytest.mark.parametrize("data", [np.array(1.0), np.ones(3), np.ones((0, 3))], ids=["scalar", "row", "none"])
def test_there_is_one_sample_at_least(data: NDArray[Any]) -> None:
    """Samples are `[sample, ...]`, and none at all is refused."""
    with pytest.raises(InvariantError, match="a sample at least"):
        Samples(modality="image", data=data, seed=0)


def test_a_modality_is_needed() -> None:
    """Samples of nothing are refused."""
    with pytest.raises(ValueError, match="modality"):
        Samples(modality="", data=np.ones((1, 1)), seed=0)


# --- modalities -----------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["image", "image/digits", "image/digits/small"])
def test_a_kind_of_a_modality_suits_what_compares_the_modality(modality: str) -> None:
    """`image/digits` is an image; the slash says so."""
    assert is_kind_of(modality, "image")


@pytest.mark.parametrize(
    ("wanted", "modality"),
    [("image/digits", "image"), ("image", "image-latent"), ("image", "images"), ("image", "audio/image")],
)
def test_a_modality_is_no_kind_of_another(wanted: str, modality: str) -> None:
    """What is narrower, begins with the same letters, or ends in the same word does not suit."""
    assert not is_kind_of(modality, wanted)


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_suits_begins_with_what_is_wanted(wanted: str, kind: str) -> None:
    """Every modality suits itself, and a kind of it does; nothing suits its own kind."""
    assert is_kind_of(wanted, wanted)
    assert is_kind_of(f"{wanted}/{kind}", wanted)
    assert not is_kind_of(wanted, f"{wanted}/{kind}")


def test_forms_are_stated_for_what_metrics_compare() -> None:
    """Each says its axes in brackets, the sample first."""
    assert set(FORMS) == {"image", "video", "audio", "motion"}
    assert all(form.startswith("[sample, ") for form in FORMS.values())


# --- views, lengths, bones ------------------------------------------------------------------------


def test_all_that_a_set_has_comes_back_from_its_file(tmp_path: Path) -> None:
    """Views, lengths and bones are read as they were written, types included."""
    path = tmp_path / "samples.safetensors"
    path.write_bytes(MOTION.to_bytes())
    found = Samples.from_file(path)
    assert same(found, MOTION)
    assert found.to_bytes() == MOTION.to_bytes()


def test_a_set_has_the_length_of_its_samples() -> None:
    """`len` counts samples, not frames."""
    assert len(MOTION) == 3


def test_a_view_is_found_by_its_name() -> None:
    """It is the array that was given."""
    assert MOTION.view("latent") is MOTION.views["latent"]


@pytest.mark.parametrize(
    ("made", "held"),
    [(MOTION, "humanml3d, latent"), (attrs.evolve(MOTION, views={}), "no other form")],
    ids=["others", "none"],
)
def test_a_view_that_is_not_there_is_unavailable(made: Samples, held: str) -> None:
    """The refusal says what is needed and what there is: a metric goes without, the rest goes on."""
    with pytest.raises(UnavailableError, match=f"needs samples as clip, and these hold {held}") as refusal:
        made.view("clip")
    assert refusal.value.where == "motion/dance samples of seed 7"


@pytest.mark.parametrize("shape", [(2, 2), (4, 2), ()], ids=["fewer", "more", "a number"])
def test_a_view_holds_the_same_samples(shape: tuple[int, ...]) -> None:
    """A view of other samples is refused by its name."""
    with pytest.raises(InvariantError, match="view latent has other samples"):
        attrs.evolve(MOTION, views={"latent": np.ones(shape)})


def test_a_view_holds_no_nan() -> None:
    """What holds of the data holds of its views."""
    with pytest.raises(InvariantError, match="NaN or infinity"):
        attrs.evolve(MOTION, views={"latent": np.array([0, np.nan, 1])})


@pytest.mark.parametrize(
    ("lengths", "problem"),
    [
        (np.array([5, 1]), "one length a sample"),
        (np.array([[5], [1], [3]]), "one length a sample"),
        (np.array([5, 1, 3], np.int32), "as int64"),
        (np.array([5.0, 1.0, 3.0]), "as int64"),
        (np.array([5, 0, 3]), "from 1 to 5"),
        (np.array([5, 6, 3]), "from 1 to 5"),
    ],
)
def test_lengths_that_cannot_be_are_refused(lengths: NDArray[Any], problem: str) -> None:
    """There is one for each sample, of a frame at least, and none beyond the frames there are."""
    with pytest.raises(InvariantError, match=problem):
        attrs.evolve(MOTION, lengths=lengths)


@pytest.mark.parametrize(
    "indices",
    [slice(2), slice(None), slice(2, 0, -1), np.array([2, 0]), np.array([1, 1, 1, 1])],
    ids=["first two", "all", "backwards", "chosen", "repeated"],
)
def test_some_of_a_set_are_a_set(indices: slice | NDArray[np.int64]) -> None:
    """Data, lengths and views are chosen alike, in the order given; the rest stays."""
    found = MOTION.at(indices)
    chosen = np.arange(3)[indices]
    assert len(found) == len(chosen)
    for place, number in enumerate(chosen):
        one = found.at(np.array([place]))
        assert same(one, MOTION.at(np.array([number])))
        np.testing.assert_array_equal(one.data[0], MOTION.data[number])
        np.testing.assert_array_equal(one.view("humanml3d")[0], MOTION.view("humanml3d")[number])
        assert one.lengths is not None
        assert MOTION.lengths is not None
        assert one.lengths.tolist() == [MOTION.lengths[number]]


@given(samples(), st.data())
def test_a_set_without_lengths_and_views_has_none_after_a_choice(made: Samples, data: st.DataObject) -> None:
    """Nothing is made up."""
    found = made.at(np.array([data.draw(st.integers(0, len(made) - 1))]))
    assert (found.lengths, found.views, found.bones) == (None, {}, ())
    assert (found.modality, found.seed, found.rate_hz) == (made.modality, made.seed, made.rate_hz)


def test_none_of_a_set_is_no_set() -> None:
    """An empty choice is refused like an empty set."""
    with pytest.raises(InvariantError, match="a sample at least"):
        MOTION.at(slice(0))


@pytest.mark.parametrize("bone", [(0, 4), (-1, 0), (2, 2)], ids=["too large", "negative", "of one joint"])
def test_a_bone_connects_two_joints(bone: tuple[int, int]) -> None:
    """Joints are counted from 0; the refusal names the bone and how many joints there are."""
    with pytest.raises(InvariantError, match=r"bone \(.*\) connects no two of 4 joints"):
        attrs.evolve(MOTION, bones=((0, 1), bone))


def test_what_has_no_joints_has_no_bones() -> None:
    """Bones of anything that is no `[sample, frame, joint, 3]` are refused."""
    with pytest.raises(InvariantError, match="of 0 joints"):
        Samples(modality="audio", data=np.ones((1, 9)), seed=0, bones=((0, 1),))


@pytest.mark.parametrize("bones", [[[0, 1], [1, 2]], np.array([[0, 1], [1, 2]])], ids=["lists", "array"])
def test_bones_are_pairs_of_integers(bones: Any) -> None:
    """However they come, they are kept as plain pairs, so that a file can hold them."""
    kept = attrs.evolve(MOTION, bones=bones).bones
    assert kept == ((0, 1), (1, 2))
    assert {type(joint) for bone in kept for joint in bone} == {int}


@pytest.mark.parametrize("bones", [[[0]], [[0, 1, 2]], [[0, 1.5]], [["a", "b"]], [0], None])
def test_a_file_with_other_bones_is_refused(tmp_path: Path, bones: object) -> None:
    """A damaged header is a damaged file, said in one line with its path."""
    path = tmp_path / "samples.safetensors"
    header = {"modality": "motion", "seed": 7, "mask_digest": None, "rate_hz": 20.0, "bones": bones}
    path.write_bytes(arrayfile.dump("sample set", SAMPLES_SCHEMA_VERSION, header, {"data": MOTION.data}))
    with pytest.raises(StoreError, match="inconsistent content") as refusal:
        Samples.from_file(path)
    assert refusal.value.where == str(path)


@pytest.mark.parametrize("rate_hz", [0.0, -20.0])
def test_a_rate_is_positive(rate_hz: float) -> None:
    """Samples that never come are refused."""
    with pytest.raises(ValueError, match="rate_hz"):
        attrs.evolve(MOTION, rate_hz=rate_hz)


# --- scores ---------------------------------------------------------------------------------------


@given(scores())
def test_a_score_lies_within_its_interval(score: Score) -> None:
    """What interval a score has, its value is in it."""
    assert score.interval_low is None or score.interval_low <= score.value
    assert score.interval_high is None or score.value <= score.interval_high


number = st.floats(allow_nan=False)


@given(number, st.none() | number, st.none() | number)
def test_an_interval_that_leaves_its_value_out_is_refused(
    value: float, low: float | None, high: float | None
) -> None:
    """A score is made iff its value lies in its interval, where an end may be open."""
    inside = (low is None or low <= value) and (high is None or value <= high)
    if inside:
        assert Score(value=value, samples=1, interval_low=low, interval_high=high).value == value
        return
    with pytest.raises(InvariantError, match="outside its interval"):
        Score(value=value, samples=1, interval_low=low, interval_high=high)


@pytest.mark.parametrize("name", ["value", "interval_low", "interval_high"])
def test_a_score_is_a_number(name: str) -> None:
    """NaN is no score, nor an end of its interval; infinity is one, as PSNR of equals shows."""
    assert Score(value=math.inf, samples=1).value == math.inf
    numbers: dict[str, Any] = {"value": 0.0, name: math.nan}
    with pytest.raises(InvariantError, match="cannot be NaN"):
        Score(samples=1, **numbers)


def test_a_score_is_of_a_sample_at_least() -> None:
    """A score of no samples is refused."""
    with pytest.raises(ValueError, match="samples"):
        Score(value=0.0, samples=0)
