"""A classifier that a chip can hold in a moment, and images that it mostly knows."""

import pytest
import torch
from torch import nn

from lightloom.data import ImageSet

CLASSES = 4


def labelled_images(count: int, seed: int = 0) -> ImageSet:
    """Noise around one corner per class, 2 x 2 pixels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    images = torch.eye(CLASSES)[labels] + 0.45 * torch.randn(count, CLASSES, generator=draw)
    return ImageSet(images.view(count, 1, 2, 2), labels)


def small_network() -> nn.Module:
    """Lifts the corners to 6 values and back: as good as reading the brightest corner."""
    torch.manual_seed(1)
    lift = torch.linalg.qr(torch.randn(6, CLASSES))[0]
    model = nn.Sequential(nn.Flatten(), nn.Linear(CLASSES, 6, bias=False), nn.Linear(6, CLASSES, bias=False))
    with torch.no_grad():
        model.get_submodule("1").weight.copy_(lift)
        model.get_submodule("2").weight.copy_(lift.T)
    return model


@pytest.fixture
def images() -> ImageSet:
    """80 images."""
    return labelled_images(80)


@pytest.fixture
def network() -> nn.Module:
    """The classifier."""
    return small_network()
