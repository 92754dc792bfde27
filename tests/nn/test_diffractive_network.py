"""Networks of light tell digits apart, and say what their detectors see."""

import pytest
import torch
from torch.nn import functional as F

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn import DiffractiveNetwork


def chip(mask: int = 24, layers: int = 3) -> DiffractiveChip:
    distance = min(1e-4, 2.6e-6 * (mask + 8))  # as far as the grid follows free space
    return DiffractiveChip(
        name="test", grid=mask + 8, mask=mask, layers=layers, distance_in=distance, distance=distance
    )


def test_a_network_learns_digits() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = torch.randperm(len(digits.target))
    images = torch.tensor(digits.images, dtype=torch.float32)[order].unsqueeze(1) / 16
    labels = torch.tensor(digits.target)[order]
    network = DiffractiveNetwork((1, 8, 8), 10, chip())
    optimiser = torch.optim.Adam(network.parameters(), 0.03)
    for _ in range(8):
        for batch in torch.randperm(1400).split(100):
            optimiser.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        right = network(images[1400:]).argmax(1) == labels[1400:]
    assert float(right.float().mean()) > 0.9


def test_powers_are_the_light_on_the_detectors() -> None:
    network = DiffractiveNetwork((3, 6, 4), 5, chip(12, 2))
    network.align([(0.5, -1.0), (2.0, 0.25)])
    x = torch.rand(2, 3, 6, 4)
    planes = network.fields(x)
    assert planes.shape == (4, 2, 3, 20, 20)
    plane = planes[-1].sum(1)[:, 4:16, 4:16]
    powers = network.powers(x)
    torch.testing.assert_close(powers, torch.einsum("bhw,chw->bc", plane, network.regions))
    share = powers / powers.sum(1, keepdim=True)
    torch.testing.assert_close(network(x).softmax(1), share)
    torch.testing.assert_close(network(3 * x), network(x), rtol=1e-4, atol=1e-4)


def test_images_keep_their_shape_and_fill_the_masks() -> None:
    (light,) = DiffractiveNetwork((1, 4, 2), 2, chip(12, 1)).fields(torch.ones(1, 1, 4, 2))[0, 0]
    lit = light.nonzero()
    assert (lit.amax(0) - lit.amin(0) + 1).tolist() == [12, 6]


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 26])
def test_detectors_are_apart_and_alike(classes: int) -> None:
    regions = DiffractiveNetwork((1, 8, 8), classes, chip()).regions
    assert len(regions) == classes and float(regions.sum(0).max()) == 1
    assert len(set(regions.sum((1, 2)).tolist())) == 1 and float(regions[0].sum()) >= 4


def test_a_dark_image_has_finite_logits_and_gradients() -> None:
    network = DiffractiveNetwork((1, 8, 8), 4, chip(12, 1))
    logits = network(torch.zeros(1, 1, 8, 8))
    logits.sum().backward()
    assert torch.isfinite(logits).all() and network.turns.grad is not None and torch.isfinite(network.turns.grad).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(RequestError, match="at least 2 classes apart, got 1"):
        DiffractiveNetwork((1, 8, 8), 1, chip())
    with pytest.raises(RequestError, match="400 detectors do not fit into 12 x 12 samples"):
        DiffractiveNetwork((1, 8, 8), 400, chip(12))
    with pytest.raises(RequestError, match=r"Images have a shape \(channels, h, w\), got \(8, 8\)"):
        DiffractiveNetwork((8, 8), 2, chip())
    with pytest.raises(RequestError, match=r"Expected images \[batch, 1, 8, 8\], got \[2, 3, 8, 8\]"):
        DiffractiveNetwork((1, 8, 8), 2, chip())(torch.rand(2, 3, 8, 8))
