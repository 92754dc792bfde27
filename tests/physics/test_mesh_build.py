"""The matrix of a mesh, against explicit products of k x k matrices; its gradient, against finite differences."""

import cmath
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from lightloom.physics import compiled, mesh
from lightloom.physics.mesh import build, phase_count, wiring

SIZES = {"rectangle": [1, 2, 5, 8, 19], "triangle": [1, 2, 5, 8, 19], "butterfly": [1, 2, 8, 16]}
CASES = [(layout, size) for layout, sizes in SIZES.items() for size in sizes]


def multiplied(phases: Tensor, size: int, layout: mesh.Layout, field: str, loss_db: float = 0.0) -> np.ndarray:
    """One block as a product of dense matrices, without the output signs."""
    wires, values = wiring(size, layout), phases.tolist()
    mzis = len(wires.upper)
    product = np.eye(size, dtype=complex)
    for mzi, (a, b) in enumerate(zip(wires.upper.tolist(), wires.lower.tolist(), strict=True)):
        theta, phi = values[mzi], values[mzis + mzi] if field == "complex" else 0.0
        one = np.eye(size, dtype=complex)
        one[a, a], one[a, b] = cmath.exp(1j * phi) * math.cos(theta), -math.sin(theta)
        one[b, a], one[b, b] = cmath.exp(1j * phi) * math.sin(theta), math.cos(theta)
        one[[a, b]] *= 10 ** (-loss_db / 20)
        product = one @ product
    if field == "complex":
        return np.diag(np.exp(1j * np.array(values[2 * mzis :]))) @ product
    return product.real


@pytest.mark.parametrize("field", mesh.FIELDS)
@pytest.mark.parametrize(("layout", "size"), CASES)
@pytest.mark.parametrize("loss_db", [0.0, 0.3])
def test_build_is_the_product_of_its_mzis(
    backend: str, layout: mesh.Layout, size: int, field: mesh.Field, loss_db: float
) -> None:
    phases = 20 * torch.randn(3, phase_count(size, layout, field), dtype=torch.float64)
    built = build(phases, size, layout=layout, field=field, loss_db=loss_db).numpy()
    for block, one in zip(built, phases, strict=True):
        np.testing.assert_allclose(block, multiplied(one, size, layout, field, loss_db), atol=1e-13)


@pytest.mark.parametrize("field", mesh.FIELDS)
def test_both_ways_agree_in_single_precision(field: mesh.Field, backend: str) -> None:
    phases = 6 * torch.rand(9, phase_count(9, "rectangle", field))
    built = build(phases, 9, field=field)
    assert built.dtype == (torch.float32 if field == "real" else torch.complex64)
    exact = build(phases.double(), 9, field=field)
    assert (built - exact).abs().max() < 1e-6


def test_signs_flip_the_outputs_and_broadcast(backend: str) -> None:
    phases = torch.randn(4, 1, 10, dtype=torch.float64)
    signs = torch.tensor([[1, -1, 1, -1, -1], [-1, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    built = build(phases, 5, signs=signs)
    assert built.shape == (4, 3, 5, 5)
    assert torch.equal(built, signs.unsqueeze(-1) * build(phases, 5))


def test_huge_and_undefined_phases(backend: str) -> None:
    angles = [1e9, -1e15, math.pi * 1e5, math.nan]
    built = build(torch.tensor(angles, dtype=torch.float64).unsqueeze(1), 2)
    for matrix, angle in zip(built[:3], angles, strict=False):
        assert matrix[0, 0].item() == pytest.approx(math.cos(angle), abs=1e-15)
        assert matrix[1, 0].item() == pytest.approx(math.sin(angle), abs=1e-15)
    assert built[3].isnan().any()


def test_loss_leaves_its_share_of_the_power(backend: str) -> None:
    phases = torch.randn(3, phase_count(8, "butterfly", "complex"), dtype=torch.float64)
    built = build(phases, 8, layout="butterfly", field="complex", loss_db=0.5)
    power = built.abs().square().sum(1)
    torch.testing.assert_close(power, torch.full_like(power, 10 ** (-3 * 0.5 / 10)))  # three MZIs on every path


@pytest.mark.parametrize("field", mesh.FIELDS)
@pytest.mark.parametrize(("layout", "size"), [("rectangle", 5), ("triangle", 5), ("butterfly", 4), ("rectangle", 1)])
@pytest.mark.parametrize("loss_db", [0.0, 0.4])
def test_gradient(backend: str, layout: mesh.Layout, size: int, field: mesh.Field, loss_db: float) -> None:
    count = phase_count(size, layout, field)
    signs = torch.tensor([-1.0, 1, -1, 1, 1])[:size].double() if field == "real" else None

    def made(phases: Tensor) -> Tensor:
        return build(phases, size, layout=layout, field=field, signs=signs, loss_db=loss_db)

    phases = torch.randn(2, count, dtype=torch.float64, requires_grad=True)
    assert gradcheck(made, phases)
    scattered = torch.randn(count, 2, 2, dtype=torch.float64).transpose(0, 2).requires_grad_()
    assert gradcheck(made, scattered)


@pytest.mark.parametrize("field", mesh.FIELDS)
def test_gradient_of_large_lossy_blocks_on_both_ways(kernels: None, field: mesh.Field) -> None:
    target = torch.randn(11, 40, 40, dtype=torch.float64 if field == "real" else torch.complex128)
    phases = torch.randn(11, phase_count(40, "rectangle", field), dtype=torch.float64)
    slopes = []
    for name in ("torch", "compiled"):
        with compiled.use(name):
            leaf = phases.clone().requires_grad_()
            (build(leaf, 40, field=field, loss_db=0.2) - target).abs().square().sum().backward()
            assert leaf.grad is not None
            slopes.append(leaf.grad)
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-10)


def test_conjugate_upstream_gradient(backend: str) -> None:
    phases = torch.randn(phase_count(4, "rectangle", "complex"), dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: build(x, 4, field="complex").conj().mT.imag.square(), phases)


@pytest.mark.parametrize("field", mesh.FIELDS)
def test_the_operator_keeps_torchs_contract(backend: str, field: mesh.Field) -> None:
    phases = torch.randn(2, phase_count(4, "rectangle", field), dtype=torch.float64, requires_grad=True)
    signs = torch.ones(2, 4, dtype=torch.float64) if field == "real" else None
    operator = torch.ops.lightloom.mesh_build.default
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator, (phases, signs, 4, "rectangle", field, 1.0), test_utils=checks)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_no_blocks_at_all(backend: str, shape: tuple[int, ...]) -> None:
    phases = torch.empty(*shape, 6, requires_grad=True)
    built = build(phases, 4)
    assert built.shape == (*shape, 4, 4)
    built.sum().backward()
    assert phases.grad is not None and phases.grad.shape == phases.shape


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"real rectangle on 4 waveguides has 6 phases.*given.*\(3, 7\)"):
        build(torch.zeros(3, 7), 4)
    with pytest.raises(ValueError, match="output phases in place of signs"):
        build(torch.zeros(16), 4, field="complex", signs=torch.ones(4))
    with pytest.raises(ValueError, match=r"signs of 4 waveguides are \[..., 4\]"):
        build(torch.zeros(6), 4, signs=torch.ones(3))
    with pytest.raises(ValueError, match="do not broadcast"):
        build(torch.zeros(3, 6), 4, signs=torch.ones(2, 4))
    with pytest.raises(ValueError, match="0 dB or more"):
        build(torch.zeros(6), 4, loss_db=-1.0)
    with pytest.raises(TypeError, match="float32 or float64"):
        build(torch.zeros(6, dtype=torch.float16), 4)
