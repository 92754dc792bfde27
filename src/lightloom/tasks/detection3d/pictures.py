"""Moments that a report shows: their images beside the run, and boxes as plain values."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from lightloom.common.files import make_folder, write_bytes
from lightloom.data.nuscenes import Sample
from lightloom.learn import file_name
from lightloom.tasks.base import Files
from lightloom.tasks.detection3d.decode import Boxes

_JPEG = 88
_WIDEST = 640  # pixels of a stored picture


def camera_pictures(files: Files, number: int, sample: Sample, channels: Sequence[str]) -> list[dict[str, Any]]:
    """Store what each camera saw, and say how points of the ego frame project there.

    Args:
        files: Of the run.
        number: Of the moment among those shown.
        sample: What was seen.
        channels: Cameras, in the order in which they are wanted.
    """
    make_folder(files.file("pictures"))
    by_channel = {camera.channel: camera for camera in sample.cameras}
    listed = []
    for channel in channels:
        if channel not in by_channel:
            continue
        camera = by_channel[channel]
        with Image.open(camera.file) as opened:
            image = opened.convert("RGB")
        image.thumbnail((_WIDEST, _WIDEST))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=_JPEG)
        name = f"pictures/{number:03d}-{file_name(channel)}.jpg"
        write_bytes(files.file(name), stream.getvalue())
        shrunk = np.diag([image.width / camera.width, image.height / camera.height, 1.0, 1.0]) @ camera.matrix
        listed.append(
            {"channel": channel, "file": name, "width": image.width, "height": image.height, "project": shrunk.tolist()}
        )
    return listed


def true_rows(targets: Tensor) -> list[dict[str, Any]]:
    """Targets of one moment [most, 10] as plain values; an unknown velocity is None."""
    return [_row(row[:9], int(row[9])) for row in targets.tolist() if row[9] >= 0]


def found_rows(found: Boxes, least: float) -> list[dict[str, Any]]:
    """Boxes of one moment whose score is above `least`, as plain values.

    Args:
        found: Detections of one sample.
        least: Boxes that score no more are left out.
    """
    rows = zip(found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True)
    return [{**_row(box, label), "score": score} for box, label, score in rows if score > least]


def _row(box: Sequence[float], label: int) -> dict[str, Any]:
    x, y, z, width, length, height, yaw, vx, vy = box
    is_finite = math.isfinite(vx) and math.isfinite(vy)
    return {
        "center": [x, y, z],
        "size": [width, length, height],
        "yaw": yaw,
        "velocity": [vx, vy] if is_finite else None,
        "label": label,
    }
