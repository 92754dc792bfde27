"""Values of a record of the tables, checked where they are used: each refusal names the record, the field, the mend."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes.geometry import Pose, pose
from lightloom.data.nuscenes.tables import Record, Tables

LARGEST = 1e9
"""Largest value in m and in pixels: whatever is larger is no place on Earth and in no image."""
NEARLY = 1e-3
"""How far the length of a quaternion may be from 1, for the rounding of a few digits."""
LATEST = 2**62
"""Latest time in microseconds; such times and their differences fit into 64 bits."""
_MOST_PIXELS = 10**6  # along a side
_MOST_POINTS = 10**9


def wrong(tables: Tables, table: str, record: Record, field: str, expected: str) -> RequestError:
    """An error that says that a field should be something else.

    Args:
        tables: Of the set.
        table: Name of the record's table.
        record: The record.
        field: What of it is wrong.
        expected: What it should be.
    """
    place = f"`{field}` of record `{record['token']}` in `{tables.folder / table}.json`"
    value = reprlib.repr(record.get(field))
    return RequestError(f"{place} is {value}; it should be {expected}. Mend the record, or leave it out.")


def real(value: Any, most: float = LARGEST) -> bool:
    """Whether a value is a finite number, and not beyond `most`.

    Args:
        value: Anything that JSON holds.
        most: Largest magnitude.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(abs(value) <= most)


def numbers(value: Any, count: int) -> bool:
    """Whether a value is a list of so many finite numbers.

    Args:
        value: Anything that JSON holds.
        count: Length of the list.
    """
    return isinstance(value, list) and len(value) == count and all(map(real, value))


def unit_quaternion(value: Any) -> bool:
    """Whether a value is a quaternion of length 1, nearly."""
    return numbers(value, 4) and abs(float(np.linalg.norm(value)) - 1) <= NEARLY


def whole(tables: Tables, table: str, record: Record, field: str, most: int = LATEST) -> int:
    """A whole number from -`most` to `most`.

    Args:
        tables: Of the set.
        table: Name of the record's table.
        record: The record.
        field: Which of its fields.
        most: The largest that is taken.

    Raises:
        RequestError: It is none.
    """
    value = record.get(field)
    if not (real(value, most) and float(value) == int(value)):  # type: ignore[arg-type]
        raise wrong(tables, table, record, field, f"a whole number up to {most:.3g}")
    return int(value)  # type: ignore[arg-type]


def pixels(tables: Tables, record: Record) -> tuple[int, int]:
    """Width and height of an image of `sample_data`.

    Args:
        tables: The tables of the set.
        record: A record of `sample_data`.

    Raises:
        RequestError: The record does not have it, or it is not possible; the token is named.
    """
    for field in ("width", "height"):
        if whole(tables, "sample_data", record, field, _MOST_PIXELS) <= 0:
            raise wrong(tables, "sample_data", record, field, "pixels above 0, as `width` and `height` should")
    return int(record["width"]), int(record["height"])


def points(tables: Tables, record: Record) -> int:
    """Points of LiDAR and radar in an annotated object.

    Args:
        tables: The tables of the set.
        record: A record of `sample_annotation`.

    Raises:
        RequestError: The record does not have it, or it is not possible; the token is named.
    """
    for field in ("num_lidar_pts", "num_radar_pts"):
        if not (real(record.get(field), _MOST_POINTS) and isinstance(record[field], int) and record[field] >= 0):
            raise RequestError(
                f"Record `{record['token']}` in `{tables.folder / 'sample_annotation'}.json` needs `{field}`, a whole "
                f"number of points, got {reprlib.repr(record.get(field))}: objects without any point are not scored."
            )
    return int(record["num_lidar_pts"] + record["num_radar_pts"])


def file_name(tables: Tables, record: Record) -> str:
    """The file of a record of `sample_data`.

    Args:
        tables: The tables of the set.
        record: A record of `sample_data`.

    Raises:
        RequestError: The record does not have it, or it is not possible; the token is named.
    """
    value = record["filename"]
    if not isinstance(value, str) or not value or "\0" in value or any(len(part) > 255 for part in value.split("/")):
        raise wrong(tables, "sample_data", record, "filename", "the name of a file, relative to the root of the set")
    return value


def key_frame(tables: Tables, record: Record) -> bool:
    """Whether a record of `sample_data` is a key frame.

    Args:
        tables: The tables of the set.
        record: A record of `sample_data`.

    Raises:
        RequestError: The record does not have it, or it is not possible; the token is named.
    """
    if record["is_key_frame"] not in (True, False) or not isinstance(record["is_key_frame"], int):
        raise wrong(tables, "sample_data", record, "is_key_frame", "true or false")
    return bool(record["is_key_frame"])


def checked_pose(tables: Tables, table: str, token: str) -> Pose:
    """The pose of a record of `ego_pose` or `calibrated_sensor`.

    Args:
        tables: Of the set.
        table: Which of the two.
        token: Of the record.

    Raises:
        RequestError: A number is not finite or beyond all places, or the rotation is none.
    """
    record = tables[table][token]
    if not numbers(record["translation"], 3):
        raise wrong(tables, table, record, "translation", f"3 finite numbers in m up to {LARGEST:g}")
    if not unit_quaternion(record["rotation"]):
        raise wrong(
            tables,
            table,
            record,
            "rotation",
            "4 finite numbers, not all of them 0: a quaternion (w, x, y, z) of length 1",
        )
    return pose(record)


def check_box(tables: Tables, annotation: Record) -> None:
    """See that an annotated object has a place, a size and a rotation.

    Args:
        tables: The tables of the set.
        annotation: A record of `sample_annotation`.

    Raises:
        RequestError: The record does not have it, or it is not possible; the token is named.
    """
    table = "sample_annotation"
    for field, count in (("translation", 3), ("size", 3), ("rotation", 4)):
        if not numbers(annotation[field], count):
            raise wrong(tables, table, annotation, field, f"{count} finite numbers up to {LARGEST:g}")
    if not min(annotation["size"]) > 0:
        raise wrong(tables, table, annotation, "size", "width, length and height above 0")
    if not unit_quaternion(annotation["rotation"]):
        expected = "a quaternion (w, x, y, z) of a length above 0, which is 1"
        raise wrong(tables, table, annotation, "rotation", expected)


def camera_matrix(tables: Tables, mounted: Record) -> np.ndarray:
    """The camera matrix [3, 3] of a record of `calibrated_sensor`.

    Args:
        tables: The tables of the set.
        mounted: A record of `calibrated_sensor`.

    Raises:
        RequestError: The record does not have it, or it is not possible; the token is named.
    """
    matrix_rows = mounted["camera_intrinsic"]
    if not (isinstance(matrix_rows, list) and len(matrix_rows) == 3 and all(numbers(row, 3) for row in matrix_rows)):
        raise wrong(tables, "calibrated_sensor", mounted, "camera_intrinsic", "3 x 3 finite numbers")
    matrix = np.array(matrix_rows, dtype=np.float64)
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0 and matrix[2].tolist() == [0.0, 0.0, 1.0]):
        expected = "[[fx, s, cx], [0, fy, cy], [0, 0, 1]] with fx and fy above 0"
        raise wrong(tables, "calibrated_sensor", mounted, "camera_intrinsic", expected)
    return matrix
