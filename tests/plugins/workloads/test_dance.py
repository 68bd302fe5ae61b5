"""Dances are joined where their windows overlap, and follow from features as these were normalised."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import StoreError
from colfw_workloads import dance, skeleton

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SEEDS = st.integers(0, 2**32 - 1)


def frames_of(seed: int, frames: int) -> Tensor:
    """Features in units of one long dance, in which nothing keeps still."""
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (frames, dance.FEATURES)))


def windows_of(frames: Tensor, length: int) -> Tensor:
    """The dance cut into windows that overlap by half: `[1, window, frame, 151]`."""
    return frames.unfold(0, length, length // 2).transpose(1, 2)[None]


def offsets() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (24, 3)))


def test_a_pose_has_contacts_root_and_turns() -> None:
    """4 contacts, 3 coordinates and 24 turns of 6 numbers are the 151 features of EDGE."""
    assert dance.FEATURES == 4 + 3 + 24 * 6 == 151


@given(SEEDS, st.integers(1, 4), st.sampled_from([2, 4, 6]))
def test_windows_that_agree_are_joined_without_a_seam(seed: int, windows: int, length: int) -> None:
    """A dance that was cut into overlapping windows is that dance again, as long as it was."""
    whole = frames_of(seed, length * (windows + 1) // 2)
    joined = dance.joints(windows_of(whole, length), offsets())
    assert joined.shape == (1, len(whole), 24, 3)
    torch.testing.assert_close(joined, dance.joints(whole[None, None], offsets()), atol=1e-5, rtol=0)


@given(SEEDS)
def test_one_window_fades_into_the_next(seed: int) -> None:
    """An overlap begins as the earlier window has it and ends as the later one does; evenly between."""
    earlier, later = frames_of(seed, 8), frames_of(seed + 1, 8)
    joined = dance.joints(torch.stack([earlier, later])[None], offsets())[0]
    alone = [dance.joints(one[None, None], offsets())[0] for one in (earlier, later)]
    torch.testing.assert_close(joined[:5], alone[0][:5], atol=1e-5, rtol=0)
    torch.testing.assert_close(joined[7:], alone[1][3:], atol=1e-5, rtol=0)
    pelvis = [alone[0][5, 0], alone[1][1, 0]]
    torch.testing.assert_close(joined[5, 0], (2 * pelvis[0] + pelvis[1]) / 3, atol=1e-6, rtol=0)


@given(SEEDS)
def test_bones_keep_their_lengths_where_windows_are_joined(seed: int) -> None:
    """Turns are faded, not positions: even where windows disagree every bone is as long as it was made."""
    windows = torch.stack([frames_of(seed + window, 6) for window in range(3)])[None]
    ends = dance.joints(windows, offsets())[:, :, torch.tensor(skeleton.bones(24))]
    lengths = (ends[..., 1, :] - ends[..., 0, :]).norm(dim=-1)
    torch.testing.assert_close(lengths, offsets()[1:].norm(dim=-1).expand_as(lengths), atol=1e-6, rtol=0)


def test_contacts_move_nothing() -> None:
    """Whether feet touch the ground is said beside the pose, not by it."""
    frames = frames_of(0, 4)[None, None]
    lifted = frames.clone()
    lifted[..., :4] = 5
    torch.testing.assert_close(dance.joints(lifted, offsets()), dance.joints(frames, offsets()))


# --- how features were normalised ---------------------------------------------------------------------


def normalizer(**state: Any) -> Any:
    """What stands for the official object after a checkpoint has been read."""
    return SimpleNamespace(state={"scaler": SimpleNamespace(state=state)})


@given(SEEDS)
def test_features_come_back_from_their_normalised_form(seed: int) -> None:
    """Least and greatest of the training data are -1 and 1, and what lies beyond counts as these."""
    rng = np.random.default_rng(seed)
    low = rng.normal(0, 1, 151)
    high = low + rng.uniform(0.1, 2, 151)
    scale = 2 / (high - low)
    held = normalizer(scale_=torch.from_numpy(scale), min_=torch.from_numpy(-1 - low * scale))
    found = dance.Normalisation.of(held, where="checkpoint.pt")
    for normalised, expected in ((-1, low), (1, high), (0, (low + high) / 2), (3, high), (-2, low)):
        units = found.in_units(torch.full((1, 1, 1, 151), float(normalised)))
        np.testing.assert_allclose(units[0, 0, 0].numpy(), expected, atol=1e-5)


WHOLE = torch.ones(151)


@pytest.mark.parametrize(
    "held",
    [
        None,
        normalizer(),
        normalizer(scale_=WHOLE),
        normalizer(scale_=WHOLE[1:], min_=WHOLE),
        normalizer(scale_=WHOLE * 0, min_=WHOLE),
        normalizer(scale_=WHOLE, min_=WHOLE * torch.nan),
        normalizer(scale_="all", min_=WHOLE),
    ],
)
def test_checkpoints_without_one_are_refused(held: Any) -> None:
    """What is missing, of another size or no number is refused in one line that says what to do."""
    with pytest.raises(StoreError, match=r"checkpoint\.pt: holds no normalizer of 151 features.*`skeleton`"):
        dance.Normalisation.of(held, where="checkpoint.pt")


def test_a_skeleton_has_24_joints(tmp_path: Path) -> None:
    """Offsets are read as they were saved; others than [24, 3] are refused, and so is what is no array."""
    file = tmp_path / "offsets.npy"
    np.save(file, offsets().numpy())
    torch.testing.assert_close(dance.offsets_in(file), offsets().float())
    np.save(file, np.zeros((22, 3)))
    with pytest.raises(StoreError, match=r"offsets\.npy: holds \[22, 3\]; wanted: \[24, 3\]"):
        dance.offsets_in(file)
    np.save(file, np.array([{}]), allow_pickle=True)
    with pytest.raises(StoreError, match="no npy file of numbers"):
        dance.offsets_in(file)
