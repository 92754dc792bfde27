"""What a model is trained for: the protocol between the engine and any task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from lightloom.common.errors import RequestError


class Objective(Protocol):
    """A loss to make small, and metrics to measure, one of which decides which epoch is best."""

    @property
    def metric(self) -> str:
        """Name of the primary metric, one of the keys that `evaluate` returns: `accuracy`, `AP`, `NDS`, ..."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value of the primary metric is a better model."""
        ...

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """Mean loss over a batch, a scalar.

        Args:
            outputs: What the model returned for the inputs of the batch.
            targets: The targets of the batch [batch, ...].
        """
        ...

    def evaluate(self, model: nn.Module, data: Any) -> Mapping[str, float]:
        """Metrics of a model on a set, each by its own name; `loss` and the primary metric are among them.

        Args:
            model: It is left in the mode, of training or of evaluation, that it came in.
            data: The set to measure on, as `fit` was given it for validation.
        """
        ...


def primary(objective: Objective, metrics: Mapping[str, float]) -> float:
    """The value of the primary metric.

    Args:
        objective: It names the metric.
        metrics: What it measured.

    Raises:
        RequestError: The objective did not measure the metric that it names.
    """
    if objective.metric not in metrics:
        measured = ", ".join(f"`{name}`" for name in metrics) or "nothing"
        raise RequestError(
            f"The primary metric of {type(objective).__name__} is `{objective.metric}`, and its `evaluate` measured "
            f"{measured}; return it under that name, or name one of these."
        )
    return float(metrics[objective.metric])


def improves(objective: Objective, value: float, best: float) -> bool:
    """Whether one value of the primary metric is better than another; equal values are not.

    Args:
        objective: It says which direction is better.
        value: Of the epoch just done.
        best: Of the best epoch so far.
    """
    return value > best if objective.higher_is_better else value < best


def described(objective: Objective, value: float) -> str:
    """The primary metric in words for a line of progress: a share of one in percent, any other as a number.

    Args:
        objective: It names the metric.
        value: Its value.
    """
    share = objective.higher_is_better and 0 <= value <= 1
    return f"{objective.metric} {100 * value:.2f} %" if share else f"{objective.metric} {value:.4f}"
