"""What the bench, exports and sweeps promise of every technology, those of other packages included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from lightloom import explore, export
from lightloom.chips import TECHNOLOGIES, Chip, preset
from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.lab.instrumented import InstrumentedCores, instruments_for
from lightloom.nn import convert, cores, install, optical_layers
from lightloom.nn.core import TensorCore

TECHNOLOGY = ["mesh", "pcm", "toy"]


@pytest.fixture(autouse=True)
def _with_the_toy(register: Callable[..., None]) -> None:
    register(toy="lightloom_toy:TOY")
    assert set(TECHNOLOGIES) == set(TECHNOLOGY)


def chip_of(technology: str, size: int = 4) -> Chip:
    return next(iter(TECHNOLOGIES[technology].presets.values())).replace(block_size=size)


def electronic() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 3))


def mixed() -> nn.Module:
    """Each layer on a chip of another technology."""
    places = [(name, chip_of(technology)) for name, technology in zip("135", TECHNOLOGY, strict=True)]
    model = convert(electronic(), None, places=places).model
    install(model, 3)
    return model


@pytest.mark.parametrize("technology", TECHNOLOGY)
def test_a_saved_network_comes_back_on_its_specimen_to_the_bit(technology: str, tmp_path: Path) -> None:
    model = convert(electronic(), chip_of(technology)).model.eval()
    install(model, 7)
    x = torch.randn(4, 1, 2, 3)
    export.save(model, tmp_path / "saved", sample=x)
    again = export.load(tmp_path / "saved", electronic())
    for name, layer in optical_layers(again).items():
        assert torch.equal(layer.core.weight(), optical_layers(model)[name].core.weight())
    assert {layer.core.specimen.seed for layer in optical_layers(again).values()} == {7}
    assert export.check(tmp_path / "saved", again) < 1e-6


@pytest.mark.parametrize("technology", TECHNOLOGY)
@pytest.mark.parametrize("mode", ["usual", "weight"])
def test_weights_alone_go_onto_a_chip_of_the_same_form_in_any_mode(technology: str, mode: str, tmp_path: Path) -> None:
    model = convert(electronic(), chip_of(technology)).model
    for core in cores(model, TensorCore).values():
        core.switch(core.modes[0] if mode == "usual" else mode)
    export.save(model, tmp_path / "saved")
    with torch.no_grad():
        other = convert(electronic(), chip_of(technology)).model
        for core in cores(other, TensorCore).values():
            core.program(torch.zeros(core.groups * core.rows, core.columns))
    export.load_weights(other, tmp_path / "saved")
    for name, layer in optical_layers(model).items():
        assert optical_layers(other)[name].core.mode == layer.core.mode
        assert torch.equal(optical_layers(other)[name].core.weight(), layer.core.weight())
    larger = convert(electronic(), chip_of(technology, 8)).model
    with pytest.raises(RequestError, match="`block_size` 4 as saved, 8 here"):
        export.load_weights(larger, tmp_path / "saved")


@pytest.mark.parametrize(("technology", "other"), [("mesh", "pcm"), ("pcm", "toy"), ("toy", "mesh")])
def test_weights_do_not_go_onto_another_technology(technology: str, other: str, tmp_path: Path) -> None:
    export.save(convert(electronic(), chip_of(technology)).model, tmp_path / "saved")
    with pytest.raises(RequestError, match=f"was saved on a {technology} chip.*{other} chip"):
        export.load_weights(convert(electronic(), chip_of(other)).model, tmp_path / "saved")


@pytest.mark.parametrize("technology", TECHNOLOGY)
def test_devices_that_no_seed_describes_are_refused(technology: str, tmp_path: Path) -> None:
    chip = chip_of(technology)
    chip = chip.replace(**dict.fromkeys(chip.hidden_errors, 0.01))
    model = convert(electronic(), chip).model
    install(model, 7)
    for core in cores(model, TensorCore).values():
        core.specimen = None
    with pytest.raises(RequestError, match="specimens=False"):
        export.save(model, tmp_path / "saved")
    export.save(model, tmp_path / "saved", specimens=False)


def test_a_network_of_all_technologies_is_saved_and_put_on_benches_at_once(tmp_path: Path) -> None:
    model = mixed().eval()
    x = torch.randn(4, 1, 2, 3)
    export.save(model, tmp_path / "saved")
    torch.testing.assert_close(export.load(tmp_path / "saved", electronic())(x), model(x))
    benches = instruments_for(model)
    layers = [name for bench in benches for name in bench.cores]
    assert sorted(layers) == ["1", "3", "5"]
    for bench in benches:
        kind = type(bench)
        assert issubclass(kind, InstrumentedCores) and bench.instrument.calls == 0
        alone = instruments_for(model, kind)
        assert [list(other.cores) for other in alone] == [list(bench.cores)]


@pytest.mark.parametrize("technology", TECHNOLOGY)
def test_a_bench_of_another_technology_is_refused(technology: str) -> None:
    kinds = [TECHNOLOGIES[name].load("bench", InstrumentedCores) for name in TECHNOLOGY if name != technology]
    model = convert(electronic(), chip_of(technology)).model
    for kind in kinds:
        with pytest.raises(RequestError, match=f"as `{kind.__name__}`"):
            instruments_for(model, kind)


def test_formats_of_all_technologies_are_known_and_only_fit_their_own(tmp_path: Path) -> None:
    assert {"folder", "onnx", "settings", "netlist", "phases", "pcm"} == set(export.known_formats())
    model = convert(electronic(), chip_of("toy")).model
    for name in ("netlist", "phases", "pcm"):
        with pytest.raises(RequestError, match="this network has none"):
            export.export(model, tmp_path / "out", [name])
    written = export.export(mixed(), tmp_path / "all", ["folder", "settings", "netlist", "phases", "pcm"])
    assert all(part["bytes"] > 0 for part in written.values())


def test_a_sweep_takes_off_what_calibration_takes_off_on_every_technology() -> None:
    network, inputs = electronic(), torch.randn(40, 1, 2, 3)
    images = ImageSet(inputs, network(inputs).argmax(1))
    quiet = explore.Engine(progress=False)
    start = [preset("toy").replace(block_size=4, gain_std=2.0), preset("noems").replace(block_size=4)]
    config = explore.ExploreConfig(specimens=2)
    calibrated = explore.explore(network, start, images, config, engine=quiet)
    rough = explore.explore(network, start, images, config.replace(calibrated=False), engine=quiet)
    for technology in ("toy", "mesh"):
        taken_off, stays = (
            [text for text in result["assumptions"] if f"of {technology} " in text] for result in (calibrated, rough)
        )
        assert len(taken_off) == 1 and "calibrated away" in taken_off[0]
        assert len(stays) == 1 and "nothing was calibrated" in stays[0]
    assert calibrated["points"][0]["accuracy"] == calibrated["electronic"] == 1
    assert rough["points"][0]["accuracy"] < 0.9


@pytest.mark.parametrize("technology", TECHNOLOGY)
def test_specimens_together_are_those_one_by_one(technology: str) -> None:
    chip = chip_of(technology)
    chip = chip.replace(**dict.fromkeys(chip.hidden_errors, 0.05))
    model = convert(electronic(), chip).model
    images = ImageSet(torch.randn(40, 1, 2, 3), torch.randint(3, (40,)))
    together = explore.accuracies(model, range(3), images, progress=False)
    assert torch.equal(together, explore.sequential(model, range(3), images))
