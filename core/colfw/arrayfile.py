"""Named arrays with a JSON header in one safetensors file: how profiles, masks, placements and samples
lie on disk. Nothing is pickled, and a file that is something else is refused by name.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from colfw.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_HEADER_KEY = "colfw"


def dump(
    kind: str, schema_version: int, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> bytes:
    """The bytes of a file of this kind: equal content gives equal bytes."""
    from safetensors.numpy import save  # noqa: PLC0415  (not needed to start the command line)

    full_header = {"kind": kind, "schema_version": schema_version, **header}
    # One metadata entry only: safetensors does not keep the order of several.
    metadata = {_HEADER_KEY: json.dumps(full_header, sort_keys=True, allow_nan=False)}
    # Not ascontiguousarray, which makes a scalar an array of one.
    contiguous = {name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}
    return save(contiguous, metadata=metadata)


def load(path: Path, kind: str, schema_version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a file of this kind; anything else is a StoreError that says what it is."""
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    try:
        with safe_open(path, framework="numpy") as file:
            header = _header(path, file.metadata(), kind, schema_version)
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise StoreError("no such file", where=str(path)) from None
    except (OSError, SafetensorError, UnicodeDecodeError) as error:
        raise StoreError(f"not a readable safetensors file: {error}", where=str(path)) from error
    except (AttributeError, TypeError) as error:  # how safetensors fails at 8-bit floats and bfloat16
        raise StoreError(f"holds an array of a type that numpy lacks: {error}", where=str(path)) from error


@contextmanager
def refusing_inconsistency(path: Path) -> Iterator[None]:
    """Turn what a well-formed file with senseless content provokes into one StoreError with its path."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(f"inconsistent content: {problem}", where=str(path)) from error


def _header(path: Path, metadata: Mapping[str, str] | None, kind: str, schema_version: int) -> dict[str, Any]:
    text = (metadata or {}).get(_HEADER_KEY)
    if text is None:
        raise StoreError(f"a safetensors file, but no {kind} of colfw", where=str(path))
    try:
        header = json.loads(text)
    except ValueError:
        raise StoreError("its header is no JSON", where=str(path)) from None
    if not isinstance(header, dict) or header.pop("kind", None) != kind:
        raise StoreError(f"no {kind}", where=str(path))
    found = header.pop("schema_version", None)
    if found != schema_version:
        raise StoreError(
            f"{kind} of schema version {found}; this colfw reads version {schema_version}",
            where=str(path),
            hint="made by another version of colfw: profile again, or install that version",
        )
    return header
