"""The results of a sweep as one table: `explore.json` and `explore.csv`."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightloom import schemas
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, WorkError, nearest
from lightloom.common.files import reserve, write_text
from lightloom.common.marks import claim
from lightloom.common.text_table import text_table
from lightloom.explore import pareto
from lightloom.explore.config import ExploreConfig

MARGIN = 0.01
"""Accuracy that a specimen may lose to the electronic network and still count as good."""

LOW = 5
"""Percentile of the specimens that `low` gives."""

_ROUNDING = 1e-6  # less than one image in a set; a threshold is a difference of two shares
_HEAD = ("on the front", "accuracy", "low", "yield", "energy/J", "latency/s", "area/m2")
_FIGURES = ("accuracy", "std", "low", "yield", "energy_j", "latency_s", "throughput_per_s", "area_m2")


def summary(
    rows: Sequence[Mapping[str, Any]], config: ExploreConfig, electronic: Mapping[str, float]
) -> dict[str, Any]:
    """The table with its yardsticks.

    Args:
        rows: Finished points, as `point.measure` gives them.
        config: What was asked for.
        electronic: Accuracy of every network without a chip.

    Raises:
        RequestError: The cost has no such boundary.
    """
    best = max(electronic.values())
    good = best - MARGIN if config.threshold is None else config.threshold
    points = [figures(row, good, config.boundary) for row in rows]
    marks = pareto.mark(points, config.objectives)
    return {
        "network": ", ".join(electronic),
        "electronic": best,
        "networks": dict(electronic),
        "threshold": good,
        "specimens": config.specimens,
        "seed": config.seed,
        "objectives": list(config.objectives),
        "boundary": rows[0]["boundaries"][-1]["name"] if rows and config.boundary is None else config.boundary or "",
        "points": [{**point, "pareto": on} for point, on in zip(points, marks, strict=True)],
    }


def figures(row: Mapping[str, Any], threshold: float, boundary: str | None) -> dict[str, Any]:
    """One row of the table: a finished point with what its specimens make of it.

    Args:
        row: The point, as `point.measure` gives it.
        threshold: Accuracy from which a specimen is good.
        boundary: Name of the boundary of the cost; None is the widest.

    Raises:
        RequestError: The cost has no such boundary.
    """
    values: list[float] = row["accuracies"]
    bill = _bill(row["boundaries"], boundary)
    return {
        **{key: row[key] for key in ("id", "label", "settings", "network", "chip", "technology")},
        "accuracy": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
        "low": float(np.percentile(values, LOW)),
        "accuracies": values,
        "yield": sum(value >= threshold - _ROUNDING for value in values) / len(values),
        "energy_j": bill["energy_j"],
        "latency_s": bill["latency_s"],
        "throughput_per_s": row["throughput_per_s"],
        "area_m2": row["area_m2"],
    }


@checked
def check(result: Mapping[str, Any]) -> None:
    """Raise `WorkError` where no point of a sweep could be measured; the first error is told."""
    if not result["points"] and result["failed"]:
        first = result["failed"][0]
        raise WorkError(
            f"No point could be measured, of {len(result['failed'])}. `{first['label']}` ended in: {first['error']}"
        )


@checked
def write(folder: Path, result: Mapping[str, Any]) -> None:
    """Write `explore.json` and `explore.csv` into the folder of a sweep.

    Args:
        folder: The folder of the sweep.
        result: What `explore` returned.

    Raises:
        RequestError: It cannot be written to.
        WorkError: The disk refuses.
    """
    claim(folder, "exploration")
    reserve(*(folder / name for name in ("explore.json", "explore.csv")))
    schemas.write_plain(folder / "explore.json", schemas.Exploration, result)
    write_text(folder / "explore.csv", as_csv(result))


def as_csv(result: Mapping[str, Any]) -> str:
    """One line per point, failed ones last with their error; accuracies of single specimens are in the JSON."""
    columns = ["id", "label", "network", "chip", "technology", *_settings(result), *_FIGURES, "pareto", "error"]
    text = io.StringIO()
    lines = csv.DictWriter(text, columns, extrasaction="ignore", restval="", lineterminator="\n")
    lines.writeheader()
    lines.writerows({**row, **row["settings"]} for row in (*result["points"], *result["failed"]))
    return text.getvalue()


@checked
def as_text(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines for a terminal: the front, best accuracy first, and what else there is to know."""
    front = sorted((p for p in result["points"] if p["pareto"]), key=lambda point: -point["accuracy"])
    rows = [
        (
            point["label"],
            f"{point['accuracy']:.2%}",
            f"{point['low']:.1%}",
            f"{point['yield']:.0%}",
            *(f"{point[name]:.3g}" for name in ("energy_j", "latency_s", "area_m2")),
        )
        for point in front
    ]
    yield from text_table(_HEAD, rows, right=range(1, len(_HEAD)))
    yield (
        f"{len(result['points'])} points of {result['specimens']} specimens each, {len(front)} on the front; "
        f"{result['electronic']:.2%} without a chip, good from {result['threshold']:.2%}; {result['boundary']}"
    )
    yield from (f"failed: {row['label']}: {row['error']}" for row in result["failed"])
    yield from result["notes"]


def _settings(result: Mapping[str, Any]) -> list[str]:
    """Axes that have no column of their own."""
    return [axis for axis in result["axes"] if axis not in ("network", "chip")]


def check_boundary(names: Sequence[str], name: str | None) -> None:
    """Refuse a boundary that the cost has not.

    Args:
        names: The boundaries of the cost.
        name: The one that is asked for; None stands for the widest.

    Raises:
        RequestError: There is none of this name.
    """
    if name is not None and name not in names:
        raise RequestError(f"The cost has no boundary `{name}`. {nearest(name, names)}")


def _bill(boundaries: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any]:
    check_boundary([boundary["name"] for boundary in boundaries], name)
    return next((boundary for boundary in boundaries if boundary["name"] == name), boundaries[-1])
