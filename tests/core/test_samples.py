from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.samples import Samples, Score
from colfw.testing.strategies import samples, scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
