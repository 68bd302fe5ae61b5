"""Typed values from plain data: what TOML or JSON says becomes attrs classes, or is refused.

Nothing is coerced: `"50"` is no number, `3.0` no whole number, `true` no 1; only a whole number may
stand where a number is wanted. NaN and infinity are refused everywhere. All problems are found at once,
and each is one line: `study.toml: machines[0].memory.nme: unknown key (did you mean 'name'?)`.

Studies and the config classes of plugins go through the same door. A config class may use text, numbers,
`bool`, `Path`, enums, `Literal`, lists, tables, unions and further attrs classes; its annotations must
be importable at run time.
"""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar, Union, get_args, get_origin

import attrs

from colfw import keypaths
from colfw.errors import ColfwError, InvariantError, PluginError, StudyError
from colfw.names import did_you_mean, nearest
from colfw.refusals import Findings, Problem, Refusal, fits_64_bits, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cattrs import Converter

    from colfw.keypaths import KeyPath

T = TypeVar("T")

SHORTHAND: Final[Mapping[str, bool]] = MappingProxyType({"colfw.shorthand": True})
"""Metadata of a text field: text in place of a table stands for a table with this field alone."""


def structure(cls: type[T], data: Any, *, where: str, path: str = "") -> T:
    """The instance of the attrs class `cls` that plain `data` describes, or a StudyError with all problems.

    `where` names the file, `path` the key at which `data` stands in it.
    """
    try:
        return structured(cls, data)
    except Refusal as refusal:
        start = keypaths.parse(path) if path else ()
        raise StudyError.of([p.below(*start).line(where) for p in refusal.problems]) from refusal


def structured(cls: type[T], data: Any) -> T:
    """As `structure`, but raise a Refusal, whose problems still know their key paths."""
    return _converter().structure(data, cls)


def unstructure(instance: Any) -> dict[str, Any]:
    """The plain data of an attrs instance, every default spelled out; `structure` takes it back."""
    plain: dict[str, Any] = _plain(instance)
    return plain


def _plain(value: Any) -> Any:  # noqa: PLR0911  (one answer a kind of value)
    cls: type = type(value)
    if attrs.has(cls):
        return {key: _plain(getattr(value, a.name)) for key, a in _keys(cls).items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((_plain(entry) for entry in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value


def _refuse(problem: str, hint: str | None = None) -> NoReturn:
    raise Refusal([Problem((), problem, hint)])


def _refuse_kind(expected: str, value: Any) -> NoReturn:
    raise Refusal([Problem((), f"must be {expected}, not {shown(value)}", expected=expected)])


# --- hooks: one a kind of type --------------------------------------------------------------------


def _refuse_type(_: Any, kind: Any) -> NoReturn:
    raise PluginError(
        f"options of type {getattr(kind, '__qualname__', kind)} cannot be written in a study",
        hint="use text, numbers, bool, Path, enums, Literal, lists, tables or attrs classes",
    )


def _structure_bool(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        _refuse_kind("true or false", value)
    return value


def _structure_whole(value: Any, kind: Any) -> Any:
    if issubclass(kind, Enum):
        return _structure_enum(value, kind)
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse_kind("a whole number", value)
    if not fits_64_bits(value):
        _refuse("must fit in 64 bits")
    return value


def _structure_number(value: Any, kind: Any) -> Any:
    if issubclass(kind, Enum):
        return _structure_enum(value, kind)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        _refuse_kind("a number", value)
    if isinstance(value, int):
        return float(_structure_whole(value, int))
    if not math.isfinite(value):
        _refuse(f"must be a finite number, not {value}")
    return value


def _structure_text(value: Any, kind: Any) -> Any:
    if issubclass(kind, Enum):
        return _structure_enum(value, kind)
    if not isinstance(value, str):
        _refuse_kind("text", value)
    _refuse_surrogates(value)
    return str(value)


def _refuse_surrogates(text: str) -> None:
    # JSON can spell half a character; no file can hold it.
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(f"{shown(text)} is no valid text")


def _structure_path(value: Any, _: Any) -> Path:
    text = _structure_text(value, str)
    if not text or "\0" in text:
        _refuse(f"{shown(text)} is no path")
    return Path(text)


def _structure_enum(value: Any, kind: type[Enum]) -> Any:
    plain = value.value if isinstance(value, Enum) else value
    for member in kind:
        if _same(plain, member.value):
            return member
    raise Refusal([_not_among(plain, [member.value for member in kind])])


def _structure_literal(value: Any, kind: Any) -> Any:
    options = get_args(kind)
    for option in options:
        if _same(value, option.value if isinstance(option, Enum) else option):
            return option
    raise Refusal([_not_among(value, options)])


def _same(value: Any, option: Any) -> bool:
    # 1 == True == 1.0 in Python, but not in a study.
    return value == option and type(value) is type(option)


def _not_among(value: Any, options: Iterable[Any]) -> Problem:
    known = [option.value if isinstance(option, Enum) else option for option in options]
    texts = [option for option in known if isinstance(option, str)]
    if texts and isinstance(value, str):
        return Problem((), f"unknown value {shown(value)}", did_you_mean(value, texts))
    expected = "one of " + ", ".join(shown(option) for option in known)
    return Problem((), f"must be {expected}, not {shown(value)}", expected=expected)


def _structure_none(value: Any, _: Any) -> None:
    if value is not None:
        _refuse_kind("null", value)


def _structure_union(value: Any, kind: Any) -> Any:
    """Whichever member takes the value; else the problems of the member that it was meant for."""
    members = [member for member in get_args(kind) if member is not NoneType]
    if value is None and len(members) < len(get_args(kind)):
        return None
    refused: list[tuple[Problem, ...]] = []
    for member in members:
        try:
            return structured(member, value)
        except Refusal as refusal:
            refused.append(refusal.problems)
    meant = [problems for problems in refused if not problems[0].is_of_another_kind]
    if meant:
        raise Refusal(min(meant, key=len))
    _refuse_kind(" or ".join(str(problems[0].expected) for problems in refused), value)


def _structure_any(value: Any, _: Any) -> Any:
    """A copy of plain data: text, numbers, true, false, lists and tables."""
    match value:
        case bool():
            return value
        case str():
            return _structure_text(value, str)
        case int():
            return _structure_whole(value, int)
        case float():
            return _structure_number(value, float)
        case list() | tuple():
            return _structure_list(value, list)
        case Mapping():
            return _structure_table(value, dict)
    _refuse_kind("text, a number, true, false, a list or a table", value)


_LISTS: Final[Mapping[Any, Callable[[list[Any]], Any]]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    AbstractSet: frozenset,
}


def _structure_list(value: Any, kind: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        _refuse_kind("a list", value)
    origin = get_origin(kind) or kind
    findings = Findings()
    items = []
    for position, (entry, member) in enumerate(zip(value, _members(kind, len(value)), strict=True)):
        with findings.at(position):
            items.append(structured(member, entry))
    findings.settle()
    return _LISTS[origin](items)


def _members(kind: Any, length: int) -> Sequence[Any]:
    """The type of each entry of a list of this length."""
    arguments = get_args(kind)
    if get_origin(kind) is not tuple or arguments[-1:] == (Ellipsis,):
        return [arguments[0] if arguments else Any] * length
    if len(arguments) != length:
        _refuse(f"must have {len(arguments)} entries, not {length}")
    return arguments


def _structure_table(value: Any, kind: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        _refuse_kind("a table", value)
    key_type, entry_type = get_args(kind) or (str, Any)
    findings = Findings()
    table = {}
    for key, entry in value.items():
        with findings.at(str(key)):
            table[structured(key_type, key)] = structured(entry_type, entry)
    findings.settle()
    return table


# --- attrs classes --------------------------------------------------------------------------------


def _structure_attrs(data: Any, cls: type) -> Any:
    keys = _keys(cls)
    if not isinstance(data, Mapping):
        return _structure_shorthand(data, cls)
    findings = Findings(_key_problems(data, keys))
    values = {}
    for key, attribute in keys.items():
        if key in data:
            with findings.at(key):
                values[key] = structured(attribute.type or Any, data[key])
    refused = {key for key in data if key not in values}
    return _instance(cls, values, refused, findings.problems)


@cache
def _keys(cls: type) -> dict[str, attrs.Attribute[Any]]:
    """What may be written in a table that describes `cls`."""
    try:
        resolved = attrs.resolve_types(cls)
    except NameError as error:
        raise PluginError(
            f"the annotations of {cls.__qualname__} cannot be resolved: {error}",
            hint="import what they name at run time, not under TYPE_CHECKING",
        ) from error
    return {str(a.alias): a for a in attrs.fields(resolved) if a.init}


def _structure_shorthand(data: Any, cls: type) -> Any:
    for key, attribute in _keys(cls).items():
        if SHORTHAND.items() <= attribute.metadata.items():
            if not isinstance(data, str):
                _refuse_kind("text or a table", data)
            try:
                return _structure_attrs({key: data}, cls)
            except Refusal as refusal:
                # The problem is with the text itself: the study has no such key.
                raise Refusal([_without(key, problem) for problem in refusal.problems]) from refusal
    _refuse_kind("a table", data)


def _without(key: str, problem: Problem) -> Problem:
    return attrs.evolve(problem, path=problem.path[1:]) if problem.path[:1] == (key,) else problem


def _key_problems(data: Mapping[Any, Any], keys: Mapping[str, attrs.Attribute[Any]]) -> list[Problem]:
    """Unknown and missing keys; one misspelt key is one problem, not an unknown and a missing one."""
    absent = [key for key in keys if key not in data]
    meant = {key: nearest(str(key), absent) for key in data if key not in keys}
    problems = [_unknown_key(str(key), close, keys) for key, close in meant.items()]
    required = [key for key in absent if keys[key].default is attrs.NOTHING]
    problems += [Problem((key,), "missing") for key in required if key not in meant.values()]
    return problems


def _unknown_key(key: str, close: str | None, keys: Iterable[str]) -> Problem:
    known = [close] if close else list(keys)
    return Problem((key,), "unknown key", did_you_mean(key, known) if known else "no key belongs here")


_REFUSALS: Final = (ColfwError, ValueError, TypeError)
"""What validators and converters raise about a value; anything else is a bug and keeps its traceback."""


_FACTORY: Final[Any] = attrs.Factory
_CONVERTER: Final[Any] = attrs.Converter
# Any, because the stubs of attrs hide what these classes hold.


def _instance(
    cls: type, values: Mapping[str, Any], refused: AbstractSet[Any], known: Sequence[Problem]
) -> Any:
    if known:
        raise Refusal([*known, *_invalid(cls, values, refused)])
    try:
        return cls(**values)
    except _REFUSALS as error:
        # attrs stops at the first problem and does not say which key it is about: ask field by field.
        raise Refusal(_invalid(cls, values, refused) or [_problem_of_class(error, cls)]) from error


def _invalid(cls: type, values: Mapping[str, Any], refused: AbstractSet[Any]) -> list[Problem]:
    """What converters and validators say about each field whose value is known.

    Of several rules for one field the first that is broken speaks: later ones may rely on it.
    """
    problems: list[Problem] = []
    bare: Any = object.__new__(cls)
    for key, attribute in _keys(cls).items():
        if key not in refused and (key in values or attribute.default is not attrs.NOTHING):
            problems += _problems_filling(bare, attribute, values)
    for attribute in _keys(cls).values():
        if attribute.validator is not None and hasattr(bare, attribute.name):
            problems += _problems_validating(bare, attribute)
    return problems


def _problems_filling(
    bare: object, attribute: attrs.Attribute[Any], values: Mapping[str, Any]
) -> list[Problem]:
    key = str(attribute.alias)
    try:
        value = values[key] if key in values else _default(bare, attribute)
        object.__setattr__(bare, attribute.name, _converted(bare, attribute, value))
    except _REFUSALS as error:
        return _problems_of(error, attribute, type(bare))
    except AttributeError:
        pass  # it is made from another field, which was refused
    return []


def _default(bare: object, attribute: attrs.Attribute[Any]) -> Any:
    default: Any = attribute.default
    if not isinstance(default, _FACTORY):
        return default
    return default.factory(bare) if default.takes_self else default.factory()


def _converted(bare: object, attribute: attrs.Attribute[Any], value: Any) -> Any:
    converter: Any = attribute.converter
    if not isinstance(converter, _CONVERTER):
        return value if converter is None else converter(value)
    context = [*([bare] if converter.takes_self else []), *([attribute] if converter.takes_field else [])]
    return converter.converter(value, *context)


def _problems_validating(bare: object, attribute: attrs.Attribute[Any]) -> list[Problem]:
    try:
        attribute.validator(bare, attribute, getattr(bare, attribute.name))  # type: ignore[misc]
    except _REFUSALS as error:
        return _problems_of(error, attribute, type(bare))
    except AttributeError:
        pass  # it looks at another field, which was refused
    return []


def _problems_of(error: Exception, attribute: attrs.Attribute[Any], cls: type) -> list[Problem]:
    if isinstance(error, Refusal):
        return list(error.problems)
    if isinstance(error, ColfwError):
        return [Problem(_place(error, cls) or (str(attribute.alias),), error.problem, error.hint)]
    return [_in_plain_words(error, attribute.name).below(str(attribute.alias))]


def _problem_of_class(error: Exception, cls: type) -> Problem:
    if isinstance(error, ColfwError):
        return Problem(_place(error, cls) or (), error.problem, error.hint)
    if isinstance(error, ValueError):
        return Problem((), str(error))
    raise error


def _place(error: ColfwError, cls: type) -> KeyPath | None:
    """The key that an error's `where` names, if it is one of `cls`."""
    path, end = keypaths.parse_start(error.where or "")
    is_whole = end == len(error.where or "")
    return path if path and is_whole and path[0] in _keys(cls) else None


_ATTRS_BOUND = re.compile(
    r"(?P<length>Length of )?'\w+' must be (?P<sign>[<>]=?) (?P<bound>.*): (?P<value>.*)"
)
_SIGNS: Final = {">=": "at least", ">": "greater than", "<=": "at most", "<": "less than"}


def _in_plain_words(error: Exception, name: str) -> Problem:
    """What one of attrs' own validators found; other messages are kept."""
    message, *details = error.args or ("",)
    bound = _ATTRS_BOUND.fullmatch(str(message))
    if bound:
        subject = "must have a length of" if bound["length"] else "must be"
        return Problem((), f"{subject} {_SIGNS[bound['sign']]} {bound['bound']}, not {bound['value']}")
    if len(details) == 3 and f"'{name}' must be in " in str(message):
        return _not_among(details[2], details[1])
    return Problem((), str(message).removeprefix(f"'{name}' ") or type(error).__name__)


# --- which hook for which type --------------------------------------------------------------------


def _has_origin(*origins: Any) -> Callable[[Any], bool]:
    return lambda kind: kind in origins or get_origin(kind) in origins


_HOOKS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...]] = (
    (lambda kind: kind is Any or kind is object, _structure_any),
    (lambda kind: kind is None or kind is NoneType, _structure_none),
    (_has_origin(Literal), _structure_literal),
    (_has_origin(Union, UnionType), _structure_union),
    (_has_origin(*_LISTS), _structure_list),
    (_has_origin(dict, Mapping, MutableMapping), _structure_table),
    (lambda kind: isinstance(kind, type) and attrs.has(kind), _structure_attrs),
)
_SCALARS: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    bool: _structure_bool,
    int: _structure_whole,
    float: _structure_number,
    str: _structure_text,
    bytes: _refuse_type,
    Path: _structure_path,
    Enum: _structure_enum,
}


@cache
def _converter() -> Converter:
    from cattrs import Converter  # noqa: PLC0415  (50 ms that start-up need not spend)

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook_func(_is_final_word, _refuse_type)
    for matches, hook in _HOOKS:
        converter.register_structure_hook_func(matches, hook)
    for kind, hook in _SCALARS.items():
        # cattrs asks these first, also for subclasses: every enum that is a text comes through `str`.
        converter.register_structure_hook(kind, hook)
    return converter


def _is_final_word(kind: Any) -> bool:
    """Whether no wrapper (NewType, Annotated, ...), which cattrs looks into, is left around a type."""
    return isinstance(kind, type) or get_origin(kind) not in (None, typing.Annotated, typing.Final)


# --- validators that all share --------------------------------------------------------------------


def positive(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    _require(value > 0, "must be greater than 0", attribute, value)


def non_negative(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    _require(value >= 0, "must be 0 or greater", attribute, value)


def share(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    """A share lies in 0..1; a percentage is recognised."""
    looks_like_percentage = 1 < value <= 100
    hint = f"a share, not a percentage: did you mean {value / 100:.12g}?" if looks_like_percentage else None
    _require(0 <= value <= 1, "must be between 0 and 1", attribute, value, hint=hint)


def _require(
    condition: bool,  # noqa: FBT001
    rule: str,
    attribute: attrs.Attribute[Any],
    value: Any,
    *,
    hint: str | None = None,
) -> None:
    # Written so that NaN, which compares false with everything, is refused too.
    if not condition:
        raise InvariantError(f"{rule}, not {shown(value)}", where=attribute.alias, hint=hint)


Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def each(*rules: Validator) -> Validator:
    """Hold every entry of a list against the rules; each entry that breaks one is named."""

    def check(instance: Any, attribute: attrs.Attribute[Any], entries: Sequence[Any]) -> None:
        findings = Findings()
        for position, entry in enumerate(entries):
            with findings.at(str(attribute.alias), position):
                _hold_against(rules, instance, attribute, entry)
        findings.settle()

    return check


def _hold_against(
    rules: Iterable[Validator], instance: Any, attribute: attrs.Attribute[Any], entry: Any
) -> None:
    try:
        for rule in rules:
            rule(instance, attribute, entry)
    except InvariantError as error:
        raise Refusal([Problem((), error.problem, error.hint)]) from error


def distinct(_: Any, attribute: attrs.Attribute[Any], entries: Sequence[Any]) -> None:
    """No entry may stand twice."""
    findings = Findings()
    for position, entry in enumerate(entries):
        first = list(entries).index(entry)
        if first < position:
            place = (str(attribute.alias), position)
            repeated = f"the same as {keypaths.spell((str(attribute.alias), first))}"
            findings.problems.append(Problem(place, repeated, "each may be listed once"))
    findings.settle()


def not_empty(_: Any, attribute: attrs.Attribute[Any], entries: Sequence[Any]) -> None:
    if not entries:
        raise InvariantError("must list at least one", where=attribute.alias)
