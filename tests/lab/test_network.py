"""A network's cores on the bench: the same matrices, and settings that find their way back."""

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.lab.mesh.instrument import BlockSettings
from lightloom.lab.mesh.mapping import ideal_settings
from lightloom.lab.network import racks
from lightloom.nn import convert, install, optical_layers

L2IGHT = chips.preset("l2ight")


def network(chip: chips.MeshChip) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 4, 11))
    model = convert(model, chip).model.double()
    install(model, chip.specimen(3))
    return model


def test_the_bench_measures_what_the_layers_compute() -> None:
    model = network(L2IGHT)
    (rack,) = racks(model)
    assert rack.instrument.blocks == 2 + 2 * 3
    targets = rack.targets(
        {name: torch.randn_like(layer.core.weight()) for name, layer in optical_layers(model).items()}
    )
    settings, gain = ideal_settings(L2IGHT, targets)
    rack.store(settings, gain)
    rack.instrument.program(settings)
    measured = rack.instrument.matrices() * gain.view(-1, 1, 1)
    made = rack.targets({name: layer.core.weight() for name, layer in optical_layers(model).items()})
    padding = made == 0
    torch.testing.assert_close(measured.masked_fill(padding, 0), made, atol=1e-6, rtol=1e-6)


def test_on_an_ideal_chip_stored_settings_make_the_targets() -> None:
    chip = chips.preset("ideal")
    model = network(chip)
    (rack,) = racks(model)
    weights = {name: torch.randn_like(layer.core.weight()) for name, layer in optical_layers(model).items()}
    rack.store(*ideal_settings(chip, rack.targets(weights)))
    for name, layer in optical_layers(model).items():
        torch.testing.assert_close(layer.core.weight(), weights[name], atol=1e-10, rtol=0)


def test_chips_of_different_size_get_a_rack_each() -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 4), nn.Linear(4, 4))
    model = convert(model, L2IGHT, only="0").model
    model = convert(model, L2IGHT.replace(block_size=4)).model
    both = racks(model)
    assert [list(rack.cores) for rack in both] == [["0"], ["1", "2"]]
    assert [rack.instrument.size for rack in both] == [9, 4]


def test_a_model_without_optics_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer on meshes"):
        racks(nn.Linear(2, 2))


def test_settings_are_copied_not_shared() -> None:
    model = network(L2IGHT)
    (rack,) = racks(model)
    zeros = torch.zeros(8, 36, dtype=torch.float64)
    sigma = torch.ones(8, 9, dtype=torch.float64)
    rack.store(BlockSettings(zeros, zeros, sigma), torch.full((8,), 2.0, dtype=torch.float64))
    core = optical_layers(model)["0"].core
    assert torch.equal(core.sigma.detach(), torch.full_like(core.sigma, 2.0))
    with torch.no_grad():
        core.u_phases.add_(1)
    assert zeros.abs().max() == 0


def test_a_drive_at_the_top_of_its_range_stays_there_in_single_precision() -> None:
    model = network(L2IGHT).float()
    (rack,) = racks(model)
    top = torch.full((8, 36), 2 * torch.pi - 1e-12, dtype=torch.float64)
    settings = BlockSettings(top, top, torch.linspace(-0.9, 0.8, 9, dtype=torch.float64).expand(8, -1))
    gain = torch.full((8,), 1.5, dtype=torch.float64)
    rack.store(settings, gain)
    rack.instrument.program(settings)
    made = rack.targets({name: layer.core.weight() for name, layer in optical_layers(model).items()})
    measured = 1.5 * rack.instrument.matrices()
    torch.testing.assert_close(measured.masked_fill(made == 0, 0), made, atol=1e-5, rtol=1e-5)
