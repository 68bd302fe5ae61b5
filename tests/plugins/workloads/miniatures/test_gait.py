from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw_workloads.miniature_options import STYLES
from colfw_workloads.miniatures import gait

seeds = st.integers(0, 2**32)


def walks_of(style: str, seed: int, walkers: int = 4) -> torch.Tensor:
    styles = torch.full((walkers,), STYLES.index(style))
    return gait.walks(styles, torch.Generator().manual_seed(seed))


def place(motion: torch.Tensor, joint: str) -> torch.Tensor:
    return gait.joints(motion)[..., gait.JOINTS.index(joint), :]


def standing() -> torch.Tensor:
    motion = torch.zeros(1, gait.FEATURES)
    motion[..., gait.HEIGHT] = 0.85
    return motion


def test_the_skeleton_is_a_tree() -> None:
    """Every bone leads from a joint that an earlier one reached to a joint of its own."""
    reached = {"pelvis"}
    for bone in gait.BONES:
        assert bone.parent in reached
        assert bone.child not in reached
        reached.add(bone.child)
    assert len(gait.JOINTS) == len(reached) == 15


@given(seed=seeds)
def test_whatever_the_features_bones_keep_their_lengths(seed: int) -> None:
    """Positions come from angles, so no motion can stretch a bone."""
    motion = 5 * torch.randn(2, 7, gait.FEATURES, generator=torch.Generator().manual_seed(seed))
    for bone in gait.BONES:
        lengths = (place(motion, bone.child) - place(motion, bone.parent)).norm(dim=-1)
        torch.testing.assert_close(lengths, torch.full_like(lengths, bone.length_m), atol=1e-4, rtol=0)


def test_without_any_turn_the_figure_stands_upright() -> None:
    """The head is up, the feet are on the ground below the hips, the arms hang."""
    motion = standing()
    assert place(motion, "head")[0].tolist() == pytest.approx([0, 0, 1.57])
    assert place(motion, "left foot")[0].tolist() == pytest.approx([0, 0.1, 0], abs=1e-6)
    assert place(motion, "right hand")[0].tolist() == pytest.approx([0, -0.18, 0.8])


@pytest.mark.parametrize("joint", ["neck", "head", "left knee", "right foot", "left hand"])
def test_a_positive_swing_goes_forward(joint: str) -> None:
    """Trunk and limbs alike move towards positive x, and to the side not at all."""
    motion = standing()
    motion[..., gait.swing(joint)] = 0.3
    moved = place(motion, joint) - place(standing(), joint)
    assert moved[0, 0] > 0.03
    assert moved[0, 1] == pytest.approx(0, abs=1e-6)


def test_a_twist_turns_shoulders_in_the_level() -> None:
    """The left one goes back as the right one comes forward, both as high as before."""
    motion = standing()
    for side in ("left", "right"):
        motion[..., gait.swing(f"{side} shoulder")] = 0.3
    left, right, neck = (place(motion, joint)[0] for joint in ("left shoulder", "right shoulder", "neck"))
    assert left[0] < 0 < right[0]
    assert left[2] == pytest.approx(neck[2].item())


def test_speed_adds_up_to_distance() -> None:
    """At 2 m/s for 60 frames of 1/20 s the pelvis gets 6 m far."""
    motion = torch.zeros(gait.FRAMES, gait.FEATURES)
    motion[:, gait.SPEED] = 2.0
    assert place(motion, "pelvis")[-1, 0].item() == pytest.approx(6.0, rel=1e-5)


@pytest.mark.parametrize("style", STYLES)
@given(seed=seeds)
def test_the_lower_foot_stands_on_the_ground(style: str, seed: int) -> None:
    """At every moment, but for runners, who fly between steps and never sink."""
    walks = walks_of(style, seed)
    lower = torch.minimum(place(walks, "left foot")[..., 2], place(walks, "right foot")[..., 2])
    assert lower.min() > -1e-5
    assert (lower.max() > 0.03) == (style == "run")


@given(seed=seeds)
def test_a_seed_gives_one_set_of_walks(seed: int) -> None:
    """The same seed gives the same walks, and walkers differ from each other."""
    walks = walks_of("stroll", seed)
    assert torch.equal(walks, walks_of("stroll", seed))
    assert (walks[0] - walks[1]).abs().max() > 0.05


@given(seed=seeds)
def test_what_a_network_sees_can_be_turned_back(seed: int) -> None:
    """Normalising and its inverse change nothing, and features are of like size in between."""
    walks = walks_of("run", seed)
    seen = gait.normalised(walks)
    torch.testing.assert_close(gait.in_units(seen), walks, atol=1e-5, rtol=0)
    assert seen.std() < 2
