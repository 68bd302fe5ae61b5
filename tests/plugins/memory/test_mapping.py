"""Address mappings: one to one, whatever their fields; and what is no mapping is refused in a line."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.spec import resolve
from colfw.errors import StudyError
from colfw_memory import standards
from colfw_memory.controller.addresses import decode
from colfw_memory.mapping import mapping_of

if TYPE_CHECKING:
    from colfw.dram.device import Device
    from colfw_memory.controller.addresses import Decoded

BURST_BYTES = 6

SMALL = evolve(
    resolve(standards.DDR4_2400),
    name="small",
    levels=(("Channel", 1), ("Rank", 2), ("BankGroup", 3), ("Bank", 2)),
    rows=5,
    columns=24,
    channel_width_bits=16,
    prefetch=3,
)
"""480 bursts a channel, 8 in a row, of 6 bytes each."""

UNGROUPED = evolve(SMALL, levels=(("Channel", 1), ("Bank", 4)))
SHAPES = [
    SMALL,
    UNGROUPED,
    evolve(SMALL, levels=(("Channel", 1), ("PseudoChannel", 3), ("Bank", 1))),
    evolve(SMALL, levels=(("Channel", 1), ("BankGroup", 1), ("Bank", 1)), rows=6),
]


def counts_of(device: Device) -> dict[str, int]:
    return dict(device.levels)


def decoded(name: str, device: Device, channels: int, bursts: range | list[int], byte: int = 0) -> Decoded:
    address = np.array(bursts, np.int64) * device.burst_bytes + byte
    return decode(mapping_of(name, device, channels), address, device.burst_bytes)


def places(found: Decoded) -> list[tuple[int, ...]]:
    """Channel, bank, row and byte in the row, request by request."""
    return [tuple(place) for place in np.stack(found, axis=1).tolist()]


# --- any mapping --------------------------------------------------------------------------------------


class Token(NamedTuple):
    """A field as it is written, and what it stands for."""

    text: str
    unit: str
    size: int


@st.composite
def mappings(draw: st.DrawFn) -> tuple[Device, int, list[Token]]:
    """A device, its channels, and the fields of a mapping from low to high."""
    device = draw(st.sampled_from(SHAPES))
    channels = draw(st.sampled_from([1, 2, 3, 4, 5, 6]))
    levels = [name for name, _ in device.levels]
    sizes = {
        "Ch": channels,
        "Ra": math.prod(count for name, count in device.levels if name in {"Rank", "PseudoChannel"}),
        "Ro": device.rows,
        "Co": device.bursts_per_row,
    }
    if "BankGroup" in levels and draw(st.booleans()):
        sizes |= {"Bg": counts_of(device)["BankGroup"], "Ba": counts_of(device)["Bank"]}
        whole: set[str] = set()
    else:
        sizes["Ba"] = counts_of(device).get("BankGroup", 1) * counts_of(device)["Bank"]
        whole = {"Ba"} if "BankGroup" in levels else set()
    tokens = []
    for unit, size in sizes.items():
        if size == 1 and draw(st.booleans()):
            continue  # what there is one of need not be named
        if unit not in whole and size > 1 and draw(st.booleans()):
            part = draw(st.sampled_from([part for part in range(1, size + 1) if size % part == 0]))
            rest = draw(st.sampled_from(["", str(size // part)]))
            tokens += [Token(f"{unit}{part}", unit, part), Token(f"{unit}{rest}", unit, size // part)]
        else:
            tokens.append(Token(unit, unit, size))
    return device, channels, draw(st.permutations(tokens))


def name_of(tokens: list[Token]) -> str:
    return "".join(token.text for token in reversed(tokens))


def by_hand(device: Device, tokens: list[Token], burst: int) -> tuple[int, ...]:
    """Channel, bank, row and byte in the row: a digit after the other, the lowest part of a unit first."""
    units = dict.fromkeys(("Ch", "Ra", "Bg", "Ba", "Ro", "Co"), 0)
    weights = dict.fromkeys(units, 1)
    for token in tokens:
        burst, digit = divmod(burst, token.size)
        units[token.unit] += digit * weights[token.unit]
        weights[token.unit] *= token.size
    groups = counts_of(device).get("BankGroup", 1)
    if not any(token.unit == "Bg" for token in tokens):
        units["Ba"], units["Bg"] = divmod(units["Ba"], groups)
    bank = (units["Ra"] * groups + units["Bg"]) * counts_of(device)["Bank"] + units["Ba"]
    return units["Ch"], bank, units["Ro"], units["Co"] * device.burst_bytes


@given(mappings())
def test_every_place_has_one_address(drawn: tuple[Device, int, list[Token]]) -> None:
    """All bursts of all channels hit each channel, bank, row and column once."""
    device, channels, tokens = drawn
    bursts = channels * device.channel_bytes // device.burst_bytes
    found = places(decoded(name_of(tokens), device, channels, range(bursts)))
    sizes = (channels, device.banks, device.rows, device.bursts_per_row)
    assert len(set(found)) == bursts == math.prod(sizes)
    for axis, (size, unit) in enumerate(zip(sizes, (1, 1, 1, device.burst_bytes), strict=True)):
        assert {place[axis] for place in found} == {index * unit for index in range(size)}


@given(mappings(), st.data())
def test_a_name_is_read_from_high_to_low(drawn: tuple[Device, int, list[Token]], data: st.DataObject) -> None:
    """Each field takes the remainder of what the fields right of it have left; parts of a unit stack up."""
    device, channels, tokens = drawn
    total = channels * device.channel_bytes // device.burst_bytes
    bursts = data.draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=20))
    expected = [by_hand(device, tokens, burst) for burst in bursts]
    assert places(decoded(name_of(tokens), device, channels, bursts)) == expected


@given(mappings(), st.integers(0, BURST_BYTES - 1))
def test_the_byte_within_a_burst_stays(drawn: tuple[Device, int, list[Token]], byte: int) -> None:
    """Bytes of a burst lie side by side in one row; requests of different bytes stay different."""
    device, channels, tokens = drawn
    assert device.burst_bytes == BURST_BYTES
    first = decoded(name_of(tokens), device, channels, [0, 7, 100])
    found = decoded(name_of(tokens), device, channels, [0, 7, 100], byte)
    assert places(found) == [(*place[:3], place[3] + byte) for place in places(first)]


def test_parts_are_counted_in_bursts_of_the_whole_memory() -> None:
    """The stripe is what all channels hold between two changes of bank or row."""
    assert mapping_of("RoBaRaCoCh", SMALL, 3).stripe == 3 * 8
    assert mapping_of("RoBaRaCoChCo4", SMALL, 3).stripe == 3 * 8
    assert mapping_of("RoCoBaRaCo4Ch", SMALL, 3).stripe == 3 * 4
    assert mapping_of("ChRaBaRoCo", SMALL, 3).stripe == 8


def test_a_memory_of_one_row_is_one_stripe() -> None:
    """Where there is one bank and one row, nothing but columns and channels need be named."""
    one = evolve(UNGROUPED, levels=(("Channel", 1), ("Bank", 1)), rows=1)
    assert mapping_of("CoCh", one, 3).stripe == 3 * 8


def test_what_there_is_one_of_is_no_field() -> None:
    """Parts of one, one channel, one rank: named or not, the mapping is the same."""
    assert mapping_of("RoBaCo", UNGROUPED, 1).fields == mapping_of("Ro1RoBaCo1Co8Ch1", UNGROUPED, 1).fields
    one = evolve(UNGROUPED, levels=(("Channel", 1), ("Bank", 1)), rows=1, columns=3)
    assert mapping_of("RoBaCoCh", one, 1).fields == ()


def test_more_than_ten_fields_are_refused() -> None:
    """Ten are possible: what is more is refused, if it says something."""
    large = evolve(UNGROUPED, rows=1 << 12)
    assert len(mapping_of("Ro2Ro2Ro2Ro2Ro2RoRo1Ro1BaCo2CoCh", large, 3).fields) == 10
    with pytest.raises(StudyError, match=r"mapping 'Ro2.*: 11 fields; at most 10"):
        mapping_of("Ro2Ro2Ro2Ro2Ro2Ro2RoBaCo2CoCh", large, 3)


# --- by hand ------------------------------------------------------------------------------------------


def test_robaracoch_is_the_mapping_of_the_golden_runs() -> None:
    """From the lowest: channel, column, rank, bank group, bank, row; banks count rank, group, bank down."""
    place = ((((4 * 2 + 1) * 3 + 2) * 2 + 1) * 8 + 5) * 3 + 2  # row 4, bank 1, group 2, rank 1, column 5
    [found] = places(decoded("RoBaRaCoCh", SMALL, 3, [place]))
    assert found == (2, (1 * 3 + 2) * 2 + 1, 4, 5 * BURST_BYTES)


def test_charabaroco_gives_each_channel_one_stretch() -> None:
    """From the lowest: column, row, bank group, bank, rank, channel: a third of the memory each."""
    place = ((((2 * 2 + 1) * 2 + 1) * 3 + 2) * 5 + 4) * 8 + 5  # channel 2, rank 1, bank 1, group 2, row 4
    [found] = places(decoded("ChRaBaRoCo", SMALL, 3, [place]))
    assert found == (2, (1 * 3 + 2) * 2 + 1, 4, 5 * BURST_BYTES)


def test_a_part_keeps_bursts_in_one_channel() -> None:
    """RoBaRaCoChCo4: four bursts in a row stay in a channel, then comes the next; then the next columns."""
    found = decoded("RoBaRaCoChCo4", SMALL, 3, range(16))
    assert found.channel.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [0] * 4
    assert (found.place // BURST_BYTES).tolist() == [0, 1, 2, 3] * 3 + [4, 5, 6, 7]
    assert not found.bank.any()
    assert not found.row.any()


def test_any_number_of_channels_is_used_evenly() -> None:
    """A stream over six channels leaves each of them, at any time, at most one burst behind another."""
    channel = decoded("RoBaRaCoCh", SMALL, 6, range(1000)).channel
    for end in range(1, 1000, 7):
        share = np.bincount(channel[:end], minlength=6)
        assert share.max() - share.min() <= 1


# --- what is no mapping -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "device", "problem"),
    [
        ("", SMALL, "unknown mapping ''"),
        ("nonsense", SMALL, "unknown mapping 'nonsense'"),
        ("robaracoch", SMALL, "unknown mapping 'robaracoch'"),
        ("RoBaRaCoCh ", SMALL, "unknown mapping 'RoBaRaCoCh '"),
        ("4RoBaRaCoCh", SMALL, "unknown mapping '4RoBaRaCoCh'"),
        ("RoBaRaCoCh-1", SMALL, "unknown mapping 'RoBaRaCoCh-1'"),
        ("RoBaRaCo", SMALL, "leaves out Ch"),
        ("RoBaCoCh", SMALL, "leaves out Ra"),
        ("BaRaCoCh", SMALL, "leaves out Ro"),
        ("RoBgRaCoCh", SMALL, "leaves out Ba"),
        ("RoBaBgCoCh", SMALL, "leaves out Ra"),
        ("RoBaBgCoCh", UNGROUPED, "has no Bg"),
        ("RoBaRaCoChCh", SMALL, "whole"),
        ("RoBaRaCoChCo", SMALL, "whole"),
        ("RoBaRaCoChCo3", SMALL, "whole"),
        ("RoBaRaCoChCo0", SMALL, "whole"),
        ("RoBaRaCoCh0", SMALL, "whole"),
        ("RoBaRaCo2ChCo2", SMALL, "whole"),
        ("Ro2BaRaCoCh", SMALL, "whole"),
        ("RoBa3RaCoChBa2", SMALL, "whole"),
    ],
)
def test_what_is_not_one_to_one_is_refused(name: str, device: Device, problem: str) -> None:
    """In one line that names the mapping and says what is wrong with it."""
    with pytest.raises(StudyError) as refusal:
        mapping_of(name, device, 3)
    line = str(refusal.value)
    assert problem in line
    assert repr(name) in line
    assert "\n" not in line


@pytest.mark.parametrize(("name", "unit"), [("RoBaRaCoChCo3", "Co"), ("Ro2BaRaCoCh", "Ro")])
def test_a_bad_part_is_named(name: str, unit: str) -> None:
    """A refused part says of which unit it is, and how many of that there are."""
    size = {"Co": 8, "Ro": 5}[unit]
    with pytest.raises(StudyError) as refusal:
        mapping_of(name, SMALL, 3)
    problem = str(refusal.value).replace(repr(name), "")
    assert re.search(rf"\b{unit}\b.*\b{size}\b|\b{size}\b.*\b{unit}\b", problem)
