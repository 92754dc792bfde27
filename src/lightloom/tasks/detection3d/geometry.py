"""Points of the ego frame in cameras, and the codes that boxes are learnt in."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_NEAREST = 1e-5
"""Least depth along the optical axis, in metres, at which a point is in front of a camera."""
_SMALLEST = 1e-3
"""Metres: a size below it is taken as that, since codes are logarithms."""
CODE = 10
"""Numbers of a box code: x, y, log w, log l, z, log h, sin yaw, cos yaw, vx, vy."""


def project_points(points: Tensor, project: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the ego frame in cameras.

    Args:
        points: [..., P, 3] in metres.
        project: [..., 4, 4], homogeneous metres to (u d, v d, d, 1), as in `Views`.

    Returns:
        Pixels (u, v) [..., P, 2] and depth along the optical axis in metres [..., P]. Pixels of points that are not in
        front of the camera have no meaning, but are finite.
    """
    with torch.autocast(points.device.type, enabled=False):  # half precision knows no pixels
        in_camera = points @ project[..., :3, :3].transpose(-1, -2) + project[..., None, :3, 3]
    depth = in_camera[..., 2]
    return in_camera[..., :2] / depth.clamp(min=_NEAREST).unsqueeze(-1), depth


def visible_points(pixels: Tensor, depth: Tensor, extent: Tensor) -> Tensor:
    """Whether points [..., P] are in front of a camera and within its image of `extent` [..., 2] (width, height).

    Args:
        pixels: (u, v) [..., P, 2].
        depth: Metres along the optical axis [..., P].
        extent: Width and height of the image in pixels [..., 2].
    """
    within = (pixels > 0) & (pixels < extent.unsqueeze(-2))
    return (depth > _NEAREST) & within.all(-1)


class Hits(NamedTuple):
    """The pairs of a camera and a query, for a batch, that see something of each other."""

    image: Tensor
    """[K], long: place of the camera among the B * N."""
    query: Tensor
    """[K], long: place of the query among the B * Q."""
    places: Tensor
    """[K, Z, 2]: where the Z points of the query are, 0 ... 1 within the frame, x to the right."""
    sees: Tensor
    """[K, Z], bool: which of them that camera sees."""
    counts: Tensor
    """[B * Q]: cameras that see at least one point of each query."""


def find_hits(
    points: Tensor, project: Tensor, extent: Tensor, frame: tuple[int, int], *, hits_only: bool = True
) -> Hits:
    """The hits of queries in the cameras that see them, sample by sample.

    Args:
        points: Z points of each of Q queries in metres [B, Q, Z, 3], or [Q, Z, 3] for all samples.
        project: [B, N, 4, 4], as in `Views`.
        extent: [B, N, 2], as in `Views`.
        frame: Height and width in pixels of the frame.
        hits_only: Without, all pairs are given; `sees` is false for those that see nothing.
    """
    samples, cameras = project.shape[:2]
    queries, heights = points.shape[-3:-1]
    flat = points.flatten(-3, -2)
    flat = flat.unsqueeze(1) if flat.dim() == 3 else flat
    pixels, depth = project_points(flat, project)
    visible = visible_points(pixels, depth, extent).view(samples, cameras, queries, heights)
    any_point = visible.any(-1)
    pairs = any_point if hits_only else torch.ones_like(any_point)
    sample, camera, query = pairs.nonzero(as_tuple=True)
    size = pixels.new_tensor([frame[1], frame[0]])
    places = pixels.view(samples, cameras, queries, heights, 2)[sample, camera, query] / size
    return Hits(
        sample * cameras + camera,
        sample * queries + query,
        places.clamp(-_FAR, _FAR),
        visible[sample, camera, query],
        any_point.sum(1).flatten(),
    )


_FAR = 1e3
"""Frames: points behind a camera are no further outside than this, so that all numbers stay small."""


def encode_boxes(boxes: Tensor) -> Tensor:
    """Boxes (x, y, z, w, l, h, yaw, vx, vy) [..., 9] to codes [..., 10], in metres, radians and m/s."""
    x, y, z, w, length, h, yaw, vx, vy = boxes.unbind(-1)
    sizes = [size.clamp(min=_SMALLEST).log() for size in (w, length, h)]
    return torch.stack((x, y, sizes[0], sizes[1], z, sizes[2], yaw.sin(), yaw.cos(), vx, vy), -1)


def decode_boxes(codes: Tensor) -> Tensor:
    """Codes [..., 10] to boxes (x, y, z, w, l, h, yaw, vx, vy) [..., 9]; sine and cosine may be of any length."""
    x, y, w, length, z, h, sine, cosine, vx, vy = codes.unbind(-1)
    return torch.stack((x, y, z, w.exp(), length.exp(), h.exp(), torch.atan2(sine, cosine), vx, vy), -1)


def to_metres(shares: Tensor, area: tuple[float, ...]) -> Tensor:
    """Points (x, y, z) [..., 3], 0 ... 1 within an area (x0, y0, z0, x1, y1, z1), in metres.

    Args:
        shares: (x, y, z), 0 ... 1 within the area [..., 3].
        area: x0, y0, z0, x1, y1, z1 in metres.
    """
    low, high = shares.new_tensor(area[:3]), shares.new_tensor(area[3:])
    return low + shares * (high - low)


def inverse_sigmoid(shares: Tensor, margin: float = 1e-5) -> Tensor:
    """The logit of shares 0 ... 1, held within a margin.

    Args:
        shares: 0 ... 1 [...].
        margin: Least distance from 0 and 1.
    """
    return shares.clamp(margin, 1 - margin).logit()


def widened(x: Tensor) -> Tensor:
    """A tensor in single precision at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
