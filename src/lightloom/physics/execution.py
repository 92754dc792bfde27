"""How torch runs what is asked of it: at once on numbers, or recorded, batched and differentiated for later.

What is computed once and kept must be made of numbers, outside of every mode of the caller's: a tensor made under
`torch.inference_mode` cannot take part in training later, and one made while a program is recorded holds none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec

import numpy as np
import torch
from torch import Tensor

_Arguments = ParamSpec("_Arguments")


def eager() -> bool:
    """Whether operations run at once: no compilation, tracing or export, no transform, no mode of dispatch between."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._is_tracing()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._ops._len_torch_dispatch_stack_pre_dispatch() > 0  # type: ignore[no-untyped-call]
    )


def transformed() -> bool:
    """Whether functorch, forward-mode differentiation, a compiler or a tracer is at work.

    They take a program apart into functions of torch, where an `autograd.Function` would be in the way.
    """
    if torch.compiler.is_compiling():
        return True
    functorch = torch._C._are_functorch_transforms_active()
    return functorch or forward_mode() or torch._C._is_tracing()


def forward_mode() -> bool:
    """Whether derivatives are carried forwards (`torch.autograd.forward_ad`), which a written backward knows not."""
    return bool(torch.autograd.forward_ad._current_level >= 0)


def is_batch(grad: Tensor) -> bool:
    """Whether this stands for many gradients at once, as `torch.autograd.grad` hands them by `is_grads_batched`."""
    return "Batched" in str(torch._C._dispatch_keys(grad))  # a key without a name in Python


def has_numbers(*tensors: Tensor) -> bool:
    """Whether values of these can be looked at, as a check of values must: they are real, and nothing is recorded."""
    return eager() and all(not tensor.is_meta and type(tensor) in _REAL for tensor in tensors)


_REAL = (Tensor, torch.nn.Parameter)


def constant(maxsize: int) -> Callable[[Callable[_Arguments, Any]], Callable[_Arguments, Tensor]]:
    """Compute an array once for the same arguments, and give every caller a CPU tensor of its own.

    The array is NumPy's, which no mode of torch touches, and cannot be written to.

    Args:
        maxsize: How many arrays are kept, those used last.
    """

    def decorate(compute: Callable[_Arguments, Any]) -> Callable[_Arguments, Tensor]:
        @lru_cache(maxsize=maxsize)
        def kept(*args: Any, **options: Any) -> Any:
            array = np.ascontiguousarray(compute(*args, **options))
            array.setflags(write=False)
            return array

        @wraps(compute)
        def copy(*args: _Arguments.args, **options: _Arguments.kwargs) -> Tensor:
            return torch.tensor(kept(*args, **options), device="cpu")  # type: ignore[arg-type]

        copy.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
        return copy

    return decorate
