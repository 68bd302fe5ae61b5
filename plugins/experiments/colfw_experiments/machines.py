"""The two machines of every experiment, as a study names them.

`paper` is what explains the publication; `reference` is the honest machine: six channels evenly used,
refresh at work, a deep window, everything that a gated network has fetched. Why they differ is in
docs/accelerator.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PAPER: Mapping[str, Any] = {
    "name": "paper",
    "accelerator": {"name": "ffn-reuse", "preset": "paper"},
    "memory": {"name": "gddr6-paper", "preset": "paper"},
}
PAPER_TEMPLATE: Mapping[str, Any] = {
    "name": "paper-template",
    "accelerator": {"name": "ffn-reuse", "preset": "paper-template"},
    "memory": {"name": "gddr6-paper", "preset": "paper"},
}
REFERENCE: Mapping[str, Any] = {
    "name": "reference",
    "accelerator": {"name": "ffn-reuse", "preset": "reference"},
    "memory": {"name": "gddr6-paper", "preset": "reference"},
}
