"""The kernels as operators of torch: whatever torch does with a program, it gets the same numbers or a refusal."""

import importlib
import io
import math
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck, gradgradcheck
from torch.fx.experimental.proxy_tensor import make_fx

from lightloom import physics
from lightloom.physics import attenuators, blocks, compiled, mesh, phases, rounding
from lightloom.physics.compiled import operators
from lightloom.physics.pcm import errors, magnitudes, quantise, schedule, transmissions
from lightloom.physics.pcm.order import paths
from lightloom.physics.pcm.penalty import Penalty, slopes, write

for module in pkgutil.walk_packages(physics.__path__, "lightloom.physics."):
    importlib.import_module(module.name)  # operators are there once their modules are

SIZE = 4
MAGNITUDES = magnitudes(transmissions(16, 0.872))
PHASES = {field: mesh.phase_count(SIZE, "rectangle", field) for field in mesh.FIELDS}

pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")


def draw(*shape: int, grad: bool = False) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).requires_grad_(grad)


def orthogonal(*lead: int) -> Tensor:
    return torch.linalg.qr(draw(*lead, SIZE, SIZE))[0]


def drawn_levels(*shape: int) -> Tensor:
    return torch.randint(-9, 10, shape, dtype=torch.int8)


def samples() -> dict[str, tuple[Any, ...]]:
    """Arguments for every operator."""
    shape = (SIZE, "rectangle", "real", 0.9)
    phases_, signs = draw(2, PHASES["real"], grad=True), torch.ones(2, SIZE, dtype=torch.float64)
    made = mesh.build(phases_.detach(), SIZE, signs=signs, loss_db=-20 * math.log10(0.9))
    matrix, scale = draw(5, 6, grad=True), quantise.scale(draw(5, 6), MAGNITUDES, None)
    plan = schedule.natural(1, 5, 6, 3)
    costs = paths.distances(drawn_levels(2, 5, 7))
    ends = torch.zeros(2, 5, dtype=torch.int32)
    u = orthogonal(1, 2, 2)
    small = [torch.randn(2, 3, 2, 3, 3)], [torch.rand(3)], [torch.randn(2, 3)]
    return {
        "mesh_build": (phases_, signs, *shape),
        "mesh_build_backward": (draw(2, SIZE, SIZE), made, phases_.detach(), signs, *shape),
        "mesh_decompose": (orthogonal(3), "triangle", torch.float32),
        "blocks_assemble": (u, draw(1, 2, 2, SIZE, grad=True), u.mT, draw(1, 2, 2, SIZE), 7, 5),
        "blocks_slope": (u, u.mT, draw(1, 7, 5)),
        "blocks_svd": (draw(3, SIZE, SIZE),),
        "attenuate": (draw(2, SIZE), torch.rand(2, SIZE), torch.rand(2), 4),
        "pcm_place": (draw(5, 6), scale.limits),
        "pcm_quantise": (matrix, *scale),
        "pcm_fade": (matrix.detach(), scale.gain, draw(5, 6)),
        "pcm_write": (matrix, *scale, slopes(MAGNITUDES), *plan, True, "row_mean", "l2", "erased"),
        "pcm_sequence": (drawn_levels(5, 6), *plan),
        "pcm_order": (drawn_levels(5, 6), *plan, "sort_cheapest"),
        "pcm_count": (schedule.sequence(drawn_levels(5, 6), plan), "alternate"),
        "pcm_distances": (drawn_levels(2, 5, 7),),
        "pcm_path": (costs, ends, ends, 1, 3),
        "pcm_span": (costs, torch.zeros(2, 5, dtype=torch.int64), 64),
        "stacked_convolve": (torch.randn(1, 4, 2, 6, 6), *small, [1, 1, 0, 0, 1, 1, 1], [0.0, math.inf]),
        "draws_uniform": ([1, -2], 20),
        "draws_truncated": ([1, -2], 20, 0.5),
        "absorber_respond": (draw(7), None, 0.1, 2.0, 1.0, 0.0, "propagated", "homogeneous", "amplitude", "exact"),
    }


NAMES = tuple(samples())


def test_every_operator_has_samples_here() -> None:
    assert set(operators.DEFINED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_operator_keeps_torchs_contract(backend: str, name: str) -> None:
    torch.library.opcheck(operators.DEFINED[name], samples()[name])


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("draws")])
def test_both_ways_agree_and_a_batch_is_its_examples(kernels: None, name: str) -> None:
    arguments = tuple(v.detach() if isinstance(v, Tensor) else v for v in samples()[name])
    batched = next(number for number, value in enumerate(arguments) if isinstance(value, Tensor))
    results = []
    for backend in ("torch", "compiled"):
        with compiled.use(backend):
            operator = operators.DEFINED[name]
            one = operator(*arguments)
            pair = torch.stack([arguments[batched]] * 2, 1)
            dimensions = tuple(1 if number == batched else None for number in range(len(arguments)))
            both = torch.func.vmap(operator, dimensions)(*arguments[:batched], pair, *arguments[batched + 1 :])
            for alone, together in zip(_listed(one), _listed(both), strict=True):
                torch.testing.assert_close(together, torch.stack([alone] * 2), rtol=1e-6, atol=1e-6)
            results.append(_listed(one))
    if name != "pcm_path":  # each way has a search of its own
        torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def _listed(value: Any) -> list[Tensor]:
    return list(value) if isinstance(value, tuple) else [value]


# what is differentiated


U, V = (torch.linspace(-1, 1, 64, dtype=torch.float64).view(1, 2, 2, SIZE, SIZE).sin() + s for s in (0.1, 0.3))
NEAR = mesh.neighbours(SIZE, "rectangle", "real")


def assembled(sigma: Tensor) -> Tensor:
    return blocks.assemble(U, sigma, V, 7, 5)


def through_attenuators(sigma: Tensor) -> Tensor:
    made = attenuators.attenuate(sigma, bits=6)
    return made * sigma.tanh()


def realised(phases_: Tensor) -> Tensor:
    drive = phases.Drive(bits=8, coupling=0.01, neighbours=NEAR)
    heat = phases.realise(phases_, drive, phases.Imperfections(gamma=torch.full_like(phases_, 1.01)))
    return mesh.build(heat, SIZE)


def quantised(matrix: Tensor) -> Tensor:
    return quantise.quantise(matrix, MAGNITUDES).weight


def written(matrix: Tensor) -> Tensor:
    return write(matrix, MAGNITUDES, Penalty(3)).penalty


def imperfect(matrix: Tensor) -> Tensor:
    """As a core of phase-change cells makes its weight."""
    plan = schedule.natural(1, *matrix.shape, 3)
    made, found = quantise.quantise(matrix, MAGNITUDES)
    absorption = torch.full((plan.rows.shape[0], 2, 3, 3), 1.02, dtype=matrix.dtype)
    cells = errors.realise(
        schedule.sequence(found, plan), transmissions(16, 0.872), errors.CellErrors(absorption), dtype=matrix.dtype
    )
    return rounding.straight_through(schedule.matrix(cells, plan, *matrix.shape), made)


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "build": (lambda x: mesh.build(x, SIZE, loss_db=0.3), (2, PHASES["real"])),
    "unitary": (lambda x: torch.view_as_real(mesh.build(x, SIZE, field="complex")), (2, PHASES["complex"])),
    "realise": (realised, (2, PHASES["real"])),
    "attenuate": (through_attenuators, (1, 2, 2, SIZE)),
    "assemble": (assembled, (1, 2, 2, SIZE)),
    "quantise": (quantised, (5, 6)),
    "write": (written, (5, 6)),
    "cells": (imperfect, (5, 6)),
}


@pytest.mark.parametrize("field", mesh.FIELDS)
def test_derivatives_of_meshes_are_right_to_second_order(backend: str, field: mesh.Field) -> None:
    signs = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64) if field == "real" else None
    leaf = draw(2, mesh.phase_count(3, "triangle", field), grad=True)

    def make(values: Tensor) -> Tensor:
        return mesh.build(values, 3, layout="triangle", field=field, signs=signs, loss_db=0.3)

    assert gradcheck(make, leaf, check_forward_ad=True) and gradgradcheck(make, leaf)


@pytest.mark.parametrize("kind", [torch.float64, torch.complex128])
def test_derivatives_of_blocks_are_right_to_second_order(backend: str, kind: torch.dtype) -> None:
    u, v = (torch.randn(1, 2, 1, 3, 3, dtype=kind, requires_grad=True) for _ in range(2))
    sigma = draw(1, 2, 1, 3, grad=True)

    def make(*values: Tensor) -> Tensor:
        return blocks.assemble(*values, 5, 2)

    assert gradcheck(make, (u, sigma, v), check_forward_ad=True) and gradgradcheck(make, (u, sigma, v))
    assert gradcheck(lambda s: make(u.detach(), s, v.detach()), sigma)


def test_levels_differentiate_as_what_they_are_rounded_from(backend: str) -> None:
    matrix, gain = draw(3, 4), torch.tensor(1.3)
    scale = quantise.scale(matrix, MAGNITUDES, gain)
    coefficients = draw(3, 4)

    def rounded(x: Tensor) -> Tensor:
        return (quantise.apply_scale(x, scale).weight * coefficients).sum()

    def exact(x: Tensor) -> Tensor:
        return (quantise.bounded(x, gain) * coefficients).sum()

    for order in (torch.func.jacrev, torch.func.jacfwd, torch.func.hessian):
        torch.testing.assert_close(order(rounded)(matrix), order(exact)(matrix))
    leaf = matrix.clone().requires_grad_()
    (slope,) = torch.autograd.grad(rounded(leaf), leaf, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), leaf)
    torch.testing.assert_close(bend, torch.func.hessian(exact)(matrix).sum((2, 3)))


@pytest.mark.parametrize("reference", ["row_mean", "previous", "erased"])
def test_the_penalty_has_the_second_derivative_of_its_first(backend: str, reference: Any) -> None:
    """Of magnitudes, whose levels do not interact: then only the slope of the smooth level changes."""
    aim, gain, matrix = Penalty(3, reference=reference, norm="l1"), torch.tensor(50.0), draw(5, 6)

    def slope(x: Tensor, create_graph: bool = False) -> tuple[Tensor, Tensor]:
        leaf = x.clone().requires_grad_()
        total = write(leaf, MAGNITUDES, aim, gain).penalty
        return leaf, torch.autograd.grad(total, leaf, create_graph=create_graph)[0]

    leaf, first = slope(matrix, create_graph=True)
    torch.testing.assert_close(first.detach(), slope(matrix)[1])
    inner = matrix.abs() < matrix.abs().max()  # the largest scales all levels
    step = torch.where(inner, draw(5, 6), 0) * 1e-7
    (bend,) = torch.autograd.grad(first, leaf, step)
    measured = (slope(matrix + step)[1] - slope(matrix - step)[1]) / 2
    torch.testing.assert_close(measured[inner], bend[inner], rtol=1e-3, atol=1e-12)


# every way that torch has to take a program apart


@pytest.mark.parametrize("name", FUNCTIONS)
def test_transforms_give_the_same_gradients(backend: str, name: str) -> None:
    function, shape = FUNCTIONS[name]
    x = draw(*shape)
    leaf = x.clone().requires_grad_()

    def loss(values: Tensor) -> Tensor:
        return function(values).pow(2).sum()

    (expected,) = torch.autograd.grad(loss(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(loss)(x), expected)
    torch.testing.assert_close(torch.func.jacrev(loss)(x), expected)
    torch.testing.assert_close(torch.func.jacfwd(loss)(x), expected)
    torch.testing.assert_close(torch.func.jvp(loss, (x,), (x,))[1], (expected * x).sum())
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(torch.stack([x, x]))[1], expected)
    torch.testing.assert_close(torch.func.vmap(function)(torch.stack([x, x]))[1], function(x))
    torch.testing.assert_close(make_fx(torch.func.grad(loss))(x)(x), expected)
    (slope,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), leaf)
    torch.testing.assert_close(torch.func.grad(lambda v: torch.func.grad(loss)(v).sum())(x), bend)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tracers_and_compilers_give_the_same_numbers(backend: str, name: str) -> None:
    function, shape = FUNCTIONS[name]
    x, other = draw(*shape), draw(*shape)
    expected = function(other)
    torch.testing.assert_close(torch.jit.trace(function, (x,))(other), expected)
    leaf = x.clone().requires_grad_()
    stored = io.BytesIO()
    torch.jit.save(torch.jit.trace(function, (leaf,)), stored)
    stored.seek(0)
    torch.testing.assert_close(torch.jit.load(stored)(other), expected)
    torch.testing.assert_close(make_fx(function)(x)(other), expected)
    torch.testing.assert_close(make_fx(function, pre_dispatch=True)(x)(other), expected)
    symbolic = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(x)
    torch.testing.assert_close(symbolic(other), expected)

    class Module(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return function(value)

    torch.testing.assert_close(torch.export.export(Module(), (x,)).module()(other), expected)
    whole = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(whole(other), expected)
    left, right = (other.clone().requires_grad_() for _ in range(2))
    whole(left).pow(2).sum().backward()
    function(right).pow(2).sum().backward()
    torch.testing.assert_close(left.grad, right.grad)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_fake_and_meta_tensors_have_the_right_shape(backend: str, name: str) -> None:
    function, shape = FUNCTIONS[name]
    expected = function(draw(*shape))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        made = function(mode.from_tensor(draw(*shape)))
        assert made.shape == expected.shape and made.dtype == expected.dtype
    torch.testing.assert_close(function(torch.ones(shape, dtype=torch.float64)).shape, expected.shape)
