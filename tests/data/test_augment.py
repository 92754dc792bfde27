"""Crops and mirrored images against a loop over them."""

from __future__ import annotations

import pytest
import torch

from lightloom.data import crop_and_flip
from lightloom.data.augment import PADDING


def candidates(image: torch.Tensor) -> list[torch.Tensor]:
    """Every crop of a padded image, plain and mirrored."""
    height, width = image.shape[1:]
    padded = torch.zeros(image.shape[0], height + 2 * PADDING, width + 2 * PADDING)
    padded[:, PADDING:-PADDING, PADDING:-PADDING] = image
    crops = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * PADDING + 1)
        for left in range(2 * PADDING + 1)
    ]
    return [*crops, *(crop.flip(2) for crop in crops)]


def test_every_image_is_a_crop_of_itself_and_all_crops_come() -> None:
    images = torch.randn(3, 2, 7, 5)
    seen: list[set[int]] = [set(), set(), set()]
    known = [torch.stack(candidates(image)) for image in images]
    for _ in range(600):
        for index, made in enumerate(crop_and_flip(images)):
            matches = (known[index] == made).all(3).all(2).all(1).nonzero()
            assert len(matches) == 1
            seen[index].add(int(matches))
    expected = 162 * (1 - (161 / 162) ** 600)  # 81 crops, mirrored or not, all as likely
    assert all(abs(len(numbers) - expected) < 12 for numbers in seen)
    assert seen[0] != seen[1]


def test_the_global_generator_decides_and_the_input_stays() -> None:
    images = torch.randn(4, 3, 8, 8)
    before = images.clone()
    torch.manual_seed(7)
    first = crop_and_flip(images)
    second = crop_and_flip(images)
    torch.manual_seed(7)
    assert torch.equal(first, crop_and_flip(images))
    assert not torch.equal(first, second)
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert first.is_contiguous()


def test_other_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="rank 3"):
        crop_and_flip(torch.zeros(3, 8, 8))
