"""What the evaluator says of one set agrees with the reference evaluations, and means what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.config import Of
from colfw_metrics.motion_options import (
    DiversityConfig,
    MultimodalityConfig,
    RPrecisionConfig,
    TextMatchConfig,
)
from colfw_metrics.r_precision import (
    GROUP,
    Diversity,
    MatchingScore,
    Multimodality,
    RPrecision,
    distances_of_drawn,
    ranks,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Options = Callable[..., dict[str, Any]]

FLOAT32 = 1e-6
"""The references compute distances of about 30 in float32, by a sum of squares."""


@pytest.fixture(scope="module")
def golden(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "r_precision" / "r_precision.npz")


@pytest.fixture(scope="module")
def options(
    evaluator_options: Options, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Any]]:
    """The evaluator's files, with a text for each of 33 samples."""
    generator = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("texts") / "texts.npz"
    np.savez(
        path,
        word_embeddings=generator.normal(size=(GROUP + 1, 4, 300)).astype(np.float16),
        pos_one_hots=np.eye(15)[generator.integers(0, 15, (GROUP + 1, 4))],
        lengths=generator.integers(1, 5, GROUP + 1),
    )

    def with_texts(**further: Any) -> dict[str, Any]:
        return evaluator_options(**{"padded_frames": 8, "texts": path, **further})

    return with_texts


def without_texts(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "texts"}


def motions(samples: int = GROUP + 1, seed: int = 5) -> Samples:
    features = np.random.default_rng(seed).normal(0, 1, (samples, 8, 263)).astype(np.float32)
    data = np.zeros((samples, 8, 22, 3))
    return Samples(modality="motion", data=data, seed=0, views={"humanml3d": features})


class OfOneSet(MetricContract):
    """A metric that judges one set: equal sets have no value that is known beforehand."""

    identity_value = None
    noise_levels = ()
    """A motion that is noisier may well be nearer to its text."""
    # Batches of another size are summed in another order, in float32, for distances of about 1.
    relative_tolerance = 1e-5
    absolute_tolerance = 1e-5

    @pytest.fixture
    def dense(self) -> Samples:
        return motions()

    @pytest.fixture(autouse=True)
    def _options(self, options: Options) -> None:
        self.options = options


class TestMatchingScore(OfOneSet):
    """Texts belong to samples in their order; the 33rd pair makes no group."""

    order_invariant = False

    @pytest.fixture
    def dense(self) -> Samples:
        return motions().at(slice(0, GROUP))

    @pytest.fixture
    def metric(self, options: Options, tmp_path: Path) -> MatchingScore:
        return self.metric_in_batches(16)

    def metric_in_batches(self, batch_samples: int) -> MatchingScore:
        held = np.load(self.options()["texts"])
        path = self.options()["texts"].with_name("group.npz")
        np.savez(path, **{key: held[key][:GROUP] for key in held.files})
        return MatchingScore(TextMatchConfig(**self.options(texts=path, batch_samples=batch_samples)))


class TestRPrecision(TestMatchingScore):
    """A share of 32 texts: a little noise moves none of them, other motions do."""

    @pytest.fixture
    def masked(self) -> Samples:
        return motions(seed=6).at(slice(0, GROUP))

    def metric_in_batches(self, batch_samples: int) -> RPrecision:  # type: ignore[override]  (another metric)
        path = self.options()["texts"].with_name("group.npz")
        super().metric_in_batches(batch_samples)
        return RPrecision(RPrecisionConfig(**self.options(texts=path, batch_samples=batch_samples, top=3)))


class TestMatchingScoreDifference(TestMatchingScore):
    """The masked value less the dense one: equal sets differ by nothing."""

    identity_value = 0.0

    def metric_in_batches(self, batch_samples: int) -> MatchingScore:
        path = self.options()["texts"].with_name("group.npz")
        super().metric_in_batches(batch_samples)
        options = self.options(texts=path, batch_samples=batch_samples, of="difference")
        return MatchingScore(TextMatchConfig(**options))


class TestDiversity(OfOneSet):
    """Pairs are drawn by place, so order matters."""

    order_invariant = False

    @pytest.fixture
    def metric(self) -> Diversity:
        return self.metric_in_batches(16)

    def metric_in_batches(self, batch_samples: int) -> Diversity:
        options = without_texts(self.options(batch_samples=batch_samples))
        return Diversity(DiversityConfig(**options, pairs=20))


class TestMultimodality(OfOneSet):
    """Eleven texts of three motions each."""

    order_invariant = False

    @pytest.fixture
    def metric(self) -> Multimodality:
        return self.metric_in_batches(16)

    def metric_in_batches(self, batch_samples: int) -> Multimodality:
        options = without_texts(self.options(batch_samples=batch_samples))
        return Multimodality(MultimodalityConfig(**options, motions_per_text=3, pairs=2))


# --- the references -------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["mdm", "mld"])
def test_motions_are_found_as_often_as_by_the_reference(golden: Any, reference: str) -> None:
    """Among the nearest one, two and three of its group; MLD's evaluation shuffles all pairs before."""
    order = golden["mld_perm"] if reference == "mld" else np.arange(len(golden["text"]))
    found = ranks(golden["text"][order], golden["motion"][order])
    assert len(found) == 192
    expected = golden["mld_R"] if reference == "mld" else golden["top_k_mdm"]
    np.testing.assert_allclose([(found < top).mean() for top in (1, 2, 3)], expected, rtol=1e-7)
    if reference == "mdm":
        per_group = [(found.reshape(-1, GROUP) < top).sum(axis=1) for top in (1, 2, 3)]
        np.testing.assert_array_equal(np.stack(per_group, axis=1), golden["top_k_per_group"])


@pytest.mark.parametrize("reference", ["mdm", "mld"])
def test_matching_scores_are_those_of_the_reference(golden: Any, reference: str) -> None:
    """The mean distance of the pairs that make groups."""
    order = golden["mld_perm"] if reference == "mld" else np.arange(len(golden["text"]))
    values = MatchingScore(TextMatchConfig()).values(golden["text"][order], golden["motion"][order])
    expected = golden["mld_matching" if reference == "mld" else "matching_score_mdm"]
    assert values.mean() == pytest.approx(float(expected), rel=FLOAT32)


def test_pairs_are_drawn_as_by_the_references(golden: Any) -> None:
    """With the seed of the golden data, diversity and multimodality are the references' numbers."""
    motion, seed = golden["motion"], 14
    permuted = motion[golden["mld_perm"]]
    found = [distances_of_drawn(each, pairs=100, seed=seed).mean() for each in (motion, permuted)]
    np.testing.assert_allclose(found, [golden["diversity100"], golden["mld_diversity"]], rtol=FLOAT32)
    of_texts = distances_of_drawn(golden["mm"].swapaxes(0, 1), pairs=10, seed=seed)
    assert of_texts.shape == (10, 6)
    assert of_texts.mean() == pytest.approx(float(golden["multimodality10"]), rel=FLOAT32)


# --- what they mean -------------------------------------------------------------------------------


@given(seed=st.integers(0, 99))
def test_a_motion_on_its_text_is_found_first(seed: int) -> None:
    """Each text finds its own motion when it lies on it, however the group is ordered."""
    texts = np.random.default_rng(seed).normal(size=(2 * GROUP + 5, 6))
    assert not ranks(texts, texts).any()
    assert len(ranks(texts, texts)) == 2 * GROUP
    turned = np.r_[GROUP:0:-1] - 1
    np.testing.assert_array_equal(
        ranks(texts[turned], texts[:GROUP][turned] * 0.5), ranks(texts[:GROUP], texts[:GROUP] * 0.5)[turned]
    )


def test_motions_that_look_alike_are_found_by_no_text() -> None:
    """A tie counts against the motion: a model that makes one motion only has a precision of 0."""
    texts = np.random.default_rng(0).normal(size=(GROUP, 6))
    assert (ranks(texts, np.ones((GROUP, 6))) == GROUP - 1).all()


def test_precision_is_the_share_of_those_found(options: Options) -> None:
    """More ranks find more; the pair beside the group is not counted; the interval lies between 0 and 1."""
    scores = [
        RPrecision(RPrecisionConfig(**options(top=top))).score(motions(), motions(seed=6))
        for top in (1, 2, 3)
    ]
    assert scores[0].value <= scores[1].value <= scores[2].value
    for score in scores:
        assert score.samples == GROUP
        assert score.value * GROUP == int(score.value * GROUP)
        assert score.interval_low is not None


@pytest.mark.parametrize("metric", [RPrecision, MatchingScore])
def test_one_set_is_shown_or_the_other_or_their_difference(metric: Any, options: Options) -> None:
    """The difference is the masked value less the dense one, and a set scored as both has its own value."""
    kind = {RPrecision: RPrecisionConfig, MatchingScore: TextMatchConfig}[metric]
    dense, masked = motions(), motions(seed=6)
    shown = {of: metric(kind(**options(of=of))).score(dense, masked).value for of in Of}
    assert shown[Of.DIFFERENCE] == pytest.approx(shown[Of.MASKED] - shown[Of.DENSE])
    assert shown[Of.DENSE] == metric(kind(**options())).score(dense, dense).value


def test_multimodality_is_of_the_motions_of_one_text(options: Options) -> None:
    """Motions that are the same for one text have none, however far texts lie apart."""
    three_each = motions(12).at(np.repeat(np.arange(4), 3))
    config = MultimodalityConfig(**without_texts(options()), motions_per_text=3, pairs=2)
    score = Multimodality(config).score(three_each, three_each)
    assert score.value == pytest.approx(0, abs=1e-4)
    assert score.samples == 12
    diverse = Diversity(DiversityConfig(**without_texts(options()), pairs=6)).score(three_each, three_each)
    assert diverse.value > 0.1


@pytest.mark.parametrize(
    ("metric", "samples", "problem"),
    [
        (RPrecision(RPrecisionConfig()), 31, "need 32 samples at least, and are 31"),
        (MatchingScore(TextMatchConfig()), 31, "need 32 samples at least"),
        (Diversity(DiversityConfig()), 300, "more samples than the 300 pairs that are drawn, and are 300"),
        (
            Multimodality(MultimodalityConfig()),
            31,
            "must be 30 of each text, one after the other, and are 31",
        ),
        (RPrecision(RPrecisionConfig()), 32, "finest.tar"),
        (Diversity(DiversityConfig(pairs=2)), 3, "finest.tar"),
        (Multimodality(MultimodalityConfig()), 30, "finest.tar"),
    ],
)
def test_what_is_missing_is_said(metric: Any, samples: int, problem: str) -> None:
    """Too few samples or no weights: the metric is left out with the reason."""
    with pytest.raises(UnavailableError, match=problem):
        metric.score(motions(samples), motions(samples))


def test_results_of_other_texts_are_told_apart(options: Options) -> None:
    """Where texts decide, their file is in the digest."""
    with_texts = options()
    texts_matter = [
        RPrecision(RPrecisionConfig(**each)).inputs_digest()
        for each in (with_texts, without_texts(with_texts))
    ]
    assert texts_matter[0] != texts_matter[1]
    no_texts = Diversity(DiversityConfig(**without_texts(with_texts))).inputs_digest()
    assert no_texts == Multimodality(MultimodalityConfig(**without_texts(with_texts))).inputs_digest()
    assert no_texts == texts_matter[1]
