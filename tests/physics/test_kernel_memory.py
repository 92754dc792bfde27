"""What a kernel is handed, and what is kept between calls: no memory that is not there, and nothing spoilt."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from lightloom.physics import (
    absorber,
    attenuators,
    batched_conv,
    batched_random,
    blocks,
    compiled,
    mesh,
    phases,
    sampling,
)
from lightloom.physics.blocks import singular
from lightloom.physics.compiled import operators
from lightloom.physics.mesh import heaters, layouts, nulling
from lightloom.physics.mesh import kernels as mesh_kernels
from lightloom.physics.pcm import magnitudes, quantise, schedule, transmissions, writes

SIZE = 4
COUNT = mesh.phase_count(SIZE, "rectangle", "real")
MAGNITUDES = magnitudes(transmissions(16, 0.872))


def levels(*shape: int) -> Tensor:
    return torch.randint(-9, 10, shape, dtype=torch.int8)


def convolved(x: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, 36, dtype=x.dtype).view(2, 2, 1, 3, 3)
    return batched_conv.convolve(
        x, [weights], [torch.ones(2, dtype=x.dtype)], [torch.zeros(2, 2, dtype=x.dtype)], [batched_conv.Stage()]
    )


CALLS: dict[str, tuple[Callable[[Tensor], Any], Callable[[], Tensor]]] = {
    "build": (lambda x: mesh.build(x, SIZE), lambda: torch.randn(3, COUNT)),
    "decompose": (lambda x: mesh.decompose(x).phases, lambda: torch.linalg.qr(torch.randn(3, SIZE, SIZE))[0]),
    "attenuate": (lambda x: attenuators.attenuate(x, bits=5), lambda: torch.randn(3, SIZE)),
    "assemble": (lambda x: blocks.assemble(x, x[..., 0], x, 7, 5), lambda: torch.randn(1, 2, 2, SIZE, SIZE)),
    "svd": (lambda x: singular.svd(x).sigma, lambda: torch.randn(3, SIZE, SIZE, dtype=torch.float64)),
    "quantise": (lambda x: quantise.quantise(x, MAGNITUDES).weight, lambda: torch.randn(5, 6)),
    "levels": (lambda x: quantise.levels_of(x, MAGNITUDES), lambda: torch.randn(5, 6)),
    "sequence": (lambda x: schedule.sequence(x, schedule.natural(1, 5, 6, 3)), lambda: levels(5, 6)),
    "count": (lambda x: writes.count(x).rises, lambda: levels(2, 3, 4, 3)),
    "convolve": (convolved, lambda: torch.randn(1, 4, 1, 6, 6)),
    "respond": (lambda x: absorber.respond(x, absorber.Medium(2.0)).output, lambda: torch.randn(9)),
}


def views(x: Tensor) -> Iterator[Tensor]:
    """The same numbers, lying otherwise in memory."""
    yield torch.stack([x, x], -1)[..., 0]
    yield x.flip(0).clone().flip(0)
    yield x.mT.contiguous().mT if x.ndim > 1 else x
    yield torch.cat([x.flatten(), x.flatten()])[x.numel() :].view(x.shape)
    if x.is_floating_point():
        yield torch._neg_view(-x)


@pytest.mark.parametrize("name", CALLS)
def test_numbers_count_and_not_how_they_lie(backend: str, name: str) -> None:
    function, make = CALLS[name]
    x = make()
    expected = function(x)
    for view in views(x):
        torch.testing.assert_close(function(view), expected)


@pytest.mark.parametrize("name", CALLS)
def test_a_default_device_or_dtype_changes_nothing(backend: str, name: str) -> None:
    function, make = CALLS[name]
    x = make()
    expected = function(x)
    if name not in ("quantise", "levels", "sequence", "convolve"):  # those make tensors where the default is
        with torch.device("meta"):
            made = function(x)
        torch.testing.assert_close(made, expected)
    torch.set_default_dtype(torch.float64)
    try:
        torch.testing.assert_close(function(x), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_kernel_refuses_memory_that_it_cannot_have(kernels: None) -> None:
    good = torch.ones(4, 4)
    assert operators.address(good, torch.float32) == good.data_ptr() and operators.address(None, torch.int8) is None
    freed = torch.ones(4, 4)
    freed.untyped_storage().resize_(0)
    short = torch.ones(4, 4)
    short.untyped_storage().resize_(40)
    bad = [good.double(), good.to("meta"), good.T, freed, short, torch._neg_view(good), good.to_sparse()]
    bad += [FakeTensorMode().from_tensor(good), good.to(torch.complex64).conj()]
    for tensor in bad:
        with pytest.raises(ValueError, match="a compiled kernel takes contiguous numbers"):
            operators.address(tensor, torch.float32)
    with pytest.raises(ValueError, match="may have been freed"), compiled.use("compiled"):
        mesh.build(_freed(torch.zeros(2, COUNT)), SIZE)


def _freed(tensor: Tensor) -> Tensor:
    tensor.untyped_storage().resize_(0)
    return tensor


def test_blocks_that_do_not_fit_each_other_are_refused(backend: str) -> None:
    u, sigma = torch.randn(1, 2, 2, SIZE, SIZE), torch.randn(1, 2, 2, SIZE)
    with pytest.raises(ValueError, match="sigma"):
        blocks.assemble(u, sigma[:, :1], u, 7, 5)
    with pytest.raises(ValueError, match="do not cover"):
        blocks.assemble(u, sigma, u, 9, 5)
    wide = blocks.assemble(u, sigma.double(), u.double(), 7, 5)
    torch.testing.assert_close(wide, blocks.assemble(u.double(), sigma.double(), u.double(), 7, 5))


def test_a_gradient_passes_through_stacked_convolutions(backend: str) -> None:
    x = torch.randn(1, 4, 1, 6, 6, requires_grad=True)
    convolved(x).sum().backward()
    with compiled.use("torch"):
        y = x.detach().clone().requires_grad_()
        convolved(y).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


# what is kept

KEPT = (
    layouts.wiring,
    heaters._positions,
    heaters._near,
    mesh_kernels._wires,
    mesh_kernels._steps,
    nulling.nulling_order,
    nulling.full_turn,
    sampling.windows,
)


def train() -> list[Tensor]:
    """Everything that has a cache, with a gradient where there is one."""
    torch.manual_seed(3)
    leaf = torch.randn(2, COUNT, requires_grad=True)
    near = mesh.neighbours(SIZE, "rectangle", "real")
    made = mesh.build(phases.realise(leaf, phases.Drive(bits=8, coupling=0.01, neighbours=near)), SIZE)
    made.pow(3).sum().backward()
    assert leaf.grad is not None
    place = mesh.heater_positions(SIZE, "rectangle", "real")
    wires = mesh.wiring(SIZE, "rectangle")
    window = sampling.windows((5, 5), (3, 3), (1, 1), (1, 1), (1, 1))
    settings = mesh.decompose(made.detach())
    return [made.detach(), leaf.grad, near, place, wires.upper, wires.lower, wires.column, window, settings.phases]


def look() -> None:
    """The same without a gradient, as somebody might who only looks."""
    mesh.neighbours(SIZE, "rectangle", "real")
    mesh.heater_positions(SIZE, "rectangle", "real")
    sampling.windows((5, 5), (3, 3), (1, 1), (1, 1), (1, 1))
    mesh.build(torch.zeros(2, COUNT), SIZE)
    assert mesh.wiring(SIZE, "rectangle").mzis == COUNT


def forget() -> None:
    for cache in KEPT:
        cache.cache_clear()
    batched_random._agrees.cache_clear()


def under_vmap() -> None:
    torch.func.vmap(lambda x: (look(), x)[1])(torch.zeros(2))


def under_grad() -> None:
    torch.func.grad(lambda x: (look(), x.sum())[1])(torch.zeros(2))


def within(mode: Any) -> Callable[[], None]:
    def work() -> None:
        with mode():
            look()

    return work


MODES: dict[str, Callable[[], None]] = {
    "inference": within(torch.inference_mode),
    "fake": within(lambda: FakeTensorMode(allow_non_fake_inputs=True)),
    "meta": within(lambda: torch.device("meta")),
    "plain": within(nullcontext),
    "vmap": under_vmap,
    "grad": under_grad,
}


@pytest.mark.parametrize("mode", MODES)
def test_a_first_look_in_any_mode_leaves_later_calls_alone(backend: str, mode: str) -> None:
    expected = train()
    forget()
    MODES[mode]()
    torch.testing.assert_close(train(), expected)


def test_nothing_handed_out_is_what_is_kept(backend: str) -> None:
    expected = train()
    for tensor in train()[2:8]:
        tensor.fill_(7)
    torch.testing.assert_close(train(), expected)
    with pytest.raises(ValueError, match="read-only"):
        mesh.wiring(SIZE, "rectangle").places[0, 0] = 1


def test_draws_in_a_fake_mode_leave_later_draws_alone(backend: str) -> None:
    batched_random._agrees.cache_clear()
    with FakeTensorMode():
        assert batched_random.uniform([1, 2], 20).shape == (2, 20)
    expected = torch.rand(20, generator=torch.Generator().manual_seed(2**63 + 5))
    torch.testing.assert_close(batched_random.uniform([1, 2**63 + 5], 20)[1], expected)


@pytest.mark.parametrize("gradient", ["u", "sigma"])
def test_what_was_made_under_inference_mode_can_be_trained_with(backend: str, gradient: str) -> None:
    with torch.inference_mode():
        u, sigma = torch.randn(1, 2, 2, SIZE, SIZE), torch.randn(1, 2, 2, SIZE)
        ratio = torch.rand(COUNT)
    chosen = (u if gradient == "u" else sigma).clone().requires_grad_()
    blocks.assemble(chosen if gradient == "u" else u, sigma if gradient == "u" else chosen, u, 7, 5).sum().backward()
    assert chosen.grad is not None and chosen.grad.abs().sum() > 0
    leaf = torch.rand(COUNT, requires_grad=True)
    mesh.build(phases.realise(leaf, imperfections=phases.Imperfections(gamma=ratio, bias=ratio)), SIZE).pow(
        3
    ).sum().backward()
    assert leaf.grad is not None
