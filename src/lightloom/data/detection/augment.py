"""Changes of a training batch that keep boxes on their pixels: mirror, zoom, mosaic, colour.

All draws come from torch's global CPU generator, so a training that seeds it repeats them on any device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.data.detection.letterbox import GRAY

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Images [B, 3, H, W], uint8 or float of 0 ... 1, and padded targets [B, most, 5], to the same of the same types."""

_LEAST_SHARE = 0.2  # of a box's area that must stay in the image for the box to stay
_LEAST_SIDE = 2.0  # pixels likewise
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class AugmentConfig(Section):
    """How the images of a training step are changed."""

    flip: float = Field(0.5, ge=0, le=1)
    """Share of the images that are mirrored left to right."""
    vertical: float = Field(0.0, ge=0, le=1)
    """Share that are mirrored top to bottom: for microscopes and views from above."""
    scale: float = Field(0.4, ge=0, lt=1)
    """Images are resized by 1 - scale ... 1 + scale, then cut or padded back at a random place."""
    mosaic: float = Field(0.0, ge=0, le=1)
    """Share of the images that are put together from cuts of four of the batch."""
    colour: float = Field(0.2, ge=0, lt=1)
    """Brightness, contrast and saturation are each multiplied by 1 - colour ... 1 + colour."""


class _Window(NamedTuple):
    """A rectangle in whole pixels."""

    x: int
    y: int
    width: int
    height: int


def augmentation(config: AugmentConfig) -> Augment:
    """What a config describes; parts that are off are left out."""
    parts = []
    if config.mosaic:
        parts.append(mosaic(config.mosaic))
    if config.scale:
        parts.append(zoom(1 - config.scale, 1 + config.scale))
    if config.flip:
        parts.append(flip(config.flip))
    if config.vertical:
        parts.append(flip(config.vertical, vertical=True))
    if config.colour:
        parts.append(colour(config.colour, config.colour, config.colour))
    return compose(*parts)


def compose(*parts: Augment) -> Augment:
    """One after the other; without any, nothing is changed."""

    def apply(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        for part in parts:
            images, targets = part(images, targets)
        return images, targets

    return apply


def flip(probability: float = 0.5, *, vertical: bool = False) -> Augment:
    """Mirror some images left to right, or top to bottom.

    Args:
        probability: Share of the images that are mirrored, 0 ... 1.
        vertical: Top to bottom, and not left to right.

    Raises:
        RequestError: The probability is not within 0 ... 1.
    """
    _check_share(probability)
    axis = 1 if vertical else 0

    def apply(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        turned = (torch.rand(len(images)) < probability).to(images.device)
        length = images.shape[-1 - axis]
        mirrored = targets.clone()
        mirrored[..., axis] = length - targets[..., axis + 2]
        mirrored[..., axis + 2] = length - targets[..., axis]
        mirrored = torch.where(targets[..., 4:] >= 0, mirrored, targets)
        return (
            torch.where(turned[:, None, None, None], images.flip(-1 - axis), images),
            torch.where(turned[:, None, None], mirrored, targets),
        )

    return apply


def zoom(low: float = 0.6, high: float = 1.4) -> Augment:
    """Resize each image by a factor low ... high, then cut or pad it back to the frame at a random place.

    Boxes are clipped, and dropped where under 20 % of their area or under 2 pixels on a side remain.

    Args:
        low: Smallest factor, above 0.
        high: Largest factor.

    Raises:
        RequestError: The factors are not 0 < low <= high.
    """
    if not 0 < low <= high:
        raise RequestError(f"The factors of a zoom are {low} ... {high}; give 0 < low <= high.")

    def apply(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        height, width = images.shape[-2:]
        changed, new_targets = _gray_like(images), torch.empty_like(targets)
        for index, (factor, down, right) in enumerate(torch.rand(len(images), 3).tolist()):
            factor = low + (high - low) * factor
            window = _placed(width / max(factor, 1.0), height / max(factor, 1.0), width, height, right, down)
            place = _placed(width * min(factor, 1.0), height * min(factor, 1.0), width, height, right, down)
            _paste(images[index], window, changed[index], place)
            new_targets[index] = _moved(targets[index], window, place)
        return changed, new_targets

    return apply


def mosaic(probability: float = 0.5) -> Augment:
    """Put some images together from cuts of four: their own and three drawn from the batch.

    The four meet at a point in the middle half of the frame. Each is resized, with its ratio of sides kept, to cover
    its quarter, and cut at a random place. The targets may need more rows than before: `most` is what they need.
    Boxes are clipped and dropped as by `zoom`. Raises `RequestError` for no probability.
    """
    _check_share(probability)

    def apply(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        selected = (torch.rand(len(images)) < probability).nonzero().flatten().tolist()
        changed, rows = images.clone(), list(targets)
        for index in selected:
            changed[index], rows[index] = _four(images, targets, index)
        return changed, _packed(rows)

    return apply


def colour(brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2) -> Augment:
    """Multiply brightness, contrast (about the image's mean) and saturation (about each pixel's gray) at random.

    Args:
        brightness: The factor is drawn from 1 - brightness ... 1 + brightness.
        contrast: Likewise.
        saturation: Likewise.

    Raises:
        RequestError: One is not in 0 ... 1.
    """
    for share in (brightness, contrast, saturation):
        _check_share(share)

    def apply(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        spread = torch.tensor([brightness, contrast, saturation])
        factors = 1 + spread * (2 * torch.rand(len(images), 3) - 1)
        gain, sharp, rich = (factor.view(-1, 1, 1, 1) for factor in factors.to(images.device).unbind(1))
        white = 255.0 if images.dtype == torch.uint8 else 1.0
        pixels = images.float()
        gray = torch.einsum("bchw,c->bhw", pixels, pixels.new_tensor(_LUMA)).unsqueeze(1)
        mean = gray.mean((2, 3), keepdim=True)
        # gain * (mean + sharp * ((gray + rich * (pixel - gray)) - mean)), in one multiplication per pixel
        ground = gain * ((1 - sharp) * mean + (sharp * (1 - rich)) * gray)
        changed = (pixels * (gain * sharp * rich) + ground).clamp_(0, white)
        return changed.round_().to(torch.uint8) if images.dtype == torch.uint8 else changed.to(images.dtype), targets

    return apply


def _four(images: Tensor, targets: Tensor, index: int) -> tuple[Tensor, Tensor]:
    """One mosaic [3, H, W] around image `index`, and its targets."""
    height, width = images.shape[-2:]
    across, down, *shifts = torch.rand(10).tolist()
    x, y = round(width * (0.25 + 0.5 * across)), round(height * (0.25 + 0.5 * down))
    columns, rows = ((0, x), (x, width)), ((0, y), (y, height))
    sources = torch.cat([torch.tensor([index]), torch.randint(len(images), (3,))])[torch.randperm(4)].tolist()
    mixed, new_targets = torch.empty_like(images[index]), []
    for number, source in enumerate(sources):
        (left, right), (top, bottom) = columns[number % 2], rows[number // 2]
        place = _Window(left, top, right - left, bottom - top)
        factor = max(place.width / width, place.height / height)
        window = _placed(
            place.width / factor, place.height / factor, width, height, shifts[2 * number], shifts[2 * number + 1]
        )
        _paste(images[source], window, mixed, place)
        new_targets.append(_moved(targets[source], window, place))
    return mixed, torch.cat(new_targets)


def _placed(inner_width: float, inner_height: float, width: int, height: int, right: float, down: float) -> _Window:
    """A window of about that size somewhere in width x height; `right` and `down` of 0 ... 1 say where."""
    w, h = min(max(round(inner_width), 1), width), min(max(round(inner_height), 1), height)
    return _Window(round((width - w) * right), round((height - h) * down), w, h)


def _paste(source: Tensor, window: _Window, canvas: Tensor, place: _Window) -> None:
    """Resize a window of `source` [3, H, W] into a place of `canvas`."""
    cut = source[None, :, window.y : window.y + window.height, window.x : window.x + window.width]
    # only the processor resizes bytes as they are
    direct = cut.dtype != torch.uint8 or cut.device.type == "cpu"
    size = (place.height, place.width)
    resized = F.interpolate(cut if direct else cut.float(), size, mode="bilinear", antialias=True)
    rounded = resized if direct else resized.round()
    canvas[:, place.y : place.y + place.height, place.x : place.x + place.width] = rounded[0].to(canvas.dtype)


def _moved(targets: Tensor, window: _Window, place: _Window) -> Tensor:
    """Targets [most, 5] of an image whose `window` went to `place`, clipped to it; those that left are emptied."""
    scale = targets.new_tensor([place.width / window.width, place.height / window.height]).repeat(2)
    low = targets.new_tensor([place.x, place.y]).repeat(2)
    whole = (targets[:, :4] - targets.new_tensor([window.x, window.y]).repeat(2)) * scale + low
    high = targets.new_tensor([place.x + place.width, place.y + place.height]).repeat(2)
    boxes = torch.minimum(torch.maximum(whole, low), high)
    sides, before = boxes[:, 2:] - boxes[:, :2], whole[:, 2:] - whole[:, :2]
    remains = (targets[:, 4] >= 0) & (sides >= _LEAST_SIDE).all(1) & (sides.prod(1) >= _LEAST_SHARE * before.prod(1))
    empty = targets.new_tensor([0, 0, 0, 0, -1])
    return torch.where(remains[:, None], torch.cat([boxes, targets[:, 4:]], 1), empty)


def _packed(rows: list[Tensor]) -> Tensor:
    """Targets of several lengths [n, 5] as one [B, most, 5], boxes first."""
    valid = [row[row[:, 4] >= 0] for row in rows]
    packed = rows[0].new_zeros(len(rows), max(1, *(len(row) for row in valid)), 5)
    packed[..., 4] = -1
    for place, row in zip(packed, valid, strict=True):
        place[: len(row)] = row
    return packed


def _gray_like(images: Tensor) -> Tensor:
    gray = torch.tensor(GRAY, dtype=torch.float32) / (1 if images.dtype == torch.uint8 else 255)
    return gray.to(images.device, images.dtype).view(1, 3, 1, 1).expand_as(images).clone()


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise RequestError(f"A share or probability is {share}; give 0 ... 1.")
