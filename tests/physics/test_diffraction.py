"""Free space against direct summation, plane waves, Gaussian beams and conservation laws, on grids of every parity."""

import math

import pytest
import torch
from torch import Tensor

from lightloom.physics import diffraction
from lightloom.physics.diffraction import Grid
from lightloom.physics.diffraction.transfer import Method

UM = 1e-6
PHOENIX = Grid(80, 80, 1.75 * UM, 1.05 * UM)
METHODS: list[Method] = ["angular_spectrum", "band_limited", "fresnel"]


def places(grid: Grid) -> tuple[Tensor, Tensor]:
    """y [rows, 1] and x [columns] in m, 0 on the axis."""
    y = (torch.arange(grid.rows, dtype=torch.float64) - grid.rows // 2) * grid.pixel
    x = (torch.arange(grid.columns, dtype=torch.float64) - grid.columns // 2) * grid.pixel
    return y[:, None], x


def beam(
    grid: Grid, waist: float, *, at: tuple[float, float] = (0.0, 0.0), tilt: tuple[float, float] = (0.0, 0.0)
) -> Tensor:
    """A Gaussian beam of this waist around `at`, tilted by sines `tilt` along y and x."""
    y, x = places(grid)
    shape = torch.exp(-((y - at[0]).square() + (x - at[1]).square()) / waist**2)
    return torch.polar(shape, 2 * math.pi / grid.wavelength * (tilt[0] * y + tilt[1] * x))


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))


def relative(given: Tensor, truth: Tensor) -> float:
    return float(torch.linalg.norm(given - truth) / torch.linalg.norm(truth))


def energy(field: Tensor) -> float:
    return float(field.abs().square().sum())


# against direct summation


@pytest.mark.parametrize("size", [(96, 96), (97, 81), (80, 111), (111, 80)])
@pytest.mark.parametrize("distance", [20 * UM, -20 * UM])
@pytest.mark.parametrize("method", ["angular_spectrum", "band_limited"])
def test_every_parity_and_shape_agrees_with_rayleigh_and_sommerfeld(
    size: tuple[int, int], distance: float, method: Method
) -> None:
    # off the axis and tilted differently along y and x, so that swapped or reordered axes cannot pass
    grid = Grid(*size, 0.5 * UM, 1 * UM)
    field = beam(grid, 5 * UM, at=(1.3 * UM, -2.1 * UM), tilt=(0.1, -0.05))
    truth = diffraction.rayleigh_sommerfeld(field, grid, distance)
    assert relative(diffraction.propagate(field, diffraction.transfer(grid, distance, method)), truth) < 2e-5


@pytest.mark.parametrize(("rows", "columns", "error"), [(98, 97, 0.1), (784, 783, 1e-3)])
def test_a_sharp_mask_agrees_with_rayleigh_and_sommerfeld_the_better_the_larger_the_grid(
    rows: int, columns: int, error: float
) -> None:
    # neighbouring pixels differ by any phase: light at all angles, which comes back around a small grid
    inner, outer = Grid(49, 48, 0.5 * UM, 1 * UM), Grid(rows, columns, 0.5 * UM, 1 * UM)
    turns = torch.rand(12, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    field = diffraction.phase_mask(turns, 49, 48) * beam(inner, 3 * UM)
    truth = diffraction.rayleigh_sommerfeld(field, inner, 6 * UM)
    way = diffraction.transfer(outer, 6 * UM, evanescent="decay", check="ignore")
    made = diffraction.crop(diffraction.propagate(diffraction.pad(field, rows, columns), way), 49, 48)
    assert relative(made, truth) < error


def test_the_near_field_needs_evanescent_waves() -> None:
    inner, outer = Grid(64, 49, UM / 8, 1 * UM), Grid(512, 512, UM / 8, 1 * UM)
    field = beam(inner, 0.35 * UM)
    truth = diffraction.rayleigh_sommerfeld(field, inner, 0.25 * UM)
    padded = diffraction.pad(field, 512, 512)
    made = {
        kind: diffraction.crop(
            diffraction.propagate(padded, diffraction.transfer(outer, 0.25 * UM, evanescent=kind)), 64, 49
        )
        for kind in ("cut", "decay")
    }
    assert relative(made["decay"], truth) < 1e-3
    assert relative(made["cut"], truth) > 0.1


def test_far_away_the_band_limit_keeps_light_from_reappearing_where_it_is_not() -> None:
    inner, outer = Grid(48, 49, 0.5 * UM, 1 * UM), Grid(96, 98, 0.5 * UM, 1 * UM)
    field = diffraction.pad(torch.ones(24, 24, dtype=torch.complex128), 48, 49)
    truth = diffraction.rayleigh_sommerfeld(field, inner, 60 * UM)
    padded = diffraction.pad(field, 96, 98)
    plain, limited = (
        relative(
            diffraction.crop(
                diffraction.propagate(padded, diffraction.transfer(outer, 60 * UM, method, check="ignore")), 48, 49
            ),
            truth,
        )
        for method in METHODS[:2]
    )
    assert limited < 0.04
    assert plain > 3 * limited


# against closed forms


@pytest.mark.parametrize("size", [(7, 10), (10, 7), (8, 8), (9, 5)])
@pytest.mark.parametrize("distance", [3.7 * UM, -3.7 * UM])
def test_a_plane_wave_turns_its_phase_and_nothing_else(size: tuple[int, int], distance: float) -> None:
    grid = Grid(*size, 0.8 * UM, 0.6 * UM)
    y, x = places(grid)
    for waves_y, waves_x in ((0, 0), (2, -1), (-3, 2), (1, -2)):
        fy, fx = waves_y / (grid.rows * grid.pixel), waves_x / (grid.columns * grid.pixel)
        wave = torch.polar(torch.ones(size, dtype=torch.float64), 2 * math.pi * (fy * y + fx * x))
        along = math.sqrt(grid.wavelength**-2 - fy**2 - fx**2)
        expected = wave * complex(math.cos(2 * math.pi * along * distance), math.sin(2 * math.pi * along * distance))
        assert relative(diffraction.propagate(wave, diffraction.transfer(grid, distance)), expected) < 1e-12


@pytest.mark.parametrize("distance", [0.3 * UM, -0.3 * UM])
def test_an_evanescent_wave_falls_off_either_way_or_is_cut(distance: float) -> None:
    grid = Grid(12, 9, 0.2 * UM, 1 * UM)
    y, _ = places(grid)
    frequency = 4 / (grid.rows * grid.pixel)
    wave = torch.polar(torch.ones(12, 9, dtype=torch.float64), 2 * math.pi * frequency * y.expand(12, 9))
    fall = math.exp(-2 * math.pi * 0.3 * UM * math.sqrt(frequency**2 - grid.wavelength**-2))
    decayed = diffraction.propagate(wave, diffraction.transfer(grid, distance, evanescent="decay"))
    assert relative(decayed, wave * fall) < 1e-12
    for way in (diffraction.transfer(grid, distance), diffraction.transfer(grid, distance, "band_limited", "decay")):
        assert float(diffraction.propagate(wave, way).abs().max()) < 1e-12


@pytest.mark.parametrize("size", [(160, 160), (151, 162)])
def test_a_gaussian_beam_widens_bends_and_turns_as_it_must(size: tuple[int, int]) -> None:
    # Siegman, Lasers, 17.1: u = w0/w exp(i k z - r^2/w^2 + i k r^2 / (2 R) - i atan(z / zR))
    grid, waist, z = Grid(*size, 1 * UM, 0.5 * UM), 10 * UM, 600 * UM
    y, x = places(grid)
    r, k = y.square() + x.square(), 2 * math.pi / grid.wavelength
    rayleigh = math.pi * waist**2 / grid.wavelength
    width, bend = waist * math.hypot(1, z / rayleigh), z * (1 + (rayleigh / z) ** 2)
    phase = k * z + k * r / (2 * bend) - math.atan(z / rayleigh)
    expected = torch.polar(waist / width * torch.exp(-r / width**2), phase)
    field = beam(grid, waist)
    assert relative(diffraction.propagate(field, diffraction.transfer(grid, z, "fresnel")), expected) < 1e-11
    # the formula is paraxial: the next order of the phase, k z sine^4 / 8, is what is left
    assert relative(diffraction.propagate(field, diffraction.transfer(grid, z)), expected) < 2e-4


def test_the_paraxial_form_differs_by_the_fourth_power_of_the_angle() -> None:
    grid = Grid(160, 161, 1 * UM, 1 * UM)
    exact, paraxial = (diffraction.transfer(grid, 40 * UM, method) for method in ("angular_spectrum", "fresnel"))
    narrow, wide = (
        relative(diffraction.propagate(beam(grid, waist), paraxial), diffraction.propagate(beam(grid, waist), exact))
        for waist in (4 * UM, 8 * UM)
    )
    assert wide < 1e-4
    assert narrow / wide == pytest.approx(16, rel=0.03)


def test_the_band_limit_is_where_the_phase_turns_by_pi_between_samples() -> None:
    # along one axis the phase is 2 pi z sqrt(1 / lambda^2 - f^2), the slope of which says where that is
    grid, z = Grid(64, 200, 0.5 * UM, 1 * UM), 80 * UM
    for axis, (count, limit) in enumerate(zip(grid[:2], diffraction.band_limit(grid, z), strict=True)):
        fine = 1 / (count * grid.pixel)

        def turns(f: float) -> float:
            return z * math.sqrt(grid.wavelength**-2 - f**2)

        step = 1e-4 * fine
        slope = (turns(limit - step) - turns(limit + step)) / (2 * step) * fine
        assert slope == pytest.approx(0.5, rel=1e-5)
        way = diffraction.transfer(grid, z, "band_limited")
        kept = (way[:, 0] if axis == 0 else way[0]) != 0
        frequencies = torch.fft.fftfreq(count, grid.pixel, dtype=torch.float64).abs()
        assert torch.equal(kept, frequencies <= limit)
    assert diffraction.band_limit(grid, z)[0] == pytest.approx(1e6 / math.sqrt((2 * 80 / 32) ** 2 + 1))


@pytest.mark.parametrize("grid", [PHOENIX, PHOENIX._replace(rows=61, columns=90), Grid(400, 400, 8 * UM, 0.532 * UM)])
def test_up_to_the_critical_distance_the_band_limit_cuts_nothing(grid: Grid) -> None:
    z = diffraction.critical_distance(grid)
    near, far = (diffraction.transfer(grid, factor * z, "band_limited") for factor in (0.999, 1.1))
    assert bool((near != 0).all())
    assert not bool((far != 0).all())
    assert diffraction.critical_distance(grid._replace(pixel=0.7 * grid.wavelength)) == 0


# conservation and symmetry


@pytest.mark.parametrize("size", [(80, 80), (81, 64), (50, 77)])
@pytest.mark.parametrize("method", ["angular_spectrum", "fresnel"])
def test_energy_is_kept_and_light_can_be_sent_back(size: tuple[int, int], method: Method) -> None:
    grid, field = PHOENIX._replace(rows=size[0], columns=size[1]), noise(2, *size)  # no wave of it is evanescent
    there = diffraction.propagate(field, diffraction.transfer(grid, 100 * UM, method, check="ignore"))
    assert energy(there) == pytest.approx(energy(field), rel=1e-12)
    back = diffraction.propagate(there, diffraction.transfer(grid, -100 * UM, method, check="ignore"))
    assert relative(back, field) < 1e-12


@pytest.mark.parametrize("evanescent", ["cut", "decay"])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_ever_grows_and_the_way_back_is_the_adjoint(method: Method, evanescent: str) -> None:
    grid = Grid(33, 40, 0.2 * UM, 1 * UM)  # most waves are evanescent
    for z in (0.0, 0.4 * UM, 30 * UM):
        there, back = (diffraction.transfer(grid, sign * z, method, evanescent) for sign in (1, -1))  # type: ignore[arg-type]
        assert torch.equal(back, there.conj())
        assert float(there.abs().max()) <= 1 + 1e-12
        assert there.abs().isfinite().all()


@pytest.mark.parametrize("size", [(32, 32), (33, 31), (32, 27)])
def test_two_ways_in_a_row_are_one(size: tuple[int, int]) -> None:
    grid = Grid(*size, 0.4 * UM, 1 * UM)
    for kind in ("cut", "decay"):
        first, second, both = (diffraction.transfer(grid, z * UM, evanescent=kind) for z in (1.5, 2.5, 4.0))  # type: ignore[arg-type]
        assert relative(first * second, both) < 1e-12


@pytest.mark.parametrize("size", [(31, 31), (32, 32), (31, 40)])
def test_what_is_even_about_the_axis_stays_even(size: tuple[int, int]) -> None:
    grid = Grid(*size, 1 * UM, 1 * UM)
    there = diffraction.propagate(beam(grid, 3 * UM), diffraction.transfer(grid, 15 * UM))
    turned = there.flip(0, 1).roll((1 - size[0] % 2, 1 - size[1] % 2), (0, 1))  # about sample (rows//2, columns//2)
    assert relative(turned, there) < 1e-12


def test_single_precision_follows_double_precision() -> None:
    turns = torch.rand(2, 40, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    way, field = diffraction.transfer(PHOENIX, 100 * UM), noise(3, 80, 80)
    results = []
    for complex_type, real_type in ((torch.complex128, torch.float64), (torch.complex64, torch.float32)):
        light = diffraction.propagate(field.to(complex_type), way.to(complex_type))
        for mask in turns.to(real_type):
            light = diffraction.propagate(diffraction.phase_mask(mask, 80, 80) * light, way.to(complex_type))
        assert light.dtype == complex_type
        results.append(light)
    assert relative(results[1].to(torch.complex128), results[0]) < 2e-6


# behaviour


def test_a_transfer_function_is_built_once_and_nobody_can_spoil_it() -> None:
    from lightloom.physics.diffraction.transfer import _kept

    grid = Grid(6, 5, 1.1 * UM, 1 * UM)
    first = diffraction.transfer(grid, 2 * UM)
    hits = _kept.cache_info().hits
    kept = first.clone()
    first.zero_()
    assert torch.equal(diffraction.transfer(grid, 2 * UM), kept)
    assert _kept.cache_info().hits == hits + 1
    assert kept.dtype == torch.complex128


@pytest.mark.parametrize(
    ("grid", "distance", "options", "message"),
    [
        (PHOENIX._replace(rows=0), 1.0, {}, "0 x 80 samples; give at least 1 x 1"),
        (PHOENIX._replace(pixel=0.0), 1.0, {}, "pixel 0 m; expected a finite length above 0"),
        (PHOENIX._replace(wavelength=math.inf), 1.0, {}, "wavelength inf m"),
        (PHOENIX, math.nan, {}, "a distance of nan m"),
        (PHOENIX, 1.0, {"method": "asm"}, "no method `asm`; take `angular_spectrum`, `band_limited` or `fresnel`"),
        (PHOENIX, 1.0, {"evanescent": "grow"}, "`cut` or `decay`, got `grow`"),
    ],
)
def test_impossible_ways_are_refused(grid: Grid, distance: float, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diffraction.transfer(grid, distance, **options)  # type: ignore[arg-type]


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="80 x 79 samples and a transfer function of 80 x 80; pad the field"):
        diffraction.propagate(noise(80, 79), diffraction.transfer(PHOENIX, 1 * UM))
    with pytest.raises(ValueError, match="a field of 80 x 79 samples on a grid of 80 x 80; pad it"):
        diffraction.rayleigh_sommerfeld(noise(80, 79), PHOENIX, 1 * UM)
    with pytest.raises(ValueError, match="the field itself is the answer"):
        diffraction.rayleigh_sommerfeld(noise(80, 80), PHOENIX, 0.0)
