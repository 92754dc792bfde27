"""Sampled layers against torch's own gradients of what is left, and against their mean over many draws."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom import chips
from lightloom.learn.sampling import Sampling
from lightloom.nn import OpticalConv2d, OpticalLayer, OpticalLinear, install, sparse_backward, switch
from lightloom.nn.gradient_sampler import LayerSampling, Sampler, block_norms
from lightloom.nn.sparse_backward import Geometry, Parts
from lightloom.physics import blocks

L2IGHT = chips.preset("l2ight")
GEOMETRIES = [
    Geometry((3, 3), (1, 1), (1, 1), (1, 1), 1),
    Geometry((3, 2), (2, 1), (0, 2), (1, 2), 1),
    Geometry((3, 3), (1, 1), (1, 1), (1, 1), 2),
    Geometry((1, 1), (2, 2), (0, 0), (1, 1), 1),
]


def conv_layer(**settings: Any) -> OpticalConv2d:
    torch.manual_seed(1)
    layer = OpticalConv2d(18, 20, 3, padding=1, chip=L2IGHT)
    install(layer, L2IGHT.specimen(0))
    if settings:
        layer.sampler = Sampler(LayerSampling(**settings))
    return layer


def gradients(layer: OpticalLayer, x: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(layer(x), [x, layer.core.sigma], grad)


X = torch.randn(3, 18, 6, 5, generator=torch.Generator().manual_seed(2))
DY = torch.randn(3, 20, 6, 5, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("channels", [4, 40])
@pytest.mark.parametrize("pixels", [False, True])
def test_a_convolution_over_kept_positions_and_pixels(geometry: Geometry, channels: int, pixels: bool) -> None:
    """The truth is torch's gradient with the errors elsewhere, and the pixels elsewhere, set to zero."""
    x = torch.randn(3, channels, 7, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, channels // geometry.groups, *geometry.kernel, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(x, weight, None, *geometry[1:])
    grad = torch.randn_like(plain)
    columns = torch.rand(plain.shape[2:]) < 0.4
    inputs = torch.rand(7, 6) < 0.5 if pixels else None
    given = None if inputs is None else inputs.flatten()
    parts = Parts(columns=columns.flatten(), inputs=given, gain=3.0)
    made = torch.autograd.grad(sparse_backward.conv2d(x, weight, None, geometry, parts), [x, weight], grad)
    seen = x.detach() if inputs is None else x.detach() * inputs
    (expected,) = torch.autograd.grad(F.conv2d(seen, weight, None, *geometry[1:]), weight, grad * columns)
    torch.testing.assert_close(made[1], 3 * expected)
    torch.testing.assert_close(made[0], torch.autograd.grad(plain, x, grad)[0])


def test_single_precision_takes_another_product_with_the_same_result() -> None:
    x, weight = torch.randn(4, 32, 8, 8), torch.randn(9, 32, 3, 3, requires_grad=True)
    columns = torch.rand(64) < 0.4
    grad = torch.randn(4, 9, 8, 8)
    parts = Parts(columns=columns)
    (made,) = torch.autograd.grad(sparse_backward.conv2d(x, weight, None, GEOMETRIES[0], parts), weight, grad)
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    (expected,) = torch.autograd.grad(exact, weight, grad.double() * columns.view(8, 8))
    torch.testing.assert_close(made, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("groups", [1, 2])
def test_factors_reach_the_whole_of_every_block(groups: int) -> None:
    weight, factors = torch.randn(groups * 11, 14), torch.rand(groups, 3, 4)
    expected = blocks.to_blocks(weight.view(groups, 11, 14), 4) * factors[..., None, None]
    made = sparse_backward.scale_blocks(weight, factors, 4)
    assert torch.equal(made, blocks.from_blocks(expected, 11, 14).reshape(-1, 14))


def test_a_linear_layer_over_kept_slices_and_blocks() -> None:
    x, weight = torch.randn(5, 14, requires_grad=True), torch.randn(11, 14, requires_grad=True)
    bias, grad = torch.randn(11, requires_grad=True), torch.randn(5, 11)
    slices, feedback = torch.rand(5, 4) < 0.5, torch.rand(1, 3, 4)
    parts = Parts(feedback=feedback, inputs=slices, gain=2.0, block_size=4)
    y = sparse_backward.linear(x, weight, bias, parts)
    assert torch.equal(y, F.linear(x, weight, bias))
    dx, dw, db = torch.autograd.grad(y, [x, weight, bias], grad)
    torch.testing.assert_close(dx, grad @ sparse_backward.scale_blocks(weight, feedback, 4))
    torch.testing.assert_close(dw, 2 * grad.T @ (x * slices.repeat_interleave(4, 1)[:, :14]))
    torch.testing.assert_close(db, grad.sum(0))


def test_forward_blocks_are_used_both_ways_and_the_weight_learns_everywhere() -> None:
    x, weight = torch.randn(5, 14, requires_grad=True), torch.randn(11, 14, requires_grad=True)
    mask, grad = (torch.rand(1, 3, 4) < 0.5).float(), torch.randn(5, 11)
    made = sparse_backward.scale_blocks(weight, mask, 4)
    y = sparse_backward.linear(x, weight, None, Parts(forward=mask, block_size=4))
    assert torch.equal(y, x @ made.T)
    dx, dw = torch.autograd.grad(y, [x, weight], grad)
    torch.testing.assert_close(dx, grad @ made)
    torch.testing.assert_close(dw, grad.T @ x)


def test_nothing_given_is_written_to_and_a_graph_can_be_walked_twice() -> None:
    layer = conv_layer(feedback=0.6, column=0.5, spatial=0.3)
    x, grad = X.clone().requires_grad_(), DY.clone()
    y, weight = layer(x), layer.weight.detach().clone()
    first = torch.autograd.grad(y, [x, layer.core.sigma], grad, retain_graph=True)
    second = torch.autograd.grad(y, [x, layer.core.sigma], grad)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(grad, DY) and torch.equal(x, X) and torch.equal(layer.weight, weight)
    # an expanded gradient shares one number among all its elements
    torch.autograd.grad(layer(x).sum(), layer.core.sigma)


@pytest.mark.parametrize("layer", [conv_layer(), OpticalLinear(5, 12, chip=L2IGHT)], ids=["conv", "linear"])
def test_a_sampler_that_samples_nothing_is_the_dense_layer(layer: OpticalLayer) -> None:
    x, grad = X.clone().requires_grad_(), torch.randn_like(layer(X))
    dense = (layer(x).detach(), *gradients(layer, x, grad))
    layer.sampler = Sampler(LayerSampling())
    same = (layer(x).detach(), *gradients(layer, x, grad))
    layer.sampler = None
    assert all(torch.equal(a, b) for a, b in zip(dense, same, strict=True))


def test_evaluation_is_dense_and_draws_nothing() -> None:
    layer = conv_layer(forward=0.5, spatial=0.5)
    dense = conv_layer()
    state = torch.get_rng_state()
    assert torch.equal(layer.eval()(X), dense.eval()(X))
    with torch.no_grad():
        assert torch.equal(layer.train()(X), dense(X))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(layer(X), dense(X))


def seems_unbiased(settings: dict[str, Any], which: int, draws: int = 1000) -> bool:
    """Whether the mean over draws misses the exact gradient by no more than chance explains.

    ||mean - exact||^2 is var / draws on average where there is no bias; four times that, over some tens of independent
    draws of a mask, is more than four standard errors away.
    """
    x = X.clone().requires_grad_()
    exact = gradients(conv_layer(), x, DY)[which]
    layer = conv_layer(**settings)
    total, squares = torch.zeros_like(exact, dtype=torch.float64), 0.0
    for _ in range(draws):
        difference = (gradients(layer, x, DY)[which] - exact).double()
        total += difference
        squares += float(difference.square().sum())
    return float((total / draws).square().sum()) < 4 * squares / draws**2


@pytest.mark.parametrize(
    ("settings", "which"),
    [
        ({"feedback": 0.6, "feedback_mode": "uniform", "feedback_norm": "exp"}, 0),
        ({"column": 0.6, "column_norm": "exp"}, 1),
        ({"spatial": 0.6, "spatial_norm": "exp"}, 1),
        ({"column": 0.4, "column_norm": "exp", "spatial": 0.3, "spatial_norm": "exp"}, 1),
        ({"rank": 4, "rank_mode": "uniform", "rank_norm": "exp"}, 1),
    ],
)
def test_random_masks_with_exp_are_unbiased(settings: dict[str, Any], which: int) -> None:
    assert seems_unbiased(settings, which, draws=1000)


def test_the_same_test_finds_the_bias_of_what_is_biased() -> None:
    for settings in (
        {"feedback": 0.6, "feedback_mode": "topk", "feedback_norm": "exp"},
        {"feedback": 0.6, "feedback_mode": "uniform", "feedback_norm": "var"},
    ):
        assert not seems_unbiased(settings, 0, draws=100)


def test_slices_of_a_linear_layer_with_exp_are_unbiased() -> None:
    layer = OpticalLinear(40, 12, chip=L2IGHT)
    x, grad = torch.randn(6, 40), torch.randn(6, 12)
    (exact,) = torch.autograd.grad(layer(x), layer.core.sigma, grad)
    layer.sampler = Sampler(LayerSampling(column=0.5, column_norm="exp"))
    found = torch.stack([torch.autograd.grad(layer(x), layer.core.sigma, grad)[0] for _ in range(1000)]).double()
    error = found.std(0) / math.sqrt(len(found))
    score = (found.mean(0) - exact).abs() / error.clamp_min(1e-12)
    assert (score[error > 1e-9] < 4.5).all()


def test_column_gradients_come_from_the_sampled_positions_alone() -> None:
    """Errors at positions that were left out change nothing."""
    layer = conv_layer(column=0.5)
    torch.manual_seed(5)
    y = layer(X)
    torch.manual_seed(5)
    kept = (torch.rand(30) >= 0.5).view(6, 5)
    elsewhere = torch.randn_like(DY) * ~kept
    first, second = (
        torch.autograd.grad(y, layer.core.sigma, grad, retain_graph=True)[0] for grad in (DY, DY + elsewhere)
    )
    torch.testing.assert_close(first, second)
    assert not kept.all() and kept.any()


def test_measured_identities_enter_the_gradient_of_sigma_and_nothing_else() -> None:
    layer = conv_layer()
    u, v = layer.core.meshes()
    i_u, i_v = (torch.linalg.qr(torch.randn_like(u)).Q for _ in range(2))
    (dense_w,) = torch.autograd.grad(
        F.conv2d(X, weight := layer.weight.detach().requires_grad_(), padding=1), weight, DY
    )
    layer.sampler = Sampler(LayerSampling(), (i_u, i_v))
    y = layer(X)
    torch.testing.assert_close(y, F.conv2d(X, weight, layer.bias, padding=1))
    (found,) = torch.autograd.grad(y, layer.core.sigma, DY)
    errors = DY.permute(0, 2, 3, 1).reshape(-1, 20)
    patches = F.unfold(X, 3, padding=1).mT.reshape(-1, 162)
    padded = F.pad(errors, (0, 7)).view(-1, 3, 9), patches.view(-1, 18, 9)
    expected = blocks.subspace_gradient(*padded, (u @ i_v)[0], (i_u @ v)[0])
    torch.testing.assert_close(found[0], expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(dense_w.flatten(1), errors.T @ patches, atol=1e-3, rtol=1e-3)


def test_ranks_and_signs_of_the_gradient_of_sigma() -> None:
    x = X.clone().requires_grad_()
    exact = gradients(conv_layer(), x, DY)[1]
    layer = conv_layer(rank=3, rank_sign=True)
    dx, found = gradients(layer, x, DY)
    largest = layer.core.sigma.detach().abs().topk(3, -1).indices
    kept = torch.zeros_like(exact).scatter_(-1, largest, 1.0)
    assert torch.equal(found, exact.sign() * kept)
    torch.testing.assert_close(dx, gradients(conv_layer(), x, DY)[0])


@pytest.mark.parametrize("mode", ["weight", "phase"])
def test_every_mode_learns_from_samples(mode: Any) -> None:
    layer = conv_layer(feedback=0.5, column=0.5)
    switch(layer, mode)
    trained = layer.core.matrix if mode == "weight" else layer.core.u_phases
    assert trained is not None
    (found,) = torch.autograd.grad(layer(X), trained, DY)
    assert found.isfinite().all() and found.abs().sum() > 0


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_paddings_by_name_and_by_mode(padding: str, mode: str) -> None:
    layer = OpticalConv2d(4, 6, (3, 5), padding=padding, padding_mode=mode, chip=L2IGHT)
    x = torch.randn(2, 4, 6, 6)
    dense = layer(x)
    layer.sampler = Sampler(LayerSampling(column=0.5))
    torch.testing.assert_close(layer(x), dense)


def test_autocast_computes_in_its_own_precision() -> None:
    layer = conv_layer(feedback=0.5, column=0.5)
    x = X.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.autograd.backward(y.float().square().sum())
    assert layer.core.sigma.grad is not None and layer.core.sigma.grad.dtype == torch.float32
    assert x.grad is not None and x.grad.dtype == torch.float32


def test_block_norms_are_known_from_sigma() -> None:
    layer = OpticalLinear(27, 18, chip=L2IGHT)
    install(layer, L2IGHT.specimen(0))
    u, v = layer.core.meshes()
    made = (u * layer.core.sigma.unsqueeze(-2)) @ v
    torch.testing.assert_close(block_norms(layer.core), made.norm(dim=(-2, -1)))


def test_a_layer_with_a_sampler_is_copied_and_its_weights_stay_the_same_file() -> None:
    layer = conv_layer(column=0.5)
    assert layer.sampler is not None
    assert layer.state_dict().keys() == conv_layer().state_dict().keys()
    assert copy.deepcopy(layer).sampler.settings == layer.sampler.settings
    assert "column=0.5" in repr(layer)


def test_two_masks_over_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="already decides"):
        Sampling(forward=0.3, feedback=0.6)


def test_a_model_may_be_a_sequence() -> None:
    """The hook reaches layers wherever they are."""
    model = nn.Sequential(conv_layer(column=0.5))
    assert model(X).shape == DY.shape
