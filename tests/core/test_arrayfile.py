"""The rules of files on disk, for each noun that is kept in one."""

from __future__ import annotations

import json
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from colfw import arrayfile
from colfw.errors import StoreError
from colfw.masks import MaskPolicy, MaskSet, SiteMask
from colfw.placement import Epoch, Placement, SitePlacement
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance
from colfw.samples import Samples
from colfw.sites import Ffn, Site
from colfw.testing.strategies import mask_sets, placements, profiles, samples
from colfw.vocabulary import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SITE = Site(name="mlp", rows=1, columns=2, operator=Ffn(d_in=1, d_out=1))


class OnDisk(Protocol):
    """What can be written."""

    def to_bytes(self) -> bytes: ...


@frozen(kw_only=True)
class Noun:
    """A kind of file: how to draw what it holds, a small fixed example, and how to read it."""

    kind: str
    drawn: st.SearchStrategy[Any]
    example: Callable[[], OnDisk]
    read: Callable[[Path], OnDisk]
    version: int = 1


def small_profile() -> ActivationProfile:
    fold = ColumnMaxima([SITE], iterations=1, thresholds=(0.5,))
    fold.observe(SITE, 0, [[0.25, 1.0]])
    origin = Provenance(workload="tiny", source=SourceKind.RANDOM, seed=0, samples=1, iterations=1)
    return ActivationProfile(provenance=origin, thresholds=(0.5,), sites=fold.site_profiles())


def small_masks() -> MaskSet:
    hot = np.array([[True, False]])
    return MaskSet(policy=MaskPolicy.uniform(0.5), sites=(SiteMask(site=SITE, tau=0.5, hot=hot),))


def small_placement() -> Placement:
    epoch = Epoch(first_iteration=0, slot_of_column=np.array([1, 0]), hot_slots=1)
    placed = SitePlacement(site=SITE, epochs=(epoch,), fetched=np.array([[True, False]]))
    return Placement(layout="row-major", sites=(placed,))


def small_samples() -> Samples:
    return Samples(modality="image", data=np.zeros((1, 2), np.float32), seed=0)


NOUNS = [
    Noun(
        kind="activation profile", drawn=profiles(), example=small_profile, read=ActivationProfile.from_file
    ),
    Noun(kind="mask set", drawn=mask_sets(), example=small_masks, read=MaskSet.from_file),
    Noun(kind="placement", drawn=placements(), example=small_placement, read=Placement.from_file),
    Noun(kind="sample set", drawn=samples(), example=small_samples, read=Samples.from_file, version=2),
]

each_noun = pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.kind.replace(" ", "-"))


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arrayfile") / "file.safetensors"


def refusal_of(read: Callable[[Path], object], path: Path) -> StoreError:
    """The refusal to read this file, which names it."""
    with pytest.raises(StoreError) as refusal:
        read(path)
    assert refusal.value.where == str(path)
    return refusal.value


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# --- what is written is read ----------------------------------------------------------------------


@each_noun
@given(data=st.data())
def test_what_is_written_is_read(noun: Noun, path: Path, data: st.DataObject) -> None:
    """A file gives back what it was made of: written again, it has the same bytes."""
    content = data.draw(noun.drawn).to_bytes()
    assert noun.read(written(path, content)).to_bytes() == content


arrays = st.dictionaries(
    st.text("ab/é", min_size=1, max_size=4),
    hnp.arrays(
        st.sampled_from([np.bool_, np.uint8, np.int64, np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    max_size=3,
)
values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
headers = st.dictionaries(
    st.text(max_size=5).filter(lambda key: key not in {"kind", "schema_version"}), values, max_size=3
)


@given(headers, arrays)
def test_header_and_arrays_come_back(
    path: Path, header: dict[str, Any], content: dict[str, NDArray[Any]]
) -> None:
    """Any JSON header and arrays of any shape, scalars and empty ones too, are read as they were written."""
    written(path, arrayfile.dump("thing", 1, header, content))
    found_header, found = arrayfile.load(path, "thing", 1)
    assert found_header == header
    assert found.keys() == content.keys()
    for name, array in content.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)


@given(headers, arrays)
def test_equal_content_gives_equal_bytes(header: dict[str, Any], content: dict[str, NDArray[Any]]) -> None:
    """The order of keys and the memory layout of arrays leave no trace in the bytes."""
    turned = {name: np.array(array, order="F") for name, array in reversed(content.items())}
    expected = arrayfile.dump("thing", 1, header, content)
    assert arrayfile.dump("thing", 1, dict(reversed(header.items())), turned) == expected


@given(headers, arrays)
def test_writing_leaves_the_arrays_alone(header: dict[str, Any], content: dict[str, NDArray[Any]]) -> None:
    """What was dumped is unchanged, whatever byte order it is kept in."""
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in content.items()}
    assert arrayfile.dump("thing", 1, header, swapped) == arrayfile.dump("thing", 1, header, content)
    for name, array in content.items():
        np.testing.assert_array_equal(swapped[name], array)


# --- anything else is refused, with its path ------------------------------------------------------


@each_noun
def test_a_file_cut_at_any_byte_is_refused(noun: Noun, path: Path) -> None:
    """However little is missing at the end, a truncated file is not read."""
    content = noun.example().to_bytes()
    assert noun.read(written(path, content)).to_bytes() == content
    for length in range(len(content)):
        refusal_of(noun.read, written(path, content[:length]))


@each_noun
def test_a_longer_file_is_refused(noun: Noun, path: Path) -> None:
    """Bytes behind the end belong to no array."""
    refusal_of(noun.read, written(path, noun.example().to_bytes() + b"\0"))


@each_noun
@given(data=st.data())
def test_one_wrong_byte_is_refused_or_harmless(noun: Noun, path: Path, data: st.DataObject) -> None:
    """A damaged file is refused by its path or is still consistent; it never crashes a reader."""
    content = bytearray(noun.example().to_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    try:
        survived = noun.read(written(path, bytes(content)))
    except StoreError as refusal:
        assert refusal.where == str(path)  # noqa: PT017  (only where it is refused)
    else:
        assert isinstance(survived.to_bytes(), bytes)


@each_noun
@given(content=st.binary(max_size=64))
def test_any_bytes_are_refused(noun: Noun, path: Path, content: bytes) -> None:
    """A file of arbitrary bytes is no noun of ours."""
    refusal_of(noun.read, written(path, content))


@each_noun
def test_a_text_file_is_refused(noun: Noun, path: Path) -> None:
    """A text file is no safetensors file, and the refusal says so."""
    refusal = refusal_of(noun.read, written(path, b"# notes\n" * 20))
    assert "not a readable safetensors file" in refusal.problem


@each_noun
def test_a_missing_file_is_said_to_be_missing(noun: Noun, path: Path) -> None:
    """Where nothing lies, the refusal says just that."""
    assert refusal_of(noun.read, path.with_name("missing")).problem == "no such file"


@each_noun
def test_a_folder_is_refused(noun: Noun, path: Path) -> None:
    """A folder is no file of arrays, nor is anything below a file."""
    refusal_of(noun.read, path.parent)
    refusal_of(noun.read, written(path, b"") / "below")


@each_noun
def test_a_strangers_file_is_refused(noun: Noun, path: Path) -> None:
    """A safetensors file that colfw did not write is told from one that it did."""
    weights = {"weight": np.zeros((2, 2), np.float32)}
    for metadata in (None, {"format": "pt"}):
        refusal = refusal_of(noun.read, written(path, save(weights, metadata=metadata)))
        assert refusal.problem == f"a safetensors file, but no {noun.kind} of colfw"


@each_noun
def test_another_noun_is_refused(noun: Noun, path: Path) -> None:
    """A file of one kind is not read as another."""
    others = [other for other in NOUNS if other is not noun]
    for other in others:
        refusal = refusal_of(noun.read, written(path, other.example().to_bytes()))
        assert refusal.problem == f"no {noun.kind}"


def rewritten(content: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    """The same file with an edited header."""
    length = int.from_bytes(content[:8], "little")
    outer = json.loads(content[8 : 8 + length])
    inner = json.loads(outer["__metadata__"]["colfw"])
    edit(inner)
    outer["__metadata__"]["colfw"] = json.dumps(inner)
    header = json.dumps(outer).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


@each_noun
@pytest.mark.parametrize("version", [0, 9, None, "1"])
def test_another_schema_version_is_refused(noun: Noun, path: Path, version: object) -> None:
    """A file of another schema version is not guessed at; the refusal names both versions."""
    content = rewritten(noun.example().to_bytes(), lambda header: header.update(schema_version=version))
    refusal = refusal_of(noun.read, written(path, content))
    assert (
        refusal.problem == f"{noun.kind} of schema version {version}; this colfw reads version {noun.version}"
    )


@each_noun
def test_a_header_that_lacks_anything_is_refused(noun: Noun, path: Path) -> None:
    """Every entry of the header is needed."""
    content = noun.example().to_bytes()
    names: list[str] = []
    rewritten(content, names.extend)
    for name in names:
        refusal_of(noun.read, written(path, rewritten(content, methodcaller("pop", name))))
    assert len(names) > 2


@each_noun
@given(data=st.data())
def test_a_header_of_wrong_types_is_refused_or_consistent(
    noun: Noun, path: Path, data: st.DataObject
) -> None:
    """Whatever a header's entry is replaced by, nothing but a refusal comes of it, or a consistent noun."""
    content = noun.example().to_bytes()
    names: list[str] = []
    rewritten(content, names.extend)
    name = data.draw(st.sampled_from(sorted(names)))
    value = data.draw(values | st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values))
    changed = rewritten(content, lambda header: header.update({name: value}))
    try:
        survived = noun.read(written(path, changed))
    except StoreError as refusal:
        assert refusal.where == str(path)  # noqa: PT017  (only where it is refused)
    else:
        assert isinstance(survived.to_bytes(), bytes)


def test_a_number_beyond_every_float_is_refused(path: Path) -> None:
    """An integer in the header that no float can hold is senseless content, too."""
    content = rewritten(small_profile().to_bytes(), lambda header: header.update(thresholds=[10**400]))
    assert "too large" in refusal_of(ActivationProfile.from_file, written(path, content)).problem


@each_noun
@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"kind"'])
def test_a_header_that_is_no_object_is_refused(noun: Noun, path: Path, text: str) -> None:
    """The header is one JSON object, or the file is none of ours."""
    content = save({"data": np.zeros((1, 2))}, metadata={"colfw": text})
    refusal_of(noun.read, written(path, content))


@each_noun
def test_missing_arrays_are_refused(noun: Noun, path: Path) -> None:
    """A header without its arrays is refused, and the refusal names one."""
    length = int.from_bytes((content := noun.example().to_bytes())[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    refusal = refusal_of(noun.read, written(path, save({}, metadata=metadata)))
    assert refusal.problem.startswith("inconsistent content: lacks ")


@each_noun
@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_a_type_that_numpy_lacks_is_refused(noun: Noun, path: Path, dtype: str) -> None:
    """Arrays of a type that numpy does not know are a refusal and no crash."""
    size_bytes = 1 if dtype.startswith("F8") else 2
    content = noun.example().to_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            entry.update(dtype=dtype, shape=[1, (end - begin) // size_bytes])
    changed = json.dumps(header).encode()
    refusal_of(noun.read, written(path, len(changed).to_bytes(8, "little") + changed + content[8 + length :]))
