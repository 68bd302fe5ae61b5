"""Options that metrics share: light to import, for studies are checked with them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003  (cattrs resolves annotations)

from attrs import field, frozen, validators


class Of(StrEnum):
    """Whose value is shown, of a metric that looks at one set of samples."""

    MASKED = "masked"
    DENSE = "dense"
    DIFFERENCE = "difference"
    """The masked value less the dense one; its size is the quality gap that studies print."""


@frozen(kw_only=True)
class NetworkConfig:
    """Options of a metric that compares what a network sees."""

    weights: Path | None = None
    """The released file of the network's weights; without it the metric is left out, with the reason."""
    device: str = "auto"
    """Where the network runs, as torch names it; `auto` is a GPU where there is one."""
    batch_samples: int = field(default=16, validator=validators.ge(1))
    """How many samples the network looks at together."""
