"""Results files of the nuScenes detection task, as the official evaluation takes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import read_json, write_text
from lightloom.data.nuscenes.boxes import heading
from lightloom.data.nuscenes.classes import ATTRIBUTES, CLASSES
from lightloom.data.nuscenes.geometry import rotation_matrix
from lightloom.metrics.nuscenes.boxes import Array, Results
from lightloom.metrics.nuscenes.rules import MOST_BOXES

INPUTS = ("camera", "lidar", "radar", "map", "external")
"""What a detector may have used; a results file says so."""

_KEYS = ("sample_token", "translation", "size", "rotation", "velocity", "detection_name", "detection_score")


def write_results(
    path: Path,
    detections: Results,
    tokens: Sequence[str],
    *,
    inputs: Collection[str] = ("camera",),
    classes: Sequence[str] = CLASSES,
) -> None:
    """Write found boxes as a results file; samples without a box are in it.

    Samples come in the order of `tokens`, or in that of the file which the boxes were read from: it decides between
    equal scores.

    Args:
        path: The file.
        detections: Boxes in the global frame, with every velocity known.
        tokens: Of all samples; `detections.sample` holds places in them.
        inputs: Names of `INPUTS` that the detector used.
        classes: What labels mean.

    Raises:
        RequestError: A sample has more boxes than the task allows, a velocity is unknown, or an attribute or an input
            has another name.
        WorkError: The file could not be written.
    """
    _check_detections(detections, tokens)
    for name in inputs:
        if name not in INPUTS:
            raise RequestError(f"Results come from no input `{name}`. {nearest(name, INPUTS)}")
    detections = detections.in_file_order()
    listed: dict[str, list[dict[str, Any]]] = {tokens[place]: [] for place in _sample_order(detections, len(tokens))}
    columns = (
        detections.sample,
        detections.centers,
        detections.sizes,
        detections.yaws,
        detections.velocities,
        detections.labels,
        detections.scores,
    )
    rows = zip(*(column.tolist() for column in columns), detections.attributes.tolist(), strict=True)
    for sample, center, size, yaw, velocity, label, score, attribute in rows:
        listed[tokens[sample]].append(
            {
                "sample_token": tokens[sample],
                "translation": center,
                "size": size,
                "rotation": [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))],
                "velocity": velocity,
                "detection_name": classes[label],
                "detection_score": score,
                "attribute_name": attribute,
            }
        )
    meta = {f"use_{name}": name in inputs for name in INPUTS}
    write_text(path, json.dumps({"meta": meta, "results": listed}, allow_nan=False) + "\n")


def _sample_order(detections: Results, count: int) -> list[int]:
    """Places of all samples; those with boxes in the order of their boxes, those without where they are anyway."""
    first = list(dict.fromkeys(detections.sample.tolist()))
    order = list(range(count))
    for slot, place in zip(sorted(first), first, strict=True):
        order[slot] = place
    return order


def _check_detections(detections: Results, tokens: Sequence[str]) -> None:
    counts = np.bincount(detections.sample, minlength=len(tokens))
    if np.any(counts > MOST_BOXES):
        worst = int(counts.argmax())
        raise RequestError(
            f"Sample `{tokens[worst]}` has {counts[worst]} boxes, and a results file may have {MOST_BOXES}: keep those "
            "with the highest scores."
        )
    unknown = np.isnan(detections.velocities).any(1)
    if np.any(unknown):
        raise RequestError(
            f"A box of sample `{tokens[int(detections.sample[unknown][0])]}` has no velocity, and a results "
            "file needs one: write 0 where the detector has none."
        )
    for attribute in np.unique(detections.attributes).tolist():
        if attribute and attribute not in ATTRIBUTES:
            raise RequestError(f"The nuScenes task has no attribute `{attribute}`. {nearest(attribute, ATTRIBUTES)}")


def read_results(path: Path, tokens: Sequence[str], *, classes: Sequence[str] = CLASSES) -> Results:
    """Read a results file, whoever wrote it.

    Args:
        path: The file.
        tokens: Of the samples it should be about; `Results.sample` holds places in them.
        classes: What labels mean.

    Returns:
        Boxes in the order of the file, which decides between equal scores; `Results.rank` keeps it.

    Raises:
        RequestError: It is no results file, a sample is missing or is not among `tokens`, a sample has too many boxes,
            a box is broken, a number is not finite (a velocity may be NaN: unknown), or a name is unknown.
    """
    if not path.is_file():
        raise RequestError(f"Missing: the results file `{path}`.")
    content = read_json(path)
    listed = content.get("results") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(boxes, list) for boxes in listed.values()):
        raise RequestError(f'`{path}` should hold {{"meta": ..., "results": {{"token of a sample": [boxes]}}}}.')
    _check_tokens(path, listed, tokens)
    place = {token: number for number, token in enumerate(tokens)}
    parts = [
        _sample_boxes(path, token, (place[token], rank), boxes, classes)
        for rank, (token, boxes) in enumerate(listed.items())
        if boxes
    ]
    return _joined(parts)


def _check_tokens(path: Path, listed: Mapping[str, Any], tokens: Sequence[str]) -> None:
    """The file is about exactly these samples."""
    for problem, strays in (
        ("lacks the sample", [token for token in tokens if token not in listed]),
        ("has an unknown sample", sorted(listed.keys() - set(tokens))),
    ):
        if strays:
            raise RequestError(
                f"`{path}` {problem} `{strays[0]}`{f' and {len(strays) - 1} more' * (len(strays) > 1)}. It should hold "
                f"the {len(tokens)} samples of the split, each with a list of boxes that may be empty."
            )


def _sample_boxes(
    path: Path, token: str, place: tuple[int, int], boxes: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> Results:
    """`place` is that of the sample among the tokens, and in the file."""
    where = f"`{path}`, sample `{token}`"
    if len(boxes) > MOST_BOXES:
        raise RequestError(f"{where}: {len(boxes)} boxes, and the task allows {MOST_BOXES}.")
    for number, box in enumerate(boxes):
        absent = [key for key in _KEYS if not (isinstance(box, dict) and key in box)]
        if absent:
            raise RequestError(f"{where}: box {number} has no {', '.join(f'`{key}`' for key in absent)}.")
        if box["sample_token"] != token:
            raise RequestError(f"{where}: box {number} says that it belongs to sample `{box['sample_token']}`.")
    names = [str(box["detection_name"]) for box in boxes]
    attributes = [str(box.get("attribute_name", "")) for box in boxes]
    for title, values, allowed in (("class", names, classes), ("attribute", attributes, ("", *ATTRIBUTES))):
        for name in values:
            if name not in allowed:
                raise RequestError(f"{where}: no {title} `{name}`. {nearest(name, filter(None, allowed))}")
    sizes, scores = _numbers(where, boxes, "size", (3,)), _numbers(where, boxes, "detection_score", ())
    for key, wrong, limit in (("size", sizes <= 0, "above 0"), ("detection_score", scores < 0, "0 or above")):
        if np.any(wrong):
            raise RequestError(f"{where}: `{key}` of box {np.nonzero(wrong)[0][0]} should be {limit}.")
    return Results(
        sample=np.full(len(boxes), place[0], dtype=np.int64),
        centers=_numbers(where, boxes, "translation", (3,)),
        sizes=sizes,
        yaws=_yaws(where, _numbers(where, boxes, "rotation", (4,))),
        velocities=_numbers(where, boxes, "velocity", (2,), unknown=True),
        labels=np.array([classes.index(name) for name in names], dtype=np.int64),
        attributes=np.array(attributes, dtype=np.str_),
        scores=scores,
        rank=np.full(len(boxes), place[1], dtype=np.int64),
    )


def _numbers(
    where: str, boxes: Sequence[Mapping[str, Any]], key: str, shape: tuple[int, ...], *, unknown: bool = False
) -> Array:
    """A field of all boxes [n, *shape]; NaN passes where it may mean unknown."""
    try:
        values = np.array([box[key] for box in boxes], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != (len(boxes), *shape):
        raise RequestError(f"{where}: `{key}` of every box should be {_described(shape)}.")
    wrong = np.isinf(values) if unknown else ~np.isfinite(values)
    if np.any(wrong):
        raise RequestError(f"{where}: `{key}` of box {np.nonzero(wrong)[0][0]} is not finite.")
    return values


def _described(shape: tuple[int, ...]) -> str:
    return f"a list of {shape[0]} numbers" if shape else "a number"


def _yaws(where: str, rotations: Array) -> Array:
    """Headings [n] of quaternions [n, 4]: of the rotated x axis, over ground."""
    if not np.all(np.linalg.norm(rotations, axis=1) > 0):
        raise RequestError(f"{where}: a `rotation` is a quaternion of length 0.")
    return heading(rotation_matrix(rotations)[..., 0])


def _joined(parts: Sequence[Results]) -> Results:
    """The boxes of all parts, one after the other."""
    return Results(
        sample=np.concatenate([np.empty(0, dtype=np.int64), *(part.sample for part in parts)]),
        centers=np.concatenate([np.empty((0, 3)), *(part.centers for part in parts)]),
        sizes=np.concatenate([np.empty((0, 3)), *(part.sizes for part in parts)]),
        yaws=np.concatenate([np.empty(0), *(part.yaws for part in parts)]),
        velocities=np.concatenate([np.empty((0, 2)), *(part.velocities for part in parts)]),
        labels=np.concatenate([np.empty(0, dtype=np.int64), *(part.labels for part in parts)]),
        attributes=np.concatenate([np.empty(0, dtype=np.str_), *(part.attributes for part in parts)]),
        scores=np.concatenate([np.empty(0), *(part.scores for part in parts)]),
        rank=np.concatenate([np.empty(0, dtype=np.int64), *(part.rank for part in parts)]),
    )
