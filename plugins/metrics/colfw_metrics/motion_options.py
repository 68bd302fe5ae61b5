"""Options of the motion metrics: light to import, for studies are checked with them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003  (cattrs resolves annotations)

from attrs import field, frozen, validators

from colfw.errors import InvariantError
from colfw.typed import distinct, each, non_negative, not_empty, positive
from colfw_metrics.config import NetworkConfig, Of


class Alignment(StrEnum):
    """What is taken out of the difference of two poses before it is measured."""

    ROOT = "root"
    """Where the root joint stands: both poses have it at the origin."""
    NONE = "none"
    """Nothing: joints are compared where they are."""
    PROCRUSTES = "procrustes"
    """Place, direction and size: a pose is turned, scaled and moved onto the other, never mirrored."""


class CountIn(StrEnum):
    """What the constants of a reference mean, where samples have another frame rate than it was made for."""

    FRAMES = "frames"
    """So many frames, whatever the frame rate: what the published code does."""
    SECONDS = "seconds"
    """So much time: constants are converted from the frame rate of the reference to that of the samples."""


class Up(StrEnum):
    """The axis that points up."""

    Y = "y"
    Z = "z"


class BeatDefinition(StrEnum):
    """Who is asked how near the other is, and what a beat of the motion is."""

    BAILANDO = "bailando"
    """Each beat of the music looks for the nearest beat of the motion."""
    AIST = "aist++"
    """Each beat of the motion looks for the nearest beat of the music."""


@frozen(kw_only=True)
class MpjpeConfig:
    """Options of the distance of joints."""

    alignment: Alignment = field(default=Alignment.ROOT, converter=Alignment)
    root: int = field(default=0, validator=non_negative)
    """The joint that `alignment = "root"` puts at the origin."""


@frozen(kw_only=True)
class MotionEvaluatorConfig(NetworkConfig):
    """Options of a metric that compares what the HumanML3D evaluator sees."""

    mean: Path | None = None
    """The evaluator's own mean of the 263 features, a .npy file: not the mean of the model that is scored."""
    std: Path | None = None
    """The evaluator's own standard deviation of them, a .npy file."""
    padded_frames: int = field(default=196, validator=positive)
    """Shorter motions are filled up to so many frames with zeros, as the evaluator was trained; the last
    step that it sees of a motion overlaps them. Longer motions stay as they are."""


@frozen(kw_only=True)
class TextMatchConfig(MotionEvaluatorConfig):
    """Options of a metric that compares motions with their texts."""

    texts: Path | None = None
    """An .npz file with a text a sample: `word_embeddings` [text, word, 300] (GloVe), `pos_one_hots`
    [text, word, 15] (parts of speech), `lengths` [text], as the evaluator's word vectoriser makes them."""
    of: Of = field(default=Of.MASKED, converter=Of)


@frozen(kw_only=True)
class RPrecisionConfig(TextMatchConfig):
    """Options of R-precision."""

    top: int = field(default=3, validator=(validators.ge(1), validators.le(3)))
    """Up to which rank a text's own motion may come among the 32 of its group."""


@frozen(kw_only=True)
class DiversityConfig(MotionEvaluatorConfig):
    """Options of the mean distance of motions of different texts."""

    pairs: int = field(default=300, validator=positive)
    """How many pairs are drawn; there must be more samples than that."""
    seed: int = field(default=0, validator=(validators.ge(0), validators.lt(2**32)))
    """Decides which pairs are drawn."""
    of: Of = field(default=Of.MASKED, converter=Of)


@frozen(kw_only=True)
class MultimodalityConfig(MotionEvaluatorConfig):
    """Options of the mean distance of motions of one text."""

    motions_per_text: int = field(default=30, validator=validators.ge(2))
    """So many neighbouring samples are of one text, then come those of the next."""
    pairs: int = field(default=10, validator=positive)
    """How many pairs are drawn of each text; fewer than it has motions."""
    seed: int = field(default=0, validator=(validators.ge(0), validators.lt(2**32)))
    """Decides which pairs are drawn."""
    of: Of = field(default=Of.MASKED, converter=Of)

    def __attrs_post_init__(self) -> None:
        if self.pairs >= self.motions_per_text:
            raise InvariantError(f"must be fewer than {self.motions_per_text} motions a text", where="pairs")


@frozen(kw_only=True)
class DanceFidConfig:
    """Options of the Frechet distance of dances."""

    up: Up = field(default=Up.Z, converter=Up)
    """EDGE's dances have z up, those of AIST++ y."""
    count_in: CountIn = field(default=CountIn.FRAMES, converter=CountIn)
    """The reference is made for 60 frames a second."""


@frozen(kw_only=True)
class BeatAlignmentConfig:
    """Options of the beat alignment score; the music is given by `beats` or by `music`."""

    definition: BeatDefinition = field(default=BeatDefinition.BAILANDO, converter=BeatDefinition)
    """By default that which EDGE follows."""
    beats: Path | None = None
    """A .npy file with the times of the beats in seconds from the first frame: `[beat]` for all samples, or
    `[sample, beat]`, rows filled up with NaN."""
    music: Path | None = None
    """A file of audio whose beats are looked for, the same for all samples (needs librosa)."""
    tempo_bpm: float | None = field(default=None, validator=validators.optional(positive))
    """Beats a minute from which the search starts; by default the tempo is estimated first."""
    count_in: CountIn = field(default=CountIn.FRAMES, converter=CountIn)
    """The reference is made for 60 frames a second; EDGE uses it at 30 and counts frames."""
    of: Of = field(default=Of.MASKED, converter=Of)

    def __attrs_post_init__(self) -> None:
        if self.beats is not None and self.music is not None:
            raise InvariantError("means nothing where `beats` are given", where="music")
        if self.tempo_bpm is not None and self.music is None:
            raise InvariantError("means nothing without `music`", where="tempo_bpm")


_JOINTS = (not_empty, distinct, each(non_negative))


@frozen(kw_only=True)
class FootContactConfig:
    """Options of physical foot contact."""

    up: Up = field(default=Up.Z, converter=Up)
    root: int = field(default=0, validator=non_negative)
    """The joint whose acceleration is that of the body."""
    left_foot: tuple[int, ...] | None = field(default=None, validator=validators.optional(_JOINTS))
    """Joints of the left foot; by default ankle and toes of SMPL, 7 and 10."""
    right_foot: tuple[int, ...] | None = field(default=None, validator=validators.optional(_JOINTS))
    """Joints of the right foot; by default ankle and toes of SMPL, 8 and 11."""
    count_in: CountIn = field(default=CountIn.FRAMES, converter=CountIn)
    """The reference is made for 30 frames a second, and measures speeds a frame."""
    of: Of = field(default=Of.MASKED, converter=Of)

    def __attrs_post_init__(self) -> None:
        if (self.left_foot is None) != (self.right_foot is None):
            raise InvariantError("both feet or neither must be given", where="left_foot")
