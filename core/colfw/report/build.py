"""From stored results to tables: every number of a report is computed here, from files alone."""

from __future__ import annotations

import json
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import define, frozen

from colfw.dram.counts import ChannelCounts
from colfw.errors import InvariantError
from colfw.masks import (
    MaskPolicy,
    MaskSet,
    calibrate_elements,
    churn,
    classify,
    column_sparsity,
    consecutive_jaccard,
    element_sparsity,
    exceeding_share_bounds,
    granularity_gap,
    hot_columns,
    inflation,
    masks_of,
    sparse_iterations,
    tau_of,
)
from colfw.placement import Placement
from colfw.profile import ActivationProfile
from colfw.report.schemas import SCHEMAS
from colfw.report.trade_off import trade_offs
from colfw.store.tables import Table
from colfw.timing import NOTHING, Timing
from colfw.vocabulary import MaskKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from colfw.masks import SiteMask
    from colfw.profile import SiteProfile

    Row = dict[str, Any]


@frozen(kw_only=True)
class Result:
    """A stored result and where it stands in the study."""

    step: str
    context: Mapping[str, Any]
    file: Callable[[str], Path]


@define
class Sources:
    """The results of a run, read as they are needed and no more than once."""

    results: Sequence[Result]
    masks: Sequence[MaskPolicy]
    uniform_range: Sequence[float]

    def of(self, step: str) -> Iterator[Result]:
        return (result for result in self.results if result.step == step)

    @cached_property
    def profiles(self) -> Mapping[tuple[str, int], ActivationProfile]:
        return {
            _run_of(result): ActivationProfile.from_file(result.file("profile.safetensors"))
            for result in self.of("profile")
        }

    def origin(self, result: Result) -> Row:
        return _origin(self.profiles[_run_of(result)])

    @cached_property
    def mask_digests(self) -> dict[tuple[Any, ...], str]:
        """The digest of the masks that each case was placed with, and so simulated with."""
        return {
            _case_of(result): MaskSet.from_file(result.file("masks.safetensors")).digest
            for result in self.of("place")
        }

    @cached_property
    def _fetching_all(self) -> dict[tuple[Any, ...], str]:
        """(workload, seed, mask) -> the layout that fetches every column in every iteration under it."""
        found: dict[tuple[Any, ...], str] = {}
        for result in self.of("place"):
            placement = Placement.from_file(result.file("placement.safetensors"))
            if all(entry.fetched.all() for entry in placement.sites):
                found.setdefault((*_run_of(result), result.context["mask"]), result.context["layout"])
        return found

    def layout_that_fetches_all(self, case: Row) -> str | None:
        return self._fetching_all.get((case["workload"], case["seed"], case["mask"]))

    def _mask_sets(self) -> Iterator[tuple[tuple[str, int], MaskPolicy, MaskSet]]:
        for run, profile in self.profiles.items():
            for policy in self.masks:
                if not policy.calibrated or profile.provenance.iterations > 1:
                    yield run, policy, masks_of(profile, policy)

    def sparse_mask_sets(self) -> Iterator[tuple[tuple[str, int], MaskPolicy, MaskSet]]:
        return (entry for entry in self._mask_sets() if entry[1].kind is not MaskKind.DENSE)


def build_tables(sources: Sources) -> dict[str, Table]:
    """All tables that the results give rise to; a table without a row is left out."""
    rows: dict[str, Iterable[Row]] = {
        "sites": _site_rows(sources),
        "profiles": _profile_rows(sources),
        "sparsity": _sparsity_rows(sources),
        "calibration": _calibration_rows(sources),
        "regimes": _regime_rows(sources),
        "placements": _placement_rows(sources),
        "timing": _timing_rows(sources),
        "memory_channels": _channel_rows(sources),
        "traffic": _traffic_rows(sources),
        "totals": (totals := list(_total_rows(sources))),
        "reductions": _reduction_rows(sources, totals),
        "scores": (scores := list(_score_rows(sources))),
        "trade_off": trade_offs(scores, totals),
    }
    tables = {name: Table(SCHEMAS[name], list(found)) for name, found in rows.items()}
    _check_masks_agree(tables)
    return {name: table for name, table in tables.items() if len(table)}


def _run_of(result: Result) -> tuple[str, int]:
    return result.context["workload"], result.context["seed"]


def _case_of(result: Result) -> tuple[Any, ...]:
    return (*_run_of(result), result.context["layout"], result.context["mask"])


def _origin(profile: ActivationProfile) -> Row:
    """What every table says of the numbers in it."""
    return {
        "evidence": profile.provenance.source.evidence,
        "rows_convention": str(profile.provenance.rows_convention),
    }


def _site_rows(sources: Sources) -> Iterator[Row]:
    seen: set[str] = set()
    for (workload, _), profile in sources.profiles.items():
        if workload in seen:
            continue
        seen.add(workload)
        for position, entry in enumerate(profile.sites):
            site = entry.site
            yield {
                "workload": workload,
                "rows_convention": str(profile.provenance.rows_convention),
                "position": position,
                "site": site.name,
                "operator": site.operator.kind,
                "rows": site.rows,
                "columns": site.columns,
                "d_in": site.operator.d_in,
                "d_out": site.operator.d_out,
                "gated": site.operator.gated,
            }


def _profile_rows(sources: Sources) -> Iterator[Row]:
    for (workload, seed), profile in sources.profiles.items():
        origin = profile.provenance
        yield {
            "workload": workload,
            "seed": seed,
            **_origin(profile),
            "source": str(origin.source),
            "samples": origin.samples,
            "iterations": origin.iterations,
            "sites": len(profile.sites),
            "elements": sum(int(entry.elements.sum()) for entry in profile.sites),
            "weights_digest": origin.weights_digest,
        }


def _sparsity_rows(sources: Sources) -> Iterator[Row]:
    for (workload, seed), policy, masks in sources.sparse_mask_sets():
        profile = sources.profiles[workload, seed]
        shared = {
            "workload": workload,
            "seed": seed,
            **_origin(profile),
            "mask": policy.label,
        }
        for mask in masks.sites:
            for row in _sparsity_of_site(profile, mask):
                yield {**shared, **row}


def _sparsity_of_site(profile: ActivationProfile, mask: SiteMask) -> Iterator[Row]:
    assert mask.tau is not None
    columns = column_sparsity(mask.hot)
    counted = mask.tau in profile.thresholds
    elements = element_sparsity(profile, mask.site.name, mask.tau) if counted else None
    gaps = granularity_gap(elements, columns) if elements is not None else None
    stability, changes = consecutive_jaccard(mask.hot), churn(mask.hot)
    hot = np.count_nonzero(mask.hot, axis=1)
    for iteration in range(mask.hot.shape[0]):
        yield {
            "site": mask.site.name,
            "iteration": iteration,
            "tau": mask.tau,
            "columns": mask.site.columns,
            "hot_columns": int(hot[iteration]),
            "column_sparsity": float(columns[iteration]),
            "element_sparsity": None if elements is None else float(elements[iteration]),
            "granularity_gap": None if gaps is None else float(gaps[iteration]),
            "jaccard": float(stability[iteration - 1]) if iteration else None,
            "churn": float(changes[iteration - 1]) if iteration else None,
        }


def _calibration_rows(sources: Sources) -> Iterator[Row]:
    targets = [policy for policy in sources.masks if policy.calibrated]
    for (workload, seed), profile in sources.profiles.items():
        if profile.provenance.iterations < 2:
            continue
        for policy in targets:
            for entry in profile.sites:
                yield {
                    "workload": workload,
                    "seed": seed,
                    **_origin(profile),
                    "mask": policy.label,
                    **_calibrated(sources, profile, entry, policy),
                }


def _calibrated(sources: Sources, profile: ActivationProfile, entry: SiteProfile, policy: MaskPolicy) -> Row:
    site = entry.site.name
    maxima = sparse_iterations(entry.maxima, site)
    tau = tau_of(profile, entry, policy)
    assert tau is not None
    flags = inflation(profile, site, tau, sources.uniform_range)
    low, high = exceeding_share_bounds(profile, site, tau)
    return {
        "site": site,
        "target_of": "columns" if policy.kind is MaskKind.PER_LAYER else "elements",
        "target_hot_ratio": policy.value,
        "tau": tau,
        **_missed(profile, site, policy),
        "hot_ratio": float(np.count_nonzero(hot_columns(maxima, tau)) / maxima.size),
        "above_uniform_range": flags.above_uniform_range,
        "above_99th_percentile": flags.above_99th_percentile,
        "exceeding_low": low,
        "exceeding_high": high,
    }


def _missed(profile: ActivationProfile, site: str, policy: MaskPolicy) -> Row:
    """How far below tau the exact threshold of a target of elements can be."""
    if policy.kind is not MaskKind.PER_LAYER_ELEMENTS:
        return {"missed_tau": None, "missed_share": None}
    assert policy.value is not None
    found = calibrate_elements(profile, site, policy.value)
    return {"missed_tau": found.missed_tau, "missed_share": found.missed_share}


def _regime_rows(sources: Sources) -> Iterator[Row]:
    for (workload, seed), policy, masks in sources.sparse_mask_sets():
        profile = sources.profiles[workload, seed]
        if profile.provenance.iterations >= 3:
            found = attrs.asdict(classify(masks))
            yield {
                "workload": workload,
                "seed": seed,
                **_origin(profile),
                "mask": policy.label,
                **found,
                "regime": str(found["regime"]),
            }


def _placement_rows(sources: Sources) -> Iterator[Row]:
    for result in sources.of("place"):
        workload, seed = _run_of(result)
        masks = MaskSet.from_file(result.file("masks.safetensors"))
        for entry in Placement.from_file(result.file("placement.safetensors")).sites:
            yield {
                "workload": workload,
                "seed": seed,
                **sources.origin(result),
                "layout": result.context["layout"],
                "mask": result.context["mask"],
                "mask_digest": sources.mask_digests[_case_of(result)],
                "site": entry.site.name,
                "epochs": len(entry.epochs),
                "moved_columns": sum(epoch.moved_columns for epoch in entry.epochs),
                "hot_slots": entry.epochs[0].hot_slots,
                "hot_columns": int(np.count_nonzero(masks.site(entry.site.name).hot)),
                "fetched_columns": int(np.count_nonzero(entry.fetched)),
            }


@define
class _Simulated:
    """The programs of one simulated case, and which site ran which of them in which iteration."""

    case: Row
    sites: list[dict[str, Any]]
    programs: list[dict[str, Any]]

    @classmethod
    def of(cls, sources: Sources, result: Result) -> _Simulated:
        return cls(case=_case(sources, result), **json.loads(result.file("timings.json").read_bytes()))

    def where(self, entry: Row) -> Row:
        return {**self.case, "site": entry["site"], "iteration": entry["iteration"]}

    @property
    def total(self) -> Timing:
        """All sites and iterations added up; counted by program, for most run many times."""
        times = Counter(entry["program"] for entry in self.sites)
        added: dict[str, Any] = {}
        for number, program in enumerate(self.programs):
            for name, value in program["timing"].items():
                added[name] = added.get(name, 0) + times[number] * value
        return Timing(**added) if self.programs else NOTHING


def _timing_cells(timing: Timing) -> Row:
    return {
        "core_cycles": timing.core_cycles,
        "compute_core_cycles": timing.compute_core_cycles,
        "stall_core_cycles": timing.stall_core_cycles,
        "other_core_cycles": timing.other_core_cycles,
        "memory_cycles": timing.memory_cycles,
        "peak_bytes": timing.peak_bytes,
        "read_bytes": timing.read_bytes_served,
        "written_bytes": timing.written_bytes_served,
        "accesses": timing.accesses,
        "row_hits": timing.row_hits,
        "row_misses": timing.row_misses,
        "row_conflicts": timing.row_conflicts,
        "refreshes": timing.refreshes_issued,
        "row_buffer_hit_rate": timing.row_buffer_hit_rate,
        "bus_utilisation": timing.bus_utilisation,
    }


def _case(sources: Sources, result: Result) -> Row:
    workload, seed = _run_of(result)
    return {
        "workload": workload,
        "seed": seed,
        **sources.origin(result),
        "machine": result.context["machine"],
        "layout": result.context["layout"],
        "mask": result.context["mask"],
    }


def _timing_rows(sources: Sources) -> Iterator[Row]:
    for result in sources.of("simulate"):
        ran = _Simulated.of(sources, result)
        cells = [_timing_cells(Timing(**program["timing"])) for program in ran.programs]
        for entry in ran.sites:
            yield {**ran.where(entry), **cells[entry["program"]]}


def _traffic_rows(sources: Sources) -> Iterator[Row]:
    for result in sources.of("simulate"):
        ran = _Simulated.of(sources, result)
        moved: dict[str, Counter[str]] = {}
        for entry in ran.sites:
            by_tensor = ran.programs[entry["program"]]["bytes_of_tensor"]
            moved.setdefault(entry["site"], Counter()).update(by_tensor)
        for site, by_tensor in moved.items():
            for tensor, size_bytes in by_tensor.items():
                yield {**ran.case, "site": site, "tensor": tensor, "moved_bytes": size_bytes}


def _channel_rows(sources: Sources) -> Iterator[Row]:
    for result in sources.of("simulate"):
        ran = _Simulated.of(sources, result)
        cells = [[_channel_cells(counted) for counted in program["channels"]] for program in ran.programs]
        for entry in ran.sites:
            for channel, counted in enumerate(cells[entry["program"]]):
                yield {**ran.where(entry), "channel": channel, **counted}


def _channel_cells(counted: Row) -> Row:
    commands = tuple((name, issued) for name, issued in counted["counts"]["commands"])
    counts = ChannelCounts(**{**counted["counts"], "commands": commands})
    energy = counted["energy"]
    return {
        **{name: getattr(counts, name) for name in _CHANNEL_CELLS},
        "bytes_per_clock": _quotient(counts.moved_bytes, counts.clocks),
        **{f"{name}_read_latency_clocks": value for name, value in counted["read_latency_clocks"].items()},
        "commands": json.dumps(dict(commands)),
        "energy_pj": None if energy is None else energy["total_pj"],
        "energy_missing_states": None if energy is None else ", ".join(energy["missing_states"]),
    }


_CHANNEL_CELLS = (
    "clocks",
    "busy_share",
    "moved_bytes",
    "peak_bytes",
    "peak_share",
    "reads",
    "writes",
    "reads_forwarded",
    "writes_merged",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "row_buffer_hit_rate",
    "refreshes_issued",
    "refreshes_due",
    "refreshes_waiting",
)
"""What a channel's counts know by the name of the column."""


def _total_rows(sources: Sources) -> Iterator[Row]:
    totals = [
        (
            {**_case(sources, result), "mask_digest": sources.mask_digests[_case_of(result)]},
            _Simulated.of(sources, result).total,
        )
        for result in sources.of("simulate")
    ]
    baselines: dict[tuple[Any, ...], tuple[str, int]] = {}
    for case, total in totals:
        if case["mask"] == MaskPolicy.dense().label:
            # The first dense layout of the study: results come in the order of the study.
            baselines.setdefault(_comparable(case), (case["layout"], total.core_cycles))
    for case, total in totals:
        layout, cycles = baselines.get(_comparable(case), (None, 0))
        yield {
            **case,
            **_timing_cells(total),
            "compute_share": _quotient(total.compute_core_cycles, total.core_cycles),
            "stall_share": _quotient(total.stall_core_cycles, total.core_cycles),
            "baseline_layout": layout,
            "cycle_reduction": 1.0 - total.core_cycles / cycles if cycles else None,
        }


def _comparable(case: Row) -> tuple[Any, ...]:
    return case["workload"], case["seed"], case["machine"]


def _quotient(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _reduction_rows(sources: Sources, totals: Sequence[Row]) -> Iterator[Row]:
    """Where each reduction comes from: less computed, less fetched, or what is fetched served sooner."""
    by_case = {tuple(row[name] for name in _CASE): row for row in totals}
    for row in totals:
        if row["cycle_reduction"] is None or row["mask"] == MaskPolicy.dense().label:
            continue
        dense = by_case[(*_comparable(row), row["baseline_layout"], MaskPolicy.dense().label)]
        everything = sources.layout_that_fetches_all(row)
        worked = by_case.get((*_comparable(row), everything, row["mask"]))
        yield {**{name: row[name] for name in _REDUCTION_CELLS}, **_split(row, dense, worked)}


_CASE = ("workload", "seed", "machine", "layout", "mask")
_REDUCTION_CELLS = (*_CASE, "evidence", "rows_convention", "cycle_reduction")


def _split(row: Row, dense: Row, worked: Row | None) -> Row:
    """Shares of the dense run's cycles: they add up to the reduction.

    Were all of the dense traffic fetched and only hot columns computed, `worked` says what is saved. Bytes
    that are not moved save what they cost in that run; what is left over is how quickly the rest is served.
    """
    cycles = dense["core_cycles"]
    all_fetched = (worked or dense)["core_cycles"]
    bytes_of = [case["read_bytes"] + case["written_bytes"] for case in (row, dense)]
    moved = bytes_of[0] / bytes_of[1] if bytes_of[1] else 1.0
    return {
        "by_work": None if worked is None else 1.0 - all_fetched / cycles,
        "by_traffic": all_fetched * (1.0 - moved) / cycles,
        "by_locality": (all_fetched * moved - row["core_cycles"]) / cycles,
    }


def _score_rows(sources: Sources) -> Iterator[Row]:
    for result in sources.of("score"):
        workload, seed = _run_of(result)
        found = json.loads(result.file("score.json").read_bytes())
        yield {
            "workload": workload,
            "seed": seed,
            **sources.origin(result),
            "mask": result.context["mask"],
            "mask_digest": found["mask_digest"],
            "metric": result.context["metric"],
            "value": found.get("value"),
            "unit": result.context["unit"],
            "direction": result.context["direction"],
            "interval_low": found.get("interval_low"),
            "interval_high": found.get("interval_high"),
            "samples": found.get("samples"),
            "note": found.get("note"),
        }


def _check_masks_agree(tables: Mapping[str, Table]) -> None:
    """Raise unless the simulator and the metrics used the very same masks."""
    known: dict[tuple[Any, ...], str] = {}
    for name in ("placements", "totals", "scores"):
        for row in tables[name].rows:
            digest = str(row["mask_digest"])
            key = (row["workload"], row["seed"], row["mask"])
            if known.setdefault(key, digest) != digest:
                raise InvariantError(
                    f"{key} has mask {digest[:8]} here and {known[key][:8]} elsewhere",
                    where=f"table {name}",
                )
