"""Full scale of the converters: of each signal by itself, or measured once."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips, export
from lightloom.common.errors import RequestError
from lightloom.nn import calibrate_ranges, convert, install, static_converters

DYNAMIC = chips.preset("ideal").replace(input_bits=4, output_bits=5)
STATIC = DYNAMIC.replace(range="static")
technologies = pytest.mark.parametrize(
    "chip", [DYNAMIC, chips.preset("elight").replace(output_bits=5)], ids=["mesh", "pcm"]
)


@technologies
@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(6, 5), (6,)), (nn.Conv1d(4, 6, 3, groups=2), (4, 8)), (nn.Conv2d(3, 4, 3, padding=1), (3, 7, 8))],
    ids=["linear", "conv1d", "conv2d"],
)
@torch.no_grad()
def test_an_example_does_not_know_its_neighbours_or_its_batch(
    chip: chips.Chip, layer: nn.Module, shape: tuple[int, ...]
) -> None:
    model = convert(layer, chip).model.eval()
    x = torch.randn(3, *shape) * torch.tensor([1.0, 100.0, 0.01]).view(3, *[1] * len(shape))
    torch.testing.assert_close(model(x), torch.stack([model(one) for one in x]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model(x[:1])[0], model(x)[0], rtol=1e-5, atol=1e-6)


@technologies
@torch.no_grad()
def test_tokens_do_not_depend_on_order_of_dimensions_neighbours_or_padding(chip: chips.Chip) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True)
    other = copy.deepcopy(layer)
    other.self_attn.batch_first = False
    first, second = (convert(made, chip).model.eval() for made in (layer, other))
    x = torch.randn(2, 5, 8)
    x[1] *= 100
    torch.testing.assert_close(first(x), second(x.transpose(0, 1)).transpose(0, 1))
    torch.testing.assert_close(first(x)[0], first(x[:1])[0])
    torch.testing.assert_close(first(x[0]), first(x[:1])[0])
    padded = torch.cat([x, 1000 * torch.randn(2, 3, 8)], 1)
    mask = torch.tensor([[False] * 5 + [True] * 3] * 2)
    torch.testing.assert_close(first(padded, src_key_padding_mask=mask)[:, :5], first(x), rtol=1e-4, atol=1e-5)


def network(chip: chips.Chip) -> nn.Module:
    torch.manual_seed(1)
    return convert(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5)), chip).model


def images(count: int = 16) -> Tensor:
    return torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(2))


def test_a_static_range_is_the_largest_signal_of_the_data() -> None:
    model, x = network(STATIC), images()
    calibrate_ranges(model, [x[:8], x[8:]])
    first = model[0]  # type: ignore[index]
    exact = nn.functional.conv2d(x, first.weight.detach())
    assert float(first.input_converter.full_scale) == pytest.approx(float(x.abs().max()))
    assert float(first.output_converter.full_scale) == pytest.approx(float(exact.abs().max()), rel=1e-5)
    with torch.no_grad():
        steps = model.eval()(x).sub(model[3].bias).div(model[3].output_converter.full_scale / 15)  # type: ignore[index]
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


def test_a_static_range_clips_what_is_beyond_and_is_the_same_for_all() -> None:
    model, x = network(STATIC).eval(), images()
    calibrate_ranges(model, [x])
    with torch.no_grad():
        torch.testing.assert_close(model(x)[:3], model(x[:3]))
        weak = 1e-6 * x  # below half a step of the range, which a dynamic one would not be
        assert torch.equal(model[0](weak), model[0].bias.view(-1, 1, 1).expand_as(model[0](weak)))  # type: ignore[index]
        assert not torch.equal(network(DYNAMIC).eval()(weak), network(DYNAMIC).eval()(0 * weak))
        beyond = model[0].input_converter(100 * x)  # type: ignore[index]
    assert float(beyond.abs().max()) == pytest.approx(float(x.abs().max()))


def test_ranges_are_saved_with_the_weights_and_moved_with_the_model(tmp_path: Path) -> None:
    model, x = network(STATIC).eval(), images()
    calibrate_ranges(model, [x])
    with torch.no_grad():
        before = model(x)
        other = network(STATIC).eval()
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(x), before)
        assert torch.equal(copy.deepcopy(model)(x), before)
        assert model.double()(x.double()).dtype == torch.float64
    export.save(other, tmp_path / "network")
    loaded = export.load(
        tmp_path / "network", nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5))
    )
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(x), before, rtol=1e-5, atol=1e-6)


def test_training_within_a_static_range() -> None:
    model, x = network(STATIC), images()
    calibrate_ranges(model, [x])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    target = torch.arange(16) % 5
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(model.train()(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_modes_are_left_as_they_were_and_specimens_keep_the_range() -> None:
    model, x = network(chips.preset("thermo-optic").replace(range="static")), images()
    model.train()
    model[0].eval()  # type: ignore[index]
    calibrate_ranges(model, [x])
    assert [part.training for part in model] == [False, True, True, True]  # type: ignore[union-attr]
    scales = {name: float(part.full_scale) for name, part in static_converters(model).items()}  # type: ignore[arg-type]
    install(model, 3)
    assert {name: float(part.full_scale) for name, part in static_converters(model).items()} == scales  # type: ignore[arg-type]


def test_what_cannot_be_measured_or_used_is_refused() -> None:
    model, x = network(STATIC).eval(), images()
    with pytest.raises(RequestError, match="calibrate_ranges"):
        model(x)
    with pytest.raises(RequestError, match="at least one"):
        calibrate_ranges(model, [])
    with pytest.raises(RequestError, match="saw no signal"):
        calibrate_ranges(model, [0 * x])
    with pytest.raises(RequestError, match="NaN"):
        calibrate_ranges(model, [x / 0])
    with pytest.raises(RequestError, match="static"):
        calibrate_ranges(network(DYNAMIC), [x])
    with pytest.raises(RequestError, match="range"):
        DYNAMIC.replace(range="sometimes")
