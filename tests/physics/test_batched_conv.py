"""Stacked convolutions are those of torch, specimen by specimen."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lightloom.physics import batched_conv, compiled
from lightloom.physics.batched_conv import Stage


@pytest.fixture(scope="module", params=["torch", "compiled"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "compiled":
        try:
            compiled.build()
        except RuntimeError:
            pytest.skip("no compiler")
    with compiled.use(request.param):
        yield


def one_by_one(x: Tensor, weights: Any, scales: Any, biases: Any, stages: list[Stage]) -> Tensor:
    made = []
    for number in range(len(weights[0])):
        y = x[number if len(x) > 1 else 0].double()
        for w, a, b, s in zip(weights, scales, biases, stages, strict=True):
            y = F.conv2d(y, w[number].double(), None, s.stride, s.padding, s.dilation, s.groups)
            y = (y * a.double().view(-1, 1, 1) + b[number].double().view(-1, 1, 1)).clamp(s.low, s.high)
        made.append(y)
    return torch.stack(made)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_one_stage_is_that_of_torch(data: st.DataObject) -> None:
    draw = data.draw
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    taken, given_out = draw(st.integers(1, 5)), draw(st.integers(1, 11))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))
    stage = Stage(draw(pairs), draw(st.tuples(st.integers(0, 3), st.integers(0, 3))), draw(pairs), groups, -1.0, 2.5)
    specimens, images = draw(st.integers(1, 3)), draw(st.sampled_from([1, 15, 16, 17, 48, 70]))
    torch.manual_seed(draw(st.integers(0, 1000)))
    x = torch.randn(draw(st.sampled_from([1, specimens])), images, groups * taken, 6, 5)
    weights, scales = torch.randn(specimens, groups * given_out, taken, *kernel), torch.randn(groups * given_out)
    biases = torch.randn(specimens, groups * given_out)
    made = batched_conv.convolve(x, [weights], [scales], [biases], [stage])
    wanted = one_by_one(x, [weights], [scales], [biases], [stage])
    torch.testing.assert_close(made.double(), wanted, rtol=1e-4, atol=1e-4)


def test_stages_follow_each_other_and_large_tiles_too() -> None:
    torch.manual_seed(0)
    for side in (9, 40):  # of the larger, images pass sixteen at a time
        x = torch.randn(3, 50, 2, side, side)
        stages = [Stage(padding=(1, 1), low=0.0), Stage((2, 2), (1, 1)), Stage(groups=2, high=1.0)]
        shapes = [(3, 8, 2, 3, 3), (3, 6, 8, 3, 3), (3, 4, 3, 1, 2)]
        weights = [0.3 * torch.randn(shape) for shape in shapes]
        scales, biases = [torch.rand(s[1]) for s in shapes], [torch.randn(s[:2]) for s in shapes]
        made = batched_conv.convolve(x, weights, scales, biases, stages)
        torch.testing.assert_close(made.double(), one_by_one(x, weights, scales, biases, stages), rtol=1e-4, atol=1e-4)


def test_a_kernel_larger_than_its_image_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than its image"):
        batched_conv.convolve(
            torch.ones(1, 1, 1, 2, 2), [torch.ones(1, 1, 1, 3, 3)], [torch.ones(1)], [torch.ones(1, 1)], [Stage()]
        )


def test_nan_stays_nan() -> None:
    x = torch.full((1, 20, 1, 1, 1), float("nan"))
    made = batched_conv.convolve(
        x, [torch.ones(2, 1, 1, 1, 1)], [torch.ones(1)], [torch.zeros(2, 1)], [Stage(low=0.0, high=1.0)]
    )
    assert made.isnan().all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    x, weight, scale, bias = torch.ones(3, 2, 4, 5, 5), torch.ones(3, 6, 4, 1, 1), torch.ones(6), torch.ones(3, 6)
    batched_conv.convolve(x, [weight], [scale], [bias], [Stage()])
    for arguments, wrong in (
        ((x[:2], weight, scale, bias, Stage()), "images of 2 specimens"),
        ((x, weight[:, :, :3], scale, bias, Stage()), "do not fit 3 specimens, 4 channels"),
        ((x, weight, scale, bias, Stage(groups=2)), "and 2 groups"),
        ((x, weight, scale[:5], bias, Stage()), "expected scales"),
        ((x, weight, scale, bias[:2], Stage()), "expected scales"),
    ):
        images, *tensors, stage = arguments
        with pytest.raises(ValueError, match=wrong):
            batched_conv.convolve(images, *([tensor] for tensor in tensors), [stage])
    with pytest.raises(ValueError, match="at least one"):
        batched_conv.convolve(x, [], [], [], [])
