from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NewType, Union

import attrs
import pytest
from attrs import define, field, frozen, validators
from hypothesis import given, settings
from hypothesis import strategies as st

from colfw import typed
from colfw.errors import InvariantError, PluginError, StudyError
from colfw.refusals import Problem, Refusal
from colfw.testing.study_strategies import plain_values
from colfw.typed import structure, unstructure

if TYPE_CHECKING:
    from decimal import Decimal

Hertz = NewType("Hertz", int)


class Policy(StrEnum):
    """Words."""

    OPEN = "open-page"
    CLOSED = "closed-page"


class Radix(IntEnum):
    """Whole numbers."""

    TWO = 2
    FOUR = 4


class Corner(Enum):
    """Values of several kinds."""

    LOW = 0.9
    TYPICAL = "typical"


@frozen(kw_only=True)
class Timing:
    """A class without defaults."""

    cycles: int
    name: str = field(metadata=typed.SHORTHAND)


def _below_limit(instance: Config, _: Any, value: int) -> None:
    if value > instance.limit:
        raise InvariantError(f"is above the limit of {instance.limit}", hint="raise the limit")


def _no_prime(_: Any, __: Any, value: int) -> None:
    if value == 13:
        raise InvariantError("is unlucky", where="a superstition", hint="try 12")


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even,\nas everybody knows")
    return value


@frozen(kw_only=True)
class Bank:
    """A class that text may stand for."""

    name: str = field(default="bank", metadata=typed.SHORTHAND)
    rows: int = field(default=1, validator=typed.positive)


@frozen(kw_only=True)
class Config:
    """Every kind of value that an option may have."""

    whole: int = 1
    number: float = 1.0
    text: str = "a"
    switch: bool = False
    path: Path = Path("here")
    policy: Policy = Policy.OPEN
    radix: Radix = Radix.TWO
    corner: Corner = Corner.TYPICAL
    mode: Literal["fast", "exact", 3] = "fast"
    maybe: int | None = None
    either: int | str = 1
    several: Union[Literal["auto"], tuple[int, ...], None] = None  # noqa: UP007  (old plugins write it)
    numbers: tuple[float, ...] = ()
    pair: tuple[int, str] = (1, "a")
    words: list[str] = field(factory=list)
    any_order: frozenset[str] = frozenset()
    sequence: Sequence[int] = ()
    anything: Any = None
    table: Mapping[str, Any] = field(factory=dict)
    counts: dict[str, int] = field(factory=dict)
    bank: Bank = field(factory=Bank)
    banks: tuple[Bank, ...] = ()
    frequency: Hertz = Hertz(1)
    annotated: Annotated[int, "of something"] = 1
    final: Final[int] = 1
    limit: int = 100
    limited: int = field(default=1, validator=_below_limit)
    unlucky: int = field(default=1, validator=_no_prime)
    positive: float = field(default=1.0, validator=typed.positive)
    non_negative: float = field(default=1.0, validator=typed.non_negative)
    share: float = field(default=0.5, validator=typed.share)
    shares: tuple[float, ...] = field(default=(), validator=typed.each(typed.share))
    distinct: tuple[int, ...] = field(default=(), validator=typed.distinct)
    filled: tuple[int, ...] = field(default=(1,), validator=typed.not_empty)
    at_least: int = field(default=1, validator=validators.ge(1))
    below: float = field(default=1, validator=validators.lt(2))
    short: str = field(default="a", validator=validators.max_len(3))
    long: str = field(default="a", validator=validators.min_len(1))
    among: int = field(default=2, validator=validators.in_([2, 4]))
    colour: str = field(default="red", validator=validators.in_(["red", "green"]))
    lower: str = field(default="a", validator=validators.matches_re("[a-z]+"))
    even: int = field(default=2, converter=_even)
    _hidden: int = 1


def _lines(cls: type, data: Any, **keywords: Any) -> list[str]:
    with pytest.raises(StudyError) as refused:
        structure(cls, data, **{"where": "study.toml", **keywords})
    return refused.value.problem.splitlines()


# --- what is accepted -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        ("whole", 3, 3),
        ("number", 0.5, 0.5),
        ("number", 3, 3.0),
        ("text", "", ""),
        ("switch", True, True),
        ("path", "~/weights.pt", Path("~/weights.pt")),
        ("policy", "closed-page", Policy.CLOSED),
        ("policy", Policy.CLOSED, Policy.CLOSED),
        ("radix", 4, Radix.FOUR),
        ("corner", 0.9, Corner.LOW),
        ("mode", "exact", "exact"),
        ("mode", 3, 3),
        ("maybe", None, None),
        ("maybe", 3, 3),
        ("either", 3, 3),
        ("either", "3", "3"),
        ("several", "auto", "auto"),
        ("several", [1, 2], (1, 2)),
        ("several", None, None),
        ("numbers", [1, 0.5], (1.0, 0.5)),
        ("numbers", (1, 0.5), (1.0, 0.5)),
        ("pair", [1, "a"], (1, "a")),
        ("words", ["a"], ["a"]),
        ("any_order", ["a", "b"], frozenset({"a", "b"})),
        ("sequence", [1], (1,)),
        ("anything", [1, {"a": [True, "x"]}], [1, {"a": [True, "x"]}]),
        ("table", {"a": {"b": [1.5]}}, {"a": {"b": [1.5]}}),
        ("counts", {"a": 1}, {"a": 1}),
        ("bank", {"rows": 3}, Bank(rows=3)),
        ("bank", "left", Bank(name="left")),
        ("banks", ["left", {"rows": 2}], (Bank(name="left"), Bank(rows=2))),
        ("frequency", 3, 3),
        ("annotated", 3, 3),
        ("final", 3, 3),
        ("hidden", 3, 3),
    ],
)
def test_accepted(key: str, written: Any, meant: Any) -> None:
    """Plain data becomes the value that its annotation promises, of that very type."""
    got = getattr(
        structure(Config, {key: written}, where="study.toml"), "_hidden" if key == "hidden" else key
    )
    assert (got, type(got)) == (meant, type(meant))


def test_tables_are_copied() -> None:
    """An instance does not change when the data it was made from does."""
    data: dict[str, Any] = {"table": {"a": [1]}}
    config = structure(Config, data, where="study.toml")
    data["table"]["a"].append(2)
    assert config.table == {"a": [1]}


# --- what is refused ------------------------------------------------------------------------------

_LONG = "x" * 70


@pytest.mark.parametrize(
    ("data", "line"),
    [
        # Nothing is coerced.
        ({"whole": "50"}, 'whole: must be a whole number, not "50"'),
        ({"whole": True}, "whole: must be a whole number, not true"),
        ({"whole": 3.0}, "whole: must be a whole number, not 3.0"),
        ({"whole": None}, "whole: must be a whole number, not null"),
        ({"whole": [1]}, "whole: must be a whole number, not a list"),
        ({"whole": {}}, "whole: must be a whole number, not a table"),
        ({"whole": date(2026, 1, 2)}, "whole: must be a whole number, not a date or time"),
        ({"whole": b"1"}, "whole: must be a whole number, not a Python bytes"),
        ({"whole": 2**63}, "whole: must fit in 64 bits"),
        ({"text": 2**63}, "text: must be text, not a number of more than 64 bits"),
        ({"whole": _LONG}, f'whole: must be a whole number, not "{"x" * 57}..."'),
        ({"whole": 'a "b"\n\u2028'}, 'whole: must be a whole number, not "a \\"b\\"\\n\\u2028"'),
        ({"number": "1"}, 'number: must be a number, not "1"'),
        ({"number": False}, "number: must be a number, not false"),
        ({"number": 2**63}, "number: must fit in 64 bits"),
        ({"text": 1}, "text: must be text, not 1"),
        ({"text": "\ud800"}, 'text: "\\ud800" is no valid text'),
        ({"switch": 1}, "switch: must be true or false, not 1"),
        ({"switch": "yes"}, 'switch: must be true or false, not "yes"'),
        ({"path": 3}, "path: must be text, not 3"),
        ({"path": ""}, 'path: "" is no path'),
        ({"path": "a\0b"}, 'path: "a\\u0000b" is no path'),
        # NaN and infinity are no numbers, wherever they stand.
        ({"number": math.nan}, "number: must be a finite number, not nan"),
        ({"number": -math.inf}, "number: must be a finite number, not -inf"),
        ({"numbers": [1, math.inf]}, "numbers[1]: must be a finite number, not inf"),
        ({"table": {"a": [{"b": math.nan}]}}, "table.a[0].b: must be a finite number, not nan"),
        # Words and fixed choices.
        ({"policy": "open-pge"}, "policy: unknown value \"open-pge\" (did you mean 'open-page'?)"),
        ({"policy": "zzz"}, 'policy: unknown value "zzz" (known: closed-page, open-page)'),
        ({"policy": 1}, 'policy: must be one of "open-page", "closed-page", not 1'),
        ({"radix": 3}, "radix: must be one of 2, 4, not 3"),
        ({"radix": True}, "radix: must be one of 2, 4, not true"),
        ({"corner": "typicl"}, "corner: unknown value \"typicl\" (did you mean 'typical'?)"),
        ({"mode": "exat"}, "mode: unknown value \"exat\" (did you mean 'exact'?)"),
        ({"mode": 3.0}, 'mode: must be one of "fast", "exact", 3, not 3.0'),
        # Unions: the problem of the member that was meant, else what all of them want.
        ({"maybe": "x"}, 'maybe: must be a whole number, not "x"'),
        ({"either": 0.5}, "either: must be a whole number or text, not 0.5"),
        ({"either": None}, "either: must be a whole number or text, not null"),
        ({"several": 1}, 'several: must be one of "auto" or a list, not 1'),
        ({"several": "aut"}, "several: unknown value \"aut\" (did you mean 'auto'?)"),
        ({"several": [1, "x"]}, 'several[1]: must be a whole number, not "x"'),
        # Lists and tables.
        ({"numbers": 0.5}, "numbers: must be a list, not 0.5"),
        ({"words": "abc"}, 'words: must be a list, not "abc"'),
        ({"words": ["a", 1]}, "words[1]: must be text, not 1"),
        ({"pair": [1]}, "pair: must have 2 entries, not 1"),
        ({"pair": ["a", "b"]}, 'pair[0]: must be a whole number, not "a"'),
        ({"table": [1]}, "table: must be a table, not a list"),
        (
            {"table": {"a.b": None}},
            'table."a.b": must be text, a number, true, false, a list or a table, not null',
        ),
        ({"table": {3: 1}}, "table.3: must be text, not 3"),
        ({"table": {"a": 2**70}}, "table.a: must fit in 64 bits"),
        ({"counts": {"a": "b"}}, 'counts.a: must be a whole number, not "b"'),
        # Keys.
        ({"wole": 1}, "wole: unknown key (did you mean 'whole'?)"),
        ({"bank": {"rosw": 1}}, "bank.rosw: unknown key (did you mean 'rows'?)"),
        ({"banks": [{}, {"zzz": 1}]}, "banks[1].zzz: unknown key (known: name, rows)"),
        ({"bank": {"name": "a", "nam": "b"}}, "bank.nam: unknown key (did you mean 'name'?)"),
        ({"bank": {3: "b"}}, "bank.3: unknown key (known: name, rows)"),
        ({"bank": 3}, "bank: must be text or a table, not 3"),
        ({"bank": "\ud800"}, 'bank: "\\ud800" is no valid text'),
        ([], "must be a table, not a list"),
        # Validators of colfw.
        ({"limited": 101}, "limited: is above the limit of 100 (raise the limit)"),
        ({"unlucky": 13}, "unlucky: is unlucky (try 12)"),
        ({"positive": 0}, "positive: must be greater than 0, not 0.0"),
        ({"non_negative": -1}, "non_negative: must be 0 or greater, not -1.0"),
        ({"share": -0.5}, "share: must be between 0 and 1, not -0.5"),
        ({"share": 1000}, "share: must be between 0 and 1, not 1000.0"),
        (
            {"share": 16.4},
            "share: must be between 0 and 1, not 16.4 (a share, not a percentage: did you mean 0.164?)",
        ),
        ({"shares": [0.5, -1]}, "shares[1]: must be between 0 and 1, not -1.0"),
        ({"distinct": [1, 2, 1]}, "distinct[2]: the same as distinct[0] (each may be listed once)"),
        ({"filled": []}, "filled: must list at least one"),
        # Validators of attrs, as a plugin's author may use them.
        ({"at_least": 0}, "at_least: must be at least 1, not 0"),
        ({"below": 2}, "below: must be less than 2, not 2.0"),
        ({"short": "abcd"}, "short: must have a length of at most 3, not 4"),
        ({"long": ""}, "long: must have a length of at least 1, not 0"),
        ({"among": 3}, "among: must be one of 2, 4, not 3"),
        ({"colour": "gren"}, "colour: unknown value \"gren\" (did you mean 'green'?)"),
        ({"lower": "A"}, "lower: must match regex '[a-z]+' ('A' doesn't)"),
        ({"even": 3}, "even: must be even, as everybody knows"),
        ({"hidden": "x"}, 'hidden: must be a whole number, not "x"'),
    ],
)
def test_refused(data: Any, line: str) -> None:
    """A refusal is one line: where, key path, problem in plain words, and what was probably meant."""
    assert _lines(Config, data) == [f"study.toml: {line}"]


def test_a_missing_key_is_named() -> None:
    """Every key without a default must be there."""
    assert _lines(Timing, {}) == ["study.toml: cycles: missing", "study.toml: name: missing"]


def test_a_misspelt_key_is_one_problem() -> None:
    """A required key that is misspelt is unknown under its wrong name, and not missing as well."""
    assert _lines(Timing, {"cycls": 1, "name": "a"}) == [
        "study.toml: cycls: unknown key (did you mean 'cycles'?)"
    ]


def test_problems_beside_a_shorthand_keep_their_keys() -> None:
    """Text in place of a table fills one field; what the others lack is still named."""
    assert _lines(Timing, "tRCD", path="rows[0]") == ["study.toml: rows[0].cycles: missing"]


def test_all_problems_are_listed() -> None:
    """Unknown keys, missing keys, wrong types and broken rules are found in one go, each once."""
    data = {
        "wole": 1,
        "number": "x",
        "banks": [{"rows": 0}, {"rows": "x"}, {"rows": -1, "nme": "a"}],
        "shares": [2, 0.5, -1],
        "at_least": 0,
        "even": 1,
    }
    assert _lines(Config, data) == [
        f"study.toml: {line}"
        for line in [
            "wole: unknown key (did you mean 'whole'?)",
            'number: must be a number, not "x"',
            "banks[0].rows: must be greater than 0, not 0",
            'banks[1].rows: must be a whole number, not "x"',
            "banks[2].nme: unknown key (did you mean 'name'?)",
            "banks[2].rows: must be greater than 0, not -1",
            "even: must be even, as everybody knows",
            "shares[0]: must be between 0 and 1, not 2.0 (a share, not a percentage: did you mean 0.02?)",
            "shares[2]: must be between 0 and 1, not -1.0",
            "at_least: must be at least 1, not 0",
        ]
    ]


def test_a_rule_about_a_refused_field_is_not_applied() -> None:
    """A rule that compares with another field says nothing while that field has no value."""
    assert _lines(Config, {"limit": "x", "limited": 101}) == [
        'study.toml: limit: must be a whole number, not "x"'
    ]


def test_where_and_path_stand_before_each_problem() -> None:
    """The key path within the data continues the path at which the data stands in its file."""
    lines = _lines(Config, {"bank": {"rosw": 1}}, where="--set", path="machines[0].memory.options")
    assert lines == ["--set: machines[0].memory.options.bank.rosw: unknown key (did you mean 'rows'?)"]


def test_a_class_without_fields_takes_no_key() -> None:
    """There is nothing to suggest where nothing can be set."""

    @frozen
    class Nothing:
        pass

    assert _lines(Nothing, {"a": 1}) == ["study.toml: a: unknown key (no key belongs here)"]


@frozen
class Range:
    """A class whose rule is about two fields."""

    low: int
    high: int

    def __attrs_post_init__(self) -> None:
        if self.low == self.high:
            raise ValueError("is empty")
        if self.low > self.high:
            raise InvariantError("is below low", where="high", hint="swap them")


@pytest.mark.parametrize(
    ("low", "high", "line"),
    [(1, 1, "study.toml: is empty"), (2, 1, "study.toml: high: is below low (swap them)")],
)
def test_rules_about_several_fields(low: int, high: int, line: str) -> None:
    """A rule of the whole class is about its table, or about the key that the error names as its place."""
    assert _lines(Range, {"low": low, "high": high}) == [line]


def _scaled(value: int, instance: Any) -> int:
    return int(value * instance.base)


@define
class Derived:
    """A class whose fields are made from each other."""

    base: int = field(validator=typed.positive)
    twice: int = attrs.Factory(lambda self: 2 * self.base, takes_self=True)
    scaled: int = field(default=1, converter=attrs.Converter(_scaled, takes_self=True))  # type: ignore[misc]  # its stub takes no class of ours
    silent: int = field(default=0, init=False)


def test_defaults_and_converters_may_use_other_fields() -> None:
    """Fields made from other fields are made as attrs would make them."""
    assert structure(Derived, {"base": 2, "scaled": 3}, where="study.toml") == Derived(2, 4, 3)
    assert _lines(Derived, {"base": 0}) == ["study.toml: base: must be greater than 0, not 0"]
    assert _lines(Derived, {"base": "x"}) == ['study.toml: base: must be a whole number, not "x"']


def test_a_field_that_is_not_given_has_no_key() -> None:
    """What `__init__` does not take cannot be written."""
    assert _lines(Derived, {"base": 1, "silent": 1}) == [
        "study.toml: silent: unknown key (known: base, scaled, twice)"
    ]
    assert "silent" not in unstructure(Derived(1))


# --- mistakes of plugin authors -------------------------------------------------------------------


@frozen
class Unwritable:
    """A class whose fields no TOML can fill."""

    raw: bytes = b""
    stamp: date | None = None
    lookup: Callable[[], int] | None = None


@pytest.mark.parametrize(("key", "name"), [("raw", "bytes"), ("stamp", "date"), ("lookup", "Callable")])
def test_a_type_that_no_study_can_hold(key: str, name: str) -> None:
    """A config class with such a field is its author's mistake, and is named as one."""
    with pytest.raises(PluginError, match=rf"^options of type .*{name}.* cannot be written in a study"):
        structure(Unwritable, {key: "x"}, where="study.toml")


@frozen
class Unresolvable:
    """A class whose annotation exists for type checkers only."""

    price: Decimal


def test_annotations_must_exist_at_run_time() -> None:
    """What is imported for type checkers only cannot be checked against."""
    with pytest.raises(PluginError) as refused:
        structure(Unresolvable, {"price": 1}, where="study.toml")
    assert str(refused.value) == (
        "the annotations of Unresolvable cannot be resolved: name 'Decimal' is not defined"
        " (import what they name at run time, not under TYPE_CHECKING)"
    )


def test_a_bug_in_a_validator_keeps_its_traceback() -> None:
    """Only errors about values become problems; a validator that breaks is not the user's fault."""

    def broken(_: Any, __: Any, value: int) -> None:
        _ = 1 / value

    @frozen
    class Broken:
        value: int = field(validator=broken)

    with pytest.raises(ZeroDivisionError):
        structure(Broken, {"value": 0}, where="study.toml")


def test_a_bug_in_a_class_keeps_its_traceback() -> None:
    """A TypeError that no field accounts for is a bug of the class."""

    @frozen
    class Broken:
        value: int

        def __attrs_post_init__(self) -> None:
            len(self.value)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="has no len"):
        structure(Broken, {"value": 0}, where="study.toml")


# --- without a file -------------------------------------------------------------------------------


def test_the_rules_hold_for_instances_made_in_python() -> None:
    """A class that is called directly names the key itself; several problems are several lines."""
    with pytest.raises(InvariantError, match=r"^rows: must be greater than 0, not 0$"):
        Bank(rows=0)
    with pytest.raises(InvariantError) as refused:
        Config(shares=(-1.0, -2.0))
    assert str(refused.value).splitlines() == [
        "shares[0]: must be between 0 and 1, not -1.0",
        "shares[1]: must be between 0 and 1, not -2.0",
    ]


def test_nan_breaks_every_rule() -> None:
    """NaN compares false with everything, and must not slip through."""
    for key in ("positive", "non_negative", "share"):
        given: dict[str, Any] = {key: math.nan}
        with pytest.raises(InvariantError, match=f"^{key}: must be .*, not nan$"):
            Config(**given)


def test_a_refusal_survives_the_way_between_processes() -> None:
    """Errors cross process boundaries with all that they know."""
    refusal = Refusal([Problem(("a", 0), "is wrong", "make it right")])
    copy = pickle.loads(pickle.dumps(refusal))  # noqa: S301  (our own bytes)
    assert (str(copy), copy.problems) == (str(refusal), refusal.problems)


# --- round trips ----------------------------------------------------------------------------------


def test_unstructure_spells_out_every_default() -> None:
    """Plain data: text for enums and paths, lists for tuples and sets, aliases for private fields."""
    plain = unstructure(Config(any_order=frozenset({"b", "a"}), banks=(Bank(),)))
    assert list(plain) == [attribute.alias for attribute in attrs.fields(Config)]
    assert plain["policy"] == "open-page"
    assert type(plain["policy"]) is str
    assert plain["radix"] == 2
    assert plain["path"] == "here"
    assert plain["any_order"] == ["a", "b"]
    assert plain["banks"] == [{"name": "bank", "rows": 1}]
    assert plain["maybe"] is None
    assert plain["hidden"] == 1


_finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)  # the first example pays for imports
@given(
    st.builds(
        Config,
        whole=st.integers(-(2**63), 2**63 - 1),
        number=_finite,
        text=st.text(),
        switch=st.booleans(),
        policy=st.sampled_from(Policy),
        radix=st.sampled_from(Radix),
        corner=st.sampled_from(Corner),
        mode=st.sampled_from(["fast", "exact", 3]),
        maybe=st.none() | st.integers(0, 9),
        either=st.integers(0, 9) | st.text(),
        several=st.none() | st.just("auto") | st.lists(st.integers(0, 9)).map(tuple),
        numbers=st.lists(_finite).map(tuple),
        any_order=st.frozensets(st.text()),
        anything=plain_values(),
        table=st.dictionaries(st.text(), plain_values(), max_size=3),
        banks=st.lists(st.builds(Bank, name=st.text(), rows=st.integers(1, 9))).map(tuple),
    )
)
def test_structure_takes_back_what_unstructure_gives(config: Config) -> None:
    """No value changes on its way to plain data and back."""
    assert structure(Config, unstructure(config), where="study.toml") == config


@settings(deadline=None)  # the first example pays for imports
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([a.alias for a in attrs.fields(Config)]) | st.text(), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_whatever_is_written_is_taken_or_refused(data: Any) -> None:
    """There is no third way: a Config, or a StudyError of single lines that all name the file."""
    try:
        assert isinstance(structure(Config, data, where="study.toml"), Config)
    except StudyError as error:
        lines = error.problem.splitlines()
        assert lines
        assert all(line.startswith("study.toml: ") for line in lines)
