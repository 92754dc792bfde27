"""Classification figures against sums made by hand."""

import pytest
import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.tasks.classify import Classify, build


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


@pytest.mark.parametrize(("name", "shape"), [("cnn", (1, 8, 8)), ("cnn", (3, 28, 28)), ("mlp", (2, 5, 7))])
def test_models_take_images_of_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    model = build(name, shape=shape, classes=7, width=5)
    assert model(torch.randn(3, *shape)).shape == (3, 7)


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="Did you mean `cnn`"):
        build("cnnn", shape=(1, 8, 8), classes=2, width=4)
