"""Copies of models, whatever they hold."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lightloom.common.errors import RequestError

Model = TypeVar("Model", bound=nn.Module)


def copy_of(model: Model, memo: dict[int, Any] | None = None) -> Model:
    """A deep copy of a model; a tensor in it that was computed (an activation, a normed weight) loses its graph.

    Args:
        model: To copy.
        memo: What stands in the copy for some of its parts, by their id, as `copy.deepcopy` takes it.

    Raises:
        RequestError: Something in the model cannot be copied, such as a lock or an open file.
    """
    try:
        with _Detached():
            return copy.deepcopy(model, memo)
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise RequestError(
            f"The model cannot be copied ({type(error).__name__}: {error}). Take what cannot be copied out of "
            "it, or let it be changed itself, with `inplace=True`."
        ) from error


class _Detached(TorchFunctionMode):
    """Copies the tensors that torch refuses to copy, in this thread alone, however deep they lie."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Any operation of torch; `copy.deepcopy` of a tensor is one."""
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo and (not tensor.is_leaf or tensor.is_inference()):
                with torch.no_grad():
                    memo[id(tensor)] = tensor.detach().clone()
            if id(tensor) in memo:
                return memo[id(tensor)]
        return func(*args, **(kwargs or {}))
