"""Figures: the numbers beside the picture, the same bytes every time, and words in every format."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import attrs
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.report.figures import Figure, write_figures
from colfw.report.figures.drawing import draw, specified, titled
from colfw.report.figures.settled import settled_pdf, settled_svg
from colfw.report.figures.shapes import (
    Roof,
    grouped_bars,
    lines,
    range_bars,
    roofline,
    scatter,
    stacked_bars,
)
from colfw.report.figures.standard import standard_figures
from colfw.report.figures.theme import COLOURS, DASHES, FONT, MARKS
from colfw.report.html import render
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import Column, Table, TableSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WORDS = {"title": "Published beside ours", "caption": "Synthesised: no model was run; µ, τ & <λ>."}
SVG = "{http://www.w3.org/2000/svg}"

WORKLOAD = Column("workload", "text", "name", "The workload")
MACHINE = Column("machine", "text", "name", "The machine")
WINDOW = Column("window", "integer", "requests", "Requests that the controller looks at")
SAVED = Column("cycle_reduction", "real", "1", "Cycles saved", nullable=True)
LOW, HIGH = (Column(f"published_{end}", "real", "1", "As printed", nullable=True) for end in ("low", "high"))
INTENSITY = Column("intensity", "real", "operations/byte", "Operations for each byte that is moved")
SPEED = Column("throughput", "real", "GOP/s", "Operations over time")


def table(name: str, columns: Sequence[Column], key: Sequence[str], rows: Sequence[dict[str, Any]]) -> Table:
    return Table(
        TableSchema(name=name, meaning="For a test", columns=tuple(columns), key=tuple(key)),
        rows,
    )


def saved(name: str = "saved") -> Table:
    """Two workloads on two machines, each number its own."""
    rows = [
        {"workload": "dit", "machine": "paper", "cycle_reduction": 0.125},
        {"workload": "dit", "machine": "reference", "cycle_reduction": 0.25},
        {"workload": "edge", "machine": "paper", "cycle_reduction": 0.5},
        {"workload": "edge", "machine": "reference", "cycle_reduction": None},
    ]
    return table(name, (WORKLOAD, MACHINE, SAVED), ("workload", "machine"), rows)


def swept() -> Table:
    rows = [
        {"workload": workload, "window": window, "cycle_reduction": share / window}
        for workload, share in (("dit", 1.0), ("edge", 2.0))
        for window in (8, 64)
    ]
    return table("swept", (WORKLOAD, WINDOW, SAVED), ("workload", "window"), rows)


def ranged() -> Table:
    cells = {"published_low": 0.1, "published_high": 0.2, "cycle_reduction": 0.15}
    lost, half_lost = (
        {**cells, "published_low": None, "published_high": None},
        {**cells, "published_high": None},
    )
    numbers = {"dit": cells, "mini": lost, "half": half_lost}
    rows = [{"workload": name, "machine": "paper", **numbers[name]} for name in numbers]
    return table("ranged", (WORKLOAD, MACHINE, LOW, HIGH, SAVED), ("workload", "machine"), rows)


def bound_by() -> Table:
    rows = [
        {"workload": "dit", "intensity": 2.0, "throughput": 50.0},
        {"workload": "edge", "intensity": 400.0, "throughput": 900.0},
    ]
    return table("bound-by", (WORKLOAD, INTENSITY, SPEED), ("workload",), rows)


ROOF = Roof(name="paper", peak=1000.0, per_x=50.0)
SAVED_AXES = {"x": "workload", "y": "cycle_reduction", "series": "machine"}
SHAPES: dict[str, Callable[[], Figure]] = {
    "grouped bars": lambda: grouped_bars(saved(), **WORDS, **SAVED_AXES),
    "stacked bars": lambda: stacked_bars(saved(), **WORDS, **SAVED_AXES, panel="workload"),
    "lines": lambda: lines(
        swept(), **WORDS, x="window", y="cycle_reduction", series="workload", logs=("window",)
    ),
    "panels of lines": lambda: lines(
        swept(), **WORDS, x="window", y="cycle_reduction", series="workload", panel="workload"
    ),
    "scatter": lambda: scatter(bound_by(), **WORDS, x="intensity", y="throughput", series="workload"),
    "roofline": lambda: roofline(
        bound_by(), **WORDS, x="intensity", y="throughput", series="workload", roofs=[ROOF]
    ),
    "range bars": lambda: range_bars(
        ranged(), **WORDS, **SAVED_AXES, low="published_low", high="published_high"
    ),
}


def texts(svg: str) -> list[str]:
    """The lines of text, as they are written."""
    found = ET.fromstring(svg).iter(f"{SVG}text")  # noqa: S314  (our own)
    return [line for element in found for line in element.itertext()]


def bare_svg(figure: Figure) -> str:
    return draw(figure).svg


def marks(svg: str, kind: str) -> list[str]:
    """What the picture says of each of its marks, as it is read aloud."""
    drawn = ET.fromstring(svg).iter(f"{SVG}path")  # noqa: S314  (our own)
    return [path.get("aria-label", "") for path in drawn if path.get("aria-roledescription") == kind]


def characters(pdf: bytes) -> set[str]:
    """The characters that can be copied out of a PDF: what the maps of its fonts lead to."""
    streams = [zlib_or_plain(part) for part in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)]
    maps = [stream for stream in streams if b"beginbfchar" in stream or b"beginbfrange" in stream]
    return {
        chr(int(code, 16))
        for text in maps
        for code in re.findall(rb"<[0-9A-Fa-f]{4}> <([0-9A-Fa-f]{4})>", text)
    }


def zlib_or_plain(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return stream


# Files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn_with_words_units_and_numbers_beside(shape: str, tmp_path: Path) -> None:
    """A figure is four files: two pictures with its title in them, its numbers, and its specification."""
    figure = SHAPES[shape]()
    write_figures([figure], tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{figure.name}.{ending}" for ending in ("svg", "pdf", "csv", "vl.json")}
    svg = (tmp_path / f"{figure.name}.svg").read_text()
    assert WORDS["title"] in texts(svg)
    assert WORDS["caption"] in texts(svg)
    pdf = (tmp_path / f"{figure.name}.pdf").read_bytes()
    assert set(WORDS["title"] + WORDS["caption"]) <= characters(pdf)
    with (tmp_path / f"{figure.name}.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == len(figure.data)


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_figures_are_equal_bytes(shape: str, tmp_path: Path) -> None:
    """Drawing again, after other figures and in a folder of its own, changes no byte of any file."""
    for folder in ("first", "second"):
        write_figures([SHAPES[shape]()], tmp_path / folder)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_another_process_draws_the_same_bytes(tmp_path: Path) -> None:
    """What a process has drawn before, and the seeds of its hash tables, leave no trace in a file."""
    script = (
        "import sys; from pathlib import Path\n"
        "from colfw.report.figures import Figure, write_figures\n"
        "from colfw.store.tables import Column, Table, TableSchema\n"
        "columns = (Column('a', 'integer', '1', 'm'),)\n"
        "schema = TableSchema(name='f', meaning='m', key=('a',), columns=columns)\n"
        "mark = {'type': 'bar', 'clip': True, 'opacity': 0.5}\n"
        "axes = {'x': {'field': 'a', 'type': 'quantitative', 'axis': {'labelFontWeight': 'bold'}}}\n"
        "chart = {'data': {'name': 'rows'}, 'mark': mark, 'encoding': axes}\n"
        "data = Table(schema, [{'a': n} for n in range(9)])\n"
        "write_figures([Figure(title='t', caption='c', data=data, chart=chart)], Path(sys.argv[1]))\n"
    )
    found = []
    for run in ("one", "two"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / run)], check=True)
        found.append({path.name: path.read_bytes() for path in (tmp_path / run).iterdir()})
    assert found[0] == found[1]


def test_the_order_in_which_a_pdf_was_put_together_leaves_no_trace() -> None:
    """Fonts and opacities come in any order from the converter, and in one from us."""
    words = "".join(
        f'<text y="{20 * number}" font-weight="{weight}" opacity="0.{number}">words</text>'
        for number, weight in enumerate(("normal", "bold", "normal", "bold"), 1)
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99" font-family="{FONT}">{words}</svg>'
    found = [vl_convert.svg_to_pdf(svg) for _ in range(16)]
    assert len(set(found)) > 1
    assert len(set(map(settled_pdf, found))) == 1


def test_a_settled_pdf_says_where_its_objects_are(tmp_path: Path) -> None:
    """Every offset in the table of a PDF leads to the object of that number, and the table is found."""
    write_figures([SHAPES["stacked bars"]()], tmp_path)
    pdf = (tmp_path / "saved.pdf").read_bytes()
    table_at = int(pdf.rpartition(b"startxref\n")[2].split()[0])
    assert pdf[table_at:].startswith(b"xref\n0 ")
    offsets = [int(offset) for offset in re.findall(rb"(\d{10}) 00000 n", pdf[table_at:])]
    assert len(offsets) == int(pdf[table_at + 7 :].split()[0]) - 1
    for number, offset in enumerate(offsets, 1):
        assert pdf[offset:].startswith(b"%d 0 obj\n" % number)


def test_two_figures_of_one_name_are_refused(tmp_path: Path) -> None:
    """Neither overwrites the other, nor what lies in the folder already."""
    with pytest.raises(InvariantError, match="'saved'"):
        write_figures([SHAPES["grouped bars"]()] * 2, tmp_path)
    with pytest.raises(InvariantError, match="'saved'"):
        write_figures([SHAPES["grouped bars"]()], tmp_path, beside=[SHAPES["stacked bars"]()])


def test_a_specification_needs_no_network() -> None:
    """It holds its numbers, and no address but the name of the grammar."""
    specification = specified(SHAPES["roofline"]())
    assert specification.pop("$schema").startswith("https://vega.github.io/schema/vega-lite/")
    text = json.dumps(specification)
    assert "http" not in text
    assert '"url"' not in text
    assert [dict(row) for row in bound_by().rows] == specification["datasets"]["rows"]
    assert specification["usermeta"]["columns"]["throughput"]["unit"] == "GOP/s"


def test_a_chart_that_would_fetch_something_is_refused(tmp_path: Path) -> None:
    """Data from an address is never asked for: the figure is refused, and named."""
    chart = {"data": {"url": "https://example.org/a.csv"}, "mark": "bar", "encoding": {}}
    with pytest.raises(InvariantError, match="figure saved"):
        write_figures([Figure(**WORDS, data=saved(), chart=chart)], tmp_path)


# What a figure refuses -------------------------------------------------------------------------------


def test_a_misspelt_column_is_refused_with_the_nearest() -> None:
    """Vega-Lite would draw an empty picture of it."""
    with pytest.raises(InvariantError, match="did you mean 'workload'"):
        grouped_bars(saved(), **WORDS, x="wokload", y="cycle_reduction", series="machine")
    chart = {"mark": "bar", "encoding": {"x": {"field": "cycle_reductoin", "type": "quantitative"}}}
    with pytest.raises(InvariantError, match="did you mean 'cycle_reduction'"):
        Figure(**WORDS, data=saved(), chart=chart)


def test_what_a_chart_computes_itself_may_be_drawn() -> None:
    """Fields that a transform makes are no columns of the table."""
    doubled = [{"calculate": "2 * datum.cycle_reduction", "as": "twice"}]
    chart = {"transform": doubled, "mark": "bar", "encoding": {"x": {"field": "twice"}}}
    assert Figure(**WORDS, data=saved(), chart=chart).name == "saved"


def test_a_figure_of_nothing_is_refused() -> None:
    """No rows, no caption, no figure."""
    with pytest.raises(InvariantError, match="no rows"):
        attrs.evolve(SHAPES["scatter"](), data=Table(bound_by().schema, []))
    with pytest.raises(InvariantError, match="caption"):
        attrs.evolve(SHAPES["scatter"](), caption=" ")


# What is in the picture ------------------------------------------------------------------------------


def test_bars_are_as_high_as_the_numbers() -> None:
    """Each bar shows one number of the table; null shows none."""
    labels = marks(bare_svg(SHAPES["grouped bars"]()), "bar")
    assert sorted(labels) == [
        "workload: dit; cycle reduction (%): 0.125; machine: paper",
        "workload: dit; cycle reduction (%): 0.25; machine: reference",
        "workload: edge; cycle reduction (%): 0.5; machine: paper",
    ]


@pytest.mark.parametrize("shape", ["panels of lines", "stacked bars"])
def test_a_panel_shows_its_own_rows_only(shape: str) -> None:
    """No row appears in the panel of another: there are as many marks as rows with a number."""
    figure = SHAPES[shape]()
    kind = "point" if "lines" in shape else "bar"
    numbers = [row for row in figure.data.rows if row["cycle_reduction"] is not None]
    svg = bare_svg(figure)
    assert len(marks(svg, kind)) == len(numbers)
    assert {"dit", "edge"} <= set(texts(svg))


def test_the_parts_of_a_bar_are_stacked_in_the_order_that_is_asked_for() -> None:
    """The first part is the first in the legend and the lowest in the bar, whatever the alphabet says."""
    part = Column("part", "text", "name", "The part")
    rows = [
        {"workload": "dit", "part": name, "cycle_reduction": 0.25} for name in ("stall", "compute", "other")
    ]
    data = table("parts", (WORKLOAD, part, SAVED), ("workload", "part"), rows)
    order = ("compute", "stall", "other")
    axes = {"x": "workload", "y": "cycle_reduction", "series": "part"}
    svg = bare_svg(stacked_bars(data, **WORDS, **axes, orders={"part": order}))
    found = re.findall(r'aria-label="workload: dit;[^"]*part: (\w+)[^>]* d="M[\d.]+,([\d.]+)', svg)
    assert [name for name, _ in sorted(found, key=lambda bar: -float(bar[1]))] == list(order)
    assert [text for text in texts(svg) if text in order] == list(order)


def test_a_roof_is_the_bandwidth_up_to_the_ridge_and_the_peak_from_there_on() -> None:
    """At the ridge both say the same; the roof spans all points."""
    assert ROOF.ridge == 20.0
    assert [ROOF.height(x) for x in (2.0, 20.0, 400.0)] == [100.0, 1000.0, 1000.0]
    corners = SHAPES["roofline"]().chart["datasets"]["roof"]
    assert [corner["throughput"] for corner in corners] == [50.0, 1000.0, 1000.0]
    assert corners[0]["intensity"] <= 2.0
    assert corners[-1]["intensity"] >= 400.0


def test_a_range_is_drawn_where_both_of_its_ends_are_known() -> None:
    """A point without a published range stays, without one."""
    svg = bare_svg(SHAPES["range bars"]())
    assert len(marks(svg, "bar")) == 1
    assert len(marks(svg, "point")) == 3
    assert "grey: published low to published high" in texts(svg)


def test_axes_carry_units_and_shares_are_in_percent() -> None:
    """Titles of axes say the unit of their column; the labels of a share are percent as the title says."""
    assert "throughput (GOP/s)" in texts(bare_svg(SHAPES["roofline"]()))
    shown = texts(bare_svg(SHAPES["grouped bars"]()))
    assert "cycle reduction (%)" in shown
    assert {"10", "50"} <= set(shown)


@given(series=st.integers(2, 24))
def test_no_two_series_look_alike(series: int) -> None:
    """Colour, mark and dash together tell as many series apart as a legend can hold."""
    looks = {
        (COLOURS[n % len(COLOURS)], MARKS[n % len(MARKS)], DASHES[n % len(DASHES)]) for n in range(series)
    }
    assert len(looks) == series


def test_settled_anchors_are_the_figures_own() -> None:
    """Two pictures in one page share no anchor; what an anchor is used for follows it."""
    svg = '<svg><clipPath id="clip7"/><g clip-path="url(#clip7)"/><use href="#clip7"/></svg>'
    found = settled_svg(svg, "a")
    assert found == '<svg><clipPath id="a-1"/><g clip-path="url(#a-1)"/><use href="#a-1"/></svg>'


# The figures of every run --------------------------------------------------------------------------------


def filled(name: str, **cells: Any) -> dict[str, Any]:
    """A row of a known table with what matters here; the rest is anything that fits."""
    anything = {"text": "x", "integer": 1, "real": 0.5, "flag": False}
    missing = {
        column.name: None if column.nullable else anything[column.kind] for column in SCHEMAS[name].columns
    }
    return {**missing, "evidence": "synthesised", **cells}


def known(name: str, *rows: dict[str, Any]) -> Table:
    return Table(SCHEMAS[name], [filled(name, **row) for row in rows])


def case(layout: str, mask: str, cycles: int, **cells: Any) -> dict[str, Any]:
    parts = {"compute_core_cycles": 10, "other_core_cycles": 0, "stall_core_cycles": cycles - 10}
    compared = {"baseline_layout": "row-major", "cycle_reduction": 1 - cycles / 100}
    where = {"workload": "dit", "machine": "paper", "layout": layout, "mask": mask}
    return {**where, **parts, **compared, "core_cycles": cycles, **cells}


def drawn(**tables: Table) -> dict[str, Figure]:
    return {figure.name: figure for figure in standard_figures(tables)}


def test_a_run_without_rows_has_no_figures() -> None:
    """A figure is drawn where its table has rows, and only there."""
    assert standard_figures({}) == ()
    assert standard_figures({name: Table(schema, []) for name, schema in SCHEMAS.items()}) == ()


def test_the_time_of_the_dense_run_is_split_into_parts_that_add_up() -> None:
    """Shares of compute, stall and other over the dense run that others are held against; no other run."""
    totals = known(
        "totals",
        case("row-major", "dense", 100),
        case("hot-cold", "dense", 50),
        case("hot-cold", "tau=0.1", 40),
    )
    rows = drawn(totals=totals)["time-breakdown"].data.rows
    assert {row["part"]: row["core_cycle_share"] for row in rows} == {
        "compute": 0.1,
        "stall": 0.9,
        "other": 0.0,
    }


def test_reductions_are_drawn_for_all_but_the_baseline() -> None:
    """Each layout and mask has its bar; over seeds, the mean."""
    totals = known(
        "totals",
        case("row-major", "dense", 100, seed=1),
        case("hot-cold", "tau=0.1", 40, seed=1),
        case("row-major", "dense", 100, seed=2),
        case("hot-cold", "tau=0.1", 60, seed=2),
    )
    figure = drawn(totals=totals)["cycle-reduction"]
    (row,) = figure.data.rows
    assert row["case"] == "hot-cold, tau=0.1"
    assert row["cycle_reduction"] == pytest.approx(0.5)
    assert "Means over 2 seeds." in figure.caption


def test_causes_that_are_not_known_are_left_out() -> None:
    """What has no number has no bar, and the parts that remain add up to the reduction."""
    split = {"cycle_reduction": 0.5, "by_work": None, "by_traffic": 0.6, "by_locality": -0.1}
    figure = drawn(reductions=known("reductions", {"workload": "dit", **split}))["reduction-causes"]
    assert {row["cause"]: row["cycle_reduction"] for row in figure.data.rows} == {
        "fewer bytes": 0.6,
        "quicker bytes": -0.1,
    }


def sparse(site: str, iteration: int, columns: int, column: float, **cells: Any) -> dict[str, Any]:
    where = {"workload": "dit", "mask": "tau=0.1", "site": site, "iteration": iteration, "tau": 0.1}
    return {**where, "columns": columns, "column_sparsity": column, **cells}


def test_sparsity_is_the_mean_over_columns_of_the_sparse_iterations() -> None:
    """A wide site counts as often as it has columns; iteration 0, which is dense, does not count."""
    rows = [
        sparse("a", 0, 100, 0.9, element_sparsity=0.9),
        sparse("a", 1, 100, 0.2, element_sparsity=0.6),
        sparse("b", 1, 300, 0.6, element_sparsity=None),
        sparse("a", 1, 100, 0.3, mask="rho=0.1"),
    ]
    found = drawn(sparsity=known("sparsity", *rows))["element-and-column-sparsity"].data.rows
    assert {row["counted"]: row["sparsity"] for row in found} == pytest.approx(
        {"columns": 0.5, "elements": 0.6}
    )
    assert {row["tau"] for row in found} == {0.1}


def test_sparsity_and_jaccard_are_followed_over_iterations() -> None:
    """Every iteration and mask has its mean; Jaccard begins where there is an iteration before."""
    rows = [sparse("a", 0, 1, 0.1), sparse("a", 1, 1, 0.2, jaccard=0.7), sparse("b", 1, 3, 0.4, jaccard=0.3)]
    figures = drawn(sparsity=known("sparsity", *rows))
    columns = figures["column-sparsity-over-iterations"].data.rows
    assert [(row["iteration"], row["column_sparsity"]) for row in columns] == [
        (0, 0.1),
        (1, pytest.approx(0.35)),
    ]
    (stable,) = figures["jaccard-over-iterations"].data.rows
    assert (stable["iteration"], stable["jaccard"]) == (1, pytest.approx(0.4))


def test_every_caption_says_what_the_numbers_rest_on() -> None:
    """Where workloads rest on different evidence, the caption says which rests on what."""
    totals = known(
        "totals",
        case("row-major", "dense", 100, evidence="measured"),
        case("row-major", "dense", 100, workload="edge"),
    )
    caption = drawn(totals=totals)["time-breakdown"].caption
    assert "measured on real weights (dit)" in caption
    assert "no model was run (edge)" in caption


def test_the_page_shows_figures_with_their_words_and_a_way_to_the_numbers() -> None:
    """The picture is in the page itself, which runs no script and fetches nothing."""
    figures = [SHAPES["stacked bars"](), SHAPES["scatter"]()]
    words = {"name": "n", "tables": {}, "sections": [], "study": "", "plugins": []}
    page = render(**words, pictures=[draw(figure) for figure in figures])
    assert page.count("<svg") == len(figures)
    assert "&lt;λ&gt;" in page
    assert 'href="figures/saved.csv"' in page
    assert page.index("<svg") < page.index("<h2>Tables</h2>")
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="http', page.replace('xmlns:xlink="http', ""))
    anchors = re.findall(r'\bid="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))


def test_the_page_does_not_write_title_and_caption_twice() -> None:
    """Files carry their words in the picture; in the page they stand beside it."""
    figure = SHAPES["scatter"]()
    assert WORDS["title"] not in texts(bare_svg(figure))
    assert titled(figure)["title"]["text"] == WORDS["title"]
