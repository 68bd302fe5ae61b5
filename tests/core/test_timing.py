from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.testing.strategies import programs, timings
from colfw.timing import NOTHING, Timing

if TYPE_CHECKING:
    from colfw.program import Program

answered = programs().flatmap(lambda program: st.tuples(st.just(program), timings(answering=program)))

FIELDS = [field.name for field in attrs.fields(Timing)]

RULES = {
    "core_cycles": "core cycles: compute",
    "compute_core_cycles": "core cycles: compute",
    "stall_core_cycles": "core cycles: compute",
    "other_core_cycles": "core cycles: compute",
    "read_bytes_requested": "bytes read: served",
    "read_bytes_served": "bytes read: served",
    "written_bytes_requested": "bytes written: served",
    "written_bytes_served": "bytes written: served",
    "accesses": "accesses: hits",
    "row_hits": "accesses: hits",
    "row_misses": "accesses: hits",
    "row_conflicts": "accesses: hits",
    "refreshes_issued": "refreshes: issued",
    "refreshes_due": "refreshes: issued",
}
"""Each total that a rule ties to others, and how the refusal begins when it alone is off."""


# --- the sanity block -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
@given(timing=timings(), off=st.integers(1, 10**6))
def test_a_total_that_is_off_is_refused(name: str, timing: Timing, off: int) -> None:
    """A total that is off by however little is refused by the sanity block, with the rule that it breaks."""
    with pytest.raises(InvariantError, match=RULES[name]) as refusal:
        attrs.evolve(timing, **{name: getattr(timing, name) + off})
    assert refusal.value.where == "sanity block of a simulation"


@given(timings(), st.integers(0, 10**6))
def test_more_than_the_peak_is_refused(timing: Timing, peak_bytes: int) -> None:
    """The bus carries its peak and no byte more."""
    exactly = attrs.evolve(timing, peak_bytes=timing.moved_bytes)
    assert exactly.peak_bytes == timing.moved_bytes
    assume(peak_bytes < timing.moved_bytes)
    with pytest.raises(InvariantError, match=f"carries at most {peak_bytes}"):
        attrs.evolve(timing, peak_bytes=peak_bytes)


@pytest.mark.parametrize("name", FIELDS)
def test_no_total_is_negative(name: str) -> None:
    """Every field is a count; the refusal names it."""
    with pytest.raises(ValueError, match=name):
        attrs.evolve(NOTHING, **{name: -1})


def test_every_field_is_under_a_rule() -> None:
    """No total stands beside the sanity block: each is tied to another, or bounds the bytes moved."""
    assert set(FIELDS) == {*RULES, "memory_cycles", "peak_bytes"}


# --- sums and shares ------------------------------------------------------------------------------


@given(timings(), timings())
def test_adding_commutes(one: Timing, other: Timing) -> None:
    """The order of two programs does not change their totals."""
    assert one + other == other + one


@given(timings(), timings(), timings())
def test_adding_associates(one: Timing, other: Timing, third: Timing) -> None:
    """Totals may be taken in any grouping."""
    assert (one + other) + third == one + (other + third)


@given(timings())
def test_nothing_is_neutral(timing: Timing) -> None:
    """Adding nothing changes nothing."""
    assert timing + NOTHING == NOTHING + timing == timing


@given(st.lists(timings(), max_size=4))
def test_a_sum_is_the_sum_of_each_field(several: list[Timing]) -> None:
    """Every field is a total and adds up, so the sum of consistent timings is consistent."""
    total = sum(several, start=NOTHING)
    for name in FIELDS:
        assert getattr(total, name) == sum(getattr(timing, name) for timing in several)


@given(timings())
def test_shares_lie_within_one(timing: Timing) -> None:
    """Hit rate and utilisation are shares; without rows there is no hit rate, an idle bus carries nothing."""
    assert 0.0 <= timing.bus_utilisation <= 1.0
    assert (timing.row_buffer_hit_rate is None) == (timing.accesses == 0)
    assert 0.0 <= (timing.row_buffer_hit_rate or 0.0) <= 1.0
    assert NOTHING.bus_utilisation == 0.0
    assert NOTHING.row_buffer_hit_rate is None


# --- answers to a program -------------------------------------------------------------------------


@given(answered)
def test_an_answer_reports_what_was_asked(case: tuple[Program, Timing]) -> None:
    """A timing answers a program whose bytes and cycles it reports, and stalls as long as it likes."""
    program, timing = case
    timing.check_answers(program)
    assert timing.moved_bytes == program.work.moved_bytes


@pytest.mark.parametrize(
    ("quantity", "change"),
    [
        ("bytes read", {"read_bytes_requested": 1, "read_bytes_served": 1, "peak_bytes": 1}),
        ("bytes written", {"written_bytes_requested": 1, "written_bytes_served": 1, "peak_bytes": 1}),
        ("compute core cycles", {"compute_core_cycles": 1, "core_cycles": 1}),
        ("other core cycles", {"other_core_cycles": 1, "core_cycles": 1}),
    ],
)
@given(case=answered)
def test_an_answer_to_something_else_is_refused(
    quantity: str, change: dict[str, int], case: tuple[Program, Timing]
) -> None:
    """A timing that is sane but reports other bytes or cycles than the program's is refused by name."""
    program, timing = case
    changed: dict[str, Any] = {name: getattr(timing, name) + more for name, more in change.items()}
    with pytest.raises(InvariantError, match=f"{quantity}: the program asks for") as refusal:
        attrs.evolve(timing, **changed).check_answers(program)
    assert refusal.value.where == f"timing of {program.name}"
