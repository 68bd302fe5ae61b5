"""Addresses: where in DRAM the weights of each hidden unit lie, given the slot that a layout gave it.

The weights of a hidden unit are one contiguous vector a matrix: its column of each matrix that leads into
the activation (`up`, and `gate` where there is one) and its row of the matrix that leads out (`down`).
Vectors lie slot after slot, each on a burst of its own, so that one unit can be fetched without another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen, validators

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.sites import Site

_positive = validators.ge(1)


def rounded_up(size: int, multiple: int) -> int:
    """The smallest multiple that is not below `size`.

    >>> rounded_up(65, 64)
    128
    """
    return -(-size // multiple) * multiple


def runs_of(slots: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Ascending slots as maximal runs `(first slot, how many)`.

    >>> runs_of(np.array([0, 1, 2, 7, 9, 10]))
    ((0, 3), (7, 1), (9, 2))
    """
    if slots.size == 0:
        return ()
    breaks = np.flatnonzero(np.diff(slots) != 1) + 1
    first = slots[np.concatenate(([0], breaks))]
    counts = np.diff(np.concatenate(([0], breaks, [slots.size])))
    return tuple(zip(first.tolist(), counts.tolist(), strict=True))


@frozen(kw_only=True)
class Matrix:
    """One weight matrix, stored by hidden unit: the vector of slot s begins `s * stride_bytes` into it."""

    name: str
    base_bytes: int = field(validator=validators.ge(0))
    slots: int = field(validator=_positive)
    elements: int = field(validator=_positive)
    """In one vector."""
    element_bytes: int = field(validator=_positive)
    stride_bytes: int = field(validator=_positive)

    def __attrs_post_init__(self) -> None:
        if self.stride_bytes < self.vector_bytes:
            raise InvariantError(
                f"vectors of {self.vector_bytes} bytes overlap at a stride of {self.stride_bytes}",
                where=f"matrix {self.name}",
            )

    @property
    def vector_bytes(self) -> int:
        return self.elements * self.element_bytes

    @property
    def size_bytes(self) -> int:
        return self.slots * self.stride_bytes

    @property
    def end_bytes(self) -> int:
        return self.base_bytes + self.size_bytes

    def address_of(self, slot: int, element: int) -> int:
        """The first byte of an element."""
        if not (0 <= slot < self.slots and 0 <= element < self.elements):
            raise InvariantError(
                f"has no element {element} in slot {slot}: {self.slots} slots of {self.elements}",
                where=f"matrix {self.name}",
            )
        return self.base_bytes + slot * self.stride_bytes + element * self.element_bytes

    def element_at(self, address: int) -> tuple[int, int] | None:
        """The slot and element that a byte belongs to; None for padding and for bytes of others."""
        slot, offset = divmod(address - self.base_bytes, self.stride_bytes)
        element = offset // self.element_bytes
        return (slot, element) if 0 <= slot < self.slots and element < self.elements else None


@frozen(kw_only=True)
class WeightMap:
    """Where the weight matrices of one site lie, one after the other."""

    matrices: tuple[Matrix, ...]

    @classmethod
    def of(
        cls, site: Site, *, element_bytes: int = 2, alignment_bytes: int = 64, base_bytes: int = 0
    ) -> WeightMap:
        """The matrices of a site from `base_bytes` on, every vector on a multiple of the alignment."""
        operator = site.operator
        widths = {"up": operator.d_in, "gate": operator.d_in, "down": operator.d_out}
        if not operator.gated:
            del widths["gate"]
        matrices: list[Matrix] = []
        end_bytes = rounded_up(base_bytes, alignment_bytes)
        for name, elements in widths.items():
            matrices.append(
                Matrix(
                    name=name,
                    base_bytes=end_bytes,
                    slots=site.columns,
                    elements=elements,
                    element_bytes=element_bytes,
                    stride_bytes=rounded_up(elements * element_bytes, alignment_bytes),
                )
            )
            end_bytes = matrices[-1].end_bytes
        return cls(matrices=tuple(matrices))

    @property
    def unit_bytes(self) -> int:
        """What fetching one hidden unit brings, padding apart."""
        return sum(matrix.vector_bytes for matrix in self.matrices)

    @property
    def padded_unit_bytes(self) -> int:
        """The same in whole bursts, where the alignment is a burst: what DRAM moves for one hidden unit."""
        return sum(matrix.stride_bytes for matrix in self.matrices)

    @property
    def end_bytes(self) -> int:
        return self.matrices[-1].end_bytes

    def matrix(self, name: str) -> Matrix:
        for matrix in self.matrices:
            if matrix.name == name:
                return matrix
        raise InvariantError(f"no matrix {name!r} among the weights of this site")
