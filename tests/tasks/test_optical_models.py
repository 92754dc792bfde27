"""Networks that light computes: their published sizes, what passes through them, and first weights that let it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.nn import SaturableAbsorber, constrain_weights
from lightloom.tasks.classification import InputScale, build, scale_to_half_transmission

OPTICAL = ["optical-mlp", "optical-cnn"]


def weights(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in model.parameters()]


def test_published_sizes() -> None:
    mlp = build("optical-mlp", shape=(1, 28, 28), classes=10)
    assert weights(mlp) == [(128, 784), (128, 128), (10, 128)]
    cnn = build("optical-cnn", shape=(1, 28, 28), classes=47)
    assert weights(cnn) == [(32, 1, 5, 5), (64, 32, 5, 5), (128, 1024), (47, 128)]
    names = "input_scale conv1 act1 pool1 conv2 act2 pool2 flatten dropout hidden1 act3 head"
    assert [name for name, _ in cnn.named_children()] == names.split()
    assert cnn.dropout.p == 0.4


def test_published_first_weights() -> None:
    torch.manual_seed(0)
    mlp = build("optical-mlp", shape=(1, 28, 28), classes=10)
    cnn = build("optical-cnn", shape=(1, 28, 28), classes=10)
    for layer, std in ((mlp.hidden1, 0.1), (mlp.hidden2, 0.1), (cnn.conv2, 0.1), (cnn.hidden1, 0.01)):
        sample = layer.weight.detach().double()
        error = std / math.sqrt(2 * sample.numel())  # standard error of a deviation
        assert abs(float(sample.std()) - std) < 4 * error
        assert abs(float(sample.mean())) < 4 * std / math.sqrt(sample.numel())


@pytest.mark.parametrize("name", OPTICAL)
@pytest.mark.parametrize("depth", [2, 4])
def test_depth_width_and_shape(name: str, depth: int) -> None:
    model = build(name, shape=(3, 17, 22), classes=7, width=4, depth=depth, activation=nn.Tanh)
    assert model(torch.rand(3, 3, 17, 22)).shape == (3, 7)
    found = [layer for layer in model if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(found) == depth + (1 if name == "optical-mlp" else 2)
    activations = [layer for layer in model if isinstance(layer, nn.Tanh)]
    assert len(set(activations)) == len(found) - 1


@pytest.mark.parametrize("name", OPTICAL)
def test_a_brighter_image_is_a_larger_field(name: str) -> None:
    models = []
    for input_scale in (1.0, 5.0):
        torch.manual_seed(3)
        # an odd, homogeneous activation of degree 1: nothing but a factor may change
        models.append(build(name, shape=(1, 16, 16), classes=4, activation=nn.Identity, input_scale=input_scale).eval())
    x = torch.rand(2, 1, 16, 16)
    torch.testing.assert_close(models[1](x), 5 * models[0](x), rtol=1e-4, atol=1e-4)
    assert models[0].input_scale.linear_field
    assert list(models[0].state_dict()) == list(models[1].state_dict())


def test_relu_unless_told_otherwise() -> None:
    assert isinstance(build("optical-mlp", shape=(1, 4, 4), classes=2).act1, nn.ReLU)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"depth": 3}, "`mlp` takes no `depth`; leave it away, or choose `optical-mlp`"),
        ({"activation": nn.Tanh, "input_scale": 2.0}, "takes no `activation` or `input_scale`"),
    ],
)
def test_other_models_refuse_what_they_do_not_take(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build("mlp", shape=(1, 4, 4), classes=2, **wanted)  # type: ignore[arg-type]


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(RequestError, match=r"needs 16 pixels a side and got 8.*`data\.size=16`"):
        build("optical-cnn", shape=(1, 28, 8), classes=2)
    with pytest.raises(RequestError, match="depth of 1; give at least 2"):
        build("optical-cnn", shape=(1, 28, 28), classes=2, depth=1)
    with pytest.raises(RequestError, match="depth of 0; give at least 1"):
        build("optical-mlp", shape=(1, 28, 28), classes=2, depth=0)
    for factor in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(RequestError, match="input scale is"):
            InputScale(factor)


def entering(model: nn.Module, images: torch.Tensor) -> list[float]:
    """Root mean square of what enters each absorber, and of the outputs."""
    seen: list[float] = []

    def note(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(float(given[0].detach().square().mean().sqrt()))

    hooks = [m.register_forward_pre_hook(note) for m in model.modules() if isinstance(m, SaturableAbsorber)]
    with torch.no_grad():
        outputs = model(images)
    for hook in hooks:
        hook.remove()
    return [*seen, float(outputs.square().mean().sqrt())]


def layer_of(key: str) -> str:
    return key.rpartition(".")[0]


def propagated() -> nn.Module:
    return SaturableAbsorber(30.0, 2.5, form="propagated")


@pytest.mark.parametrize("name", OPTICAL)
@pytest.mark.parametrize("absorber", [propagated, lambda: SaturableAbsorber(10.0)], ids=["propagated", "thin"])
def test_settled_absorbers_get_the_light_that_opens_them(name: str, absorber: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = build(name, shape=(1, 16, 16), classes=5, width=8, depth=3, activation=absorber, input_scale=2.0)
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    images = torch.rand(32, 1, 16, 16)
    gains = scale_to_half_transmission(model, images, factor=1.5)
    assert model.training
    model.eval()
    *fields, outputs = entering(model, images)
    knees = [layer.half_transmission_field for layer in model if isinstance(layer, SaturableAbsorber)]
    assert fields == pytest.approx([1.5 * knee for knee in knees], rel=1e-3)
    assert outputs == pytest.approx(0.3, rel=1e-3)
    # the first absorber gets its light from the input_scale, the others from the weights before them
    first = "conv1" if name == "optical-cnn" else "hidden1"
    assert list(gains) == [layer_of(key) for key in before if layer_of(key) != first]
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[key] * gains.get(layer_of(key), 1.0))
    again = scale_to_half_transmission(model, images, factor=1.5)
    assert list(again.values()) == pytest.approx([1.0] * len(gains), rel=1e-3)


def test_published_weights_pass_no_light_through_deep_media_and_settled_ones_do() -> None:
    torch.manual_seed(0)
    model = build("optical-mlp", shape=(1, 16, 16), classes=5, activation=propagated)
    images = torch.rand(16, 1, 16, 16)
    assert entering(model, images)[-1] < 1e-6
    scale_to_half_transmission(model, images)
    assert entering(model, images)[-1] == pytest.approx(0.3, rel=1e-3)


def test_a_settled_model_is_in_its_state() -> None:
    torch.manual_seed(0)
    models = [build("optical-mlp", shape=(1, 4, 4), classes=3, activation=propagated) for _ in range(2)]
    images = torch.rand(16, 1, 4, 4)
    scale_to_half_transmission(models[0], images)
    models[1].load_state_dict(models[0].state_dict())
    assert torch.equal(models[0](images), models[1](images))


def test_rows_in_rows_shared_absorbers_and_biases_settle() -> None:
    torch.manual_seed(0)
    absorber = SaturableAbsorber(10.0)
    inner = nn.Sequential(nn.Linear(6, 5), absorber, nn.Linear(5, 7), nn.Dropout(0.5), absorber)
    model = nn.Sequential(nn.Flatten(), inner, nn.Linear(7, 3))
    images = torch.rand(40, 1, 2, 3)
    assert list(scale_to_half_transmission(model, images)) == ["1.0", "1.2", "2"]
    assert entering(model.eval(), images)[:-1] == pytest.approx([absorber.half_transmission_field] * 2, rel=1e-3)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, elementwise_affine=False), SaturableAbsorber(10.0))


def limited() -> nn.Module:
    layer = nn.Linear(4, 4)
    constrain_weights(layer, norm="l2")
    return nn.Sequential(layer, SaturableAbsorber(1.0))


@pytest.mark.parametrize(
    ("model", "factor", "message"),
    [
        (limited, 1.0, "`0` is a ParametrizedLinear, whose weight is not free"),
        (normed, 1.0, "A larger `0` does not make more light"),
        (lambda: nn.Sequential(nn.Linear(4, 4)), 1.0, "no `SaturableAbsorber` to scale weights for"),
        (lambda: nn.Linear(4, 4), 1.0, "A Linear is no row of layers"),
        (normed, 0.0, "`factor` is 0.0"),
        (normed, math.nan, "`factor` is nan"),
    ],
)
def test_models_that_cannot_be_settled(model: Callable[[], nn.Sequential], factor: float, message: str) -> None:
    built = model()
    with pytest.raises(RequestError, match=message):
        scale_to_half_transmission(built, torch.rand(5, 4), factor)
    assert built.training


@pytest.mark.parametrize("pixel", [0.0, math.nan, math.inf])
def test_images_without_light_settle_nothing(pixel: float) -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), SaturableAbsorber(1.0))
    with pytest.raises(RequestError, match="The light after `0` has a root mean square of"):
        scale_to_half_transmission(model, torch.full((5, 4), pixel))
