"""Sites: the places in a denoiser whose activations are looked at.

A site is known without building the model: its name, how many rows and columns its activation has
in one iteration, and which operator it feeds. Feed-forward networks come first; other operators
(attention, convolutions) join by adding a class to `OPERATORS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs import field, frozen, validators

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(kw_only=True)
class Ffn:
    """A feed-forward network `act(X W1) W2`, seen at its hidden activation.

    `gated` marks a GEGLU- or SwiGLU-like network: two matrices lead into the hidden activation, and
    a column that is skipped is skipped in both.
    """

    kind: ClassVar[str] = "ffn"

    d_in: int = field(validator=validators.ge(1))
    d_out: int = field(validator=validators.ge(1))
    gated: bool = False


Operator = Ffn
OPERATORS: Mapping[str, type[Operator]] = {Ffn.kind: Ffn}


@frozen(kw_only=True)
class Site:
    """One activation matrix `[rows, columns]` of one iteration, and the operator it belongs to.

    `rows` counts all rows of one iteration of one sample, conditional and unconditional passes
    together where the workload says so; `columns` is the hidden width, the unit that hardware skips.
    """

    name: str = field(validator=validators.min_len(1))
    rows: int = field(validator=validators.ge(1))
    columns: int = field(validator=validators.ge(1))
    operator: Operator

    def to_json(self) -> dict[str, Any]:
        operator = {"kind": self.operator.kind, **attrs.asdict(self.operator)}
        return {
            "name": self.name,
            "rows": self.rows,
            "columns": self.columns,
            "operator": operator,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Site:
        operator = dict(data["operator"])
        kind = operator.pop("kind")
        if kind not in OPERATORS:
            raise InvariantError(f"unknown operator {kind!r}", where=f"site {data['name']}")
        return cls(
            name=data["name"],
            rows=data["rows"],
            columns=data["columns"],
            operator=OPERATORS[kind](**operator),
        )


def check_distinct(sites: tuple[Site, ...], where: str) -> None:
    """Raise unless every site has a name of its own."""
    seen: set[str] = set()
    for site in sites:
        if site.name in seen:
            raise InvariantError(f"site {site.name!r} is declared twice", where=where)
        seen.add(site.name)
