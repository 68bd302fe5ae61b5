"""The rules of checkpoints: nothing that a file says is run, and a model is loaded whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tarfile
import zipfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from colfw.denoising import checkpoints, pickles
from colfw.denoising.checkpoints import CheckpointLayout, InertRecord, digest, load_into, read_checkpoint
from colfw.errors import InvariantError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLAIN = CheckpointLayout()


class Normalizer:
    """Stands for a class of a stranger's training code."""

    def __init__(self, scale: object) -> None:
        self.scale = scale


class Attack:
    """Pickles as a call that leaves a mark on the disk."""

    def __init__(self, mark: Path, function: Callable[[str], object] = os.system) -> None:
        self.mark = mark
        self.function = function

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, (f"echo run > {self.mark}",)


class Model(nn.Module):
    """A small denoiser with a table that the class computes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)
        self.register_buffer("table", torch.arange(4, dtype=torch.float32, device="cpu"))
        self.register_buffer("steps", torch.zeros(2, dtype=torch.int64))


COMPUTED = CheckpointLayout(computed=("tab*",))


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {key: value for key, value in Model().state_dict().items() if key != "table"}


def on_meta() -> Model:
    with torch.device("meta"):
        return Model()


def saved(path: Path, content: object, **options: object) -> Path:
    torch.save(content, path, **options)
    return path


def assert_same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert set(found) == set(expected)
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=0, atol=0)


def refusal_of(path: Path, layout: CheckpointLayout = PLAIN) -> StoreError:
    """The refusal to read it: one line, that names the file or folder or one in it."""
    with pytest.raises(StoreError) as refusal:
        read_checkpoint(path, layout)
    assert str(refusal.value).startswith(str(path))
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < len(str(path)) + 700
    return refusal.value


def misfit_of(state: Mapping[str, torch.Tensor], layout: CheckpointLayout = COMPUTED) -> StoreError:
    """The refusal to load it, which left the model as it was."""
    model = Model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(StoreError) as refusal:
        load_into(model, state, layout, where="weights.pt")
    assert_same(model.state_dict(), before)
    assert refusal.value.where == "weights.pt"
    return refusal.value


# --- every format gives the same weights ----------------------------------------------------------


def as_zip(folder: Path) -> Path:
    return saved(folder / "model.pt", weights())


def as_legacy(folder: Path) -> Path:
    return saved(folder / "model.ckpt", weights(), _use_new_zipfile_serialization=False)


def as_parameters(folder: Path) -> Path:
    return saved(
        folder / "model.pth",
        OrderedDict((k, nn.Parameter(v, requires_grad=False)) for k, v in weights().items()),
    )


def as_safetensors(folder: Path) -> Path:
    save_file(weights(), folder / "model.safetensors")
    return folder / "model.safetensors"


def as_misnamed(folder: Path) -> Path:
    return as_zip(folder).rename(folder / "model.safetensors")


def as_diffusers_folder(folder: Path) -> Path:
    as_safetensors(folder).rename(folder / "diffusion_pytorch_model.safetensors")
    return folder


def as_pipeline(folder: Path) -> Path:
    (folder / "unet").mkdir()
    as_diffusers_folder(folder / "unet")
    return folder


def as_bin_folder(folder: Path) -> Path:
    as_zip(folder).rename(folder / "diffusion_pytorch_model.bin")
    return folder


def as_fp16_folder(folder: Path) -> Path:
    as_safetensors(folder).rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    return folder


def as_fp16_bin_folder(folder: Path) -> Path:
    as_zip(folder).rename(folder / "diffusion_pytorch_model.fp16.bin")
    return folder


def as_fp16_shards(folder: Path) -> Path:
    index = as_index(folder)
    index.rename(index.with_name("diffusion_pytorch_model.safetensors.index.fp16.json"))
    return folder


def as_index(folder: Path) -> Path:
    return as_shards(folder) / "diffusion_pytorch_model.safetensors.index.json"


def as_shards(folder: Path) -> Path:
    shards = {"a.safetensors": {}, "b.safetensors": {}}
    where = dict(zip(weights(), list(shards) * 9, strict=False))
    for key, tensor in weights().items():
        shards[where[key]][key] = tensor
    for name, content in shards.items():
        save_file(content, folder / name)
    index = {"metadata": {}, "weight_map": where}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    return folder


FORMATS = [
    as_zip,
    as_legacy,
    as_parameters,
    as_safetensors,
    as_misnamed,
    as_diffusers_folder,
    as_pipeline,
    as_bin_folder,
    as_fp16_folder,
    as_fp16_bin_folder,
    as_fp16_shards,
    as_index,
    as_shards,
]
each_format = pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__[3:])


@each_format
def test_every_format_gives_the_weights(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    """Whatever format the weights lie in, and whatever the file is called, they are read unchanged."""
    assert_same(read_checkpoint(write(tmp_path), PLAIN).state, weights())


@each_format
@pytest.mark.parametrize("build", [Model, on_meta])
def test_a_model_gets_all_its_weights(
    tmp_path: Path, write: Callable[[Path], Path], build: Callable[[], Model]
) -> None:
    """A model that was built, on the meta device or not, holds the file's weights and its computed table."""
    model = build()
    load_into(model, read_checkpoint(write(tmp_path), COMPUTED).state, COMPUTED, where="here")
    assert_same(model.state_dict(), weights() | {"table": torch.arange(4.0)})


def test_an_archive_that_was_packed_again_is_read(tmp_path: Path) -> None:
    """Where a tool has compressed the weights in the archive, they are unpacked and not mapped."""
    path = saved(tmp_path / "first.pt", {"w": torch.arange(4096.0)})
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(tmp_path / "again.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_same(read_checkpoint(tmp_path / "again.pt", PLAIN).state, {"w": torch.arange(4096.0)})


# --- where in the file ----------------------------------------------------------------------------


def test_the_first_nesting_that_is_there_wins(tmp_path: Path) -> None:
    """Averaged weights are taken before raw ones, if the layout says so; a bare state dict is one too."""
    layout = CheckpointLayout(nesting=("ema", "model"))
    raw, averaged = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    both = saved(tmp_path / "both.pt", {"model": raw, "ema": averaged})
    assert_same(read_checkpoint(both, layout).state, averaged)
    assert_same(read_checkpoint(saved(tmp_path / "raw.pt", {"model": raw}), layout).state, raw)
    assert_same(read_checkpoint(saved(tmp_path / "bare.pt", averaged), layout).state, averaged)


def test_entries_without_the_prefix_are_other_networks(tmp_path: Path) -> None:
    """Only keys with the first prefix that occurs are the denoiser's."""
    layout = CheckpointLayout(prefixes=("model.", "own.", ""))
    path = saved(tmp_path / "a.pt", {"own.w": torch.ones(1), "vae.w": torch.zeros(1)})
    assert_same(read_checkpoint(path, layout).state, {"w": torch.ones(1)})


def test_keys_are_renamed_after_the_prefix_is_gone(tmp_path: Path) -> None:
    """A layout's own renaming sees the keys without prefix."""
    layout = CheckpointLayout(
        prefixes=("model.",), renamed=lambda state: {key.upper(): value for key, value in state.items()}
    )
    path = saved(tmp_path / "a.pt", {"model.w": torch.ones(1)})
    assert_same(read_checkpoint(path, layout).state, {"W": torch.ones(1)})


def test_computed_entries_of_a_file_are_ignored(tmp_path: Path) -> None:
    """A table of another length in the file neither hinders nor changes what the class computes."""
    model = Model()
    load_into(model, weights() | {"table": torch.zeros(9)}, COMPUTED, where="here")
    assert_same(model.state_dict(), weights() | {"table": torch.arange(4.0)})


def test_weights_take_the_type_of_the_model() -> None:
    """Half-precision files fill float32 models and the reverse; whole numbers stay whole."""
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights().items()}
    model = on_meta()
    load_into(model, halves, COMPUTED, where="here")
    assert_same(
        model.state_dict(),
        {k: v.to(weights()[k].dtype) for k, v in halves.items()} | {"table": torch.arange(4.0)},
    )
    narrow = Model().bfloat16()
    load_into(narrow, weights(), COMPUTED, where="here")
    assert narrow.first.weight.dtype is torch.bfloat16
    assert narrow.steps.dtype is torch.int64


def test_a_table_left_on_the_meta_device_is_a_mistake_of_the_class() -> None:
    """What is computed must have values; buffers that no state dict holds count, too."""

    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(1, 1)
            self.register_buffer("table", torch.arange(4), persistent=False)

    with torch.device("meta"):
        model = Careless()
    with pytest.raises(InvariantError, match="left table without values"):
        load_into(model, nn.Linear(1, 1).state_dict(prefix="first."), PLAIN, where="here")
    assert model.first.weight.is_meta


# --- nothing is run -------------------------------------------------------------------------------

ALLOWED_ATTACKS = CheckpointLayout(
    allowed_globals=("posix.*", "os.*", "nt.*", "subprocess.*", "builtins.eval")
)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("function", [os.system, eval, os.popen])
@pytest.mark.parametrize("layout", [PLAIN, ALLOWED_ATTACKS])
def test_a_call_in_a_pickle_is_never_made(
    tmp_path: Path, *, zipped: bool, function: Callable[[str], object], layout: CheckpointLayout
) -> None:
    """A file that calls a function when unpickled is refused or read without the call, even if allowed."""
    mark = tmp_path / "mark"
    content = {"w": torch.ones(1), "trap": Attack(mark, function)}
    path = saved(tmp_path / "a.pt", content, _use_new_zipfile_serialization=zipped)
    if layout is PLAIN:
        assert "names what no checkpoint of weights needs" in refusal_of(path).problem
    else:
        try:
            trap = read_checkpoint(path, layout).extras["trap"]
        except StoreError:
            pass  # torch blocks some modules whatever is allowed
        else:
            assert isinstance(trap, InertRecord)
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_the_attack_would_work_otherwise(tmp_path: Path, *, zipped: bool) -> None:
    """The same file leaves its mark when it is unpickled freely: the tests above can fail."""
    mark = tmp_path / "mark"
    path = saved(tmp_path / "a.pt", {"trap": Attack(mark)}, _use_new_zipfile_serialization=zipped)
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_a_class_that_others_declared_safe_is_not_run(tmp_path: Path) -> None:
    """What someone else in the process let torch construct stays inert here, and theirs afterwards."""
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1), "scaler": Normalizer(2.0)})
    name = f"{Normalizer.__module__}.Normalizer"
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([Normalizer]):
        assert name in refusal_of(path).problem
        read = read_checkpoint(path, CheckpointLayout(allowed_globals=(name,)))
        assert type(read.extras["scaler"]) is not Normalizer
        assert set(torch.serialization.get_safe_globals()) == before | {Normalizer}


def test_a_class_of_torch_that_others_declared_safe_is_refused(tmp_path: Path) -> None:
    """That someone else in the process trusts a module of torch does not let a file make one."""
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1), "layer": nn.Linear(1, 1)})
    with torch.serialization.safe_globals([nn.Linear]):
        torch.load(path, weights_only=True)
        assert "torch.nn.modules.linear.Linear" in refusal_of(path).problem


@pytest.mark.parametrize("zipped", [True, False])
def test_an_allowed_object_becomes_an_inert_record(tmp_path: Path, *, zipped: bool) -> None:
    """A pickled object of an allowed class keeps its name and its content, and its class is not imported."""
    content = {"ema": weights(), "scaler": Normalizer(torch.tensor([2.0])), "optimizer_state_dict": {"a": 1}}
    path = saved(tmp_path / "a.pt", content, _use_new_zipfile_serialization=zipped)
    package = Normalizer.__module__
    layout = CheckpointLayout(nesting=("ema",), allowed_globals=(f"{package}.*",))
    extras = read_checkpoint(path, layout).extras
    assert list(extras) == ["scaler"]
    assert extras["scaler"].kind == f"{package}.Normalizer"
    assert extras["scaler"].state == {"scale": torch.tensor([2.0])}
    assert repr(extras["scaler"]) == f"<inert {package}.Normalizer>"


@pytest.mark.parametrize("zipped", [True, False])
def test_bookkeeping_of_trainers_does_not_hinder(tmp_path: Path, *, zipped: bool) -> None:
    """What Lightning, numpy and argparse leave beside the weights is read as inert records."""
    content = {
        "state_dict": weights(),
        "epoch": 3,
        "best": np.float32(0.5),
        "mean": np.arange(3.0),
        "arguments": Namespace(width=8),
        "table": defaultdict(list, {"a": [1]}),
        "kinds": [dict, int, Path("a")],
    }
    path = saved(tmp_path / "a.ckpt", content, _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(path, CheckpointLayout(nesting=("state_dict",)))
    assert_same(read.state, weights())
    assert read.extras["epoch"] == 3
    assert read.extras["table"] == {"a": [1]}
    assert read.extras["arguments"].state == {"width": 8}


def test_what_a_stranger_pickled_is_named(tmp_path: Path) -> None:
    """A refused file is refused with the names that it wanted, three of them at most."""
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1), "model": Model(), "scaler": Normalizer(1.0)})
    names = f"{__name__}.Model, {__name__}.Normalizer"
    assert refusal_of(path).problem == f"names what no checkpoint of weights needs: {names}"


def test_a_name_of_torch_that_is_no_weight_is_refused(tmp_path: Path) -> None:
    """Functions of torch itself are not called either."""
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1), "f": torch.hub.load})
    assert refusal_of(path).problem.endswith("torch.hub.load")


def test_another_protocol_of_pickle_is_refused(tmp_path: Path) -> None:
    """Protocol 4 names classes in a way that cannot be looked through; the refusal says what to do."""
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1)}, pickle_protocol=4)
    assert "protocol 4" in refusal_of(path).problem


def repacked(path: Path, compression: int = zipfile.ZIP_STORED, **replaced: bytes) -> Path:
    """A file of torch.save with other bytes in some of its members, or with more of these."""
    with zipfile.ZipFile(saved(path, {"w": torch.ones(1)})) as old:
        members = {name.partition("/")[2]: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, content in (members | replaced).items():
            new.writestr(name if name.startswith("other/") else f"archive/{name}", content)
    return path


def nested(depth: int) -> bytes:
    """A pickle of tuples in one another, as a key of a table."""
    return b"\x80\x02})" + b"\x85" * depth + b"Ns."


def test_tuples_without_end_are_refused(tmp_path: Path) -> None:
    """Python ends without a word when it hashes a tuple that is nested too deep: no such key is made."""
    path = repacked(tmp_path / "a.pt", **{"data.pkl": nested(1_000_000)})
    assert refusal_of(path).problem.startswith("pickles more, or nests it deeper, than any checkpoint")
    legacy = saved(tmp_path / "b.pt", {}, _use_new_zipfile_serialization=False)
    names_of_storages = pickle.dumps([], protocol=2)
    legacy.write_bytes(legacy.read_bytes().removesuffix(names_of_storages) + nested(1_000_000))
    assert refusal_of(legacy).problem.startswith("pickles more, or nests it deeper")


def test_pickles_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would fill the memory with objects is refused before one is made."""
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1)})
    monkeypatch.setattr(pickles, "MOST_INSTRUCTIONS", 10)
    assert refusal_of(path).problem.startswith("pickles more")
    monkeypatch.undo()
    monkeypatch.setattr(checkpoints, "_MOST_PICKLED_BYTES", 10)
    assert refusal_of(path).problem.startswith("pickles more")


@pytest.mark.parametrize("member", ["data.pkl", "data/0", "more"])
def test_a_small_archive_that_unpacks_to_a_large_one_is_refused(tmp_path: Path, member: str) -> None:
    """Zeros are packed a thousandfold: the sizes that an archive declares are looked at first."""
    path = repacked(tmp_path / "a.pt", zipfile.ZIP_DEFLATED, **{member: bytes(2**20)})
    assert "more than 20 times its size" in refusal_of(path).problem


def test_an_archive_has_one_pickle(tmp_path: Path) -> None:
    """A second one could be looked through while torch reads the first."""
    path = repacked(tmp_path / "a.pt", **{"other/data.pkl": b"\x80\x02}."})
    assert refusal_of(path).problem == "a zip archive that torch.save did not write"


def test_attributes_from_a_file_cover_no_methods(tmp_path: Path) -> None:
    """A pickle may set attributes of a table or a weight; what is read does not go through them."""
    table: Any = OrderedDict(weights())
    table.get = table.keys = Namespace
    weight: Any = nn.Parameter(weights()["first.weight"])
    weight.detach = weight.to = Namespace
    table["first.weight"] = weight
    read = read_checkpoint(saved(tmp_path / "a.pt", {"model": table}), CheckpointLayout(nesting=("model",)))
    assert_same(read.state, weights())
    table_of_no_items = b"ccollections\nOrderedDict\n)R}X\x05\0\0\0itemscargparse\nNamespace\nsb."
    path = repacked(tmp_path / "b.pt", **{"data.pkl": b"\x80\x02" + table_of_no_items})
    assert refusal_of(path).problem.startswith("no weights of this model")


def test_a_class_of_any_name_becomes_an_inert_record(tmp_path: Path) -> None:
    """Names that Python gives no class, such as one with a NUL, are as inert as others."""
    content = b"\x80\x02}(X\x01\0\0\0xcargparse\nNamespace\nX\x01\0\0\0yclightning.a\nb\0c\nu."
    path = repacked(tmp_path / "a.pt", **{"data.pkl": content})
    assert refusal_of(path).problem.startswith("no weights of this model")


@pytest.mark.parametrize("key", ["a\nb", "\x1b[31mred", "\ud800", "w" * 10_000])
def test_keys_are_shown_in_one_line(tmp_path: Path, key: str) -> None:
    """A key of line breaks, colours or great length does neither break nor fill the message."""
    path = saved(tmp_path / "a.pt", {key: torch.ones(1)})
    refusal_of(path, CheckpointLayout(prefixes=("model.",)))


def ragged() -> torch.Tensor:
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("odd", [lambda: torch.ones(2, device="meta"), ragged], ids=["meta", "ragged"])
def test_tensors_without_values_or_shape_are_refused(tmp_path: Path, odd: Callable[[], torch.Tensor]) -> None:
    """A tensor of the meta device holds nothing, and one of ragged rows has no shape to compare."""
    path = saved(tmp_path / "a.pt", weights() | {"odd": odd()})
    assert refusal_of(path).problem == "1 of its tensors have no values, or no single shape: odd"


def test_a_renaming_that_fails_names_the_file(tmp_path: Path) -> None:
    """Where keys cannot be turned into the model's, the refusal names the file and the key."""

    def refuse(_: Any) -> Any:
        raise StoreError("is of another network", where="first.weight")

    def join(state: Any) -> Any:
        return {"joined": torch.cat([state["first.weight"], state["second.weight"]])}

    path = as_zip(tmp_path)
    assert refusal_of(path, CheckpointLayout(renamed=refuse)).where == f"{path}: first.weight"
    refusal = refusal_of(path, CheckpointLayout(renamed=join))
    assert refusal.problem.startswith("its entries do not make a model: Sizes of tensors must match")


# --- files that are something else ----------------------------------------------------------------


def test_nothing_there_is_said(tmp_path: Path) -> None:
    """Where there is neither file nor folder, the refusal and the digest say just that."""
    assert refusal_of(tmp_path / "none.pt").problem == "no such file"
    with pytest.raises(StoreError, match="no such file"):
        digest(tmp_path / "none.pt")
    (tmp_path / "file").touch()
    refusal_of(tmp_path / "file" / "below")


def test_what_has_no_end_is_refused(tmp_path: Path) -> None:
    """A pipe or a device is refused at once: nobody waits for what never comes, or never ends."""
    os.mkfifo(tmp_path / "pipe.pt")
    for path in (tmp_path / "pipe.pt", Path("/dev/zero")):
        assert refusal_of(path).problem == "a folder, a pipe or a device, not a file"
        with pytest.raises(StoreError, match="a pipe or a device"):
            digest(path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    """The refusal lists what was looked for, and which files there might be meant."""
    assert "looked for diffusion_pytorch_model.safetensors and " in refusal_of(tmp_path).problem
    as_zip(tmp_path)
    assert refusal_of(tmp_path).hint == "name one of its files: model.pt"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"\xef\xbb\xbf<html><body>{", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a git-LFS pointer"),
        (b'{"error": {"message": "not found"}}', "a text file"),
        (b"# notes {\n", "a text file"),
        (pickle.dumps({"w": 1}), "a pickle that torch.save did not write"),
        (b"\x1f\x8b\x08\x00", "a packed archive"),
        (b"\x00\x01\x02\xff" * 8, "neither a safetensors file"),
    ],
)
def test_what_is_no_weights_is_called_by_its_name(tmp_path: Path, content: Any, kind: str) -> None:
    """A page, a pointer or a text that was saved in place of weights is told, whatever its name."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert refusal_of(path).problem.startswith(f"no weights: {kind}")


def test_a_tar_of_old_torch_is_not_read(tmp_path: Path) -> None:
    """The oldest format of torch, a tar, was never safe to read."""
    with tarfile.open(tmp_path / "a.pt", "w") as archive:
        archive.add(as_zip(tmp_path), "pickle")
    refusal_of(tmp_path / "a.pt")


def test_a_release_archive_names_what_to_unpack(tmp_path: Path) -> None:
    """A zip that torch did not write is refused with the members that look like weights."""
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        archive.writestr("humanml/args.json", "{}")
        archive.writestr("humanml/model000200000.pt", b"")
    refusal = refusal_of(tmp_path / "release.zip")
    assert refusal.problem == "a zip archive that torch.save did not write"
    assert refusal.hint == "unpack it and name one of: humanml/model000200000.pt"


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    """A scripted model is a program, and is refused as one."""
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        for name in ("model/data.pkl", "model/constants.pkl", "model/code/__torch__.py"):
            archive.writestr(name, b"\x80\x02}.")
    assert refusal_of(tmp_path / "model.pt").problem.startswith("a TorchScript archive")


@pytest.mark.parametrize("content", [[torch.ones(1)], torch.ones(1), {"epoch": 3}, {"state_dict": {}}])
def test_a_file_without_a_table_of_weights_is_refused(tmp_path: Path, content: Any) -> None:
    """A list, a bare tensor or numbers alone are no state dict."""
    layout = CheckpointLayout(nesting=("state_dict",))
    refusal_of(saved(tmp_path / "a.pt", content), layout)


def test_another_models_prefix_is_refused(tmp_path: Path) -> None:
    """Where no key has the model's prefix, the refusal says which keys there are."""
    path = saved(tmp_path / "a.pt", {f"vae.{index}": torch.ones(1) for index in range(5)})
    problem = refusal_of(path, CheckpointLayout(prefixes=("model.",))).problem
    assert problem == (
        "no weights of this model (keys that begin with 'model.'): it holds vae.0, vae.1, vae.2, ..."
    )


@pytest.mark.parametrize("write", [as_zip, as_legacy, as_safetensors])
@given(data=st.data())
def test_a_cut_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[[Path], Path], data: st.DataObject
) -> None:
    """However little is missing at the end, a truncated file is refused by its path."""
    path = write(tmp_path_factory.mktemp("cut"))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1) | st.just(len(content) - 1))])
    refusal_of(path)


@pytest.mark.parametrize("write", [as_zip, as_legacy, as_safetensors])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[[Path], Path], data: st.DataObject
) -> None:
    """Whatever byte is wrong, nothing but a refusal in one line comes of it, or tensors."""
    path = write(tmp_path_factory.mktemp("damaged"))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        state = read_checkpoint(path, PLAIN).state
    except StoreError as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017  (only where it is refused)
    else:
        assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', '{"weight_map": {}}', "[" * 100_000],
)
def test_an_index_that_names_no_shards_is_refused(tmp_path: Path, text: str) -> None:
    """An index must name the files of its shards."""
    (tmp_path / "diffusion_pytorch_model.safetensors.index.json").write_text(text)
    refusal_of(tmp_path)


def test_shards_lie_beside_their_index(tmp_path: Path) -> None:
    """A shard that is missing, or that lies elsewhere, is refused by name."""
    as_shards(tmp_path)
    (tmp_path / "b.safetensors").unlink()
    assert refusal_of(tmp_path).problem == "1 of its shards are not there: b.safetensors"
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "../b.safetensors"}}))
    refusal_of(tmp_path)


# --- weights that do not fit ----------------------------------------------------------------------


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Missing, unexpected and mis-shaped keys are counted and the first three of each named."""
    state = weights() | {f"extra{index}": torch.ones(1) for index in range(4)}
    state["second.weight"] = torch.ones(4, 2)
    del state["first.bias"]
    assert misfit_of(state).problem == (
        "does not fit Model: 1 keys missing (first.bias), 4 keys unexpected (extra0, extra1, extra2, ...),"
        " 1 keys mis-shaped (second.weight is [4, 2], not [2, 4])"
    )


@given(st.sets(st.sampled_from(sorted(weights())), min_size=1))
def test_a_model_is_never_loaded_in_part(absent: set[str]) -> None:
    """Whichever keys are missing, the model keeps every value that it had."""
    misfit_of({key: value for key, value in weights().items() if key not in absent})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_no_numbers_are_refused(value: float, dtype: torch.dtype) -> None:
    """NaN or infinity anywhere in the weights is refused, naming the key."""
    state = weights()
    state["first.weight"] = state["first.weight"].to(dtype)
    state["first.weight"][1, 2] = value
    assert misfit_of(state).problem == "NaN or infinity in 1 of its weights: first.weight"


def test_large_weights_are_numbers() -> None:
    """Weights whose sum is beyond their type are finite all the same."""
    state = weights() | {"first.weight": torch.full((4, 3), 3e38)}
    load_into(Model(), state, COMPUTED, where="here")


def test_weights_that_float32_cannot_hold_are_refused() -> None:
    """A finite float64 that becomes infinite in the model's type is no weight."""
    state = weights() | {"first.weight": torch.full((4, 3), 1e300, dtype=torch.float64)}
    assert "first.weight" in misfit_of(state).problem


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64]
)
def test_quantised_weights_are_refused(dtype: torch.dtype) -> None:
    """Weights of whole numbers or of 8 bits mean something else than they say."""
    state = weights() | {"first.weight": torch.zeros(4, 3).to(dtype)}
    assert misfit_of(state).problem.startswith(
        "integer, quantised or sparse weights are not read: first.weight is "
    )


def test_sparse_weights_are_refused() -> None:
    """Where zeros are left out, the refusal says so instead of naming a type that would do."""
    state = weights() | {"first.weight": torch.eye(4, 3).to_sparse()}
    assert misfit_of(state).problem.endswith("first.weight is sparse float32")


def test_whole_numbers_must_be_whole() -> None:
    """Where the model counts, a file of fractions does not fit."""
    state = weights() | {"steps": torch.zeros(2)}
    assert misfit_of(state).problem == "steps is float32, not int64"


# --- digests --------------------------------------------------------------------------------------


def test_a_digest_is_of_the_content(tmp_path: Path) -> None:
    """The same bytes have one digest under any name, alone or in a folder; other bytes have another."""
    first = tmp_path / "a.bin"
    first.write_bytes(b"weights")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"weights")
    assert digest(first) == digest(folder)
    assert digest(first) == hashlib.sha256(b"weights").hexdigest()
    first.write_bytes(b"other weights")
    assert digest(first) != digest(folder)


def test_the_digest_of_shards_depends_on_each(tmp_path: Path) -> None:
    """Changing any shard changes the digest of the folder."""
    before = digest(as_shards(tmp_path))
    save_file({"w": torch.ones(1)}, tmp_path / "b.safetensors")
    assert digest(tmp_path) != before


def test_a_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a file's size and time of change stay, its digest is remembered."""
    path = as_zip(tmp_path)
    first = digest(path)
    monkeypatch.setattr(checkpoints.hashlib, "file_digest", None)
    assert digest(path) == first
