"""Chips refuse what they cannot be; specimens are independent and repeatable."""

import math

import pytest
import torch
from pydantic import ValidationError

from lightloom import chips
from lightloom.common.errors import RequestError


def test_the_published_setting() -> None:
    chip = chips.preset("l2ight")
    assert (chip.block_size, chip.weight_bits, chip.gamma_std, chip.crosstalk) == (9, 8, 0.002, 0.005)
    assert chip.phase_bias == pytest.approx(2 * math.pi)


@pytest.mark.parametrize("name", chips.PRESETS)
def test_every_preset_carries_its_name_and_sourced_constants(name: str) -> None:
    chip = chips.preset(name)
    assert chip.name == name
    for _, constant in chip.devices:
        assert constant.source
        assert math.isfinite(constant.value)


def test_an_ideal_chip_has_no_imperfection() -> None:
    chip = chips.preset("ideal")
    off = (chip.gamma_std, chip.crosstalk, chip.phase_bias, chip.phase_noise_std, chip.insertion_loss_db)
    assert off == (0, 0, 0, 0, 0)
    assert chip.weight_bits is chip.input_bits is chip.output_bits is None


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="Did you mean `thermo-optic`"):
        chips.preset("thermooptic")
    with pytest.raises(RequestError, match=r"unknown key `gama_std`. Did you mean `gamma_std`"):
        chips.preset("l2ight").replace(gama_std=0.1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("block_size", 1),
        ("weight_bits", 0),
        ("input_bits", -1),
        ("gamma_std", -0.1),
        ("phase_noise_std", -1e-9),
        ("crosstalk", math.nan),
        ("phase_bias", 7.0),
        ("v_pi", 0.0),
        ("layout", "clements"),
        ("insertion_loss_db", -0.2),
    ],
)
def test_impossible_values_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(RequestError, match=field):
        chips.preset("l2ight").replace(**{field: value})


def test_chips_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        chips.preset("l2ight").block_size = 4  # type: ignore[misc]


def test_a_specimen_repeats_and_differs_by_seed_layer_side_and_device() -> None:
    chip = chips.preset("l2ight")
    errors = chip.specimen(3).mesh_errors("conv1", (1, 2, 2), 36)
    again = chip.specimen(3).mesh_errors("conv1", (1, 2, 2), 36)
    assert all(torch.equal(a, b) for a, b in zip(errors, again, strict=True))
    others = [
        chip.specimen(4).mesh_errors("conv1", (1, 2, 2), 36).u_bias,
        chip.specimen(3).mesh_errors("conv2", (1, 2, 2), 36).u_bias,
        errors.v_bias,
    ]
    for other in others:
        correlation = torch.corrcoef(torch.stack([errors.u_bias.flatten(), other.flatten()]))[0, 1]
        assert correlation.abs() < 0.3
    assert errors.u_bias.unique().numel() == errors.u_bias.numel()


def test_errors_follow_the_published_distributions() -> None:
    chip = chips.preset("l2ight")
    errors = chip.specimen(0).mesh_errors("big", (1, 50, 50), 36)
    relative = 0.002 / (math.pi / 4.36**2)
    assert (errors.u_gamma - 1).abs().max() <= 2 * relative + 1e-6
    assert (errors.u_gamma - 1).std().item() == pytest.approx(0.8796 * relative, rel=0.02)
    assert errors.u_gamma.mean().item() == pytest.approx(1, abs=1e-3)
    bias = errors.u_bias
    assert 0 <= bias.min() < 0.01
    assert 2 * math.pi - 0.01 < bias.max() <= 2 * math.pi
    assert bias.mean().item() == pytest.approx(math.pi, rel=0.01)


def test_an_imperfection_that_is_off_draws_nothing() -> None:
    chip = chips.preset("l2ight").replace(gamma_std=0.0)
    errors = chip.specimen(0).mesh_errors("a", (1, 1, 1), 36)
    assert errors.u_gamma is errors.v_gamma is errors.sigma_gamma is None
    assert errors.u_bias is not None
