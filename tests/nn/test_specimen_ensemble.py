"""Many specimens at once are the same specimens one after the other."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips
from lightloom.chips import Chip
from lightloom.common.errors import RequestError
from lightloom.nn import SpecimenEnsemble, convert, install, optical_layers
from lightloom.physics import compiled

SEEDS = (3, 0, 11, 4)
MESH = chips.preset("l2ight", chips.MeshChip).replace(block_size=4)
PCM = chips.preset("elight", chips.PCMChip).replace(block_size=4, absorption_std=0.05, stuck_fraction=0.02)
CONVERTED = chips.preset("thermo-optic", chips.MeshChip).replace(block_size=4)
CHIPS: dict[str, Chip] = {
    "mesh": MESH,
    "complex": MESH.replace(field="complex", insertion_loss_db=0.1, dac="voltage"),
    "triangle": MESH.replace(layout="triangle", gamma_std=0.0),
    "butterfly": MESH.replace(layout="butterfly", phase_bias=0.0),
    "ideal mesh": MESH.ideal(),
    "converters": CONVERTED,
    "pcm": PCM,
    "drifting pcm": PCM.replace(input_bits=None, drift_nu=0.05, drift_time=100.0, stuck_fraction=0.0),
    "ideal pcm": PCM.ideal(),
}


class Tied(nn.Module):
    """A layer used twice, a residual, and a second name for the first layer's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        x = x + torch.tanh(self.first(x))
        return self.head(self.first(self.second(x)))


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, groups=2, dilation=2, padding=2),
        nn.BatchNorm2d(4),
        nn.Hardtanh(-1, 2),
        nn.Conv2d(4, 10, (1, 2), padding="same"),
        nn.GELU(),
        nn.Conv2d(10, 9, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(36, 5),
    )
    model.train()(torch.randn(16, 2, 8, 8))  # statistics of the norms
    return model


def plain_stack() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 13, 3, padding=1, bias=False),
        nn.BatchNorm2d(13),
        nn.ReLU6(),
        nn.Conv2d(13, 7, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(112, 6),
    )
    model.train()(torch.randn(16, 1, 8, 8))
    return model


def one_after_the_other(model: nn.Module, inputs: Tensor) -> Tensor:
    made = []
    with torch.no_grad():
        for seed in SEEDS:
            install(model.eval(), seed)
            made.append(model(inputs))
    return torch.stack(made)


def same(model: nn.Module, inputs: Tensor, share: float = 1.0) -> None:
    """All outputs agree, or but a few, where a converter rounds what lay midway between two levels."""
    made = SpecimenEnsemble(model, SEEDS)(inputs)
    wanted = one_after_the_other(model, inputs)
    assert made.shape == wanted.shape
    close = torch.isclose(made, wanted, rtol=1e-4, atol=2e-5 * float(wanted.abs().max()))
    assert float(close.double().mean()) >= share
    assert not torch.allclose(wanted[0], wanted[1]) or share == 0


@pytest.fixture(params=["torch", "compiled"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "compiled":
        try:
            compiled.build()
        except RuntimeError:
            pytest.skip("no compiler")
    with compiled.use(request.param):
        yield request.param


@pytest.mark.parametrize("name", CHIPS)
def test_weights_are_those_of_each_specimen(name: str) -> None:
    torch.manual_seed(0)
    model = convert(nn.Conv2d(4, 6, 3, groups=2), CHIPS[name]).model
    (layer,) = optical_layers(model).values()
    made = layer.core.specimen_weights(SEEDS)
    wanted = []
    for seed in SEEDS:
        install(model, seed)
        wanted.append(layer.core.weight().detach())
    torch.testing.assert_close(made, torch.stack(wanted), rtol=1e-5, atol=1e-6)
    assert made.requires_grad is False


@pytest.mark.parametrize("name", ["mesh", "complex", "pcm", "converters"])
@pytest.mark.parametrize("build", [convolutions, plain_stack], ids=["convolutions", "plain stack"])
def test_outputs_are_those_of_each_specimen(backend: str, name: str, build: Callable[[], nn.Module]) -> None:
    channels = 2 if build is convolutions else 1
    model = convert(build(), CHIPS[name]).model
    same(model, torch.randn(70, channels, 8, 8), share=1.0 if name in ("mesh", "complex") else 0.9)


def test_layers_of_several_technologies_and_electronic_ones() -> None:
    model = convert(convolutions(), None, places={"0": MESH, "3": PCM, "12": CONVERTED}).model
    same(model, torch.randn(9, 2, 8, 8), share=0.9)
    assert len(optical_layers(model)) == 3


def test_shared_and_tied_layers() -> None:
    torch.manual_seed(0)
    same(convert(Tied(), MESH).model, torch.randn(5, 6))
    same(convert(nn.Linear(6, 3), MESH).model, torch.randn(5, 7, 6))


def test_any_memory_gives_the_same(backend: str) -> None:
    model = convert(plain_stack(), MESH).model
    inputs = torch.randn(40, 1, 8, 8)
    whole = SpecimenEnsemble(model, SEEDS)
    assert whole.chunks == (SEEDS,)
    made = whole(inputs)
    for memory, chunks in ((60_000, 2), (1, 4)):
        little = SpecimenEnsemble(model, SEEDS, memory=memory)
        assert len(little.chunks) >= chunks
        assert [seed for chunk in little.chunks for seed in chunk] == list(SEEDS)
        torch.testing.assert_close(little(inputs), made, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.cat([part(inputs) for part in little.parts()]), made, rtol=1e-4, atol=1e-5)


def test_the_model_stays_as_it_was() -> None:
    model = convert(plain_stack(), MESH).model.train()
    install(model, 5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    seen = model(torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))).detach()
    model.load_state_dict(before)
    SpecimenEnsemble(model, SEEDS)(torch.randn(20, 1, 8, 8))
    assert model.training and [type(module) for module in model.modules()] == kinds
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    again = model(torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))).detach()
    torch.testing.assert_close(again, seen, rtol=0, atol=0)  # still on specimen 5


@pytest.mark.parametrize("chip", [MESH.replace(phase_noise_std=0.05), PCM.replace(read_noise_std=0.02)])
def test_noise_is_new_for_each_specimen_and_call(chip: Chip) -> None:
    still = {"gamma_std": 0.0, "phase_bias": 0.0} if chip.technology == "mesh" else {"absorption_std": 0.0}
    if chip.technology == "pcm":
        still["stuck_fraction"] = 0.0
    model = convert(nn.Linear(6, 5, bias=False), chip.replace(**still)).model
    population = SpecimenEnsemble(model, range(400))
    inputs = torch.eye(6)
    first, second = population(inputs), population(inputs)
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])
    (layer,) = optical_layers(model).values()
    with torch.no_grad():
        spread = torch.stack([layer.core.weight() for _ in range(400)]).std(0).mean()
    assert float(first.std(0).mean() / spread) == pytest.approx(1, abs=0.1)


class Counting(nn.Module):
    """Looks at numbers as Python does, which no vectorised pass can."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y if float(y.sum()) > 0 else -y


def test_a_model_that_cannot_be_vectorised_is_taken_one_by_one() -> None:
    torch.manual_seed(0)
    model, inputs = convert(Counting(), MESH).model, torch.randn(8, 4)
    population = SpecimenEnsemble(model, SEEDS)
    torch.testing.assert_close(population(inputs), one_after_the_other(model, inputs), rtol=1e-4, atol=1e-5)
    assert not population.vectorised
    with pytest.raises(RuntimeError, match="shape"):
        SpecimenEnsemble(model, SEEDS)(torch.randn(8, 5))


def test_hooks_and_children_of_a_sequence_still_work() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = plain_stack()

        def forward(self, x: Tensor) -> Tensor:
            for number in range(3):
                x = self.layers.get_submodule(str(number))(x)
            return x.mean((2, 3))

    same(convert(Half(), MESH).model, torch.randn(20, 1, 8, 8))
    model = convert(plain_stack(), MESH).model
    seen: list[Tensor] = []
    model.get_submodule("1").register_forward_hook(lambda module, given, made: made + 1)
    same(model, torch.randn(20, 1, 8, 8))
    assert not seen


def test_a_vision_transformer() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        num_channels=1,
        num_labels=3,
    )
    vit = transformers.ViTForImageClassification(config)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vit = vit

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.vit(x).logits
            return logits

    model = convert(Logits(), MESH).model
    same(model, torch.randn(6, 1, 8, 8))
    assert SpecimenEnsemble(model, SEEDS).vectorised
    assert SpecimenEnsemble(convert(vit, MESH).model, SEEDS)(torch.randn(2, 1, 8, 8)).logits.shape == (4, 2, 3)


def test_an_electronic_twin_is_the_same_on_every_specimen() -> None:
    for chip in (MESH, PCM):
        model = convert(nn.Linear(5, 4), chip, mode="weight").model
        made = SpecimenEnsemble(model, SEEDS)(torch.randn(3, 5))
        torch.testing.assert_close(made, made[:1].expand_as(made))


def test_wrong_requests_are_refused() -> None:
    model = convert(nn.Linear(5, 4), MESH).model
    with pytest.raises(RequestError, match="at least one seed"):
        SpecimenEnsemble(model, ())
    with pytest.raises(RequestError, match="`memory` is 0"):
        SpecimenEnsemble(model, SEEDS, memory=0)
    with pytest.raises(RequestError, match="convert it first"):
        SpecimenEnsemble(nn.Linear(5, 4), SEEDS)
    model.forward = lambda x: x
    with pytest.raises(RequestError, match="has been replaced"):
        SpecimenEnsemble(model, SEEDS)


class Louder(nn.Dropout):
    """A dropout that does something in evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * x


def test_layers_that_only_look_plain_are_not_taken_for_plain_ones() -> None:
    torch.manual_seed(0)
    clipped = nn.ReLU()
    clipped.forward = lambda x: x.clamp(-0.1, 0.1)
    layers = [nn.Conv2d(1, 4, 3), Louder(), nn.Conv2d(4, 3, 3), clipped, nn.Flatten(), nn.Linear(48, 2)]
    same(convert(nn.Sequential(*layers), MESH).model.eval(), torch.randn(20, 1, 8, 8))


def test_a_seed_names_the_same_chip_whatever_the_default_type_is() -> None:
    for chip in (MESH, PCM):
        model = convert(nn.Linear(6, 5), chip).model
        wanted = model.core.specimen_weights(SEEDS)
        torch.set_default_dtype(torch.float64)
        try:
            torch.testing.assert_close(model.core.specimen_weights(SEEDS), wanted, rtol=0, atol=0)
            install(model, SEEDS[0])
            torch.testing.assert_close(model.core.weight().detach(), wanted[0], rtol=1e-5, atol=1e-6)
        finally:
            torch.set_default_dtype(torch.float32)
