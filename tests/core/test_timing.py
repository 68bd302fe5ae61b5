from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from colfw.dram.counts import ChannelCounts
from colfw.errors import InvariantError
from colfw.testing.strategies import channel_timings, programs, timings
from colfw.timing import NOTHING, Timing

if TYPE_CHECKING:
    from colfw.program import Program

answered = programs().flatmap(lambda program: st.tuples(st.just(program), timings(answering=program)))

TOTALS = [field.name for field in attrs.fields(Timing) if field.name != "channels"]
any_timings = timings() | channel_timings()
"""Without channels and with."""

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
    "refreshes_waiting": "refreshes: issued",
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


@pytest.mark.parametrize("name", TOTALS)
def test_no_total_is_negative(name: str) -> None:
    """Every field is a count; the refusal names it."""
    with pytest.raises(ValueError, match=name):
        attrs.evolve(NOTHING, **{name: -1})


def test_every_field_is_under_a_rule() -> None:
    """No total stands beside the sanity block: each is tied to another, or bounds the bytes moved."""
    assert set(TOTALS) == {*RULES, "memory_cycles", "peak_bytes"}


# --- channels -------------------------------------------------------------------------------------

OF_CHANNELS = {
    "memory_cycles": "memory cycles: channel 0",
    "peak_bytes": "peak bytes: the sum of all channels",
    "row_hits": "row hits: the sum of all channels",
    "row_misses": "row misses: the sum of all channels",
    "row_conflicts": "row conflicts: the sum of all channels",
    "refreshes_issued": "refreshes issued: the sum of all channels",
    "refreshes_waiting": "refreshes waiting: the sum of all channels",
}
"""How the refusal begins when a total is off and its channels are not."""
ALONG = {
    "row_hits": "accesses",
    "row_misses": "accesses",
    "row_conflicts": "accesses",
    "refreshes_issued": "refreshes_due",
    "refreshes_waiting": "refreshes_due",
}
"""The total that must be off as well, lest another rule be broken before."""


@pytest.mark.parametrize("name", OF_CHANNELS)
@given(timing=channel_timings(), off=st.integers(1, 10**6))
def test_a_total_that_its_channels_do_not_add_up_to_is_refused(name: str, timing: Timing, off: int) -> None:
    """The channels are the memory: they run as long, and what they count is what the memory reports."""
    changed = {each: getattr(timing, each) + off for each in (name, ALONG.get(name)) if each}
    with pytest.raises(InvariantError, match=OF_CHANNELS[name]) as refusal:
        attrs.evolve(timing, **changed)
    assert refusal.value.where == "sanity block of a simulation"


@given(channel_timings())
def test_the_bytes_of_channels_are_whole_bursts_and_no_sanity_rule(timing: Timing) -> None:
    """Channels carry bursts, of which a program asks for a part or twice: only the peak bounds both."""
    moved = sum(counts.moved_bytes for counts in timing.channels)
    assert max(moved, timing.moved_bytes) <= timing.peak_bytes


def test_a_channel_that_ran_for_another_time_is_refused() -> None:
    """Also if it is not the first, and by one clock."""
    channels = (ChannelCounts(burst_bytes=64, clocks=7), ChannelCounts(burst_bytes=64, clocks=6))
    with pytest.raises(InvariantError, match="memory cycles: channel 1 gives 6, expected 7"):
        attrs.evolve(NOTHING, memory_cycles=7, channels=channels)


def test_what_a_channel_left_over_is_refused() -> None:
    """A program is over when all is served."""
    waiting = ChannelCounts(burst_bytes=64, reads=1, left_over=1, undecided=1)
    with pytest.raises(InvariantError, match="requests left over: channel 0 gives 1, expected 0"):
        attrs.evolve(NOTHING, channels=(waiting,))


@pytest.mark.parametrize("channels", [[], [ChannelCounts(burst_bytes=64)], ("counts",)])
def test_channels_are_a_tuple_of_counts(channels: Any) -> None:
    """So that timings compare and can be told apart by hash."""
    with pytest.raises(TypeError, match=r"'channels'|<class 'colfw.dram.counts.ChannelCounts'>"):
        attrs.evolve(NOTHING, channels=channels)


@given(channel_timings(channels=3), channel_timings(channels=3))
def test_a_sum_has_the_sum_of_each_channel(one: Timing, other: Timing) -> None:
    """Channels stay apart: the first is added to the first, and so on."""
    both = zip(one.channels, other.channels, strict=True)
    assert (one + other).channels == tuple(mine + theirs for mine, theirs in both)


@given(channel_timings(channels=1), channel_timings(channels=2), timings())
def test_other_channels_do_not_add_up(one: Timing, two: Timing, none: Timing) -> None:
    """What ran on another number of channels ran on another memory; without any is a number, too."""
    assume(none != NOTHING)
    for left, right, said in ((one, two, "1 and of 2"), (two, none, "2 and of 0"), (none, one, "0 and of 1")):
        with pytest.raises(InvariantError, match=f"timings of {said} channels do not add up"):
            _ = left + right


# --- sums and shares ------------------------------------------------------------------------------


@given(st.tuples(timings(), timings()) | st.tuples(channel_timings(), channel_timings()))
def test_adding_commutes(two: tuple[Timing, Timing]) -> None:
    """The order of two programs does not change their totals."""
    one, other = two
    assert one + other == other + one


@given(st.tuples(*[timings()] * 3) | st.tuples(*[channel_timings()] * 3))
def test_adding_associates(three: tuple[Timing, Timing, Timing]) -> None:
    """Totals may be taken in any grouping."""
    one, other, third = three
    assert (one + other) + third == one + (other + third)


@given(any_timings)
def test_nothing_is_neutral(timing: Timing) -> None:
    """Adding nothing changes nothing."""
    assert timing + NOTHING == NOTHING + timing == timing


@given(st.lists(timings(), max_size=4) | st.lists(channel_timings(), max_size=4))
def test_a_sum_is_the_sum_of_each_field(several: list[Timing]) -> None:
    """Every field is a total and adds up, so the sum of consistent timings is consistent."""
    total = sum(several, start=NOTHING)
    for name in TOTALS:
        assert getattr(total, name) == sum(getattr(timing, name) for timing in several)


@given(any_timings)
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
