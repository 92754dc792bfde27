"""A synthetic set: shaded shapes of five classes on rough ground, drawn from a seed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.data.detection.records import DetectionSet, Record
from lightloom.data.detection.threads import in_threads

SHAPES = ("circle", "rectangle", "triangle", "ring", "star")
"""Classes of the set, in the order of the labels."""

_FINE = 4  # lines per pixel of a mask, for smooth edges
_TRIES = 12  # places tried for one shape
_VISIBLE = 0.5  # of a shape's area that later ones leave uncovered, and that lies in the image
_SMALLEST, _LARGEST = 0.05, 0.26  # radius in shorter sides of the image
_CONTRAST = 60.0  # of 255, between a shape and the ground under it

Floats = NDArray[np.float32]


def shapes(count: int, size: int | tuple[int, int] = 128, seed: int = 0, *, most: int = 6) -> DetectionSet:
    """Images of circles, rectangles, triangles, rings and stars.

    Each image has 1 ... `most` shapes, log-uniform in size, turned, shaded, partly over one another or over the edge
    (at least half of each can be seen), among lines and soft spots that belong to no class, with noise over all.
    Boxes are the extent of the whole shape, clipped to the image. Image i depends on the seed and i alone, so a
    larger set contains every smaller one.

    Args:
        count: Number of images.
        size: Pixels on each side, or (height, width).
        seed: Of every draw.
        most: Shapes in one image.

    Raises:
        RequestError: A number is too small.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if count < 1 or most < 1 or min(height, width) < 32:
        raise RequestError(
            f"{count} images of {height} x {width} with up to {most} shapes were asked for; "
            "give at least 1 image, 32 x 32 pixels and 1 shape."
        )

    def drawn(place: int) -> Record:
        return _record(place, height, width, seed, most)

    return DetectionSet("shapes", SHAPES, tuple(in_threads(drawn, range(count), "Drawing shapes")))


def outline(shape: str, radius: float, angle: float, aspect: float) -> Floats:
    """Corners of a shape about the origin.

    Args:
        shape: One of `SHAPES`; a ring's outline is its outer one.
        radius: Of the circle that holds every corner, pixels.
        angle: Radians.
        aspect: Shorter side over longer one of a rectangle.

    Returns:
        [corners, 2]: x, y.
    """
    if shape in ("circle", "ring"):
        turns, reach = np.arange(72) / 72, np.ones(72)
    elif shape == "rectangle":
        corner = np.arctan(aspect) / (2 * np.pi)
        turns, reach = np.array([corner, 0.5 - corner, 0.5 + corner, 1 - corner]), np.ones(4)
    elif shape == "triangle":
        turns, reach = np.arange(3) / 3, np.ones(3)
    else:
        turns, reach = np.arange(10) / 10, np.where(np.arange(10) % 2, 0.45, 1.0)
    at = 2 * np.pi * turns + angle
    corners: Floats = (radius * reach[:, None] * np.stack([np.cos(at), np.sin(at)], 1)).astype(np.float32)
    return corners


def mask(corners: Floats, height: int, width: int, hole: Floats | None = None) -> Floats:
    """Share of each pixel that a polygon covers, [height, width]; corners [n, 2] in pixels, pixel i is i ... i + 1.

    Args:
        corners: Corners of the polygon [n, 2], (x, y) in pixels.
        height: Rows of the mask.
        width: Columns of the mask.
        hole: Corners of a polygon that is cut out of it; None cuts none.
    """
    image = Image.new("L", (width * _FINE, height * _FINE))
    draw = ImageDraw.Draw(image)
    for polygon, fill in ((corners, 255), (hole, 0)):
        if polygon is not None:
            # a coordinate of the drawing is the centre of a fine pixel
            draw.polygon([tuple(point) for point in (polygon * _FINE - 0.5).tolist()], fill=fill)
    return np.asarray(image.reduce(_FINE), np.float32) / np.float32(255)


def _record(place: int, height: int, width: int, seed: int, most: int) -> Record:
    draw = np.random.default_rng(named_seed(seed, "shapes", place))
    picture = _ground(draw, height, width)
    visible: list[NDArray[np.bool_]] = []  # of each shape, the pixels still to be seen
    whole: list[int] = []
    boxes, labels = [], []
    for _ in range(int(draw.integers(1, most + 1))):
        for _ in range(_TRIES):
            label = int(draw.integers(len(SHAPES)))
            cover, box, inside = _place(draw, SHAPES[label], height, width)
            covered = cover > 0.5
            remaining = [int((other & ~covered).sum()) for other in visible]
            if inside >= _VISIBLE and all(n >= _VISIBLE * of for n, of in zip(remaining, whole, strict=True)):
                break
        else:
            continue
        visible = [other & ~covered for other in visible] + [covered]
        whole.append(int(covered.sum()))
        boxes.append(box)
        labels.append(label)
        colour = _colour(draw, picture[covered].mean(0))
        picture += cover[..., None] * (_shaded(draw, colour, height, width) - picture)
    noise = draw.standard_normal((height, width, 3), np.float32) * draw.uniform(2, 10)
    pixels = (picture + noise).clip(0, 255).astype(np.uint8)
    name = f"shapes-{seed}-{place:06d}"
    return Record(
        image=Path(f"{name}.png"),
        image_id=place + 1,
        key=name,
        width=width,
        height=height,
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        crowd=torch.zeros(len(labels), dtype=torch.bool),
        pixels=torch.from_numpy(pixels).permute(2, 0, 1).contiguous(),
    )


def _place(
    draw: np.random.Generator, shape: str, height: int, width: int
) -> tuple[Floats, tuple[float, float, float, float], float]:
    """A shape somewhere: its mask [height, width], its box in the image, and the share of it that lies there."""
    side = min(height, width)
    radius = side * _SMALLEST * (_LARGEST / _SMALLEST) ** draw.random()
    aspect = draw.uniform(0.4, 1.0)
    corners = outline(shape, radius, draw.uniform(0, 2 * np.pi), aspect)
    centre = np.array([draw.uniform(0, width), draw.uniform(0, height)], np.float32)
    hole = (corners * draw.uniform(0.45, 0.65) + centre).astype(np.float32) if shape == "ring" else None
    corners = corners + centre
    (x0, y0), (x1, y1) = corners.min(0).tolist(), corners.max(0).tolist()
    box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    left, top = int(max(x0, 0)), int(max(y0, 0))
    right, bottom = min(int(x1) + 1, width), min(int(y1) + 1, height)
    shift = np.array([left, top], np.float32)
    cover = np.zeros((height, width), np.float32)
    cover[top:bottom, left:right] = mask(
        corners - shift, bottom - top, right - left, None if hole is None else hole - shift
    )
    inside = (box[2] - box[0]) * (box[3] - box[1]) / ((x1 - x0) * (y1 - y0))
    return cover, box, inside


def _ground(draw: np.random.Generator, height: int, width: int) -> Floats:
    """Clouds of colour, with lines and soft spots of no class, float32 [height, width, 3], 0 ... 255."""
    cells = draw.integers(2, 9)
    clouds = draw.uniform(0, 1, (cells, cells, 3)) * draw.uniform(40, 130) + draw.uniform(20, 110, 3)
    image = Image.fromarray(clouds.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(int(draw.integers(0, 8))):
        ends = [(draw.uniform(0, width), draw.uniform(0, height)) for _ in range(int(draw.integers(2, 4)))]
        pen.line(ends, fill=tuple(draw.integers(0, 256, 3).tolist()), width=int(draw.integers(1, 4)))
    picture = np.array(image, np.float32)
    rows, columns = np.ogrid[:height, :width]
    for _ in range(int(draw.integers(0, 4))):
        spread = min(height, width) * draw.uniform(0.04, 0.15)
        down, right = draw.uniform(0, height), draw.uniform(0, width)
        spot = np.exp(-((rows - down) ** 2 + (columns - right) ** 2) / (2 * spread**2)).astype(np.float32)
        picture += spot[..., None] * draw.uniform(-70, 70, 3).astype(np.float32)
    return picture


def _colour(draw: np.random.Generator, ground: Floats) -> Floats:
    """A colour that stands out from the ground."""
    while True:
        colour = draw.uniform(20, 255, 3).astype(np.float32)
        if np.abs(colour - ground).max() > _CONTRAST:
            return colour


def _shaded(draw: np.random.Generator, colour: Floats, height: int, width: int) -> Floats:
    """A colour lit from one side, [height, width, 3]."""
    angle, depth = draw.uniform(0, 2 * np.pi), draw.uniform(0.0, 0.35)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    columns = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    light: Floats = (1 - np.float32(depth) * (0.5 + 0.5 * (rows + columns))).astype(np.float32)
    return light[..., None] * colour
