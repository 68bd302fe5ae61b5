"""Options of motion metrics are checked before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from colfw.errors import StudyError
from colfw.typed import structure, unstructure
from colfw_metrics import motion_options

CONFIGS = {
    name: getattr(motion_options, name)
    for name in (
        "MpjpeConfig",
        "MotionEvaluatorConfig",
        "TextMatchConfig",
        "RPrecisionConfig",
        "DiversityConfig",
        "MultimodalityConfig",
        "DanceFidConfig",
        "BeatAlignmentConfig",
        "FootContactConfig",
    )
}


@pytest.mark.parametrize("name", CONFIGS)
def test_defaults_stand_in_a_study(name: str) -> None:
    """What a study says when it says nothing can be written out and read back."""
    default = CONFIGS[name]()
    assert structure(CONFIGS[name], unstructure(default), where="study.toml") == default


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MpjpeConfig", {"alignment": "procrustes"}),
        ("RPrecisionConfig", {"top": 1, "of": "difference"}),
        ("MultimodalityConfig", {"motions_per_text": 3, "pairs": 2}),
        ("DanceFidConfig", {"up": "y", "count_in": "seconds"}),
        ("BeatAlignmentConfig", {"definition": "aist++", "music": "song.wav", "tempo_bpm": 110}),
        ("FootContactConfig", {"left_foot": [6], "right_foot": [9]}),
    ],
)
def test_options_are_read(name: str, options: dict[str, Any]) -> None:
    """What a study may say is taken as it is said."""
    found = unstructure(structure(CONFIGS[name], options, where="study.toml"))
    assert {key: found[key] for key in options} == options


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("MpjpeConfig", {"alignment": "pelvis"}, "alignment"),
        ("MpjpeConfig", {"root": -1}, "root"),
        ("MotionEvaluatorConfig", {"padded_frames": 0}, "padded_frames"),
        ("RPrecisionConfig", {"top": 4}, "top"),
        ("RPrecisionConfig", {"of": "both"}, "of"),
        ("DiversityConfig", {"pairs": 0}, "pairs"),
        ("DiversityConfig", {"seed": 2**32}, "seed"),
        ("MultimodalityConfig", {"motions_per_text": 10}, "pairs: must be fewer than 10 motions a text"),
        ("DanceFidConfig", {"up": "x"}, "up"),
        ("BeatAlignmentConfig", {"beats": "a.npy", "music": "a.wav"}, "music: means nothing where `beats`"),
        ("BeatAlignmentConfig", {"beats": "a.npy", "tempo_bpm": 90}, "tempo_bpm: means nothing without"),
        ("BeatAlignmentConfig", {"music": "a.wav", "tempo_bpm": 0}, "tempo_bpm"),
        ("FootContactConfig", {"left_foot": [1]}, "left_foot: both feet or neither"),
        ("FootContactConfig", {"left_foot": [1, 1], "right_foot": [2]}, "left_foot"),
        ("FootContactConfig", {"left_foot": [], "right_foot": [2]}, "left_foot"),
    ],
)
def test_what_means_nothing_is_refused(name: str, options: dict[str, Any], problem: str) -> None:
    """The key and the problem stand in the message."""
    with pytest.raises(StudyError, match=problem):
        structure(CONFIGS[name], options, where="study.toml")
