"""A task that Lightloom knows nothing of: a small network learns a sine. It comes with a recipe of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom import report
from lightloom.chips import preset
from lightloom.common.config import Section
from lightloom.common.seeds import named_generator, named_seed
from lightloom.config import RunConfig
from lightloom.learn import TrainConfig
from lightloom.schemas import Metric
from lightloom.tasks.base import Interface, Task


class SineConfig(Section):
    """Which samples of which sine."""

    samples: int = Field(512, ge=8)
    """Samples of the training; the others have a quarter each."""
    periods: float = Field(1.0, gt=0)
    """Periods of the sine between -1 and 1."""


class PerceptronConfig(Section):
    """Which network."""

    width: int = Field(16, ge=1)
    """Units of each of its two hidden layers."""


class RegressionConfig(RunConfig):
    """A run that learns a sine."""

    task: Literal["regression"] = "regression"
    data: SineConfig = SineConfig()
    model: PerceptronConfig = PerceptronConfig()


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a curve: where, `inputs` [n, 1], and how high, `targets` [n, 1]."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> Curve:
        """The same points on a device."""
        return Curve(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, eq=False)
class Curves:
    """Points to learn, to choose by and to report."""

    train: Curve
    validation: Curve
    test: Curve


class LeastSquares:
    """Mean squared error, and the share of the variance that is explained."""

    metric: ClassVar[str] = "R2"
    higher_is_better: ClassVar[bool] = True

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of outputs [n, 1]."""
        return F.mse_loss(outputs, targets)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, data: Curve) -> Mapping[str, float]:
        """`loss`, `MSE`, which is the same, and `R2`."""
        was_training = model.training
        error = float(F.mse_loss(model.eval()(data.inputs), data.targets))
        model.train(was_training)
        return {"loss": error, "MSE": error, "R2": 1 - error / float(data.targets.var(correction=0))}


class RegressionTask(Task[RegressionConfig]):
    """A curve is learnt from its points."""

    name = "regression"
    title = "learn a curve"
    config = RegressionConfig
    metric = Metric(name="R2", percent=False)
    samples = "points"

    def recipes(self) -> Mapping[str, Callable[..., RegressionConfig]]:
        """One recipe."""
        return {"toy/sine": sine}

    def data(self, config: RegressionConfig) -> Curves:
        """Points of the sine, drawn by the seed."""

        def draw(part: str, count: int) -> Curve:
            x = 2 * torch.rand(count, 1, generator=named_generator(config.seed, "data", part)) - 1
            return Curve(x, torch.sin(torch.pi * config.data.periods * x))

        count = config.data.samples
        return Curves(draw("train", count), draw("validation", count // 4), draw("test", count // 4))

    def interface(self, data: Curves) -> Interface:
        """One number in, one out."""
        return {"inputs": 1, "outputs": 1}

    def chance(self, data: Curves) -> float:
        """R2 of the mean."""
        return 0.0

    def model(self, config: RegressionConfig, interface: Interface, data: Any = None) -> nn.Module:
        """Two hidden layers."""
        torch.manual_seed(named_seed(config.seed, "model"))
        width = config.model.width
        hidden = (nn.Linear(interface["inputs"], width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        return nn.Sequential(*hidden, nn.Linear(width, interface["outputs"]))

    def objective(self, model: nn.Module, config: RegressionConfig) -> LeastSquares:
        """Least squares."""
        return LeastSquares()

    def sections(self) -> Sequence[report.SectionBuilder]:
        """One sentence."""
        return (errors,)


def errors(run: report.Run) -> Iterator[report.Section]:
    """The mean squared error of each state."""
    states = {} if run.evaluation is None else run.evaluation.states
    words = ", ".join(f"{state} <{metrics['MSE']:.1e}>" for state, metrics in states.items())
    yield report.Section("Squared errors", "squared-errors", words)


def sine(quick: bool = False) -> RegressionConfig:
    """A sine, learnt by a small network, put on a mesh and brought back.

    Args:
        quick: Fewer epochs.
    """
    return RegressionConfig(
        recipe="toy/sine",
        threads=1,
        chip=preset("l2ight").replace(block_size=4),
        train=TrainConfig(epochs=60 if quick else 200, batch_size=32, lr=1e-2),
        learn=TrainConfig(epochs=5 if quick else 20, batch_size=32, lr=1e-3),
    )


TASK = RegressionTask()
