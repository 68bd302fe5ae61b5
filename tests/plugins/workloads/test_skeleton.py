"""Rotations are those of SciPy, and bones that are followed keep their lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw_workloads import skeleton

if TYPE_CHECKING:
    from torch import Tensor

transform = pytest.importorskip("scipy.spatial.transform")

SEEDS = st.integers(0, 2**32 - 1)


def turns(seed: int, *shape: int) -> Tensor:
    """Rotation matrices by angles up to a whole turn, half turns and none at all among them."""
    rng = np.random.default_rng(seed)
    axes = rng.standard_normal((*shape, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    angles = rng.choice([0.0, 1e-5, np.pi, *rng.uniform(0, 2 * np.pi, 5)], size=(*shape, 1))
    matrices = transform.Rotation.from_rotvec((axes * angles).reshape(-1, 3)).as_matrix()
    return torch.from_numpy(matrices.reshape(*shape, 3, 3))


def offsets(seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.3, (24, 3)))


def test_bones_connect_each_joint_to_an_earlier_one() -> None:
    """A skeleton of n joints has n - 1 bones, each from a joint that stands before its child."""
    assert len(skeleton.PARENTS) == 24
    for joints in (22, 24):
        found = skeleton.bones(joints)
        assert [child for _, child in found] == list(range(1, joints))
        assert all(0 <= parent < child for parent, child in found)


def test_left_and_right_hang_on_the_spine_alike() -> None:
    """The chains are SMPL's: legs end in 10 and 11, the spine in the head 15, arms in 22 and 23."""

    def chain(joint: int) -> list[int]:
        return [joint, *chain(skeleton.PARENTS[joint])] if joint else [0]

    assert chain(10) == [10, 7, 4, 1, 0]
    assert chain(11) == [11, 8, 5, 2, 0]
    assert chain(15) == [15, 12, 9, 6, 3, 0]
    assert chain(22) == [22, 20, 18, 16, 13, 9, 6, 3, 0]
    assert chain(23) == [23, 21, 19, 17, 14, 9, 6, 3, 0]


@given(SEEDS)
def test_rows_of_a_rotation_give_it_back(seed: int) -> None:
    """The first two rows of a matrix, at any length and leaning on each other, stand for that rotation."""
    wanted, rng = turns(seed, 6), np.random.default_rng(seed)
    longer, leaning = (torch.from_numpy(rng.uniform(0.1, 3, (6, 1))) for _ in range(2))
    first, second = wanted[:, 0], wanted[:, 1]
    six = torch.cat([longer * first, leaning * first + longer * second], dim=-1)
    torch.testing.assert_close(skeleton.rotations_of(six), wanted, atol=1e-9, rtol=0)


@given(SEEDS)
def test_quaternions_stand_for_the_rotation(seed: int) -> None:
    """They are SciPy's but for the sign, which means nothing, and give the matrix back."""
    wanted = turns(seed, 8)
    found = skeleton.quaternions(wanted)
    theirs = np.roll(transform.Rotation.from_matrix(wanted.numpy()).as_quat(), 1, axis=-1)
    np.testing.assert_allclose(np.abs((found.numpy() * theirs).sum(-1)), 1, atol=1e-9)
    torch.testing.assert_close(skeleton.matrices(found), wanted, atol=1e-9, rtol=0)


@given(SEEDS, st.floats(0, 1), st.floats(0, 3.1))
def test_between_two_rotations_lies_a_share_of_the_angle(seed: int, share: float, angle: float) -> None:
    """On the shortest way from R to R times a turn by less than half lies R times that share of the turn."""
    start = turns(seed, 1)
    axis = np.random.default_rng(seed).standard_normal(3)
    axis /= np.linalg.norm(axis)

    def onwards(by: float) -> Tensor:
        return start @ torch.from_numpy(transform.Rotation.from_rotvec(axis * by).as_matrix())

    found = skeleton.between(start, onwards(angle), torch.tensor([share], dtype=torch.float64))
    torch.testing.assert_close(found, onwards(share * angle), atol=1e-7, rtol=0)


@given(SEEDS)
def test_joints_that_are_not_turned_hang_where_they_hang(seed: int) -> None:
    """With no turns, a joint is the sum of the offsets along its chain, from wherever the root is."""
    root, at_rest = torch.randn(5, 3, dtype=torch.float64), offsets(seed)
    found = skeleton.positions(root, torch.eye(3, dtype=torch.float64).expand(5, 24, 3, 3), at_rest)
    for joint, parent in enumerate(skeleton.PARENTS):
        expected = root if parent < 0 else found[:, parent] + at_rest[joint]
        torch.testing.assert_close(found[:, joint], expected)


@given(SEEDS)
def test_bones_keep_their_lengths_however_joints_turn(seed: int) -> None:
    """Every bone is as long as its offset, and the way it points is turned by all joints above it."""
    rotations, at_rest = turns(seed, 3, 24), offsets(seed)
    found = skeleton.positions(torch.zeros(3, 3, dtype=torch.float64), rotations, at_rest)
    for parent, child in skeleton.bones(24):
        above, joint = torch.eye(3, dtype=torch.float64).expand(3, 3, 3), parent
        while joint >= 0:
            above, joint = rotations[:, joint] @ above, skeleton.PARENTS[joint]
        bone = found[:, child] - found[:, parent]
        torch.testing.assert_close(bone, above @ at_rest[child], atol=1e-9, rtol=0)
        torch.testing.assert_close(bone.norm(dim=-1), at_rest[child].norm().expand(3), atol=1e-9, rtol=0)


@given(SEEDS)
def test_turning_the_root_turns_the_body(seed: int) -> None:
    """Another turn of the root turns every joint about the root, and changes nothing else."""
    rotations, at_rest, root = turns(seed, 2, 24), offsets(seed), torch.zeros(2, 3, dtype=torch.float64)
    more = turns(seed + 1, 1)[0]
    turned = rotations.clone()
    turned[:, 0] = more @ rotations[:, 0]
    expected = skeleton.positions(root, rotations, at_rest) @ more.T
    torch.testing.assert_close(skeleton.positions(root, turned, at_rest), expected, atol=1e-9, rtol=0)
