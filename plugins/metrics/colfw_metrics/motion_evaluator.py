"""The HumanML3D evaluator: what it sees in a motion, and what in a text, as points of one space.

Three networks trained together by EricGuo5513/text-to-motion, and the judge of every text-to-motion model
since. Their file is `text_mot_match/model/finest.tar`, a file of torch.save whatever its name says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from colfw.denoising.checkpoints import file_digest
from colfw.denoising.decoding import joint_digest
from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.features import features_of
from colfw_metrics.motion import WHERE, numbers_in
from colfw_metrics.networks import Architecture, extractor, given_weights, weights_digest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from colfw.samples import Samples
    from colfw_metrics.motion_options import MotionEvaluatorConfig, TextMatchConfig

VIEW: Final = "humanml3d"
FEATURES: Final = 263
"""Of a frame in the form of HumanML3D, not normalised."""
UNSEEN: Final = 4
"""The last of them, whether feet are on the ground, are not shown to the evaluator."""
FRAMES_PER_STEP: Final = 4
"""Two convolutions halve the frames; what is left over counts for nothing."""
WIDTH: Final = 512
"""Of the space in which motions and texts lie."""
WORD_FEATURES: Final = 300
WORD_KINDS: Final = 15


class MovementEncoder(nn.Module):
    """Motions `[n, frame, feature]` to steps `[n, frame // 4, 512]`."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(FEATURES - UNSEEN, WIDTH, kernel_size=4, stride=2, padding=1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(WIDTH, WIDTH, kernel_size=4, stride=2, padding=1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(WIDTH, WIDTH)

    def forward(self, motion: Tensor) -> Tensor:
        steps: Tensor = self.out_net(self.main(motion.transpose(1, 2)).transpose(1, 2))
        return steps


class SequenceEncoder(nn.Module):
    """Sequences `[n, step, feature]` of given lengths to points `[n, 512]`.

    It reads in both directions from states that were learned, and keeps where either ended.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.input_emb = nn.Linear(features, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, WIDTH)
        )
        self.hidden = nn.Parameter(torch.zeros(2, 1, hidden))

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        start = self.hidden.repeat(1, len(sequence), 1)
        # Torch sorts by length and back: the official code leaves its rows in descending order.
        packed = pack_padded_sequence(
            self.input_emb(sequence), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (forth, back) = self.gru(packed, start)
        points: Tensor = self.output_net(torch.cat([forth, back], dim=-1))
        return points


class TextEncoder(SequenceEncoder):
    """Word vectors `[n, word, 300]` and their kinds to points; a kind is added to its word."""

    def __init__(self) -> None:
        super().__init__(WORD_FEATURES, WIDTH)
        self.pos_emb = nn.Linear(WORD_KINDS, WORD_FEATURES)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Word and kind are side by side in `words` `[n, word, 300 + 15]`."""
        vectors, kinds = words[..., :WORD_FEATURES], words[..., WORD_FEATURES:]
        return super().forward(vectors + self.pos_emb(kinds), lengths)


class MotionEvaluator(nn.Module):
    """The three networks, under the names that the released file gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.movement_encoder = MovementEncoder()
        self.motion_encoder = SequenceEncoder(WIDTH, 2 * WIDTH)
        self.text_encoder = TextEncoder()

    def points_of_motions(self, motions: Tensor, lengths: Tensor) -> Tensor:
        """`motions` are normalised, padded with zeros and without the features that it does not see."""
        steps: Tensor = self.movement_encoder(motions)
        points: Tensor = self.motion_encoder(steps, lengths // FRAMES_PER_STEP)
        return points

    def points_of_texts(self, words: Tensor, lengths: Tensor) -> Tensor:
        points: Tensor = self.text_encoder(words, lengths)
        return points


EVALUATOR: Final = Architecture(
    name="the HumanML3D motion evaluator",
    version=1,
    build=MotionEvaluator,
    released="t2m/text_mot_match/model/finest.tar, as github.com/EricGuo5513/text-to-motion links it",
    parts=("movement_encoder", "motion_encoder", "text_encoder"),
)
STATISTICS: Final = (
    "its mean.npy and std.npy (t2m/Comp_v6_KLD01/meta beside those weights, or t2m_mean.npy and t2m_std.npy"
    " in dataset/ of github.com/GuyTevet/motion-diffusion-model)"
)
TEXTS: Final = "the texts of the samples as GloVe word vectors and parts of speech"


def points_of_motions(samples: Samples, config: MotionEvaluatorConfig) -> NDArray[Any]:
    """Where the evaluator sees each motion, `[sample, 512]`."""
    network = extractor(EVALUATOR, config, _look_at_motions, view="motions")
    return features_of(network, prepared_motions(samples, config))


def points_of_texts(config: TextMatchConfig, *, samples: int) -> NDArray[Any]:
    """Where the evaluator sees the text of each sample, `[sample, 512]`."""
    network = extractor(EVALUATOR, config, _look_at_texts, view="texts")
    return features_of(network, _prepared_texts(config, samples))


def inputs_digest(config: MotionEvaluatorConfig, *further: Path | None) -> str | None:
    """What tells results of other files apart: of weights, mean, standard deviation and what else is read."""
    files = (config.mean, config.std, *(path for path in further if path is not None))
    digests = (None if path is None else file_digest(path) for path in files)
    return joint_digest(weights_digest(config), *digests)


# --- what it is shown -----------------------------------------------------------------------------
#
# Features are kept by the hash of one array. So lengths travel in it: the last feature of a frame or word
# is 1 where it counts and 0 where it fills up.


def prepared_motions(samples: Samples, config: MotionEvaluatorConfig) -> NDArray[np.float32]:
    """Normalised as the evaluator was trained, without what it does not see, and padded with zeros."""
    given_weights(EVALUATOR, config)
    mean, std = _statistics(config)
    features = _features(samples)
    lengths = _lengths(samples, frames=features.shape[1])
    padded = max(config.padded_frames, int(lengths.max()))
    shown = np.zeros((len(features), padded, FEATURES - UNSEEN + 1), np.float32)
    for row, motion, length in zip(shown, features, lengths, strict=True):
        row[:length, :-1] = ((motion[:length] - mean) / std)[:, :-UNSEEN]
        row[:length, -1] = 1
    return shown


def _features(samples: Samples) -> NDArray[Any]:
    features = samples.view(VIEW)
    if features.ndim != 3 or features.shape[-1] != FEATURES:
        raise UnavailableError(
            f"hold {VIEW} of the shape {list(features.shape)}, not [sample, frame, {FEATURES}]", where=WHERE
        )
    return features


def _lengths(samples: Samples, *, frames: int) -> NDArray[np.int64]:
    lengths = np.full(len(samples), frames) if samples.lengths is None else samples.lengths
    if lengths.max() > frames:
        raise InvariantError(f"{VIEW} has {frames} frames, and a motion {lengths.max()}", where=WHERE)
    if lengths.min() < FRAMES_PER_STEP:
        raise UnavailableError(
            f"need {FRAMES_PER_STEP} frames, a step of the evaluator; the shortest has {lengths.min()}",
            where=WHERE,
        )
    return lengths


def _statistics(config: MotionEvaluatorConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if config.mean is None or config.std is None:
        raise UnavailableError(
            f"needs what motions of {EVALUATOR.name} are normalised with: {STATISTICS}",
            hint="give the metric its options `mean` and `std`, the paths of those files",
        )
    mean, std = (_statistic(path) for path in (config.mean, config.std))
    if (std <= 0).any():
        raise StoreError("standard deviations must be above zero", where=str(config.std))
    return mean, std


def _statistic(path: Path) -> NDArray[np.float64]:
    array = numbers_in(path)
    if not isinstance(array, np.ndarray) or array.shape != (FEATURES,) or not np.isfinite(array).all():
        raise StoreError(f"must hold {FEATURES} finite numbers, one a feature of HumanML3D", where=str(path))
    return array.astype(np.float64)


def _prepared_texts(config: TextMatchConfig, samples: int) -> NDArray[np.float32]:
    if config.texts is None:
        raise UnavailableError(
            f"needs {TEXTS}", hint="give the metric its option `texts`, the path of an .npz file"
        )
    words, kinds, lengths = _texts(config.texts)
    if len(words) != samples:
        raise UnavailableError(
            f"{len(words)} texts for {samples} samples: each sample needs its own", where=str(config.texts)
        )
    count = (np.arange(words.shape[1]) < lengths[:, None])[..., None]
    return np.concatenate([words, kinds, count], axis=-1).astype(np.float32)


def _texts(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Word vectors, parts of speech and lengths, of shapes that fit each other."""
    held = numbers_in(path)
    try:
        words, kinds, lengths = (held[key] for key in ("word_embeddings", "pos_one_hots", "lengths"))
    except (KeyError, IndexError, ValueError) as error:
        raise StoreError("lacks word_embeddings, pos_one_hots or lengths", where=str(path)) from error
    texts = words.shape[:2]
    fits = words.shape == (*texts, WORD_FEATURES) and kinds.shape == (*texts, WORD_KINDS)
    if not fits or lengths.shape != texts[:1] or lengths.min() < 1 or lengths.max() > texts[1]:
        raise StoreError(
            f"word_embeddings must be [text, word, {WORD_FEATURES}], pos_one_hots [text, word, {WORD_KINDS}]"
            " and lengths [text], from 1 to the number of words",
            where=str(path),
        )
    return words, kinds, lengths


def _look_at_motions(network: MotionEvaluator, batch: Tensor) -> Tensor:
    return network.points_of_motions(batch[..., :-1], batch[..., -1].sum(dim=-1).long())


def _look_at_texts(network: MotionEvaluator, batch: Tensor) -> Tensor:
    return network.points_of_texts(batch[..., :-1], batch[..., -1].sum(dim=-1).long())
