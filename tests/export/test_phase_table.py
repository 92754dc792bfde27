"""The table has one row per device, the phases of the core and the power of the cost."""

import csv
import math
from pathlib import Path

import pytest
import torch

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError
from lightloom.cost.mesh.phases import holding_power

CHIP = chips.preset("l2ight", chips.MeshChip).replace(block_size=4)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    ("field", "layout"),
    [
        ("real", "rectangle"),
        ("real", "triangle"),
        ("real", "butterfly"),
        ("complex", "rectangle"),
        ("complex", "triangle"),
    ],
)
def test_every_device_has_its_row(tmp_path: Path, field: str, layout: str) -> None:
    chip = CHIP.replace(field=field, layout=layout)
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5)), chip).model
    nn.install(model, chip.specimen(seed=0))
    core = nn.cores(model, nn.MeshCore)["0"]
    told = export.phase_table(model, tmp_path / "phases.csv")
    rows = rows_of(tmp_path / "phases.csv")
    assert len(rows) == told["rows"] == core.counts(1).shifters
    power = sum(float(row["holding_power_w"]) for row in rows)
    assert power == pytest.approx(holding_power(core.state(), chip), rel=1e-5)
    assert told["holding_power_w"] == pytest.approx(power, rel=1e-6)
    for side in ("u", "v"):
        found = [row for row in rows if row["block"] == "0-1-1" and row["side"] == side]
        asked = torch.tensor([float(row["commanded_rad"]) for row in found])
        met = torch.tensor([float(row["realised_rad"]) for row in found])
        wanted = torch.remainder(getattr(core, f"{side}_phases")[0, 1, 1].detach(), 2 * math.pi)
        assert torch.allclose(asked, wanted, atol=1e-6)
        assert torch.allclose(met, core.realised_phases(side)[0, 1, 1].detach(), atol=1e-5)
    sigma = [row for row in rows if row["block"] == "0-0-1" and row["side"] == "sigma"]
    cosines = torch.tensor([math.cos(float(row["realised_rad"])) for row in sigma])
    values = core.sigma.detach()[0, 0, 1]
    assert torch.allclose(cosines * values.abs().max(), core.realised_sigma()[0, 0, 1], atol=1e-5)


def test_places_are_those_of_the_mesh(tmp_path: Path) -> None:
    chip = CHIP.replace(field="complex", block_size=3)
    model = nn.convert(torch.nn.Linear(3, 3), chip).model
    export.phase_table(model, tmp_path / "phases.csv")
    rows = rows_of(tmp_path / "phases.csv")
    places = [(row["side"], row["column"], row["position"], row["device"]) for row in rows]
    mesh = [("0", "0-1", "theta"), ("1", "1-2", "theta"), ("2", "0-1", "theta")]
    mesh += [("0", "0", "phi"), ("1", "1", "phi"), ("2", "0", "phi")]
    mesh += [("3", str(waveguide), "output") for waveguide in range(3)]
    sigma = [("sigma", "0", str(waveguide), "attenuator") for waveguide in range(3)]
    assert places == [("v", *place) for place in mesh] + sigma + [("u", *place) for place in mesh]


def test_any_name_of_a_layer_is_a_field(tmp_path: Path) -> None:
    model = torch.nn.Sequential()
    model.add_module('100%, "a"', torch.nn.Linear(2, 2))
    export.phase_table(nn.convert(model, CHIP).model, tmp_path / "phases.csv")
    assert {row["layer"] for row in rows_of(tmp_path / "phases.csv")} == {'100%, "a"'}


def test_the_old_table_stays_where_the_new_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.convert(torch.nn.Linear(4, 4), CHIP).model
    path = tmp_path / "phases.csv"
    path.write_text("old")

    def broken(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("lightloom.export.mesh.phase_table.realised", broken)
    with pytest.raises(RuntimeError, match="killed"):
        export.phase_table(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["phases.csv"]
    assert path.read_text() == "old"


def test_a_network_without_a_mesh_is_refused(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Linear(4, 4), chips.preset("elight")).model
    with pytest.raises(RequestError, match="on a mesh"):
        export.phase_table(model, tmp_path / "phases.csv")
    assert not (tmp_path / "phases.csv").exists()
