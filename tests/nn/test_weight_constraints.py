"""Limited weights against what the limits say, and their gradients against closed forms and finite differences."""

import math

import pytest
import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.nn import constrain_weights


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    layer = nn.Linear(6, 4, bias=False, dtype=torch.float64)
    nn.init.normal_(layer.weight)
    return layer


def test_a_range_clamps_and_lets_gradients_through() -> None:
    layer = linear()
    free = layer.weight.detach().clone()
    constrain_weights(layer, weight_range=(-0.5, 0.25))
    assert torch.equal(layer.weight, free.clamp(-0.5, 0.25))
    assert torch.equal(next(layer.parameters()), free)
    upstream = torch.randn(4, 6, dtype=torch.float64)
    layer.weight.backward(upstream)
    assert torch.equal(next(layer.parameters()).grad, upstream)


def test_an_end_may_be_open() -> None:
    layer = linear()
    highest = float(layer.weight.detach().max())
    constrain_weights(layer, weight_range=(0, math.inf))
    assert float(layer.weight.detach().min()) == 0
    assert float(layer.weight.detach().max()) == highest


@pytest.mark.parametrize(("norm", "order"), [("l1", 1), ("l2", 2)])
def test_a_norm_divides_what_is_too_large_alone(norm: str, order: int) -> None:
    layer = linear()
    free = layer.weight.detach().clone()
    whole = float((free.abs() ** order).sum() ** (1 / order))
    constrain_weights(layer, norm=norm, maximum=1.5)
    torch.testing.assert_close(layer.weight.detach(), free / whole * 1.5)
    small = linear()
    constrain_weights(small, norm=norm, maximum=1.01 * whole)
    assert torch.equal(small.weight, free)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_gradient_through_a_norm_is_exact(norm: str) -> None:
    layer = linear()
    constrain_weights(layer, norm=norm, maximum=1.5)
    free = next(layer.parameters())
    limited = layer.parametrizations["weight"][0]
    assert torch.autograd.gradcheck(limited, (free.detach().clone().requires_grad_(),))
    # along the weight itself nothing changes: it is divided away
    (slope,) = torch.autograd.grad((layer.weight * torch.randn_like(layer.weight)).sum(), free)
    assert abs(float((slope * free.detach()).sum())) < 1e-12


def test_no_light_is_made_below_norm_one() -> None:
    layer = linear()
    constrain_weights(layer, norm="l2")
    x = torch.randn(1000, 6, dtype=torch.float64)
    with torch.no_grad():
        assert bool((layer(x).square().sum(1) <= x.square().sum(1)).all())


def test_both_limits_hold_in_training() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, bias=False)
    constrain_weights(layer, weight_range=(0, 0.2), norm="l1", maximum=2.0)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    for _ in range(20):
        optimiser.zero_grad()
        (layer(torch.rand(4, 2, 5, 5)) - 1).square().mean().backward()
        optimiser.step()
        weight = layer.weight.detach()
        assert float(weight.min()) >= 0
        assert float(weight.max()) <= 0.2
        assert float(weight.abs().sum()) <= 2 * (1 + 1e-6)
    assert list(layer.state_dict()) == ["parametrizations.weight.original"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "Neither `weight_range` nor `norm`"),
        ({"weight_range": (1, 1)}, r"`weight_range` is \(1, 1\); give the smaller number first"),
        ({"weight_range": (math.nan, 1)}, "`weight_range` is"),
        ({"norm": "l3"}, "`norm` is `l3`; give `l1` or `l2`"),
        ({"norm": "l2", "maximum": 0.0}, "`maximum` is 0.0; give a positive number"),
        ({"norm": "l2", "maximum": math.inf}, "`maximum` is inf"),
    ],
)
def test_wrong_limits_are_refused(wrong: dict[str, object], message: str) -> None:
    layer = linear()
    with pytest.raises(RequestError, match=message):
        constrain_weights(layer, **wrong)  # type: ignore[arg-type]
    assert isinstance(layer.weight, nn.Parameter)


def test_layers_that_cannot_be_limited() -> None:
    with pytest.raises(RequestError, match="A ReLU has no parameter `weight`"):
        constrain_weights(nn.ReLU(), norm="l2")
    layer = linear()
    constrain_weights(layer, norm="l2")
    with pytest.raises(RequestError, match="limited already"):
        constrain_weights(layer, weight_range=(0, 1))
