"""Boxes in space: read from the annotations of a moment, with the velocities that the official tools give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes.chains import check_ends
from lightloom.data.nuscenes.classes import CLASSES, RACK, class_of
from lightloom.data.nuscenes.fields import check_box, points, whole
from lightloom.data.nuscenes.geometry import Array, Pose, rotation_matrix
from lightloom.data.nuscenes.tables import Record, Tables

LONGEST = 1.5
"""s between two annotations of an object whose difference is still its velocity. Source: nuScenes devkit."""

Integers = NDArray[np.int64]


class FrameBoxes(NamedTuple):
    """Boxes in the frame of a vehicle that stands level or nearly so."""

    centers: Array
    """Centres of gravity in m [n, 3]."""
    sizes: Array
    """[n, 3]: width, length, height in m."""
    yaws: Array
    """[n] in rad from -pi to pi, counter-clockwise about z; at 0 the length lies along x."""
    velocities: Array
    """Velocities along x and y in m/s; NaN where unknown [n, 2]."""


@dataclass(frozen=True, eq=False)
class Boxes3D:
    """Annotated objects of one moment, in the global frame."""

    centers: Array
    """[n, 3] in m: centres of gravity."""
    sizes: Array
    """[n, 3]: width, length, height in m."""
    rotations: Array
    """[n, 4]: quaternions (w, x, y, z); length along x, width along y."""
    velocities: Array
    """Velocities along x and y in m/s; NaN where unknown [n, 2]."""
    labels: Integers
    """[n]: places in `CLASSES`; -1 for what is not detected."""
    attributes: tuple[str, ...]
    """What each is doing, such as vehicle.moving; empty for none."""
    points: Integers
    """[n]: number of LiDAR and radar points in the box."""
    visibilities: tuple[str, ...]
    """Tokens 1 to 4 for 0-40, 40-60, 60-80, 80-100 % seen over all cameras; empty for unknown."""
    tokens: tuple[str, ...]
    """Tokens of the annotations."""
    instances: tuple[str, ...]
    """Tokens of the objects: the same for one object in all moments."""

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def yaws(self) -> Array:
        """[n] in rad from -pi to pi, about the global z: the heading of each box's x axis."""
        return heading(rotation_matrix(self.rotations)[..., 0])

    def to_frame(self, pose: Pose) -> FrameBoxes:
        """The same boxes as a vehicle sees them.

        Args:
            pose: Of the vehicle in the global frame.
        """
        axes = rotation_matrix(self.rotations)[..., 0]
        moving = np.concatenate([self.velocities, np.zeros((len(self), 1))], axis=1)
        return FrameBoxes(
            pose.to_child(self.centers),
            self.sizes,
            heading(axes @ pose.rotation),
            (moving @ pose.rotation)[:, :2],
        )

    def chosen(self, mask: NDArray[np.bool_] | Integers) -> Boxes3D:
        """Some of the boxes.

        Args:
            mask: [n] true for those to keep, or the places [m] of those to keep.
        """
        places = np.arange(len(self))[mask]

        def kept(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(names[place] for place in places)

        return Boxes3D(
            self.centers[places],
            self.sizes[places],
            self.rotations[places],
            self.velocities[places],
            self.labels[places],
            kept(self.attributes),
            self.points[places],
            kept(self.visibilities),
            kept(self.tokens),
            kept(self.instances),
        )


def heading(axes: Array) -> Array:
    """Angles [...] in rad from -pi to pi of directions [..., 2 or more] about z."""
    return np.asarray(np.arctan2(axes[..., 1], axes[..., 0]), dtype=np.float64)


def read_boxes(tables: Tables, sample_token: str) -> tuple[Boxes3D, Boxes3D]:
    """Boxes of the ten classes in a sample, and its bicycle racks (label -1), in the order of the table.

    Args:
        tables: The tables of the set.
        sample_token: Token of the sample.

    Raises:
        RequestError: A number is not finite, a size is not above 0, a rotation is none, an object has two attributes,
            or the annotations of one object are not in the order of time, run in a ring or belong to several objects;
            the token of the annotation is named.
    """
    objects: list[tuple[Record, int]] = []
    racks: list[tuple[Record, int]] = []
    for row in tables.of_sample("sample_annotation", sample_token):
        check_ends(tables, "sample_annotation", row)
        category = tables.category(row)
        if (name := class_of(category)) is not None:
            objects.append((row, CLASSES.index(name)))
        elif category == RACK:
            racks.append((row, -1))
    return _boxes(tables, objects), _boxes(tables, racks)


def _boxes(tables: Tables, labelled: Sequence[tuple[Record, int]]) -> Boxes3D:
    rows = [row for row, _ in labelled]
    for row in rows:
        check_box(tables, row)
    return Boxes3D(
        _stacked(rows, "translation", 3),
        _stacked(rows, "size", 3),
        _stacked(rows, "rotation", 4),
        np.array([velocity(tables, row) for row in rows], dtype=np.float64).reshape(-1, 2),
        np.array([label for _, label in labelled], dtype=np.int64),
        tuple(_attribute(tables, row) for row in rows),
        np.array([points(tables, row) for row in rows], dtype=np.int64),
        tuple(str(row["visibility_token"]) for row in rows),
        tuple(str(row["token"]) for row in rows),
        tuple(str(row["instance_token"]) for row in rows),
    )


def velocity(tables: Tables, annotation: Record) -> tuple[float, float]:
    """How fast an annotated object moves along the global x and y, in m/s.

    The difference between the annotations of the object before and after this one, or between this one and the only
    other; NaN where there is no other, or they are further apart in time than 1.5 s from one to the next. Source:
    nuScenes devkit.

    Args:
        tables: The tables of the set.
        annotation: A record of `sample_annotation`.

    Raises:
        RequestError: The annotations are not in the order of time, or not of one object.
    """
    before, after = annotation["prev"], annotation["next"]
    if not before and not after:
        return (float("nan"), float("nan"))
    rows = tables["sample_annotation"]
    first, last = rows[before] if before else annotation, rows[after] if after else annotation
    for row in (first, last):
        if row["instance_token"] != annotation["instance_token"]:
            raise RequestError(
                f"The annotations `{annotation['token']}` and `{row['token']}` in `sample_annotation.json` follow each "
                "other and are of different objects: mend `prev` and `next`, or `instance_token`."
            )
    start, end = (whole(tables, "sample", tables["sample"][row["sample_token"]], "timestamp") for row in (first, last))
    if end <= start:
        raise RequestError(
            f"The annotations `{first['token']}` and `{last['token']}` of one object are not in the order of time: "
            "mend `timestamp` in `sample.json`, or `prev` and `next` in `sample_annotation.json`."
        )
    seconds = 1e-6 * (end - start)
    if seconds > LONGEST * (2 if before and after else 1):
        return (float("nan"), float("nan"))
    for row in (first, last):
        check_box(tables, row)
    positions = _stacked([first, last], "translation", 3)
    along_x, along_y = ((positions[1] - positions[0])[:2] / seconds).tolist()
    return (along_x, along_y)


def _stacked(rows: Sequence[Record], field: str, width: int) -> Array:
    """A field of all records [n, width]."""
    return np.array([row[field] for row in rows], dtype=np.float64).reshape(-1, width)


def _attribute(tables: Tables, annotation: Record) -> str:
    tokens = annotation["attribute_tokens"]
    if len(tokens) > 1:
        raise RequestError(
            f"Record `{annotation['token']}` in `sample_annotation.json` has {len(tokens)} attributes; an object is "
            "doing one thing at a time: leave one."
        )
    return str(tables["attribute"][tokens[0]]["name"]) if tokens else ""
