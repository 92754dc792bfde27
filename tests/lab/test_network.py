"""A network's cores on the bench: the same matrices, and settings that find their way back."""

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.lab.instrumented import instruments_for
from lightloom.lab.mesh.instrument import BlockSettings
from lightloom.lab.mesh.mapping import ideal_settings
from lightloom.lab.mesh.network import InstrumentedMeshes
from lightloom.nn import convert, install, optical_layers

L2IGHT = chips.preset("l2ight")


def network(chip: chips.MeshChip) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 4, 11))
    model = convert(model, chip).model.double()
    install(model, chip.specimen(3))
    return model


def test_the_bench_measures_what_the_layers_compute() -> None:
    model = network(L2IGHT)
    (bench,) = instruments_for(model, InstrumentedMeshes)
    assert bench.instrument.blocks == 2 + 2 * 3
    targets = bench.targets(
        {name: torch.randn_like(layer.core.weight()) for name, layer in optical_layers(model).items()}
    )
    settings, gain = ideal_settings(L2IGHT, targets)
    bench.store(settings, gain)
    bench.instrument.program(settings)
    measured = bench.instrument.matrices() * gain.view(-1, 1, 1)
    made = bench.targets({name: layer.core.weight() for name, layer in optical_layers(model).items()})
    padding = made == 0
    torch.testing.assert_close(measured.masked_fill(padding, 0), made, atol=1e-6, rtol=1e-6)


def test_on_an_ideal_chip_stored_settings_make_the_targets() -> None:
    chip = chips.preset("ideal")
    model = network(chip)
    (bench,) = instruments_for(model, InstrumentedMeshes)
    weights = {name: torch.randn_like(layer.core.weight()) for name, layer in optical_layers(model).items()}
    bench.store(*ideal_settings(chip, bench.targets(weights)))
    for name, layer in optical_layers(model).items():
        torch.testing.assert_close(layer.core.weight(), weights[name], atol=1e-10, rtol=0)


def test_chips_of_different_size_get_a_bench_each() -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 4), nn.Linear(4, 4))
    model = convert(model, L2IGHT, only="0").model
    model = convert(model, L2IGHT.replace(block_size=4)).model
    both = instruments_for(model, InstrumentedMeshes)
    assert [list(bench.cores) for bench in both] == [["0"], ["1", "2"]]
    assert [bench.instrument.size for bench in both] == [9, 4]


def test_a_model_without_optics_is_refused() -> None:
    with pytest.raises(RequestError, match="nothing to put on the bench"):
        instruments_for(nn.Linear(2, 2), InstrumentedMeshes)


def test_settings_are_copied_not_shared() -> None:
    model = network(L2IGHT)
    (bench,) = instruments_for(model, InstrumentedMeshes)
    zeros = torch.zeros(8, 36, dtype=torch.float64)
    sigma = torch.ones(8, 9, dtype=torch.float64)
    bench.store(BlockSettings(zeros, zeros, sigma), torch.full((8,), 2.0, dtype=torch.float64))
    core = optical_layers(model)["0"].core
    assert torch.equal(core.sigma.detach(), torch.full_like(core.sigma, 2.0))
    with torch.no_grad():
        core.u_phases.add_(1)
    assert zeros.abs().max() == 0


def test_a_drive_at_the_top_of_its_range_stays_there_in_single_precision() -> None:
    model = network(L2IGHT).float()
    (bench,) = instruments_for(model, InstrumentedMeshes)
    top = torch.full((8, 36), 2 * torch.pi - 1e-12, dtype=torch.float64)
    settings = BlockSettings(top, top, torch.linspace(-0.9, 0.8, 9, dtype=torch.float64).expand(8, -1))
    gain = torch.full((8,), 1.5, dtype=torch.float64)
    bench.store(settings, gain)
    bench.instrument.program(settings)
    made = bench.targets({name: layer.core.weight() for name, layer in optical_layers(model).items()})
    measured = 1.5 * bench.instrument.matrices()
    torch.testing.assert_close(measured.masked_fill(made == 0, 0), made, atol=1e-5, rtol=1e-5)
