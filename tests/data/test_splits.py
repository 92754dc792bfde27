from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightloom.common.errors import RequestError
from lightloom.data import ImageSet, standardise
from lightloom.data.splits import Pixels, stratified_draw


def webster(sizes: list[int], seats: int) -> list[Fraction]:
    """The quotients that win `seats` seats: every class in turn, largest n / (2 s + 1) first."""
    won = [0] * len(sizes)
    quotients = []
    for _ in range(seats):
        best = max(range(len(sizes)), key=lambda c: Fraction(sizes[c], 2 * won[c] + 1))
        quotients.append(Fraction(sizes[best], 2 * won[best] + 1))
        won[best] += 1
    return quotients


@settings(deadline=None, max_examples=80)
@given(
    sizes=st.lists(st.integers(1, 25), min_size=1, max_size=6),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_draw_is_an_apportionment(sizes: list[int], fraction: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    count = int(fraction * len(labels))
    drawn, rest = stratified_draw(labels, count, torch.Generator().manual_seed(seed))
    assert len(drawn) == count
    assert sorted([*drawn.tolist(), *rest.tolist()]) == list(range(len(labels)))
    assert drawn.tolist() == sorted(drawn.tolist())
    assert rest.tolist() == sorted(rest.tolist())
    per_class = torch.bincount(labels[drawn], minlength=len(sizes)).tolist()
    # Ties between classes may fall either way, so the winning quotients are compared, not the seats.
    won = [Fraction(size, 2 * seat + 1) for size, seats in zip(sizes, per_class, strict=True) for seat in range(seats)]
    assert sorted(won, reverse=True) == webster(sizes, count)


def test_larger_draws_contain_smaller_ones() -> None:
    labels = torch.arange(200) % 7
    draws = [set(stratified_draw(labels, n, torch.Generator().manual_seed(1))[0].tolist()) for n in (5, 50, 199)]
    assert draws[0] < draws[1] < draws[2]
    other = set(stratified_draw(labels, 50, torch.Generator().manual_seed(2))[0].tolist())
    assert other != draws[1]


def test_draws_out_of_range_are_refused() -> None:
    for count in (-1, 4):
        with pytest.raises(RequestError, match=f"Cannot draw {count} of 3"):
            stratified_draw(torch.zeros(3, dtype=torch.int64), count, torch.Generator())


def pixels(n: int, *, channels: int = 2, seed: int = 0, side: int = 5) -> Pixels:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, channels, side, side), generator=generator, dtype=torch.uint8)
    return images, torch.arange(n) % 3


def test_standardised_by_the_training_images_alone() -> None:
    train, validation, test = pixels(30, seed=1), pixels(6, seed=2), pixels(9, seed=3)
    before = train[0].clone()
    splits = standardise(train, validation, test, white=255, classes=("a", "b", "c"), name="noise")
    scaled = train[0].numpy().astype(np.float64) / 255
    np.testing.assert_allclose(splits.mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(splits.std, scaled.std(axis=(0, 2, 3)), rtol=1e-6)
    mean, std = scaled.mean(axis=(0, 2, 3), keepdims=True), scaled.std(axis=(0, 2, 3), keepdims=True)
    expected = (test[0].numpy() / 255 - mean) / std
    np.testing.assert_allclose(splits.test.images.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(train[0], before)
    assert splits.shape == (2, 5, 5)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 6, 9)
    with pytest.raises(dataclasses.FrozenInstanceError):
        splits.name = "other"  # type: ignore[misc]


def test_unit_pixels_may_be_constant() -> None:
    black = torch.zeros(3, 2, 5, 5, dtype=torch.uint8), torch.arange(3)
    splits = standardise(black, pixels(3), pixels(3), white=255, classes=("a", "b", "c"), name="night", scale="unit")
    assert (splits.mean, splits.std) == ((0.0, 0.0), (1.0, 1.0))
    assert float(splits.train.images.abs().max()) == 0
    np.testing.assert_allclose(splits.test.images.numpy(), pixels(3)[0].numpy() / 255, rtol=1e-6)
    with pytest.raises(RequestError, match="is constant"):
        standardise(black, pixels(3), pixels(3), white=255, classes=("a", "b", "c"), name="night")


def test_float_pixels_are_not_changed_in_place() -> None:
    images, labels = torch.rand(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    before = images.clone()
    standardise((images, labels), (images, labels), (images, labels), white=1, classes=("a",), name="own")
    assert torch.equal(images, before)


def test_sets_that_do_not_fit_are_refused() -> None:
    def splits(train: Pixels, test: Pixels, classes: int = 3) -> None:
        standardise(train, pixels(3), test, white=255, classes=("x",) * classes, name="noise")

    with pytest.raises(RequestError, match=r"different shapes, \(2, 5, 5\) and \(2, 4, 4\)"):
        splits(pixels(3), pixels(3, side=4))
    with pytest.raises(RequestError, match=r"different shapes, \(2, 5, 5\) and \(3, 5, 5\)"):
        splits(pixels(3), pixels(3, channels=3))
    with pytest.raises(RequestError, match="run from 0 to 2; its 2 classes"):
        splits(pixels(3), pixels(3), classes=2)
    with pytest.raises(RequestError, match="constant"):
        splits((torch.full((3, 2, 5, 5), 7, dtype=torch.uint8), torch.arange(3)), pixels(3))
    with pytest.raises(RequestError, match="training images of shape"):
        splits((torch.zeros(3, 5, 5), torch.arange(3)), pixels(3))


def test_image_sets_are_checked() -> None:
    images, labels = torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64)
    assert len(ImageSet(images, labels)) == 2
    with pytest.raises(RequestError, match=r"torch\.float64 of rank 4; they must be torch\.float32"):
        ImageSet(images.double(), labels)
    with pytest.raises(RequestError, match=r"rank 3; they must be torch\.float32 of rank 4"):
        ImageSet(images[:, 0], labels)
    with pytest.raises(RequestError, match=r"torch\.int32 .* must be torch\.int64"):
        ImageSet(images, labels.int())
    with pytest.raises(RequestError, match="2 images and 1 labels"):
        ImageSet(images, labels[:1])
