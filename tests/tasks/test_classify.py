"""Classification figures against sums made by hand."""

import pytest
import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.tasks.classification import MODELS, Classify, build, replace_head
from lightloom.tasks.classification.models.resnet import Residual


def test_loss_and_accuracy_by_hand_in_any_chunk() -> None:
    images = ImageSet(torch.randn(11, 1, 2, 2), torch.arange(11) % 4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Dropout(0.5)).train()
    outputs = model[1](images.images.flatten(1)).detach()
    right = sum(int(row.argmax()) == int(label) for row, label in zip(outputs, images.labels, strict=True))
    loss = -sum(float(row.log_softmax(0)[label]) for row, label in zip(outputs, images.labels, strict=True)) / 11
    for chunk in (1, 4, 100):
        figures = Classify(chunk=chunk).evaluate(model, images)
        assert figures["accuracy"] == pytest.approx(right / 11)
        assert figures["loss"] == pytest.approx(loss, rel=1e-5)
    assert model.training


def test_squared_error_by_hand_in_any_chunk() -> None:
    images = ImageSet(torch.randn(11, 1, 2, 2), torch.arange(11) % 4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    outputs = model(images.images).detach()
    wanted = [[float(label == column) for column in range(4)] for label in images.labels.tolist()]
    squares = [
        (z - t) ** 2 for zs, ts in zip(outputs.tolist(), wanted, strict=True) for z, t in zip(zs, ts, strict=True)
    ]
    for chunk in (1, 4, 100):
        task = Classify(chunk=chunk, criterion="mse")
        assert task.evaluate(model, images)["loss"] == pytest.approx(sum(squares) / 44, rel=1e-5)
    right = sum(int(row.argmax()) == int(label) for row, label in zip(outputs, images.labels, strict=True))
    assert task.evaluate(model, images)["accuracy"] == pytest.approx(right / 11)


def test_the_gradient_of_squared_error_is_the_difference() -> None:
    outputs, targets = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 2, 1, 1, 0])
    Classify(criterion="mse").loss(outputs, targets).backward()
    difference = outputs.detach() - torch.eye(3, dtype=torch.float64)[targets]
    torch.testing.assert_close(outputs.grad, 2 * difference / 15)


def test_smoothing_is_for_cross_entropy_alone() -> None:
    outputs, targets = torch.randn(6, 4), torch.arange(6) % 4
    even = -outputs.log_softmax(1).mean()  # a smoothing of 1 asks for every class alike
    assert float(Classify(smoothing=1.0).loss(outputs, targets)) == pytest.approx(float(even), rel=1e-5)
    with pytest.raises(RequestError, match=r"`smoothing` is 0\.1, and `mse` takes none"):
        Classify(smoothing=0.1, criterion="mse")
    with pytest.raises(RequestError, match=r"no criterion `msee`\. Did you mean `mse`"):
        Classify(criterion="msee")  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "shape"), [("cnn", (1, 8, 8)), ("cnn", (3, 28, 28)), ("mlp", (2, 5, 7))])
def test_models_take_images_of_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    model = build(name, shape=shape, classes=7, width=5)
    assert model(torch.randn(3, *shape)).shape == (3, 7)


@pytest.mark.parametrize(
    ("name", "shape"), [("cnn-s", (1, 16, 16)), ("cnn-s", (2, 9, 14)), ("cnn-l", (1, 28, 28)), ("cnn-l", (3, 9, 9))]
)
def test_published_models_take_images_of_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    model = build(name, shape=shape, classes=7, width=5)
    assert model(torch.randn(3, *shape)).shape == (3, 7)


def weights(model: nn.Module) -> int:
    return sum(p.numel() for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear) for p in (m.weight,))


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("cnn-s", (1, 16, 16), 9 * 8 + 9 * 8 * 6 + 6 * 16 * 10),
        ("cnn-l", (1, 28, 28), 9 * 64 + 2 * 9 * 64**2 + 64 * 25 * 10),
        ("mlp", (1, 28, 28), 784 * 64 + 64 * 64 + 64 * 10),
        ("vgg8", (3, 32, 32), 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 512) + 5120),  # 3.91 million
        # He et al.'s stages, each with two blocks, and three shortcuts of 1x1: 11.16 million
        (
            "resnet18",
            (3, 32, 32),
            9 * 3 * 64
            + 9 * (4 * 64**2)
            + sum(9 * (c * 2 * c + 3 * (2 * c) ** 2) + c * 2 * c for c in (64, 128, 256))
            + 5120,
        ),
    ],
)
def test_published_widths_have_the_published_number_of_weights(
    name: str, shape: tuple[int, int, int], expected: int
) -> None:
    model = build(name, shape=shape, classes=10)
    assert weights(model) == expected
    assert not [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None]


@pytest.mark.parametrize("name", ["vgg8", "resnet18"])
def test_deep_models_scale_and_clip(name: str) -> None:
    model = build(name, shape=(3, 32, 32), classes=5, width=4).eval()
    seen: list[float] = []
    for module in model.modules():
        if isinstance(module, nn.Hardtanh):
            module.register_forward_hook(lambda _m, _i, output: seen.extend((float(output.min()), float(output.max()))))
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 50.0)
    with torch.no_grad():
        assert model(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert min(seen) == 0
    assert max(seen) == 6


def test_vgg8_on_larger_and_smaller_images() -> None:
    large = build("vgg8", shape=(3, 64, 64), classes=5, width=2)
    assert large(torch.randn(2, 3, 64, 64)).shape == (2, 5)
    assert not any(isinstance(m, nn.Dropout) for m in large.modules())
    assert any(isinstance(m, nn.Dropout) for m in build("vgg8", shape=(3, 32, 32), classes=5, width=2).modules())
    with pytest.raises(RequestError, match=r"needs 32 pixels a side and got 28.*`data\.size=32`"):
        build("vgg8", shape=(1, 28, 28), classes=5)


def test_a_residual_block_adds_its_shortcut() -> None:
    block = Residual(3, 3, 1).eval()
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn(2, 3, 6, 6)
    assert torch.equal(block(x), x.clamp(0, 6))


@pytest.mark.parametrize("name", MODELS)
def test_a_new_head_takes_other_classes_and_the_rest_stays(name: str) -> None:
    model = build(name, shape=(3, 32, 32), classes=5, width=4)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items() if not key.startswith("head")}
    replace_head(model, 3)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 3)
    head = ["head.weight"] if name.startswith("optical") else ["head.weight", "head.bias"]
    assert [key for key in model.state_dict() if key.startswith("head")] == head
    assert {key for key in model.state_dict() if not key.startswith("head")} == set(before)
    with pytest.raises(ValueError, match="no linear layer called `head`"):
        replace_head(nn.Sequential(nn.Linear(2, 2)), 3)


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="Did you mean `cnn`"):
        build("cnnn", shape=(1, 8, 8), classes=2, width=4)
