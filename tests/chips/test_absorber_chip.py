"""Absorbers refuse what they cannot be; presets are what their sources give; the command line lists them."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import constants
from scipy.optimize import brentq
from typer.testing import CliRunner

from lightloom import chips
from lightloom.cli import app
from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.physics.absorber.curves import (
    double_exponential,
    double_exponential_slope,
    evaluate,
    fit_double_exponential,
)

AONN = chips.absorber("aonn")
TABLE = ((1.0, 0.5), (2.0, 0.7))


class Holder(Section):
    """A description with a chip of tensor cores in it."""

    chip: chips.AnyChip


def test_the_published_setting() -> None:
    assert (AONN.form, AONN.encoding, AONN.broadening) == ("thin", "amplitude", "homogeneous")
    assert (AONN.optical_depth, AONN.saturation_intensity, AONN.residual) == (10.0, 1.0, 0.0)
    assert chips.absorber("aonn-od30") == AONN.replace(name="aonn-od30", optical_depth=30)


@pytest.mark.parametrize("name", chips.ABSORBERS)
def test_every_preset_carries_its_name_and_survives_a_file(name: str) -> None:
    chip = chips.absorber(name)
    assert chip.name == name
    assert chip.technology == "absorber"
    assert chips.AbsorberChip.model_validate(json.loads(chip.model_dump_json())) == chip
    for constant in (chip.wavelength, chip.saturation_irradiance):
        assert constant is None or (constant.source and constant.value > 0)


def test_a_medium_holds_what_the_chip_says() -> None:
    chip = AONN.replace(form="propagated", broadening="inhomogeneous", saturation_intensity=2.5, residual=0.3)
    medium = chip.medium()
    assert (medium.optical_depth, medium.saturation, medium.residual) == (10.0, 2.5, 0.3)
    assert (medium.form, medium.broadening) == ("propagated", "inhomogeneous")


def test_the_amplifier_gives_weak_light_20_db() -> None:
    assert 10 * math.log10(math.exp(-chips.absorber("amplifier").optical_depth)) == pytest.approx(20)


def test_rubidium_saturates_where_a_two_level_atom_does() -> None:
    # I_sat = pi h c Gamma / (3 lambda^3), with the natural linewidth of 2 pi x 6.0666 MHz
    chip = chips.absorber("vapour")
    assert chip.wavelength is not None
    assert chip.saturation_irradiance is not None
    rate = 2 * math.pi * 6.0666e6
    expected = math.pi * constants.h * constants.c * rate / (3 * chip.wavelength.value**3)
    assert chip.saturation_irradiance.unit == "W/m^2"
    assert chip.saturation_irradiance.value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "thick"}, "form"),
        ({"encoding": "phase"}, "encoding"),
        ({"broadening": "doppler"}, "broadening"),
        ({"optical_depth": math.inf}, "optical_depth"),
        ({"optical_depth": math.nan}, "optical_depth"),
        ({"saturation_intensity": 0.0}, "saturation_intensity"),
        ({"saturation_intensity": -1.0}, "saturation_intensity"),
        ({"residual": -0.1}, "residual"),
        ({"optical_depth": -100.0}, r"optical_depth: .* -80 \.\.\. 1e\+30 .*got -100; give a smaller gain"),
        ({"saturation_intensity": 1e-40}, "saturation_intensity: .* within 1e-30 "),
        ({"form": "propagated", "residual": 1200.0}, "got 1210; give a smaller `optical_depth` or `residual`"),
        ({"technology": "mesh"}, "technology"),
        ({"optical_dept": 3.0}, "Did you mean `optical_depth`"),
        ({"form": "measured"}, "go together"),
        ({"table": TABLE}, "go together"),
        ({"form": "measured", "table": TABLE, "optical_depth": 30.0, "residual": 0.1}, "`optical_depth`, `residual`"),
        ({"form": "measured", "table": TABLE, "optical_depth": -100.0}, "leave `optical_depth` away"),
        ({"form": "measured", "table": TABLE[:1]}, "2 or more"),
        ({"form": "measured", "table": TABLE[::-1]}, "ascend"),
        ({"form": "measured", "table": (TABLE[0], TABLE[0])}, "ascend"),
        ({"form": "measured", "table": ((-1.0, 0.0), TABLE[0])}, "ascend"),
        ({"form": "measured", "table": ((0.0, 0.1), TABLE[0])}, "dark level"),
        ({"form": "measured", "table": (TABLE[0], (2.0, math.nan))}, "table"),
    ],
)
def test_impossible_absorbers_are_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        AONN.replace(**changes)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"no absorber `vapor`\. Did you mean `vapour`"):
        chips.absorber("vapor")


def test_each_form_gives_what_it_is() -> None:
    intensifier = chips.absorber("intensifier")
    with pytest.raises(RequestError, match=r"`intensifier` is a measured absorber.*`curve\(\)`"):
        intensifier.medium()
    with pytest.raises(RequestError, match=r"`aonn` is a medium of form `thin`.*`medium\(\)`"):
        AONN.curve()


def test_an_absorber_is_no_tensor_core() -> None:
    with pytest.raises(RequestError, match="there is no technology `absorber`"):
        Holder.parse({"chip": AONN.model_dump()})


# the intensifier


def test_the_intensifier_is_in_units_of_its_own_saturation() -> None:
    made = chips.absorber("intensifier").curve()
    output, slope = evaluate(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), made)
    assert slope[0].item() == pytest.approx(1, abs=0.01)
    assert output[1].item() == 0.5
    assert (slope.diff() < 0).all()


def test_the_intensifier_is_the_average_of_the_measured_channels() -> None:
    root = os.environ.get("LIGHTLOOM_DATA")
    path = Path(root or "") / "onn_measured/mcmahon_intensifier/Figure_2fg/Train_Data_Cell_Nonlinear_fc1act1.npz"
    if not root or not path.is_file():
        pytest.skip("needs the measured image intensifier in the folder that LIGHTLOOM_DATA names")
    with np.load(path, allow_pickle=False) as light:
        before, after = light["train_data_before_intensifier"], light["train_data_after_intensifier"]
    table = chips.absorber("intensifier").table
    assert table is not None
    inputs, outputs = np.array(table).T
    taken = []
    for x, y in zip(before.T, after.T, strict=True):
        fit = fit_double_exponential(x, y)
        slope = double_exponential_slope(np.zeros(1), fit)[0]
        half = brentq(lambda at, fit=fit, slope=slope: double_exponential(at, fit) / at - slope / 2, 1.0, 1e8)
        scatter = np.std(double_exponential(x, fit) - y) / y.std()
        if scatter < 0.1 and np.quantile(x, 0.99) >= 2 * half:
            taken.append(double_exponential(inputs * half, fit) / (slope * half))
    assert len(taken) == 8
    assert np.mean(taken, 0) == pytest.approx(outputs, abs=1e-4)
    assert np.std(taken, 0).max() < 0.021


# the command line


def lines(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["chips", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_has_absorbers_as_a_group_of_their_own() -> None:
    listed = lines()
    technologies = ("mesh", "pcm", "absorber", "diffractive")
    mesh, pcm, absorber, diffractive = (listed.index(f"{technology}:\n") for technology in technologies)
    assert mesh < pcm < absorber < diffractive
    assert all(listed.index(name, absorber) < diffractive for name in chips.ABSORBERS)
    assert all(listed.index(f"\n{name}", diffractive) for name in chips.DIFFRACTIVE)
    rows = {row["name"]: row for row in json.loads(lines("--json").splitlines()[-1])["chips"]}
    assert set(rows) == {*chips.PRESETS, *chips.ABSORBERS, *chips.DIFFRACTIVE}
    assert rows["vapour-od30"]["optical_depth"] == 30
    assert "optical_depth" not in rows["intensifier"]


def test_one_absorber_is_shown_with_its_sources_or_its_table() -> None:
    assert "Steck" in lines("vapour")
    shown = json.loads(lines("intensifier", "--json").splitlines()[-1])
    assert shown["table"][6] == [1.0, 0.5]
    assert "optical_depth" not in shown


def test_a_typo_is_answered_with_the_nearest_of_all() -> None:
    result = CliRunner().invoke(app, ["chips", "vapuor", "--json"])
    assert result.exit_code == 2
    assert "Did you mean `vapour`?" in json.loads(result.stdout.splitlines()[-1])["error"]
