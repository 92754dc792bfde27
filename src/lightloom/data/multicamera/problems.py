"""What is wrong with moments, and cannot be mended: it is said, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightloom.data.detection.records import Problem
from lightloom.data.nuscenes.boxes import LONGEST
from lightloom.data.nuscenes.classes import CATEGORIES
from lightloom.data.nuscenes.samples import Sample
from lightloom.data.nuscenes.tables import Tables


def sample_problems(tables: Tables, samples: Sequence[Sample]) -> tuple[Problem, ...]:
    """Problems of the boxes of a set.

    Args:
        tables: Of the set.
        samples: Of all splits.
    """
    return *_velocities(tables, samples), *_categories(tables)


def _velocities(tables: Tables, samples: Sequence[Sample]) -> list[Problem]:
    """The problem that no box has a known velocity: nothing can be learnt of them, and none is measured."""
    count = sum(len(sample.boxes) for sample in samples)
    if not count or any(np.isfinite(sample.boxes.velocities).all(1).any() for sample in samples):
        return []
    rows = [tables["sample_annotation"][token] for sample in samples for token in sample.boxes.tokens]
    linked = sum(bool(row["prev"] or row["next"]) for row in rows)
    reason = (
        f"{linked} of them are linked to others of the same object, all more than {LONGEST} s away"
        if linked
        else "no object is annotated in two samples: `prev` and `next` in `sample_annotation.json` are empty (in own "
        "data, boxes of one object need the same `id`)"
    )
    what = f"the velocity of all {count} boxes is unknown: {reason}"
    return [Problem("unknown velocities", _name(tables.folder, "sample_annotation"), what, "kept")]


def _categories(tables: Tables) -> list[Problem]:
    """Problems of categories that nuScenes does not have: their boxes belong to no class."""
    strange = {row["name"] for row in tables["category"].values()} - set(CATEGORIES)
    if not strange:
        return []
    boxes = Counter(tables.category(row) for row in tables["sample_annotation"].values())
    return [
        Problem(
            "unknown class",
            _name(tables.folder, "category"),
            f"the category `{name}` is none of nuScenes, so that its {boxes[name]} boxes belong to no class",
            "dropped",
        )
        for name in sorted(strange)
        if boxes[name]
    ]


def _name(folder: Path, table: str) -> str:
    return f"{folder.name}/{table}.json"
