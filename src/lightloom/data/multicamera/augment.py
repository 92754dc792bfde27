"""Changes of a batch of views that keep boxes where they are seen: mirror, turn about the vertical, colour.

All draws come from torch's global CPU generator, so a training that seeds it repeats them on any device.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from lightloom.common.config import Section
from lightloom.data.detection.augment import colour
from lightloom.data.detection.letterbox import GRAY
from lightloom.data.multicamera.views import Views

Change = Callable[[Views, Tensor], tuple[Views, Tensor]]
"""Views and padded targets [B, most, 10] to the same, changed."""


class ViewAugmentConfig(Section):
    """How the views of a training step are changed."""

    flip: float = Field(0.0, ge=0, le=1)
    """Share of the samples whose world is mirrored left to right, images and all. A detector with weights of its own
    for each camera then sees what is on the left through what is mounted on the right."""
    turn: float = Field(0.0, ge=0, le=180)
    """The ego frame is turned about the vertical by up to so many degrees; the images stay."""
    colour: float = Field(0.2, ge=0, lt=1)
    """Brightness, contrast and saturation of all images of a sample are multiplied by 1 - colour ... 1 + colour."""


def view_augmentation(config: ViewAugmentConfig) -> Change:
    """What a config describes; parts that are off are left out."""

    def apply(views: Views, targets: Tensor) -> tuple[Views, Tensor]:
        count = len(targets)
        if config.flip:
            views, targets = mirror(views, targets, torch.rand(count) < config.flip)
        if config.turn:
            views, targets = turn(views, targets, math.radians(config.turn) * (2 * torch.rand(count) - 1))
        if config.colour:
            views = views._replace(images=_coloured(views.images, config.colour))
        return views, targets

    return apply


def mirror(views: Views, targets: Tensor, selected: Tensor) -> tuple[Views, Tensor]:
    """Mirror samples left to right: every image, and the ego frame with it (y becomes -y).

    Args:
        views: Of B samples.
        targets: [B, most, 10].
        selected: [B], bool.
    """
    selected = selected.to(targets.device)
    which = selected[:, None, None, None, None]
    sides = torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0], device=targets.device))
    # u becomes width - u: the width is that of the image, which stays at the left of its frame
    image = torch.eye(4, device=targets.device).repeat(*views.extent.shape[:-1], 1, 1)
    image[..., 0, 0] = -1
    image[..., 0, 2] = views.extent[..., 0]
    new_motion = torch.where(selected[:, None, None, None], sides @ views.motion @ sides, views.motion)
    flipped = torch.where(which, image @ views.project @ sides, views.project)
    images = torch.where(which[..., None], _mirrored(views.images, views.extent[..., 0]), views.images)
    signs = targets.new_tensor([1, -1, 1, 1, 1, 1, -1, 1, -1, 1])
    changed = torch.where(selected[:, None, None], targets * signs, targets)
    return Views(images, flipped, views.extent, new_motion, views.linked), changed


def turn(views: Views, targets: Tensor, angles: Tensor) -> tuple[Views, Tensor]:
    """Turn the ego frame of samples: what was at an angle of a is then at a + angle.

    Args:
        views: Of B samples.
        targets: [B, most, 10].
        angles: [B], in radians.
    """
    angles = angles.to(targets)
    cos, sin = angles.cos(), angles.sin()
    matrix = torch.eye(4, device=targets.device).repeat(len(angles), 1, 1)
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = cos, -sin, sin, cos
    back = matrix.transpose(1, 2)
    flat = matrix[:, :2, :2].transpose(1, 2)
    real = targets[..., 9:] >= 0
    parts = (
        targets[..., :2] @ flat,
        targets[..., 2:6],
        targets[..., 6:7] + angles[:, None, None],
        targets[..., 7:9] @ flat,
        targets[..., 9:],
    )
    changed = torch.where(real, torch.cat(parts, -1), targets)
    project = views.project @ back[:, None, None]
    motion = matrix[:, None] @ views.motion @ back[:, None]
    return views._replace(project=project, motion=motion), changed


def _mirrored(images: Tensor, widths: Tensor) -> Tensor:
    """Each image mirrored within its width [B, T, N], the rest of the frame gray."""
    frame = images.shape[-1]
    flipped = images.flip(-1)
    full = widths == frame
    if bool((full | (widths == 0)).all()):
        return flipped
    gray = torch.tensor(GRAY, dtype=torch.uint8, device=images.device).view(3, 1, 1)
    filler = gray if images.dtype == torch.uint8 else gray / 255
    canvas = filler.to(images.dtype).expand_as(images).clone()
    for width in sorted(set(widths.flatten().tolist())):  # few: one for each form of image
        wide = int(width)
        same = widths == width
        if wide:
            canvas[same, :, :, :wide] = flipped[same][..., frame - wide :]
    return canvas


def _coloured(images: Tensor, amount: float) -> Tensor:
    """All images of a sample alike, so that what is one colour in two cameras stays so."""
    count = len(images)
    change = colour(amount, amount, amount)
    stacked = images.movedim(3, 1)  # one above the other, the images of a sample are one image to what changes colours
    changed, _ = change(stacked.flatten(2, 4), images.new_zeros(count, 0, 5))
    return changed.view(stacked.shape).movedim(1, 3)
