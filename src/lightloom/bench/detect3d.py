"""Claim: a camera detector trains several times faster where cells of the ground look only into cameras that see them.

And deformable attention does without loops and without holding its samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.bench.measure import medians, peak_of_child, report_rise
from lightloom.data.multicamera import Views
from lightloom.nn.backbones import build_backbone
from lightloom.tasks.detection3d import SIZES, Detector3D, pack, sample

_CLASSES = 10
_CELLS, _LAYERS = 32, 2  # of the BEV map, a side, and of its encoder
_FIELDS = (70.0, 70.0, 70.0, 110.0, 70.0, 70.0)
_YAWS = (0.0, -55.0, -110.0, 180.0, 110.0, 55.0)
"""Directions of the six cameras, in degrees; `_FIELDS` are their fields of view."""


class Case(NamedTuple):
    """A training step that is measured."""

    size: str
    """Name of the detector."""
    samples: int
    height: int
    width: int


CASE = Case("toy-expert", 4, 96, 160)


class Looks(NamedTuple):
    """A deformable attention that is measured."""

    queries: int
    heads: int
    channels: int
    points: int
    shapes: tuple[tuple[int, int], ...]
    images: int


LOOPED = Looks(64, 4, 64, 4, ((12, 20), (6, 10), (3, 5)), 2)
"""Small: a loop takes tens of microseconds for each point."""
PADDED = LOOPED._replace(queries=5328, images=24)
"""A large case: as many queries as cells of that ground and cameras see each other in four samples."""


def detect3d(*, seed: int = 0, rounds: int = 5) -> dict[str, Any]:
    """Training steps and deformable attention, each against the plain way of computing the same.

    `hit_camera_speedup` and `hit_memory_ratio` compare a training step of BEVFormer of the size `toy-expert`, its map
    of 32 x 32 cells made in two layers (4 samples of 2 moments and 6 cameras of 160 x 96 pixels), with one whose cells
    look into all cameras, seen or not; the BEV maps agree to `hit_camera_error`, relative.
    `hit_encoder_speedup` is of the encoder alone, forward and backward: of a step without backbone, pyramid, decoder
    and loss. `step_ms` and `peak_memory_mb` are of the faster one; memory is how far a step raises the highest
    resident memory of a fresh process.

    `deformable_speedup` is forward and backward against a Python loop over queries, heads, levels and points, and
    `padded_speedup` against the published way: `grid_sample` level by level, queries padded to as many for each camera,
    of which wide ones are looked at by more. `deformable_error` and `padded_error` are relative.

    All work on one thread.

    Args:
        seed: Of parameters and inputs.
        rounds: Turns of each way, taken alternately; ratios are those of medians.

    Raises:
        RequestError: `transformers` is not there, which builds the backbone.
        WorkError: A process that measures memory fails.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {**_cameras(seed, rounds), **_attention(seed, rounds), "threads": 1, "torch": str(torch.__version__)}
    finally:
        torch.set_num_threads(threads)


def _cameras(seed: int, rounds: int) -> dict[str, float]:
    detectors, views = {way: _detector(CASE, way, seed) for way in ("hits", "all")}, _views(CASE, seed)
    with torch.no_grad():  # before any step moves the statistics of the norms
        grounds = [detectors[way].eval()(views).bev for way in ("hits", "all")]
    assert grounds[0] is not None and grounds[1] is not None
    for detector in detectors.values():
        detector.train()
    steps = {way: _step(detector, views, _boxes(CASE, seed)) for way, detector in detectors.items()}
    seconds = medians(steps, rounds)
    encoding = medians({way: _encode(detector, views) for way, detector in detectors.items()}, rounds)
    memory = {way: peak_of_child("detect3d", way, seed, *CASE) for way in ("hits", "all")}
    return {
        "hit_camera_speedup": round(seconds["all"] / seconds["hits"], 2),
        "hit_encoder_speedup": round(encoding["all"] / encoding["hits"], 2),
        "hit_camera_error": _error(grounds[0], grounds[1]),
        "hit_memory_ratio": round(memory["hits"] / memory["all"], 4),
        "peak_memory_mb": round(memory["hits"] / 1024, 1),
        "step_ms": round(1e3 * seconds["hits"], 1),
    }


def _detector(case: Case, way: str, seed: int) -> Detector3D:
    """A detector with the same weights for both ways."""
    torch.manual_seed(seed)
    size = SIZES[case.size]
    config = size.config.replace(rows=_CELLS, columns=_CELLS, encoder_layers=_LAYERS, hits_only=way == "hits")
    return Detector3D(build_backbone(size.backbone), _CLASSES, config)


def _step(detector: Detector3D, views: Views, boxes: Tensor) -> Callable[[], None]:
    """Forward, loss and backward."""

    def step() -> None:
        detector.zero_grad(set_to_none=True)
        detector.loss(detector(views), boxes).backward()  # type: ignore[no-untyped-call]

    return step


def _encode(detector: Detector3D, views: Views) -> Callable[[], None]:
    """The BEV map from given camera maps, and back."""
    encoder = detector.encoder
    assert encoder is not None
    with torch.no_grad():
        cameras = detector.camera_maps(views, -1)

    def step() -> None:
        encoder.zero_grad(set_to_none=True)
        encoder(cameras).square().mean().backward()

    return step


def _views(case: Case, seed: int) -> Views:
    """Noise in two moments of six cameras, with the directions and fields of view that are usual on a car."""
    draw = torch.Generator().manual_seed(seed)
    lead = (case.samples, 2, len(_YAWS))
    motion, linked = torch.eye(4).repeat(*lead[:2], 1, 1), torch.ones(lead[:2], dtype=torch.bool)
    motion[:, 1, 0, 3] = 2.0
    linked[:, 0] = False
    rig = torch.stack([_projection(case, yaw, field) for yaw, field in zip(_YAWS, _FIELDS, strict=True)])
    return Views(
        torch.randint(0, 256, (*lead, 3, case.height, case.width), generator=draw, dtype=torch.uint8),
        rig.repeat(*lead[:2], 1, 1, 1),
        torch.tensor([case.width, case.height], dtype=torch.float32).repeat(*lead, 1),
        motion,
        linked,
    )


def _projection(case: Case, yaw: float, field: float) -> Tensor:
    """The projection of a camera 1.6 m above the ground that looks along `yaw`, in degrees, as in `Views`."""
    c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    focal = case.width / 2 / math.tan(math.radians(field / 2))
    optical = torch.tensor([[s, -c, 0, 0], [0, 0, -1, 1.6], [c, s, 0, 0], [0, 0, 0, 1]])
    lens = torch.eye(4)
    lens[0, 0] = lens[1, 1] = focal
    lens[0, 2], lens[1, 2] = case.width / 2, case.height / 2
    return lens @ optical


def _boxes(case: Case, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    boxes = torch.rand(case.samples, 15, 10, generator=draw)
    boxes[..., :2] = 30 * boxes[..., :2] - 15
    boxes[..., 9] = (boxes[..., 9] * _CLASSES).floor()
    return boxes


def _attention(seed: int, rounds: int) -> dict[str, float]:
    figures = {}
    for name, plain, looks in (("deformable", looped, LOOPED), ("padded", padded, PADDED)):
        inputs = _inputs(looks, seed)
        ways = {"ours": _differentiated(_ours, inputs), "plain": _differentiated(plain, inputs)}
        seconds = medians(ways, rounds)
        figures[f"{name}_speedup"] = round(seconds["plain"] / seconds["ours"], 2)
        figures[f"{name}_error"] = _error(_ours(*inputs), plain(*inputs))
    return figures


Inputs = tuple[tuple[Tensor, ...], Tensor, Tensor, Tensor]
"""Maps, locations, weights and images, as `sample` takes them."""


def _inputs(looks: Looks, seed: int) -> Inputs:
    draw = torch.Generator().manual_seed(seed)
    maps = tuple(torch.randn(looks.images, looks.channels, h, w, generator=draw) for h, w in looks.shapes)
    parts = (looks.heads, len(looks.shapes), looks.points)
    locations = torch.rand(*parts, 2, looks.queries, generator=draw)
    weights = torch.rand(*parts, looks.queries, generator=draw)
    for part in (*maps, locations, weights):
        part.requires_grad_()
    shares = torch.tensor(_FIELDS).repeat(-(-looks.images // len(_FIELDS)))[: looks.images]
    image = torch.multinomial(shares, looks.queries, replacement=True, generator=draw).sort().values
    return maps, locations, weights, image


def _differentiated(way: Callable[..., Tensor], inputs: Inputs) -> Callable[[], None]:
    maps, locations, weights, _ = inputs
    upstream = torch.ones(locations.shape[-1], maps[0].shape[1])

    def step() -> None:
        torch.autograd.grad(way(*inputs), (*maps, locations, weights), upstream)

    return step


def _ours(maps: tuple[Tensor, ...], locations: Tensor, weights: Tensor, image: Tensor) -> Tensor:
    return sample(pack(maps, locations.shape[0]), locations, weights, image)


def looped(maps: tuple[Tensor, ...], locations: Tensor, weights: Tensor, image: Tensor) -> Tensor:
    """What `sample` computes, point by point in plain Python.

    Args:
        maps: Feature maps [images, heads * d, h, w] of each level.
        locations: [heads, levels, points, 2, queries] x and y of each point, 0 to 1.
        weights: [heads, levels, points, queries] attention weight of each point.
        image: [queries] number of the image that each query looks at.

    Returns:
        [queries, heads * d].
    """
    heads, levels, points, _, queries = locations.shape
    channels = maps[0].shape[1] // heads
    rows = []
    for query in range(queries):
        for head in range(heads):
            own = slice(head * channels, (head + 1) * channels)
            total = maps[0].new_zeros(channels)
            for level in range(levels):
                for point in range(points):
                    value = _bilinear(maps[level][image[query], own], locations[head, level, point, :, query])
                    total = total + weights[head, level, point, query] * value
            rows.append(total)
    return torch.stack(rows).view(queries, heads * channels)


def _bilinear(plane: Tensor, at: Tensor) -> Tensor:
    rows, columns = plane.shape[-2:]
    x, y = at[0] * columns - 0.5, at[1] * rows - 0.5
    first_row, first_column = math.floor(float(y.detach())), math.floor(float(x.detach()))
    value = plane.new_zeros(len(plane))
    for row in (first_row, first_row + 1):
        for column in (first_column, first_column + 1):
            if 0 <= row < rows and 0 <= column < columns:
                value = value + (1 - (y - row).abs()) * (1 - (x - column).abs()) * plane[:, row, column]
    return value


def padded(maps: tuple[Tensor, ...], locations: Tensor, weights: Tensor, image: Tensor) -> Tensor:
    """What `sample` computes, by one `grid_sample` a level on as many queries for each image as the busiest has.

    Args:
        maps: Feature maps [images, heads * d, h, w] of each level.
        locations: [heads, levels, points, 2, queries] x and y of each point, 0 to 1.
        weights: [heads, levels, points, queries] attention weight of each point.
        image: [queries] number of the image that each query looks at.

    Returns:
        [queries, heads * d].
    """
    heads, levels, points, _, queries = locations.shape
    images = len(maps[0])
    counts = torch.bincount(image, minlength=images)
    most = int(counts.max())
    place = torch.arange(queries) - (counts.cumsum(0) - counts)[image]
    where = locations.new_zeros(images, most, heads, levels, points, 2)
    where = where.index_put((image, place), locations.permute(4, 0, 1, 2, 3))
    shares = weights.new_zeros(images, most, heads, levels, points)
    shares = shares.index_put((image, place), weights.permute(3, 0, 1, 2))
    samples = []
    for level, planes in enumerate(maps):
        grid = (2 * where[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
        values = planes.reshape(images * heads, -1, *planes.shape[-2:])
        samples.append(F.grid_sample(values, grid, align_corners=False))  # [images * heads, d, most, points]
    spread = shares.permute(0, 2, 1, 3, 4).reshape(images * heads, 1, most, levels * points)
    mixed = (torch.stack(samples, -2).flatten(-2) * spread).sum(-1)  # [images * heads, d, most]
    return mixed.view(images, -1, most).transpose(1, 2)[image, place]


def report_peak(way: str, seed: str, size: str, *numbers: str) -> None:
    """What a child process does: write how far a step raises the process's highest resident memory.

    Args:
        way: "hits" or "all".
        seed: Of parameters and inputs.
        size: Of the detector.
        *numbers: The rest of a `Case`.
    """
    torch.set_num_threads(1)
    case = Case(size, *map(int, numbers))
    detector = _detector(case, way, int(seed))
    small = case._replace(samples=1, height=32, width=64)
    _step(detector, _views(small, 0), _boxes(small, 0))()  # code and tables are loaded, and counted before
    report_rise(_step(detector, _views(case, int(seed)), _boxes(case, int(seed))))


def _error(ours: Tensor, truth: Tensor) -> float:
    """Largest difference, over the largest value."""
    return float(f"{float((ours - truth).detach().abs().max() / truth.detach().abs().max()):.1e}")
