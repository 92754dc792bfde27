"""What a saturable medium does to light: the published formulas, finite differences, bounds, and light of any kind."""

import math
from itertools import product
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.absorber import (
    Broadening,
    Encoding,
    Form,
    Medium,
    log_transmission,
    parameter_slopes,
    respond,
)

KINDS = list(product(get_args(Form), get_args(Broadening), (0.0, 0.4)))
ENCODINGS = get_args(Encoding)
DEPTHS = (0.3, 4.9, 29.8, -4.7)


def light(encoding: str, count: int = 301) -> Tensor:
    """From faint to bright, both signs where there are two."""
    bright = torch.logspace(-3, 2.5, count, dtype=torch.float64)
    return bright if encoding == "intensity" else torch.cat((-bright, bright))


def intensities(x: Tensor, encoding: str) -> Tensor:
    return x if encoding == "intensity" else x.square()


@pytest.mark.parametrize("saturation", [1.0, 2.5])
@pytest.mark.parametrize("depth", [0.1, 1.0, 10.0, 30.0])
@pytest.mark.usefixtures("backend")
def test_thin_medium_is_the_published_one_and_autograd_its_derivative(depth: float, saturation: float) -> None:
    medium = Medium(depth, saturation)
    for encoding, power in (("amplitude", 0.5), ("intensity", 1.0)):
        x = light(encoding).requires_grad_()
        transmission = torch.exp(-power * depth / (1 + intensities(x, encoding) / saturation))
        (derivative,) = torch.autograd.grad((x * transmission).sum(), x)
        output, exact = respond(x, medium, encoding)
        torch.testing.assert_close(output, (x * transmission).detach(), rtol=1e-13, atol=1e-300)
        torch.testing.assert_close(exact, derivative, rtol=1e-12, atol=1e-300)
        torch.testing.assert_close(
            respond(x, medium, encoding, "probe").factor, transmission.detach(), rtol=1e-13, atol=0
        )


@pytest.mark.parametrize("depth", [1.0, 10.0, 30.0, 50.0])
@pytest.mark.usefixtures("backend")
def test_exact_over_probe_peaks_at_the_saturation_intensity(depth: float) -> None:
    x = torch.tensor([1e-9, 2**0.5, 1e9], dtype=torch.float64)
    exact, probe = (respond(x, Medium(depth, 2.0), slope=slope).factor for slope in ("exact", "probe"))
    torch.testing.assert_close(exact / probe, torch.tensor([1, 1 + depth / 4, 1], dtype=torch.float64))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("form", "broadening", "residual"), KINDS)
@pytest.mark.usefixtures("backend")
def test_slopes_are_finite_differences(form: Form, broadening: Broadening, residual: float, encoding: Encoding) -> None:
    x = light(encoding, 41)
    for depth, probe in product(DEPTHS, (0.0, 0.8)):
        medium = Medium(depth, 1.3, residual, form, broadening)

        def output(x: Tensor, medium: Medium, probe: float = probe) -> Tensor:
            return respond(x, medium, encoding, probe=probe).output

        scale = output(x, medium).abs() + 1e-30
        step = 1e-5
        by_x = (output(x * (1 + step), medium) - output(x * (1 - step), medium)) / (2 * step) / scale
        exact = respond(x, medium, encoding, probe=probe).factor * x / scale
        torch.testing.assert_close(exact, by_x, rtol=1e-5, atol=1e-6)
        slopes = parameter_slopes(x, medium, encoding, probe)
        for name, value, slope in zip(("optical_depth", "saturation"), (depth, 1.3), slopes, strict=True):
            above, below = (output(x, medium._replace(**{name: value * f})) for f in (1 + step, 1 - step))
            torch.testing.assert_close(
                slope * value / scale, (above - below) / (2 * step) / scale, rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("form", "broadening", "residual"), KINDS)
@pytest.mark.usefixtures("backend")
def test_what_passes_keeps_within_its_bounds(
    form: Form, broadening: Broadening, residual: float, encoding: Encoding
) -> None:
    x = light(encoding)
    entering = intensities(x, encoding)
    for depth in (0.0, *DEPTHS):
        medium = Medium(depth, 1.0, residual, form, broadening)
        output, probe = respond(x, medium, encoding, "probe")
        leaving = intensities(output, encoding)
        faint, bleached = (entering * math.exp(-end) for end in (depth + residual, residual))
        least, most = (bleached, faint) if depth < 0 else (faint, bleached)
        assert (leaving >= least * (1 - 1e-9)).all() and (leaving <= most * (1 + 1e-9)).all()
        torch.testing.assert_close(output, x * probe, rtol=1e-13, atol=0)
        if form == "propagated" and residual == 0:  # no atom absorbs or gives more than when it is saturated
            brightest = torch.maximum(entering, leaving)
            most = brightest / (1 + brightest) ** (1.0 if broadening == "homogeneous" else 0.5)
            assert ((leaving - entering).abs() <= abs(depth) * most * (1 + 1e-9)).all()


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.usefixtures("backend")
def test_brighter_light_passes_more_easily_and_more_of_it_leaves(form: Form) -> None:
    x = light("intensity")
    for broadening, depth in product(get_args(Broadening), (1.0, 10.0, 30.0)):
        output, exact = respond(x, Medium(depth, 1.0, 0.0, form, broadening), "intensity")
        assert (output.diff() > 0).all() and (exact > 0).all()
        assert ((output / x).diff() > 0).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("form", "broadening", "residual"), KINDS)
@pytest.mark.usefixtures("backend")
def test_any_light_through_any_medium_stays_a_number(
    form: Form, broadening: Broadening, residual: float, dtype: torch.dtype, encoding: Encoding
) -> None:
    largest = torch.finfo(dtype).max
    x = torch.tensor([0, 1e-30, 1e-4, 0.1, 1, 3, 40, 6e4, 1e19, 1e25, largest], dtype=torch.float64)
    x = x.clamp(max=largest).to(dtype)
    for depth, saturation in product((0.0, 1e-3, 12.0, 1000.0, -60.0), (1e-30, 1.0, 1e30)):
        if form == "propagated" and residual and depth == 1000:
            continue  # 2000 steps
        for slope in ("exact", "probe"):
            output, factor = respond(x, Medium(depth, saturation, residual, form, broadening), encoding, slope)
            assert output.dtype == factor.dtype == dtype
            assert not output.isnan().any() and factor.isfinite().all()
            if depth >= 0:
                assert output.isfinite().all()
            assert output[0] == 0
            bright = math.exp(-residual * (0.5 if encoding == "amplitude" else 1))
            assert float(output[-1]) == pytest.approx(bright * largest, rel=0.01) or depth < 0 or saturation >= 1


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.usefixtures("backend")
def test_limits(form: Form) -> None:
    x = torch.tensor([-math.inf, -1e30, -2.0, 0.0, 2.0, 1e30, math.inf])
    empty = respond(x, Medium(0.0, form=form))
    torch.testing.assert_close(empty.output, x, rtol=0, atol=0)
    torch.testing.assert_close(empty.factor, torch.ones(7), rtol=0, atol=0)
    opaque = respond(x, Medium(1000.0, form=form))
    torch.testing.assert_close(opaque.output, torch.tensor([-math.inf, -1e30, 0, 0, 0, 1e30, math.inf]))
    torch.testing.assert_close(opaque.factor, torch.tensor([1.0, 1, 0, 0, 0, 1, 1]))
    assert respond(torch.empty(0, 3), Medium(form=form)).factor.shape == (0, 3)
    slopes = parameter_slopes(x, Medium(form=form))
    assert all(slope.isfinite().all() and slope[0] == slope[-1] == 0 for slope in slopes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.usefixtures("backend")
def test_infinite_light_passes_as_it_is_where_all_else_goes_out(encoding: Encoding, dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, 2.0, math.inf, -math.inf], dtype=dtype)[: 4 if encoding == "amplitude" else 3]
    for form, broadening in product(get_args(Form), get_args(Broadening)):
        opaque = [Medium(10.0, 1.0, 300.0, form, broadening)]
        opaque += [Medium(depth, 1.0, 0.0, form, broadening) for depth in (1e5, 1e20, 1e30)]
        for medium, slope in product(opaque, ("exact", "probe")):
            output, factor = respond(x, medium, encoding, slope)
            assert torch.equal(output[2:], x[2:])
            assert output[0] == 0 and float(output[1]) < 1e-60
            assert factor.isfinite().all()


@pytest.mark.usefixtures("backend")
def test_bright_light_bleaches_the_deepest_media() -> None:
    # of light far beyond a^2, an inhomogeneous line takes a / sqrt(S), a homogeneous one a / S
    x = torch.logspace(8, 17, 10)
    for form, (broadening, power) in product(get_args(Form), (("homogeneous", 1.0), ("inhomogeneous", 0.5))):
        medium = Medium(1e3, 1.0, 0.0, form, broadening)  # type: ignore[arg-type]
        torch.testing.assert_close(log_transmission(x, medium), -1e3 / x**power, rtol=0.06, atol=2e-6)


@pytest.mark.usefixtures("backend")
def test_half_precision_is_single_precision_rounded() -> None:
    x = torch.randn(200) * 4
    for dtype, form in product((torch.float16, torch.bfloat16), get_args(Form)):
        rough = respond(x.to(dtype), Medium(form=form))
        fine = respond(x.to(dtype).float(), Medium(form=form))
        assert torch.equal(rough.output, fine.output.to(dtype)) and torch.equal(rough.factor, fine.factor.to(dtype))
    loud = respond(torch.tensor([1.0, 100.0, math.inf], dtype=torch.float16), Medium(-40.0))
    assert loud.output[:2].isfinite().all() and loud.factor.isfinite().all() and loud.output[2] == math.inf


@pytest.mark.parametrize(("form", "broadening", "residual"), KINDS)
@given(
    depth=st.floats(-80, 1000),
    saturation=st.floats(1e-6, 1e6),
    brightness=st.floats(1e-8, 1e8),
    probe=st.floats(0, 1e6),
)
def test_both_ways_through_agree(
    kernels: None,
    form: Form,
    broadening: Broadening,
    residual: float,
    depth: float,
    saturation: float,
    brightness: float,
    probe: float,
) -> None:
    if form == "propagated" and residual:
        depth = math.copysign(min(abs(depth), 20), depth)
    x = torch.linspace(0, brightness, 21, dtype=torch.float64)
    medium = Medium(depth, saturation, residual, form, broadening)
    for encoding, slope, lit in product(ENCODINGS, ("exact", "probe"), (probe, x.flip(0))):
        for dtype, digits in ((torch.float32, 1e-5), (torch.float64, 1e-13)):
            one, other = (_on(name, x.to(dtype), medium, encoding, slope, lit) for name in ("torch", "compiled"))
            digits *= 1 + abs(depth)
            floor = 1e-37 * (1 + x.amax())  # the kernels give 0 for what is below any normal number
            scale = respond(x, medium, encoding, "probe", lit).factor * (1 + abs(depth))
            assert ((one[0] - other[0]).abs() <= digits * one[0].abs() + floor).all()
            assert ((one[1] - other[1]).abs() <= digits * scale + floor).all()


def _on(name: compiled.Backend, x: Tensor, medium: Medium, *arguments: object) -> tuple[Tensor, Tensor]:
    with compiled.use(name):
        return respond(x, medium, *arguments)  # type: ignore[arg-type]


@pytest.mark.usefixtures("backend")
def test_layouts_in_memory_do_not_matter() -> None:
    x = torch.randn(4, 6, 5, 7)
    probe = torch.rand(6, 1, 7)
    expected = respond(x, Medium(), probe=probe.expand(4, 6, 5, 7).contiguous())
    views = (x.to(memory_format=torch.channels_last), x.repeat(1, 1, 1, 2)[..., :7], x.mT.contiguous().mT)
    for view in views:
        for made, wanted in zip(respond(view, Medium(), probe=probe), expected, strict=True):
            torch.testing.assert_close(made, wanted)
    spread = torch.randn(1, 3).expand(5, 3)
    torch.testing.assert_close(respond(spread, Medium()).output, respond(spread.clone(), Medium()).output)


@pytest.mark.usefixtures("backend")
def test_media_that_differ_from_channel_to_channel() -> None:
    depths, saturations = torch.tensor([[2.0], [-1.0], [20.0]]), torch.tensor([[1.0], [3.0], [0.2]])
    x = torch.randn(3, 50) * 3
    for form, broadening, residual in KINDS:
        made = respond(x, Medium(depths, saturations, residual, form, broadening))
        for row in range(3):
            alone = Medium(float(depths[row]), float(saturations[row]), residual, form, broadening)
            wanted = respond(x[row], alone)
            torch.testing.assert_close(made.output[row], wanted.output, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(made.factor[row], wanted.factor, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("backend")
def test_light_that_is_none_is_refused() -> None:
    for form, many in product(get_args(Form), (1, 100_001)):
        x = torch.ones(many)
        x[-1] = math.nan
        for encoding in ENCODINGS:
            with pytest.raises(ValueError, match="there is NaN in the light"):
                respond(x, Medium(form=form), encoding)
        x[-1] = -1e-3
        with pytest.raises(ValueError, match="intensity is 0 or above"):
            respond(x, Medium(form=form), "intensity")
        with pytest.raises(ValueError, match="intensity is 0 or above"):
            log_transmission(x, Medium(form=form))
    for probe in (-0.1, math.nan, torch.tensor([0.0, -1.0])):
        with pytest.raises(ValueError, match="intensity of a probe is 0 or above"):
            respond(torch.ones(2), Medium(), probe=probe)
    for wrong in (torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.complex64)):
        with pytest.raises(TypeError, match="real floating-point numbers"):
            respond(wrong, Medium())


@pytest.mark.parametrize(
    ("medium", "reason"),
    [
        (Medium(math.nan), "optical depth is a finite number"),
        (Medium(math.inf), "optical depth is a finite number"),
        (Medium(-81.0), "got -81"),
        (Medium(torch.tensor([1.0, math.nan])), "optical depth is a finite number"),
        (Medium(1.0, 0.0), "saturation intensity is above 0.*got 0"),
        (Medium(1.0, -1.0), "saturation intensity is above 0"),
        (Medium(1.0, math.nan), "saturation intensity is above 0"),
        (Medium(1.0, torch.tensor([1.0, 0.0])), r"got 0 \.\.\. 1"),
        (Medium(1.0, 1.0, -0.1), "residual optical depth.*got -0.1"),
        (Medium(1.0, 1.0, math.inf), "residual optical depth"),
        (Medium(1e31), r"-80 \.\.\. 1e\+30.*got 1e\+31"),
        (Medium(1e8, 1.0, 0.1, "propagated"), "up to 1100 of optical and residual depth together, got 1e"),
        (Medium(torch.tensor([1.0, 1100.0]), 1.0, 0.1, "propagated", "inhomogeneous"), "`residual=0`"),
        (Medium(-1.0, 1.0, 1100.0, "propagated"), "got 1101; give a smaller `optical_depth` or `residual`"),
        (Medium(form="thick"), "got `thick`"),
        (Medium(broadening="wide"), "got `wide`"),
    ],
)
def test_media_that_cannot_be_are_refused(medium: Medium, reason: str) -> None:
    for ask in (respond, log_transmission, parameter_slopes):
        with pytest.raises(ValueError, match=reason):
            ask(torch.ones(3), medium)


@pytest.mark.usefixtures("backend")
def test_names_that_nobody_knows_are_refused() -> None:
    for ask in (respond, parameter_slopes):
        with pytest.raises(ValueError, match="`amplitude` or `intensity`, got `amplitud`"):
            ask(torch.ones(3), Medium(), "amplitud")
    with pytest.raises(ValueError, match="`exact` or `probe`, got `exakt`"):
        respond(torch.ones(3), Medium(), "amplitude", "exakt")  # type: ignore[arg-type]


@pytest.mark.usefixtures("backend")
def test_the_deepest_media_that_are_integrated() -> None:
    x = torch.tensor([0.0, 1.0, 1e9])
    for medium in (Medium(1000.0, 1.0, 0.4, "propagated"), Medium(-80.0, 1.0, 1020.0, "propagated", "inhomogeneous")):
        output, factor = respond(x, medium, "intensity")
        assert output.isfinite().all() and factor.isfinite().all()
        torch.testing.assert_close(output[2], torch.tensor(1e9 * math.exp(-medium.residual)), rtol=1e-4, atol=0)
