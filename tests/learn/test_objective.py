"""The primary metric of an objective, by its own name and in its own direction, decides which epoch is best."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.learn import Session, TrainConfig, TrainingData, fit, read_tensors

CONFIG = TrainConfig(epochs=5, batch_size=10, lr=1e-2)
VALUES = (3.0, 1.0, 2.0, 1.0, 4.0)


class Told:
    """Measures what it is told to, one value after the other."""

    def __init__(self, metric: str, higher_is_better: bool, values: tuple[float, ...] = VALUES) -> None:
        self.metric, self.higher_is_better = metric, higher_is_better
        self.values: Iterator[float] = iter(values)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)

    def evaluate(self, model: nn.Module, data: Any) -> dict[str, float]:
        return {"loss": 1.0, self.metric: next(self.values)}


def images(count: int = 20) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    return ImageSet(torch.randn(count, 1, 2, 2, generator=generator), torch.arange(count) % 2)


def train(folder: Path, objective: Told, config: TrainConfig = CONFIG) -> tuple[float, int]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    progress = fit(model, TrainingData(images(), images()), objective, config, Session(folder, "train", 0, "cpu"))
    return progress.best, progress.best_epoch


@pytest.mark.parametrize(
    ("metric", "higher", "best"),
    [("NDS", True, (4.0, 5)), ("bits_per_character", False, (1.0, 2))],
    ids=["larger", "smaller"],
)
def test_the_best_epoch_is_that_of_the_metric_in_its_direction(
    metric: str, higher: bool, best: tuple[float, int], tmp_path: Path
) -> None:
    assert train(tmp_path, Told(metric, higher)) == best
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row[f"validation_{metric}"] for row in rows] == list(VALUES)
    assert not any("accuracy" in key for row in rows for key in row)
    assert read_tensors(tmp_path / "checkpoints/train-best.safetensors")[1]["epoch"] == str(best[1])


def test_the_first_value_counts_whatever_it_is(tmp_path: Path) -> None:
    assert train(tmp_path, Told("AP", True, (-1.0, -1.0)), CONFIG.replace(epochs=2)) == (-1.0, 1)


def test_an_objective_that_does_not_measure_its_metric_is_refused(tmp_path: Path) -> None:
    class Silent(Told):
        def evaluate(self, model: nn.Module, data: Any) -> dict[str, float]:
            return {"loss": 1.0, "mAP": 0.5}

    with pytest.raises(RequestError, match="primary metric of Silent is `NDS`, and its `evaluate` measured `loss`, `m"):
        train(tmp_path, Silent("NDS", True))


def test_a_training_does_not_go_on_with_another_metric(tmp_path: Path) -> None:
    train(tmp_path, Told("AP", True), CONFIG.replace(epochs=2, schedule="constant", warmup=0))
    with pytest.raises(RequestError, match="`metric` was AP and is AR"):
        train(tmp_path, Told("AR", True), CONFIG.replace(epochs=3, schedule="constant", warmup=0))
