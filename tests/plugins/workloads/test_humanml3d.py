"""Joints come back from the features that HumanML3D's definition makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import StoreError
from colfw_workloads import humanml3d

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

transform = pytest.importorskip("scipy.spatial.transform")

SEEDS = st.integers(0, 2**32 - 1)


def motion(seed: int, frames: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Joints of a body that turns and walks, and half the angle by which each frame turns it to face z."""
    rng = np.random.default_rng(seed)
    half_angles = np.concatenate([[0], rng.normal(0, 0.3, frames - 1)]).cumsum()
    joints = rng.normal(0, 1, (frames, humanml3d.JOINTS, 3))
    joints[:, 0] = rng.normal(0, 0.1, (frames, 3)).cumsum(axis=0)
    joints[:, 0, 1] += 1
    joints -= joints[0, 0] * [1, 0, 1]
    return joints, half_angles


def features_of(joints: NDArray[Any], half_angles: NDArray[Any]) -> NDArray[Any]:
    """HumanML3D's features of all frames but the last; those that do not place joints are noise."""
    zeros = np.zeros_like(half_angles)
    to_z = transform.Rotation.from_quat(
        np.stack([zeros, np.sin(half_angles), zeros, np.cos(half_angles)], axis=-1)
    )
    turned = np.arcsin((to_z[1:] * to_z[:-1].inv()).as_quat()[:, 1])
    moved = to_z[1:].apply(joints[1:, 0] - joints[:-1, 0])
    from_pelvis = joints - joints[:, :1] * [1, 0, 1]
    seen = np.stack([turn.apply(frame) for turn, frame in zip(to_z, from_pelvis, strict=True)])
    rest = np.random.default_rng(0).standard_normal((len(joints) - 1, 263 - 67))
    parts = (turned[:, None], moved[:, [0, 2]], joints[:-1, 0, 1:2], seen[:-1, 1:].reshape(-1, 63), rest)
    return np.concatenate(parts, axis=-1)


@given(SEEDS, st.integers(2, 12))
def test_joints_are_recovered_from_their_features(seed: int, frames: int) -> None:
    """Whatever a body does, its joints are where they were before it was described."""
    joints, half_angles = motion(seed, frames)
    found = humanml3d.joints(torch.from_numpy(features_of(joints, half_angles)))
    np.testing.assert_allclose(found.numpy(), joints[:-1], atol=1e-9)


@given(SEEDS)
def test_a_motion_is_the_same_alone_and_among_others(seed: int) -> None:
    """Motions of a batch do not touch each other."""
    motions = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.2, (3, 5, 263)))
    alone = torch.stack([humanml3d.joints(one) for one in motions])
    torch.testing.assert_close(humanml3d.joints(motions), alone)


@given(SEEDS)
def test_what_comes_later_changes_nothing_before(seed: int) -> None:
    """Frames follow from the frames before them: padding after a motion does not move it."""
    motions = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.2, (2, 8, 263)))
    torch.testing.assert_close(humanml3d.joints(motions)[:, :5], humanml3d.joints(motions[:, :5]))


def test_distances_within_a_body_do_not_depend_on_its_way() -> None:
    """However a body turns and moves, it stays as it was posed: all distances between joints are kept."""
    rng = np.random.default_rng(0)
    standing = torch.from_numpy(rng.normal(0, 0.5, (1, 263))).repeat(9, 1)
    walking = standing.clone()
    standing[:, :3] = 0
    distances = [torch.cdist(humanml3d.joints(one), humanml3d.joints(one)) for one in (standing, walking)]
    torch.testing.assert_close(*distances)
    still = humanml3d.joints(standing)
    torch.testing.assert_close(still, still[:1].expand_as(still))


# --- the statistics -----------------------------------------------------------------------------------


def statistics(folder: Path, mean: Any, std: Any) -> Path:
    np.save(folder / "Mean.npy", mean)
    np.save(folder / "Std.npy", std)
    return folder


def test_features_come_back_from_their_normalised_form(tmp_path: Path) -> None:
    """The inverse of (features - mean) / std, number by number."""
    rng = np.random.default_rng(0)
    mean, std = rng.normal(0, 3, 263), rng.uniform(0.1, 2, 263)
    features = rng.normal(0, 1, (2, 4, 263))
    normalised = torch.from_numpy((features - mean) / std)
    found = humanml3d.in_units(normalised, statistics(tmp_path, mean, std))
    np.testing.assert_allclose(found.numpy(), features, atol=1e-5)


def test_statistics_are_told_apart_and_refused_by_what_they_hold(tmp_path: Path) -> None:
    """Either file changes the digest; missing files, other lengths and NaN are refused by name."""
    ones, zeros = np.ones(263), np.zeros(263)
    pairs = [(zeros, ones), (ones, ones), (zeros, 2 * ones), (ones, zeros)]
    digests = {humanml3d.statistics_digest(statistics(tmp_path, *pair)) for pair in pairs}
    assert len(digests) == len(pairs)
    with pytest.raises(StoreError, match=r"Std\.npy: holds \[251\]; wanted: \[263\] numbers"):
        humanml3d.statistics_digest(statistics(tmp_path, zeros, np.ones(251)))
    with pytest.raises(StoreError, match=r"Mean\.npy: holds NaN or infinity"):
        humanml3d.statistics_digest(statistics(tmp_path, zeros * np.nan, ones))
    (tmp_path / "Mean.npy").unlink()
    with pytest.raises(StoreError, match=r"Mean\.npy: no such file"):
        humanml3d.statistics_digest(tmp_path)
