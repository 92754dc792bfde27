"""Find the first tensor that is not finite, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.errors import WorkError


def check_loss(loss: Tensor, model: nn.Module, inputs: Any, again: Callable[[], object], where: str) -> None:
    """Stop at a loss that is not finite, naming the first bad tensor on the way to it.

    Args:
        loss: Scalar.
        model: The model in training.
        inputs: The batch.
        again: Repeats the forward pass, watched.
        where: Stage, epoch and step, for the message.

    Raises:
        WorkError: The loss is NaN or Inf.
    """
    if torch.isfinite(loss):
        return
    culprit = _bad_input(inputs) or _bad_parameter(model) or _bad_output(model, again) or "the loss itself"
    raise WorkError(f"The loss is {loss.item()} at {where}. First bad tensor: {culprit}. {_MEND}")


def check_gradients(model: nn.Module, where: str) -> None:
    """Stop at a gradient that is not finite, naming the first such parameter.

    Args:
        model: With the gradients of a backward pass.
        where: Stage, epoch and step, for the message.

    Raises:
        WorkError: There is one.
    """
    gradients = [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
    norms = torch._foreach_norm([gradient for _, gradient in gradients])
    if torch.isfinite(torch.stack(norms).sum()):
        return
    for name, gradient in gradients:
        if not torch.isfinite(gradient).all():
            raise WorkError(f"The gradient is not finite at {where}. First bad tensor: {_say(name, gradient)}. {_MEND}")


_MEND = "A lower `lr`, or `clip_norm=1`, usually mends it."


def _bad_input(inputs: Any) -> str | None:
    tensors = [inputs] if isinstance(inputs, Tensor) else [part for part in inputs if isinstance(part, Tensor)]
    return next((_say("the input images", part) for part in tensors if not torch.isfinite(part).all()), None)


def _bad_parameter(model: nn.Module) -> str | None:
    tensors: Iterator[tuple[str, Tensor]] = (*model.named_parameters(), *model.named_buffers()).__iter__()
    for name, tensor in tensors:
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return _say(name, tensor)
    return None


def _bad_output(model: nn.Module, again: Callable[[], object]) -> str | None:
    """Run forward once more and note the first module whose output is bad; leaves come before what holds them."""
    culprits: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not culprits and not torch.isfinite(output).all():
                culprits.append(_say(f"the output of `{name}` ({type(module).__name__})", output))

        return look

    handles = [module.register_forward_hook(watch(name or "the model")) for name, module in model.named_modules()]
    try:
        with torch.no_grad():
            again()
    finally:
        for handle in handles:
            handle.remove()
    return culprits[0] if culprits else None


def _say(name: str, tensor: Tensor) -> str:
    nan, inf = int(torch.isnan(tensor).sum()), int(torch.isinf(tensor).sum())
    return f"{name}, shape {tuple(tensor.shape)}, {nan} NaN and {inf} Inf"
