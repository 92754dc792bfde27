"""Boxes in space as a camera sees them: their edges up to where the picture ends, and the front of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightloom.report.pictures.boxes2d import Marked, colour, write_names

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Array = NDArray[np.float64]

NEAR = 0.1
"""Depth in m from which a camera sees."""
_RING = np.array([[1, 1, 1], [1, -1, 1], [1, -1, -1], [1, 1, -1]], dtype=np.float64) / 2
_SIGNS = np.concatenate([_RING, _RING * (-1, 1, 1)])  # of length, width, height: around the front, then the back
_EDGES = np.array([(i, (i + 1) % 4) for i in range(4)] + [(i + 4, (i + 1) % 4 + 4) for i in range(4)])
_EDGES = np.concatenate([_EDGES, [(i, i + 4) for i in range(4)]])
_DARK, _TRUTH = "#000000", "#ffffff"
_DASH, _GAP = 4.0, 3.0  # of a dashed line, in line widths
_SMALL = 20  # line widths, the longer side of a box that is drawn without a dark rim
_COVER = 0.04  # of a picture, that names may hide at most
_FILLED = 90  # of 255, how much of what is behind the front of a box is hidden


class Wire(NamedTuple):
    """What a camera sees of one box, in pixels."""

    edges: Array
    """[m, 2, 2]: both ends of each edge, as far as it is in sight."""
    front: Array
    """[k, 2]: the face at the end of the length, as far as it is in sight; k is 0 where it is not."""
    depth: float
    """Distance of the centre of the box along the optical axis, in m."""

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """`x0, y0, x1, y1` of the edges in sight."""
        (x0, y0), (x1, y1) = self.edges.min((0, 1)), self.edges.max((0, 1))
        return float(x0), float(y0), float(x1), float(y1)


def corners(boxes: ArrayLike) -> Array:
    """The corners of boxes.

    Args:
        boxes: [n, 7 or more]: x, y, z of the centre, width, length, height in m, and the yaw in rad from x to y; the
            length lies along x at yaw 0. What follows is not looked at.

    Returns:
        [n, 8, 3] in m: left top, right top, right bottom and left bottom of the front, then of the back.

    Raises:
        ValueError: A box has less than seven numbers, or one that is not finite, or a size below 0.
    """
    rows = np.asarray(boxes, dtype=np.float64)
    rows = rows.reshape(0, 7) if not rows.size else rows
    if rows.ndim != 2 or rows.shape[1] < 7:
        raise ValueError(f"boxes are [n, 7 or more]: x, y, z, w, l, h, yaw; got the shape {list(rows.shape)}")
    rows = rows[:, :7]
    if not np.isfinite(rows).all():
        raise ValueError("a box is not finite; leave it out")
    if (rows[:, 3:6] < 0).any():
        raise ValueError("a box has a size below 0; give width, length and height in m")
    local = _SIGNS * rows[:, None, [4, 3, 5]]
    cos, sin = np.cos(rows[:, 6, None]), np.sin(rows[:, 6, None])
    turned = (cos * local[..., 0] - sin * local[..., 1], sin * local[..., 0] + cos * local[..., 1], local[..., 2])
    return np.asarray(rows[:, None, :3] + np.stack(turned, axis=-1))


def wires(boxes: ArrayLike, project: ArrayLike, size: tuple[int, int]) -> list[Wire | None]:
    """What a camera sees of boxes, each on its own: nothing hides anything.

    Args:
        boxes: [n, 7 or more], as `corners` takes them.
        project: [4, 4], from points (x, y, z, 1) of the boxes' frame to (u d, v d, d, 1), with the pixel u to the
            right, v down, and the depth d in m.
        size: Width and height of the picture in pixels.

    Returns:
        In the order of the boxes; None where no edge of a box is in sight.

    Raises:
        ValueError: As `corners`, or `project` is no finite [4, 4].
    """
    matrix, points = _as_projection(project), corners(boxes)
    projected = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1) @ matrix.T
    bounds = _bounds(size)
    ends, visible = _cut(projected[:, _EDGES], bounds)
    return [
        Wire(
            _pixels(ends[index][visible[index]]),
            _pixels(_cut_face(projected[index, :4], bounds)),
            float(projected[index, :, 2].mean()),
        )
        if visible[index].any()
        else None
        for index in range(len(points))
    ]


def annotate3d(
    image: NDArray[np.uint8] | Image,
    project: ArrayLike,
    boxes: ArrayLike,
    labels: Sequence[int],
    scores: Sequence[float] | None,
    classes: Sequence[str],
    *,
    truth: ArrayLike | None = None,
    width: int | None = None,
) -> Image:
    """A picture of one camera with the boxes that it sees, in the colours of their classes, their fronts filled.

    Near boxes lie on top of far ones. The best are named first; names stop where they would hide too much.

    Args:
        image: uint8 [H, W, 3] RGB, or a picture.
        project: [4, 4], from the boxes' frame to pixels of `image`, as `wires` takes it.
        boxes: [n, 7 or more]: x, y, z, width, length, height, yaw, as `corners` takes them.
        labels: [n], indices into `classes`. One outside is shown by its number.
        scores: [n], 0 ... 1; None where there are none.
        classes: Names of the classes.
        truth: [m, 7 or more], boxes that are there, drawn white and dashed.
        width: Of the picture that comes back, in px; that of `image` where None.

    Returns:
        An RGB picture; `image` stays as it is.

    Raises:
        ValueError: The image is of another shape, there is not one label and score a box, or as `wires`.
    """
    from PIL import ImageDraw

    picture = _as_picture(image)
    scale = 1.0 if width is None else width / picture.width
    picture = picture.resize((round(scale * picture.width), max(1, round(scale * picture.height))))
    size = picture.size
    scaled = np.diag([scale, scale, 1.0, 1.0]) @ _as_projection(project)
    all_wires = wires(boxes, scaled, size)
    if len(labels) != len(all_wires) or (scores is not None and len(scores) != len(all_wires)):
        words = f" and {len(scores)} scores" if scores is not None else ""
        raise ValueError(
            f"there are {len(all_wires)} boxes, {len(labels)} labels{words}; give one of each for every box"
        )
    draw = ImageDraw.Draw(picture, "RGBA")
    line = max(2, round(max(size) / 400))
    for wire in wires(truth, scaled, size) if truth is not None else ():
        if wire is not None:
            _strokes(draw, _dashes(wire.edges, line), _TRUTH, line)
    visible = [(wire, index) for index, wire in enumerate(all_wires) if wire is not None]
    for wire, index in sorted(visible, key=lambda pair: -pair[0].depth):
        tint = colour(labels[index])
        if len(wire.front) > 2:
            draw.polygon([tuple(point) for point in wire.front], fill=f"{tint}{_FILLED:02x}")
        _strokes(draw, wire.edges, tint, line)
    marks = [Marked(wire.extent, labels[index], None if scores is None else scores[index]) for wire, index in visible]
    first = sorted(marks, key=lambda one: -(one.score or 0.0))
    write_names(draw, first, classes, size, letters=min(max(9, max(size) / 75), 18), cover=_COVER)
    return picture


def _as_picture(image: NDArray[np.uint8] | Image) -> Image:
    from PIL import Image as pil

    if isinstance(image, pil.Image):
        return image.convert("RGB")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"the image is {image.dtype} of shape {list(image.shape)}; expected uint8 [H, W, 3], RGB. "
            "Transpose one of [3, H, W]; multiply one of 0 ... 1 by 255 and round it."
        )
    return pil.fromarray(np.ascontiguousarray(image))


def _as_projection(project: ArrayLike) -> Array:
    matrix = np.asarray(project, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"a projection is [4, 4] and finite; got the shape {list(matrix.shape)}")
    return matrix


def _bounds(size: tuple[int, int]) -> Array:
    """[5, 4]: linear forms of (u d, v d, d, 1) that are positive for what is in sight."""
    width, height = size
    return np.array([[0, 0, 1, -NEAR], [1, 0, 0, 0], [-1, 0, width, 0], [0, 1, 0, 0], [0, -1, height, 0]], np.float64)


def _cut(ends: Array, bounds: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The part of each line [..., 2, 4] within the bounds, and whether there is one (Cyrus and Beck, 1978)."""
    first, last = np.moveaxis(ends @ bounds.T, -2, 0)
    change = np.where(first == last, 1.0, first - last)
    crossing = first / change
    enter = np.where((first < 0) & (last >= 0), crossing, 0.0).max(-1, keepdims=True)
    leave = np.where((last < 0) & (first >= 0), crossing, 1.0).min(-1, keepdims=True)
    visible = ~((first < 0) & (last < 0)).any(-1) & (enter < leave)[..., 0]
    along = ends[..., 1, :] - ends[..., 0, :]
    return np.stack([ends[..., 0, :] + enter * along, ends[..., 0, :] + leave * along], axis=-2), visible


def _cut_face(face: Array, bounds: Array) -> Array:
    """The part of a convex face [k, 4] within the bounds (Sutherland and Hodgman, 1974)."""
    for bound in bounds:
        sides = face @ bound
        visible: list[Array] = []
        for index, side in enumerate(sides):
            before = sides[index - 1]
            if (side < 0) != (before < 0):
                visible.append(face[index - 1] + before / (before - side) * (face[index] - face[index - 1]))
            if side >= 0:
                visible.append(face[index])
        face = np.array(visible).reshape(-1, 4)
    return face


def _pixels(points: Array) -> Array:
    return np.asarray(points[..., :2] / points[..., 2:3])


def _dashes(edges: Array, line: int) -> Array:
    """Edges [m, 2, 2] cut into dashes."""
    cut = []
    for start, end in edges:
        length = float(np.hypot(*(end - start)))
        for at in np.arange(0.0, length, (_DASH + _GAP) * line):
            near, far = at / length, min(1.0, (at + _DASH * line) / length)
            cut.append((start + near * (end - start), start + far * (end - start)))
    return np.array(cut).reshape(-1, 2, 2)


def _strokes(draw: ImageDraw, edges: Array, tint: str, line: int) -> None:
    """Dark on either side of the colour, so that it shows on any ground, but where that would be most of the box."""
    small = np.ptp(edges, axis=(0, 1)).max(initial=0.0) < _SMALL * line
    for width, ink in ((line, tint),) if small else ((line + 2, _DARK), (line, tint)):
        for start, end in edges:
            draw.line((*start, *end), fill=ink, width=width)
