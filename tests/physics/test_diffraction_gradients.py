"""Gradients through distances, spacings, wavelengths and focal lengths, against differences and closed forms."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from lightloom.physics import diffraction, sampling
from lightloom.physics.diffraction import Grid

UM = 1e-6
FIELD = torch.randn(7, 6, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
WAYS = [("angular_spectrum", "cut"), ("angular_spectrum", "decay"), ("band_limited", "cut"), ("fresnel", "cut")]
Lengths = Callable[[Tensor, Tensor, Tensor], Tensor]


def length(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def by_transfer(method: str, evanescent: str = "cut") -> Lengths:
    """Light behind free space of a distance, a spacing and a wavelength in um."""

    def light(z: Tensor, pixel: Tensor, wavelength: Tensor) -> Tensor:
        grid = Grid(7, 6, pixel * UM, wavelength * UM)
        way = diffraction.transfer(grid, z * UM, method, evanescent, "ignore")  # type: ignore[arg-type]
        return torch.view_as_real(diffraction.propagate(FIELD, way))

    return light


def by_summation(z: Tensor, pixel: Tensor, wavelength: Tensor) -> Tensor:
    grid = Grid(7, 6, pixel * UM, wavelength * UM)
    return torch.view_as_real(diffraction.rayleigh_sommerfeld(FIELD, grid, z * UM, "ignore"))


def by_lens(form: str) -> Lengths:
    def light(f: Tensor, pixel: Tensor, wavelength: Tensor) -> Tensor:
        grid = Grid(7, 6, pixel * UM, wavelength * UM)
        return torch.view_as_real(diffraction.lens(grid, f * UM, form=form))  # type: ignore[arg-type]

    return light


CASES: dict[str, Lengths] = {
    **{f"{method}, {evanescent}": by_transfer(method, evanescent) for method, evanescent in WAYS},
    "direct summation": by_summation,
    "parabolic lens": by_lens("parabolic"),
    "spherical lens": by_lens("spherical"),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_lengths_are_those_of_differences(case: str) -> None:
    for z in (13.0, -13.0):
        for pixel in (0.9, 0.37):  # of the finer grid most waves are evanescent
            lengths = length(z), length(pixel), length(1.05)
            assert torch.autograd.gradcheck(CASES[case], lengths)


@pytest.mark.parametrize("case", CASES)
def test_second_derivatives_are_those_of_differences(case: str) -> None:
    lengths = length(5.0), length(0.9), length(1.05)
    assert torch.autograd.gradgradcheck(lambda *given: CASES[case](*given).square().sum(0), lengths)


@pytest.mark.parametrize("method", ["angular_spectrum", "band_limited", "fresnel", "direct summation"])
def test_the_axis_of_a_gaussian_beam_darkens_as_it_must(method: str) -> None:
    # Siegman, Lasers, 17.1: I = I0 / (1 + (z / zR)^2), so dI/dz = -2 I0 z / zR^2 / (1 + (z / zR)^2)^2
    samples, waist = (97, 8.0) if method == "direct summation" else (256, 10.0)
    grid = Grid(samples, samples, 1 * UM, 0.5 * UM)
    y = (torch.arange(samples, dtype=torch.float64) - samples // 2) * grid.pixel
    field = torch.exp(-(y[:, None].square() + y.square()) / (waist * UM) ** 2).to(torch.complex128)
    rayleigh = math.pi * (waist * UM) ** 2 / 0.5e-6
    z = length(0.5 * rayleigh)
    if method == "direct summation":
        behind = diffraction.rayleigh_sommerfeld(field, grid, z)
    else:
        behind = diffraction.propagate(field, diffraction.transfer(grid, z, method))  # type: ignore[arg-type]
    axis = behind[samples // 2, samples // 2].abs().square()
    (slope,) = torch.autograd.grad(axis, z)
    tolerance = 1e-9 if method == "fresnel" else 1e-3  # the formula is paraxial
    assert axis.item() == pytest.approx(1 / 1.25, rel=tolerance)
    assert slope.item() * rayleigh == pytest.approx(-1 / 1.25**2, rel=tolerance)


@pytest.mark.parametrize("method", ["angular_spectrum", "fresnel"])
def test_light_that_is_kept_has_no_slope(method: str) -> None:
    z = length(100 * UM)
    way = diffraction.transfer(Grid(7, 6, 1.75 * UM, 1.05 * UM), z, method, check="ignore")  # type: ignore[arg-type]
    energy = diffraction.propagate(FIELD, way).abs().square().sum()
    (slope,) = torch.autograd.grad(energy, z)
    assert energy.item() == pytest.approx(FIELD.abs().square().sum().item(), rel=1e-12)
    assert abs(slope.item()) * 100 * UM < 1e-9 * energy.item()


def test_a_distance_is_learnt_from_the_light() -> None:
    grid = Grid(64, 64, 4 * UM, 0.5 * UM)
    y = (torch.arange(64, dtype=torch.float64) - 32) * grid.pixel
    field = torch.exp(-(y[:, None].square() + y.square()) / (20 * UM) ** 2)
    seen = diffraction.detect(diffraction.propagate(field, diffraction.transfer(grid, 1.7e-3)))
    log_distance = length(math.log(1e-3))
    optimiser = torch.optim.LBFGS([log_distance], line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def loss() -> Tensor:
        optimiser.zero_grad()
        light = diffraction.propagate(field, diffraction.transfer(grid, log_distance.exp()))
        miss = (diffraction.detect(light) - seen).square().sum()
        miss.backward()
        return miss

    optimiser.step(loss)
    assert log_distance.exp().item() == pytest.approx(1.7e-3, rel=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")  # torch's own, of forward derivatives
@pytest.mark.parametrize("case", ["angular_spectrum, cut", "direct summation", "spherical lens"])
def test_lengths_are_mapped_over_and_differentiated_forwards(case: str) -> None:
    def light(z: Tensor) -> Tensor:
        return CASES[case](z, torch.tensor(0.9), torch.tensor(1.05))

    distances = torch.tensor([3.0, 5.0], dtype=torch.float64)
    torch.testing.assert_close(torch.func.vmap(light)(distances), torch.stack([light(z) for z in distances]))
    rows = torch.func.jacrev(light)(distances[0])
    torch.testing.assert_close(torch.func.jacfwd(light)(distances[0]), rows)
    torch.testing.assert_close(rows, torch.autograd.functional.jacobian(light, distances[0]))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (torch.ones(2), ValueError, r"a distance of shape \[2\]; give one length"),
        (torch.tensor(1), TypeError, r"a distance of torch.int64; expected a real"),
        (torch.tensor(1j), TypeError, "a distance of torch.complex64"),
        (torch.tensor(math.nan, requires_grad=True), ValueError, "a distance of nan m"),
    ],
)
def test_tensors_that_are_no_length_are_refused(given: Tensor, error: type[Exception], message: str) -> None:
    grid = Grid(7, 6, 0.9 * UM, 1.05 * UM)
    for call in (diffraction.transfer, lambda grid, z: diffraction.rayleigh_sommerfeld(FIELD, grid, z)):
        with pytest.raises(error, match=message):
            call(grid, given)
    with pytest.raises(ValueError, match="pixel -1 m; expected a finite length above 0"):
        diffraction.transfer(grid._replace(pixel=torch.tensor(-1.0)), 1 * UM)


def test_limits_have_gradients() -> None:
    def limits(z: Tensor, pixel: Tensor, wavelength: Tensor) -> tuple[Tensor, ...]:
        grid = Grid(7, 6, pixel, wavelength)
        made = (
            *diffraction.band_limit(grid, z),
            diffraction.critical_distance(grid),
            diffraction.paraxial_critical_distance(grid),
            diffraction.shortest_focal_length(grid),
            diffraction.paraxial_phase_error(0.1 * wavelength / pixel, z, wavelength),
        )
        assert all(isinstance(limit, Tensor) for limit in made)
        return made  # type: ignore[return-value]

    assert torch.autograd.gradcheck(limits, (length(13.0), length(0.9), length(1.05)))


# what is kept


def test_nothing_kept_comes_from_a_mode_or_goes_out() -> None:
    def both(samples: int) -> tuple[Tensor, Tensor]:
        way = diffraction.transfer(Grid(samples, 5, 1.1 * UM, 1 * UM), 2 * UM, check="ignore")
        return way, sampling.windows((samples, 5), (3, 3), (1, 1), (1, 1), (1, 1))

    def under_function(samples: int) -> None:
        torch.func.grad(lambda x: (x * both(samples)[0].abs().sum()).sum())(torch.ones(()))

    def under_device(samples: int) -> None:
        with torch.device("meta"):
            both(samples)

    def under_inference(samples: int) -> None:
        with torch.inference_mode():
            both(samples)

    def under_fake(samples: int) -> None:
        with FakeTensorMode():
            both(samples)

    for samples, mode in zip(
        (17, 19, 21, 23), (under_function, under_device, under_inference, under_fake), strict=True
    ):
        mode(samples)
        way, pixels = both(samples)
        assert type(way + 0) is Tensor and way.device.type == "cpu" and not way.is_inference()
        factor = torch.ones((), dtype=torch.complex128, requires_grad=True)
        (factor * way).abs().sum().backward()
        truth = way.clone(), pixels.clone()
        way.zero_()
        pixels.zero_()
        assert all(torch.equal(*pair) for pair in zip(both(samples), truth, strict=True))


def test_a_transfer_function_stays_what_it_is_in_another_precision_and_in_a_copy() -> None:
    way = diffraction.transfer(Grid(7, 6, 0.9 * UM, 1 * UM), 1 * UM)
    kinds = {type(other) for other in (way, way.to(torch.complex64), copy.deepcopy(way))}
    assert len(kinds) == 1 and kinds != {Tensor}
    assert type(2 * way) is Tensor
