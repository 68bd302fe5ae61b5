"""What a user should know of a score that is given all the same."""

from __future__ import annotations


class SampleCountWarning(UserWarning):
    """There are fewer samples than the metric needs for a value that would not change much with more."""
