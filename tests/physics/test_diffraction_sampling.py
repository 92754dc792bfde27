"""A grid, a lens or a form that does not serve the light is said, and one that does is not."""

import math
import warnings

import pytest
import torch
from torch import Tensor

from lightloom.physics import diffraction
from lightloom.physics.diffraction import Grid, SamplingWarning

UM = 1e-6
WAVELENGTH, PIXEL = 0.5 * UM, 4 * UM


def grid(samples: int) -> Grid:
    return Grid(samples, samples, PIXEL, WAVELENGTH)


def places(grid: Grid) -> Tensor:
    return (torch.arange(grid.rows, dtype=torch.float64) - grid.rows // 2) * PIXEL


def scene(grid: Grid, side: float) -> Tensor:
    """Two spots of different strength within `side` m, off the axis."""
    x, y = places(grid), places(grid)[:, None]
    first = torch.exp(-((y - 0.2 * side).square() + (x + 0.1 * side).square()) / (side / 3) ** 2)
    second = torch.exp(-((y + 0.5 * side).square() + (x - 0.4 * side).square()) / (side / 4) ** 2)
    return first + 0.7 * second


def correlation(light: Tensor, truth: Tensor) -> float:
    pair = torch.stack([light.abs().square().flatten(), truth.abs().square().flatten()])
    return float(torch.corrcoef(pair)[0, 1])


def flipped(field: Tensor) -> Tensor:
    """Turned about sample (rows//2, columns//2) of an even grid."""
    return field.flip(-2, -1).roll((1, 1), (-2, -1))


def four_f(field: Tensor, grid: Grid, f: float, own_lens: bool = False) -> tuple[Tensor, list[str]]:
    """A 4f system in paraxial form, and what is said about it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        way = diffraction.transfer(grid, f, "fresnel")
        for _ in range(2):
            field = diffraction.propagate(field, way)
            field = field * diffraction.lens(grid, f) if own_lens else diffraction.through_lens(field, grid, f)
            field = diffraction.propagate(field, way)
    assert {warning.category for warning in said} <= {SamplingWarning}
    assert {warning.filename for warning in said} <= {__file__}
    return field, [str(warning.message) for warning in said]


def test_a_4f_system_within_its_validity_flips_the_image_without_a_word() -> None:
    # the truth is a sum over all samples, without transforms, a periodic grid or the paraxial form
    plane = grid(80)
    f = 0.9 * float(diffraction.paraxial_critical_distance(plane))
    entered = scene(plane, 90 * UM)
    light, said = four_f(entered, plane, f)
    truth = entered
    for _ in range(2):
        truth = diffraction.rayleigh_sommerfeld(truth, plane, f) * diffraction.lens(plane, f)
        truth = diffraction.rayleigh_sommerfeld(truth, plane, f)
    assert said == []
    assert correlation(light, flipped(entered)) > 0.999
    assert correlation(light, truth) > 0.999


@pytest.mark.parametrize("samples", [96, 128])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("longer", [0.2, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
def test_no_4f_system_is_wrong_without_a_word(samples: int, share: float, longer: float) -> None:
    plane = grid(samples)
    entered = scene(plane, share * samples * PIXEL)
    light, said = four_f(entered, plane, longer * float(diffraction.paraxial_critical_distance(plane)))
    assert said or correlation(light, flipped(entered)) > 0.999


def test_a_4f_system_whose_grid_wants_padding_is_said_whatever_makes_the_lenses() -> None:
    plane = grid(128)
    entered = (places(plane).abs() < 0.05 * 128 * PIXEL).double()
    entered = entered * entered[:, None]
    f = 4 * float(diffraction.paraxial_critical_distance(plane))
    light, said = four_f(entered, plane, f, own_lens=True)
    assert correlation(light, flipped(entered)) < 0.95
    assert len(said) == 1  # once, though it is so on all four ways
    needed = int(said[0].split("pad the field to ")[1].split()[0])
    wide = grid(needed + needed % 2)
    light, said = four_f(diffraction.pad(entered, *wide[:2]), wide, f)
    assert said == []
    assert correlation(diffraction.crop(light, 128, 128), flipped(entered)) > 0.99


def test_a_lens_too_strong_for_its_pixels_is_said_with_what_mends_it() -> None:
    plane, f = grid(128), 1e-3
    field = scene(plane, 0.25 * 128 * PIXEL)
    with pytest.warns(SamplingWarning, match=r"a lens of 1 mm more than 62.5 um from the axis.* 4.1 mm or more"):
        diffraction.through_lens(field, plane, f)
    with pytest.raises(ValueError, match="an aperture of 125 um"):
        diffraction.through_lens(field, plane, f, check="refuse")
    diffraction.through_lens(field, plane, float(diffraction.shortest_focal_length(plane)))
    with pytest.warns(SamplingWarning, match=r"aperture of 125 um cuts \d+ % of the light"):
        diffraction.through_lens(field, plane, f, aperture=125 * UM)
    narrow = scene(plane, 40 * UM)
    assert diffraction.through_lens(narrow, plane, f, aperture=125 * UM).shape == narrow.shape


def test_a_parabolic_lens_is_said_to_be_none_where_it_is_not() -> None:
    plane = Grid(256, 256, 0.4 * UM, 0.5 * UM)
    y = (torch.arange(256, dtype=torch.float64) - 128) * plane.pixel
    field = torch.exp(-(y[:, None].square() + y.square()) / (20 * UM) ** 2)
    with pytest.warns(SamplingWarning, match="A parabolic lens of 100 um is .* of the field away from a spherical one"):
        diffraction.through_lens(field, plane, 100 * UM)
    focus = diffraction.through_lens(field, plane, 100 * UM, form="spherical")
    spot = diffraction.detect(diffraction.propagate(focus, diffraction.transfer(plane, 100 * UM)))
    assert int(spot.argmax()) == 128 * 256 + 128
    assert float(spot.max()) > 0.9 * (math.pi * 20**2 / (100 * 0.5)) ** 2  # the focus of a Gaussian beam: (w0 / w)^2


def test_the_paraxial_form_is_said_to_be_wrong_where_it_is() -> None:
    plane = Grid(128, 128, 0.25 * UM, 0.5 * UM)
    y = (torch.arange(128, dtype=torch.float64) - 64) * plane.pixel
    for waist, z, valid in ((4 * UM, 50 * UM, True), (0.5 * UM, 12 * UM, False)):
        field = torch.exp(-(y[:, None].square() + y.square()) / waist**2)
        found = diffraction.sampling(field, plane, z, "fresnel")
        exact = diffraction.rayleigh_sommerfeld(field, plane, z)
        way = diffraction.transfer(plane, z, "fresnel", check="warn" if valid else "refuse")
        if valid:
            error = torch.linalg.norm(diffraction.propagate(field, way) - exact) / torch.linalg.norm(exact)
            assert float(error) == pytest.approx(found.paraxial, abs=0.005)
        else:
            with pytest.raises(ValueError, match=r"The paraxial form is .* take `method=\"angular_spectrum\"`"):
                diffraction.propagate(field, way)


def test_light_that_leaves_the_grid_is_measured() -> None:
    plane = grid(64)
    tilt = 0.04  # the beam moves by 0.04 z
    light = torch.polar(scene(plane, 60 * UM), 2 * math.pi / WAVELENGTH * tilt * places(plane))
    inside, outside = (diffraction.sampling(light, plane, z) for z in (0.5e-3, 5e-3))
    assert inside.lost < 1e-3 and inside.coarse < 1e-3
    assert outside.lost > 0.9 and outside.coarse > 0.9
    partly = diffraction.sampling(light, plane, 2.6e-3).lost
    truth = diffraction.rayleigh_sommerfeld(light, plane, 2.6e-3).abs().square().sum()
    assert 0.05 < partly < 0.5
    assert float(truth / light.abs().square().sum()) == pytest.approx(1 - partly, abs=0.01)
    assert outside.samples >= 2 * tilt * 5e-3 / PIXEL
    with pytest.warns(SamplingWarning, match="comes back in where it is not"):
        diffraction.propagate(light, diffraction.transfer(plane, 5e-3))


def test_light_at_the_edge_of_the_grid_is_said() -> None:
    plane = grid(64)
    light = torch.polar(scene(plane, 60 * UM), 2 * math.pi / WAVELENGTH * 0.06 * places(plane))
    with pytest.warns(SamplingWarning, match="has come to the edge of the grid of 64 x 64 samples"):
        diffraction.propagate(light, diffraction.transfer(plane, 2e-3))


@pytest.mark.parametrize("method", ["angular_spectrum", "band_limited", "fresnel"])
def test_fields_that_fill_their_grid_and_no_field_at_all_are_served(method: str) -> None:
    plane = grid(48)
    way = diffraction.transfer(plane, 1e-3, method)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    for field in (torch.zeros(48, 48), torch.ones(48, 48), torch.randn(2, 48, 48, generator=generator)):
        assert diffraction.propagate(field, way).shape == field.shape


def test_a_sum_over_samples_too_coarse_for_its_kernel_is_said() -> None:
    plane = grid(64)
    light = torch.polar(scene(plane, 60 * UM), 2 * math.pi / WAVELENGTH * 0.04 * places(plane))
    with pytest.warns(SamplingWarning, match="16.7 times the light that left has arrived.* 2.05 mm or more"):
        diffraction.rayleigh_sommerfeld(light, plane, 0.5e-3)
    with pytest.raises(ValueError, match="act as a grating"):
        diffraction.rayleigh_sommerfeld(light, plane, 0.5e-3, check="refuse")


def test_other_checks_are_refused() -> None:
    with pytest.raises(ValueError, match="`warn`, `refuse` or `ignore`, got `never`"):
        diffraction.transfer(grid(8), 1e-3, check="never")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a focal length of 0 m"):
        diffraction.lens(grid(8), 0.0)
    with pytest.raises(ValueError, match="an aperture of -1 m"):
        diffraction.lens(grid(8), 1.0, -1.0)
    with pytest.raises(ValueError, match=r"a sharp edge has none to give; give a number, such as `aperture.item\(\)`"):
        diffraction.lens(grid(8), 1.0, torch.tensor(1e-3, requires_grad=True))
    with pytest.raises(ValueError, match="got `conical`"):
        diffraction.lens(grid(8), 1.0, form="conical")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pad it to the grid"):
        diffraction.through_lens(torch.ones(7, 8), grid(8), 1.0)
