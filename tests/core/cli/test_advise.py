"""`colfw advise`: the verdict first, then what it rests on; and what cannot be advised on is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from colfw.advice import ESTIMATE
from colfw.masks import MaskPolicy, MaskSet, SiteMask
from colfw.profile import ActivationProfile, Provenance, SiteProfile
from colfw.sites import Ffn, Site
from colfw.vocabulary import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.testing.strategies import Flags

    Colfw = Callable[..., tuple[int, str, str]]

LAYOUT = "tiny-hot-first"
SITE = Site(name="mlp", rows=6, columns=64, operator=Ffn(d_in=16, d_out=16))
QUARTER = np.tile(np.arange(64) % 4 == 0, (5, 1))


def write(hot: Flags, name: str = "p.safetensors", **provenance: Any) -> None:
    """A profile whose hot columns reach 0.5, the others 0.1."""
    entry = SiteProfile(
        site=SITE,
        maxima=np.where(hot, 0.5, 0.1).astype(np.float32),
        exceeding=np.count_nonzero(hot, axis=1)[:, None].astype(np.int64),
        elements=np.full(len(hot), 6 * 64, np.int64),
    )
    about = {
        "workload": "colfw/walker",
        "source": SourceKind.MINIATURE,
        "seed": 0,
        "samples": 2,
        **provenance,
    }
    made = ActivationProfile(
        provenance=Provenance(iterations=len(hot), **about), thresholds=(0.164,), sites=(entry,)
    )
    Path(name).write_bytes(made.to_bytes())


def answer(colfw: Colfw, *arguments: object) -> Any:
    code, out, err = colfw("advise", "p.safetensors", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_verdict_comes_first(colfw: Colfw) -> None:
    """What to use and what it saves; then a row a layout and mask; then why, and by which formula."""
    write(QUARTER)
    code, out, err = colfw("advise", "p.safetensors")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Use ")
    assert "is expected to save " in lines[0]
    rows = [line.split() for line in lines if line.split()[:1] == [LAYOUT]]
    assert {row[1] for row in rows} == {"dense", "tau=0.164", "rho=0.164"}
    why = lines.index("Why: colfw/walker, 1 sites, 5 iterations, measured, rows official")
    assert lines[why + 1].startswith("- regime: concentration: ")
    assert lines[-1] == ESTIMATE


def test_what_speaks_against_it_follows_the_verdict(colfw: Colfw) -> None:
    """A second line names what to mind, and a sentence on each comes after the reasons."""
    write(QUARTER, samples=1)
    lines = colfw("advise", "p.safetensors")[1].splitlines()
    assert lines[1].startswith("Mind: one sample")
    against = lines.index("When the numbers say don't:")
    assert lines[against + 1].startswith("- one sample: the profile saw 1 sample")


def test_dont_is_an_answer(colfw: Colfw) -> None:
    """A profile that no layout serves is advised against, and that is no error."""
    write(np.ones((4, 64), np.bool_))
    code, out, err = colfw("advise", "p.safetensors")
    assert (code, err) == (0, "")
    assert out.startswith("Don't: too few columns are cold at 0.164, and no layout can save more than 0.0 %")
    assert answer(colfw)["advised"] is None


def test_json_holds_all_of_it(colfw: Colfw) -> None:
    """The verdict, every case, reasons and objections with their numbers, and the neighbouring thresholds."""
    write(QUARTER, source=SourceKind.PUBLISHED)
    told = answer(colfw)
    assert told["verdict"].startswith(f"Use {told['advised']['layout']} at {told['advised']['mask']}")
    assert told["advised"] in told["layouts"]
    assert told["evidence"] == "synthesised"
    assert Path(told["profile"]) == Path("p.safetensors").absolute()
    hot_first = next(row for row in told["layouts"] if (row["layout"], row["mask"]) == (LAYOUT, "tau=0.164"))
    assert 0 < hot_first["expected_saving"] == hot_first["saving_at_most"] < 0.75
    assert hot_first["bytes"]["extra_bytes"] == hot_first["moved_columns"] == 0
    assert [reason["about"] for reason in told["reasons"]][:2] == ["regime", "column sparsity"]
    assert told["objections"][0]["about"] == "synthesised"
    assert len(told["sensitivity"]) == 5
    assert told["estimate"] == ESTIMATE


def test_options_reach_the_criteria(colfw: Colfw) -> None:
    """Threshold, target, what is worth it and the row tile are the user's."""
    write(QUARTER)
    options = ("--threshold", 0.05, "--target", 0.5, "--worth", 0.1, "--row-tile", 3)
    told = answer(colfw, *options)
    assert told["criteria"] == {
        "threshold": 0.05,
        "target": 0.5,
        "worth": 0.1,
        "row_tile": 3,
        "element_bytes": 2,
    }
    assert {row["mask"] for row in told["layouts"]} == {"dense", "tau=0.05", "rho=0.5"}
    assert told["advised"] is None  # every column exceeds 0.05
    finer, coarser = (answer(colfw, "--row-tile", tile)["layouts"][0]["bytes"] for tile in (3, 16))
    assert finer["dense_bytes"] > coarser["dense_bytes"]  # weights come twice, not once


def test_plugins_may_be_left_out(colfw: Colfw) -> None:
    """Layouts are those that are plugged in; without one, there is nothing to advise."""
    write(QUARTER)
    told = answer(colfw, "--no-plugin", "colfw-tiny")
    assert LAYOUT not in {row["layout"] for row in told["layouts"]}
    code, out, err = colfw("advise", "p.safetensors", "--no-plugin", "colfw-tiny", "--no-plugin", "layouts")
    assert (code, out) == (3, "")
    assert err == "colfw: no layout is plugged in (see `colfw plugins list`)\n"


def _masks() -> bytes:
    mask = SiteMask(site=SITE, tau=0.1, hot=QUARTER)
    return MaskSet(policy=MaskPolicy.uniform(0.1), sites=(mask,)).to_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("none.safetensors",), 5, "none.safetensors: no such file"),
        ((".",), 5, ".: is a folder (name a file in it, such as profiles/NAME.safetensors of a run)"),
        (("text",), 5, "text: not a readable safetensors file"),
        (("masks",), 5, "masks: no activation profile"),
        (("short",), 4, "profile of colfw/walker: 1 iteration, of which the first is dense: 3 are needed"),
        (("p", "--threshold", "-1"), 2, "Must be >= 0"),
        (("p", "--threshold", "inf"), 4, "needs a finite number >= 0"),
        (("p", "--target", "16.4"), 2, "Must be <= 1"),
        (("p", "--worth", "5"), 2, "Must be <= 1"),
        (("p", "--worth", "nan"), 2, "--worth"),
        (("p", "--row-tile", "0"), 2, "Must be >= 1"),
        ((), 2, "requires an argument. (see `colfw advise --help`)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_refusal_is_one_line(arguments: tuple[str, ...], code: int, line: str, colfw: Colfw) -> None:
    """What, where and what next, and nothing on stdout."""
    write(QUARTER, "p")
    write(QUARTER[:1], "short")
    Path("text").write_text("no profile", encoding="utf-8")
    Path("masks").write_bytes(_masks())
    found, out, err = colfw("advise", *arguments)
    assert (found, out) == (code, "")
    [only] = err.splitlines()
    assert only.startswith("colfw: ")
    assert line in only
