"""Decomposition: what `build` makes of the settings is the matrix again, whatever the matrix."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lightloom.physics import compiled, mesh
from lightloom.physics.mesh import build, decompose

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
TOLERANCE = {torch.float32: 2e-6, torch.complex64: 2e-6, torch.float64: 1e-12, torch.complex128: 1e-12}


def haar(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    wide = torch.complex128 if dtype.is_complex else torch.float64
    return torch.linalg.qr(torch.randn(*shape, shape[-1], dtype=wide))[0].to(dtype)


def rebuilt(matrix: Tensor, layout: mesh.Layout) -> Tensor:
    settings = decompose(matrix, layout=layout)
    field: mesh.Field = "complex" if matrix.is_complex() else "real"
    assert settings.phases.dtype == matrix.dtype.to_real()
    assert ((settings.phases >= 0) & (settings.phases < 2 * math.pi)).all()
    if field == "real":
        assert settings.signs is not None and (settings.signs.abs() == 1).all()
    else:
        assert settings.signs is None
    return build(settings.phases, matrix.shape[-1], layout=layout, field=field, signs=settings.signs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", mesh.UNIVERSAL_LAYOUTS)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 16, 31, 64])
def test_round_trip(backend: str, layout: mesh.Layout, dtype: torch.dtype, size: int) -> None:
    matrix = haar(10, size, dtype=dtype)
    matrix[::2, 0] *= -1  # both determinants
    before = matrix.clone()
    assert (rebuilt(matrix, layout) - matrix).abs().max() <= TOLERANCE[dtype]
    assert torch.equal(matrix, before)


@pytest.mark.parametrize("layout", mesh.UNIVERSAL_LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [2, 5, 8, 32])
def test_round_trip_of_special_matrices(backend: str, layout: mesh.Layout, dtype: torch.dtype, size: int) -> None:
    eye = torch.eye(size, dtype=dtype)
    flips = torch.where(torch.arange(size) % 3 == 0, -1.0, 1.0).to(dtype)
    special = [
        eye,
        -eye,
        eye.flip(0),
        eye.roll(1, 0),
        eye[torch.randperm(size)],
        torch.diag(flips),
        flips * eye.flip(0),
    ]
    block = eye.clone()
    block[:2, :2] = haar(2, dtype=dtype)
    special += [block, block.flip(0, 1)]
    matrix = torch.stack(special)
    assert (rebuilt(matrix, layout) - matrix).abs().max() <= TOLERANCE[dtype]


def test_the_identity_needs_no_rotation(backend: str) -> None:
    for layout in mesh.UNIVERSAL_LAYOUTS:
        settings = decompose(torch.eye(6), layout=layout)
        assert not settings.phases.any()
        assert settings.signs is not None and (settings.signs == 1).all()


@pytest.mark.parametrize("layout", mesh.UNIVERSAL_LAYOUTS)
@pytest.mark.parametrize("tiny", [1e-12, 1e-150, 1e-160, 1e-300])
def test_elements_near_underflow(backend: str, layout: mesh.Layout, tiny: float) -> None:
    matrix = torch.eye(6, dtype=torch.float64) + torch.randn(5, 6, 6, dtype=torch.float64) * tiny
    for one in (matrix, matrix.to(torch.complex128) * 1j):
        assert (rebuilt(one, layout) - one).abs().max() < 1e-11


@given(
    seed=st.integers(0, 2**31),
    size=st.integers(2, 9),
    complex_=st.booleans(),
    layout=st.sampled_from(["rectangle", "triangle"]),
)
def test_sparse_unitary_matrices(seed: int, size: int, complex_: bool, layout: mesh.Layout) -> None:
    """Products of a few rotations, phases and swaps: exact zeros in every pattern."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.eye(size, dtype=torch.complex128 if complex_ else torch.float64)
    for _ in range(size):
        a, b = torch.randperm(size, generator=generator)[:2].tolist()
        if torch.rand((), generator=generator) < 0.5:
            matrix[[a, b]] = matrix[[b, a]]
        else:
            angle = torch.rand((), generator=generator, dtype=torch.float64) * 2 * math.pi
            c, s = angle.cos(), angle.sin()
            matrix[a], matrix[b] = c * matrix[a] - s * matrix[b], s * matrix[a] + c * matrix[b]
            if complex_:
                matrix[a] *= torch.polar(torch.ones_like(angle), 3 * angle)
    assert (rebuilt(matrix, layout) - matrix).abs().max() < 1e-13


def test_phases_are_recovered(backend: str) -> None:
    """A mesh set to phases with theta in (0, pi/2) has only those settings: decomposition is its inverse."""
    for layout in mesh.UNIVERSAL_LAYOUTS:
        phases = 0.2 + 1.1 * torch.rand(4, mesh.phase_count(7, layout, "complex"), dtype=torch.float64)
        found = decompose(build(phases, 7, layout=layout, field="complex"), layout=layout).phases
        torch.testing.assert_close(found, phases, rtol=0, atol=1e-11)


@pytest.mark.parametrize("layout", mesh.UNIVERSAL_LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_both_ways_find_the_same_settings(kernels: None, layout: mesh.Layout, dtype: torch.dtype) -> None:
    matrix = haar(13, 12, dtype=dtype)
    with compiled.use("torch"):
        slow = decompose(matrix, layout=layout)
    with compiled.use("compiled"):
        fast = decompose(matrix, layout=layout)
    difference = (slow.phases - fast.phases).abs()
    assert torch.minimum(difference, 2 * math.pi - difference).max() < (
        1e-6 if slow.phases.dtype == torch.float32 else 1e-10
    )
    if slow.signs is not None and fast.signs is not None:
        assert torch.equal(slow.signs, fast.signs)


@pytest.mark.parametrize("layout", mesh.UNIVERSAL_LAYOUTS)
def test_strange_tensors(backend: str, layout: mesh.Layout) -> None:
    matrix = haar(2, 3, 6, dtype=torch.complex128)
    for view in (matrix.mH, matrix.conj(), matrix.transpose(0, 1), matrix[:, ::2], matrix.flip(-1)):
        assert (rebuilt(view, layout) - view).abs().max() < 1e-12
    assert (rebuilt(haar(6).expand(4, 6, 6), layout) - rebuilt(haar(6), layout)).shape == (4, 6, 6)
    settings = decompose(haar(6).requires_grad_(), layout=layout)
    assert not settings.phases.requires_grad
    empty = decompose(torch.empty(0, 3, 5, 5), layout=layout)
    assert empty.phases.shape == (0, 3, 10)
    assert empty.signs is not None and empty.signs.shape == (0, 3, 5)


def test_what_no_mesh_can_make_is_refused(backend: str) -> None:
    for layout in mesh.UNIVERSAL_LAYOUTS:
        good = haar(3, 5)
        with pytest.raises(ValueError, match=r"1 of 3 given are not.*up to 0\.1.*SVD"):
            decompose(torch.stack([good[0], 1.1 * good[1], good[2]]), layout=layout)
        with pytest.raises(ValueError, match="unitary matrices; 3 of 3"):
            decompose(torch.randn(3, 5, 5, dtype=torch.complex64), layout=layout)
        with pytest.raises(ValueError, match="orthogonal"):
            decompose(torch.zeros(4, 4), layout=layout)
        sheared = torch.eye(4)
        sheared[0, 3] = 0.5
        for one in (sheared, sheared.T):
            with pytest.raises(ValueError, match="differs from a diagonal"):
                decompose(one, layout=layout)
        for value in (math.nan, math.inf, -math.inf):
            for row, column in ((0, 0), (4, 4), (4, 0), (0, 4)):
                broken = haar(3, 5)
                broken[1, row, column] = value
                with pytest.raises(ValueError, match="NaN or infinite"):
                    decompose(broken, layout=layout)


def test_wrong_shapes_kinds_and_layouts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"square matrices.*\(3, 4\)"):
        decompose(torch.ones(3, 4))
    with pytest.raises(ValueError, match="square"):
        decompose(torch.ones(3))
    with pytest.raises(ValueError, match="square"):
        decompose(torch.empty(2, 0, 0))
    with pytest.raises(TypeError, match="int64"):
        decompose(torch.eye(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="butterfly mesh cannot make every matrix"):
        decompose(torch.eye(4), layout="butterfly")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", mesh.UNIVERSAL_LAYOUTS)
def test_phases_just_below_a_full_turn_stay_in_range(backend: str, layout: mesh.Layout, dtype: torch.dtype) -> None:
    """Near the identity, rounding to float32 would make full turns of phases such as 2 pi - 1e-8."""
    wide = torch.complex128 if dtype.is_complex else torch.float64
    noise = torch.logspace(-20, -4, 60, dtype=torch.float64)[:, None, None] * torch.randn(60, 5, 5, dtype=wide)
    matrix = torch.linalg.qr(torch.eye(5, dtype=wide) + noise)[0].to(dtype)
    assert (rebuilt(matrix, layout) - matrix).abs().max() <= TOLERANCE[dtype]
