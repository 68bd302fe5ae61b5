"""Samples as files that people can look at and listen to, dense and masked side by side."""

from colfw.media.preview import preview
from colfw.media.writing import write_samples

__all__ = ["preview", "write_samples"]
