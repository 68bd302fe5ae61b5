"""Options that every torch workload takes. A study is checked with these, so importing them is cheap."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (cattrs resolves annotations)

from attrs import field, frozen

from colfw.typed import non_negative, positive
from colfw.vocabulary import RowConvention


@frozen(kw_only=True)
class DenoiserOptions:
    """How rows are counted, what the model is conditioned on, and how much runs at once."""

    rows: RowConvention = RowConvention.OFFICIAL
    """`official`: what the model's code does; `paper`: what Table 1 of the study counts."""
    conditioning: Path | None = None
    """A safetensors or npz file of embeddings; without it they are drawn from the seed."""
    weights_seed: int = field(default=0, validator=non_negative)
    """Of random weights; the seeds of the study decide noise and conditioning only."""
    batch_samples: int = field(default=1, validator=positive)
    """Samples that run through the model together."""


@frozen(kw_only=True)
class PromptedOptions(DenoiserOptions):
    """For models that an encoder of text leads: prompts instead of embeddings."""

    prompts: tuple[str, ...] = ()
    """One a sample, repeated in turn; needs `encoder`."""
    encoder: Path | None = None
    """A local folder of the text encoder, as `transformers` saves it."""
