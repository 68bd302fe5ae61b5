"""What motion metrics share: trimming, pairing, axes, and which set's value is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve

from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.samples import Samples
from colfw_metrics.config import Of
from colfw_metrics.motion import check_joint, motions_of, numbers_in, pairs_of, rate_of, score_of, with_z_up
from colfw_metrics.motion_options import Up

if TYPE_CHECKING:
    from pathlib import Path


def samples(*, lengths: tuple[int, ...] | None = (4, 2)) -> Samples:
    data = np.random.default_rng(0).normal(size=(2, 4, 3, 3)).astype(np.float32)
    found = None if lengths is None else np.array(lengths)
    return Samples(modality="motion", data=data, seed=0, lengths=found)


def test_motions_are_cut_to_their_length() -> None:
    """Each motion has the frames that count, in float64; without lengths all of them count."""
    ragged, full = samples(), samples(lengths=None)
    assert [len(motion) for motion in motions_of(ragged)] == [4, 2]
    assert [len(motion) for motion in motions_of(full)] == [4, 4]
    np.testing.assert_array_equal(motions_of(ragged)[1], ragged.data[1, :2])
    assert motions_of(ragged)[0].dtype == np.float64


def test_every_motion_needs_the_least_frames() -> None:
    """The shortest motion decides, and is named."""
    with pytest.raises(UnavailableError, match="need 3 frames at least; the shortest has 2"):
        motions_of(samples(), least_frames=3)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3), (2, 5, 7, 4), (2, 5, 0, 3)])
def test_other_forms_are_left_out(shape: tuple[int, ...]) -> None:
    """What is not joints in metres is not guessed at: the shape is shown."""
    with pytest.raises(UnavailableError, match=r"must be \[sample, frame, joint, 3\].*decoder to joints"):
        motions_of(Samples(modality="motion", data=np.zeros(shape), seed=0))


def test_pairs_have_the_same_frames() -> None:
    """Dense and masked of one seed are equally long; anything else is a broken call."""
    dense = samples()
    assert [len(first) == len(second) for first, second in pairs_of(dense, dense)] == [True, True]
    with pytest.raises(InvariantError, match="differ in length"):
        pairs_of(dense, evolve(dense, lengths=np.array([4, 3])))
    with pytest.raises(InvariantError, match="no pair"):
        pairs_of(dense, dense.at(slice(0, 1)))


def test_axes_are_turned_and_not_mirrored() -> None:
    """y up becomes z up, forward stays to the left of right, and z up stays as it is."""
    axes = np.eye(3)[None]
    turned = with_z_up(axes, Up.Y)[0]
    np.testing.assert_array_equal(turned[1], [0, 0, 1])
    assert np.linalg.det(turned) == pytest.approx(1)
    np.testing.assert_array_equal(with_z_up(axes, Up.Z), axes)


def test_a_joint_that_is_not_there_is_named() -> None:
    """The option and the number of joints stand in the message."""
    motion = np.zeros((2, 3, 3))
    check_joint(2, motion, "root")
    with pytest.raises(UnavailableError, match="have 3 joints, and `root` names joint 3"):
        check_joint(3, motion, "root")


def test_a_frame_rate_is_needed_for_times() -> None:
    """Without one the reason says what for."""
    assert rate_of(evolve(samples(), rate_hz=20.0), "to count in seconds") == 20
    with pytest.raises(UnavailableError, match="state no frame rate, which is needed to count in seconds"):
        rate_of(samples(), "to count in seconds")


def test_the_difference_is_masked_less_dense() -> None:
    """Each shown value is a mean over samples, and the difference has the interval of differences."""
    dense, masked = [1.0, 2.0, 3.0], [1.5, 2.5, 3.5]
    assert score_of(Of.DENSE, dense, masked).value == 2
    assert score_of(Of.MASKED, dense, masked).value == 2.5
    difference = score_of(Of.DIFFERENCE, dense, masked)
    assert difference.value == 0.5
    assert (difference.interval_low, difference.interval_high) == (0.5, 0.5)
    assert difference.samples == 3


def test_files_of_numbers_are_read_without_running_anything(tmp_path: Path) -> None:
    """What numpy did not write, what holds objects and what is not there is refused by name."""
    np.save(tmp_path / "numbers.npy", np.arange(3))
    np.testing.assert_array_equal(numbers_in(tmp_path / "numbers.npy"), [0, 1, 2])
    np.save(tmp_path / "objects.npy", np.array([{}]))
    (tmp_path / "text.npy").write_text("0.5 1.0")
    (tmp_path / "empty.npy").touch()
    for name in ("objects.npy", "text.npy", "empty.npy"):
        with pytest.raises(StoreError, match=f"{name}: no file of numbers"):
            numbers_in(tmp_path / name)
    with pytest.raises(StoreError, match=r"none\.npy: no such file"):
        numbers_in(tmp_path / "none.npy")
