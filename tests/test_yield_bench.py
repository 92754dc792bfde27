"""The yield bench gives plain figures, and both of its ways the same accuracies."""

import json

import pytest
import yaml

from lightloom.bench import bench, yield_
from lightloom.common.errors import RequestError
from lightloom.tasks.classification.task import ClassificationTask


def test_every_figure_is_there_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yield_, "RECIPES", ("onchip/digits",))
    figures = bench("yield", specimens=3, rounds=1, images=40)
    assert json.loads(json.dumps(figures)) == yaml.safe_load(yaml.safe_dump(figures)) == figures
    assert figures["speedup"] == figures["digits"]["speedup"] > 0
    assert figures["digits"]["images"] == 40 and figures["digits"]["data"] == "digits"
    assert figures["digits"]["difference"] == 0


def test_random_images_stand_in_for_those_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise RequestError("There is no `mnist` here.")

    monkeypatch.setattr(yield_, "RECIPES", ("onchip/mnist-cnn",))
    monkeypatch.setattr(ClassificationTask, "data", missing)
    figures = bench("yield", specimens=2, rounds=1, images=60)["mnist-cnn"]
    assert figures["data"] == "random images: There is no `mnist` here."
    assert figures["difference"] == 0 and figures["images"] == 60
